"""Own data as users have it: what is refused and why, what is taken and what is warned of.

A case is the card's lines beside name and data, and the files of its folder: rows for JSON Lines, else the content.
"""

from __future__ import annotations

from typing import Any

Case = tuple[str, dict[str, object]]

NAN, INF = float("nan"), float("inf")
CORPUS = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(("the river", "a city", "one storm"))]
QUERIES = [{"_id": "q0", "text": "river"}, {"_id": "q1", "text": "city"}]
QRELS = "query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t1\n"
LABELLED = [{"text": text, "label": label} for text, label in (("the river", 0), ("a city", 1), ("a storm", 0))]
CLASSES = "options: {samples_per_label: 2, n_experiments: 2}"
PAIRS = "sentence1,sentence2,score\nthe river,a river,3\na city,the storm,0\none,two,1\n"
STS = [
    {"sentence1": "the river", "sentence2": "a river", "score": 3},
    {"sentence1": "a city", "sentence2": "the storm", "score": 0},
    {"sentence1": "one", "sentence2": "two", "score": 1},
]
SETS = [{"sentences": ["the river", "a city", "a storm"], "labels": ["a", "b", "b"]}]
RANKED = [{"query": "river", "positive": ["the river"], "negative": ["a city", "a storm"]}]
REFS = [{"seg_id": "1", "refs": ["the river"]}, {"seg_id": "2", "refs": ["a city"]}]
HYPS = [
    {"SYS": "x", "seg_id": "1", "hyp": "a river", "human_score": 3},
    {"SYS": "x", "seg_id": "2", "hyp": "the storm", "human_score": 1},
]
POOL = [{"text": f"{text} {i}", "label": label} for i in range(3) for text, label in (("river", "a"), ("city", "b"))]
TEST = [{"text": "the river", "label": "a"}, {"text": "a city", "label": "b"}]
PROMPTS = 'options: {input: "{text}", labels: [a, b], most: 2}'
WRITTEN = 'options: {input: "{text}", output: "{answer}", most: 2}'


def but(rows: list[dict[str, Any]], at: int, **changed: Any) -> list[dict[str, Any]]:
    """The rows, one of them changed."""
    return [{**row, **changed} if i == at else row for i, row in enumerate(rows)]


def retrieval(corpus: object = CORPUS, queries: object = QUERIES, qrels: object = QRELS) -> Case:
    """A retrieval task."""
    return "type: Retrieval", {"corpus.jsonl": corpus, "queries.jsonl": queries, "qrels/test.tsv": qrels}


def classes(train: object = LABELLED, test: object = LABELLED, form: str = "jsonl") -> Case:
    """A classification task."""
    return f"type: Classification\n{CLASSES}", {f"train.{form}": train, f"test.{form}": test}


def sts(rows: object, form: str = "jsonl") -> Case:
    """A task of similarity."""
    return "type: STS", {f"test.{form}": rows}


def pairs(*labels: object) -> Case:
    """A task of pairs with these labels."""
    rows = [{"sentence1": f"the river {i}", "sentence2": "a city", "label": y} for i, y in enumerate(labels)]
    return "type: PairClassification", {"test.jsonl": rows}


def clusters(rows: object) -> Case:
    """A clustering task of sets."""
    return "type: Clustering", {"test.jsonl": rows}


def reranking(rows: object) -> Case:
    """A reranking task."""
    return "type: Reranking", {"test.jsonl": rows}


def billboard(refs: object = REFS, hyps: object = HYPS) -> Case:
    """A task of generated texts."""
    return "type: TextEvaluation", {"a_references.jsonl": refs, "a_THumB-1.0.jsonl": hyps}


def prompts(pool: object = POOL, test: object = TEST, options: str = PROMPTS) -> Case:
    """A prompt-retrieval task."""
    return f"type: PromptRetrieval\n{options}", {"pool.jsonl": pool, "test.jsonl": test}


REFUSED: dict[str, tuple[Case, str]] = {
    # Texts
    "null as document": (retrieval(but(CORPUS, 1, text=None)), "corpus.jsonl, line 2: null in 'text'"),
    "NaN as document": (retrieval(but(CORPUS, 1, text=NAN)), "corpus.jsonl, line 2: NaN in 'text'"),
    "a number as document": (retrieval(but(CORPUS, 1, text=5)), "corpus.jsonl, line 2: the number 5 in 'text'"),
    "an object as document": (retrieval(but(CORPUS, 1, text={"a": 1})), "line 2: an object ({'a': 1}) in 'text'"),
    "a list as title": (retrieval(but(CORPUS, 0, title=["a"])), "corpus.jsonl, line 1: a list (['a']) in 'title'"),
    "NaN as title": (retrieval(but(CORPUS, 0, title=NAN)), "corpus.jsonl, line 1: NaN in 'title'"),
    "null as query": (retrieval(queries=but(QUERIES, 1, text=None)), "queries.jsonl, line 2: null in 'text'"),
    "every query empty": (retrieval(queries=[{**q, "text": ""} for q in QUERIES]), "line 1: every 'text' is empty"),
    "null in train": (classes(but(LABELLED, 2, text=None)), "train.jsonl, line 3: null in 'text'"),
    "infinity in test": (classes(test=but(LABELLED, 2, text=INF)), "test.jsonl, line 3: Infinity in 'text'"),
    "true as sentence": (sts(but(STS, 0, sentence2=True)), "test.jsonl, line 1: true in 'sentence2'"),
    "null in a set": (clusters(but(SETS, 0, sentences=["a", None, "b"])), "line 1: null as number 2 of 'sentences'"),
    "a number in a set": (clusters(but(SETS, 0, sentences=["a", 2, "b"])), "the number 2 as number 2 of 'sentences'"),
    "null among positives": (reranking(but(RANKED, 0, positive=[None])), "line 1: null as number 1 of 'positive'"),
    "a list as query": (reranking(but(RANKED, 0, query=["a"])), "line 1: a list (['a']) in 'query'"),
    "NaN as hypothesis": (billboard(hyps=but(HYPS, 1, hyp=NAN)), "a_THumB-1.0.jsonl, line 2: NaN in 'hyp'"),
    "null among references": (billboard(but(REFS, 0, refs=["a", None])), "line 1: null as number 2 of 'refs'"),
    "null in the pool": (prompts(but(POOL, 3, text=None)), "pool.jsonl, line 4: null in 'text'"),
    "a number in the test": (prompts(test=but(TEST, 1, text=7)), "test.jsonl, line 2: the number 7 in 'text'"),
    # Labels
    "null as label": (classes(but(LABELLED, 1, label=None)), "train.jsonl, line 2: null in 'label'"),
    "NaN as label": (classes(test=but(LABELLED, 1, label=NAN)), "test.jsonl, line 2: NaN in 'label'"),
    "a list as label": (classes(test=but(LABELLED, 1, label=[0])), "test.jsonl, line 2: a list ([0]) in 'label'"),
    "an empty label": (
        classes("text,label\na,x\nb,y\n", "text,label\na,x\nb, \n", "csv"),
        "test.csv, line 3: an empty label",
    ),
    "an empty label of a set": (
        clusters(but(SETS, 0, labels=["a", "", "b"])),
        "an empty label as number 2 of 'labels'",
    ),
    "one label": (
        classes([{"text": "a", "label": 0}, {"text": "b", "label": "0.0"}]),
        "fewer than two different labels",
    ),
    "a word among numbers": (
        classes(test="text,label\na,0\nb,NaN\nc,1\n", form="csv", train="text,label\na,0\nb,1\n"),
        "test.csv, line 3: 'NaN' in 'label', whose other labels are numbers: leave the row out",
    ),
    "infinity among numbers": (
        clusters(but(SETS, 0, labels=[0, 1, "-inf"])),
        "line 1: '-inf' in 'labels', whose other",
    ),
    "one label in a set": (clusters(but(SETS, 0, labels=[1, 1.0, "1"])), "line 1: fewer than two different labels"),
    "NaN as pair label": (pairs(0, 1, NAN), "test.jsonl, line 3: NaN in 'label'"),
    "unknown label": (
        prompts(test=but(TEST, 0, label="A")),
        "test.jsonl, line 1: task Own: example test/0 has the unknown label 'A'",
    ),
    "null as prompt label": (prompts(but(POOL, 0, label=None)), "pool.jsonl, line 1: null in 'label'"),
    "no letter in the answer": (
        prompts(
            [{"text": t["text"], "answer": "a"} for t in POOL],
            [{"text": "x", "answer": "?"}, {"text": "y", "answer": "b"}],
            WRITTEN,
        ),
        "Rouge-L reads only letters a to z and digits",
    ),
    # Numbers
    "huge score": (sts(but(STS, 0, score=10**400)), "test.jsonl, line 1: Infinity in 'score'"),
    "great score": (sts(but(STS, 0, score=1e300)), "line 1: 1e+300 in 'score'"),
    "score with a separator": (sts(but(STS, 0, score="1_000")), "'score' should be a number, found '1_000'"),
    "decimal comma": (sts(PAIRS.replace(",3\n", ',"3,5"\n'), "csv"), "line 2: 'score' should be a number, found '3,5'"),
    "true as score": (sts(but(STS, 0, score=True)), "line 1: true in 'score'"),
    "a pair and its other order": (
        sts("sentence1,sentence2,score\na,b,1\nb,a,2\n", "csv"),
        "test.csv: no variety: every row has the same pair",
    ),
    "every pair equal": (sts([{**row, "sentence2": row["sentence1"]} for row in STS]), "the two texts of every pair"),
    "null as human score": (billboard(hyps=but(HYPS, 0, human_score=None)), "line 1: null in 'human_score'"),
    "human scores equal": (billboard(hyps=[{**h, "human_score": 1} for h in HYPS]), "every 'human_score' is 1"),
    # Ids and judgements
    "null as id": (retrieval(but(CORPUS, 0, _id=None)), "corpus.jsonl, line 1: null in '_id'"),
    "half an id": (retrieval(but(CORPUS, 0, _id=0.5)), "corpus.jsonl, line 1: the number 0.5 in '_id'"),
    "empty id": (retrieval(but(CORPUS, 0, _id=" ")), "corpus.jsonl, line 1: '_id' is empty"),
    "other header": (retrieval(qrels=QRELS.replace("query-id", "qid")), "no 'query-id': it has qid, corpus-id, score"),
    "judgements with no header and no grade": (
        retrieval(qrels="q0\td0\nq1\td1\n"),
        "no 'query-id': it has q0, d0: correct the header, or add it",
    ),
    "judgements with no header, NaN": (retrieval(qrels="q0\td0\tNaN\nq1\td1\t1\n"), "line 1: NaN in 'score'"),
    "a run in place of judgements": (
        retrieval(qrels="q0 Q0 d0 1 0.5 x\n"),
        "test.tsv, line 1: the header is one column, 'q0 Q0 d0 1 0.5 x': separate columns by tabs, not by spaces",
    ),
    "documents that are other numbers": (
        retrieval([{**d, "_id": i} for i, d in enumerate(CORPUS)], qrels=QRELS.replace("\td", "\t0.")),
        "document '0.0', line 2, differs from '0' in spaces, quotes, case, Unicode form or digits",
    ),
    "nothing to rank below": (reranking(but(RANKED, 0, negative=[])), "test.jsonl, line 1: 'negative' is empty"),
    "qrels with a header only": (retrieval(qrels="query-id\tcorpus-id\tscore\n"), "qrels/test.tsv: no rows"),
    # Files
    "spaces in the header": (
        sts("sentence1, sentence2, score\na, b, 1\n", "csv"),
        "the header has spaces: ' sentence2'",
    ),
    "spaces after a title": (
        ("type: Retrieval", {"corpus.csv": "_id,title ,text\nd0,a,b\n"}),
        "corpus.csv, line 2: no 'title': the header has spaces: 'title ': take them out",
    ),
    "case of a title": (
        retrieval([{"_id": "d0", "Title": "a", "text": "b"}]),
        "corpus.jsonl, line 1: no 'title', but 'Title': names differ in case",
    ),
    "spaces after sentences": (
        clusters([{"sentences ": ["a", "b"], "labels": [0, 1]}]),
        "no 'sentences': the header has spaces: 'sentences '",
    ),
    "case of a pool's header": (
        ("type: PromptRetrieval\n" + PROMPTS, {"pool.csv": "text,Label\na,a\n", "test.csv": "text,label\na,a\n"}),
        "pool.csv, line 2: no 'label', but 'Label': names differ in case",
    ),
    "a column twice but for spaces": (
        sts(PAIRS.replace("score", "score, score").replace(",3", ",3,0"), "csv"),
        "test.csv, line 1: column 'score' is there twice",
    ),
    "no header": (
        classes("the river,0\na city,1\n", "text,label\na,0\nb,1\n", "csv"),
        "train.csv, line 2: no 'text': it has the river, 0: correct the header, or add it",
    ),
    "semicolons": (
        sts(PAIRS.replace(",", ";"), "csv"),
        "line 1: the header is one column, 'sentence1;sentence2;score': separate columns by commas, not by semicolons",
    ),
    "commas in TSV": (sts(PAIRS, "tsv"), "separate columns by tabs, not by commas"),
    "two files joined": (sts(f"{PAIRS}\ufeff{PAIRS}", "csv"), "test.csv, line 5: the header is there again"),
    "a key twice": (
        sts('{"sentence1": "a", "sentence2": "b", "score": 1, "score": 2}\n'),
        "test.jsonl, line 1: the key 'score' is there twice in an object: remove one",
    ),
    "case of the header": (
        sts(PAIRS.replace("sentence2", "Sentence2"), "csv"),
        "no 'sentence2', but 'Sentence2': names differ in case",
    ),
    "parquet": (("type: STS", {"test.parquet": b"PAR1"}), "found none (test.parquet is there"),
    "compressed": (("type: STS", {"test.csv.gz": b"\x1f\x8b"}), "found none (test.csv.gz is there"),
    "one item to solve": (prompts(test=TEST[:1]), "every test item is the same text"),
}

TAKEN: dict[str, tuple[Case, list[str]]] = {
    "plain": (retrieval(), []),
    "words that are no values": (
        sts(PAIRS.replace("one", "NaN").replace("two", "null"), "csv"),
        [
            "1 value of 'sentence1' may stand for a missing value, and is taken as a word (the first: 'NaN', line 4)",
            "1 value of 'sentence2' may stand for a missing value",
        ],
    ),
    "words in JSON": (
        sts(but(but(STS, 0, sentence1="None"), 1, sentence1="NaN")),
        ["2 values of 'sentence1' may stand for missing values, and are words (the first: 'None', line 1)"],
    ),
    "words in a pool": (
        prompts(but(POOL, 1, text="nan")),
        ["pool: 1 word for a missing value in 'text' (the first in"],
    ),
    "words beside words": (
        classes(*[[{"text": r["text"], "label": ("a", "NaN")[r["label"]]} for r in LABELLED]] * 2),
        ["train.jsonl: 1 value of 'label' may stand", "test.jsonl: 1 value of 'label' may stand"],
    ),
    "scores as texts": (sts(but(STS, 0, score="5")), []),
    "byte-order mark": (sts(PAIRS.encode("utf-8-sig"), "csv"), []),
    "CRLF": (sts(PAIRS.replace("\n", "\r\n"), "csv"), []),
    "true and false": (pairs(True, False, 1, "0"), []),
    "words for true and false": (pairs("True", "FALSE", "true", " false"), []),
    "truth values": (
        classes(
            [{**r, "label": bool(r["label"])} for r in LABELLED],
            [{**r, "label": str(r["label"] == 1)} for r in LABELLED],
        ),
        ["labels that are the same number or truth value are taken as one: 'false' / 'False', 'true' / 'True'"],
    ),
    "quotes in TSV": (
        ("type: STS", {"test.tsv": PAIRS.replace(",", "\t").replace("a city", '"a ""big"" city"')}),
        ["test.tsv: 1 value of 'sentence1' has quotes, which are part of it in TSV (the first: '\"a "],
    ),
    "a candidate twice": (
        reranking([*RANKED, *but(RANKED, 0, positive=["the river"] * 2, negative=["a", "b", "a"])]),
        ["test.jsonl: 2 texts that their queries have already are left out (the first in line 2)"],
    ),
    "ids as floats": (
        retrieval(
            [{**d, "_id": float(i)} for i, d in enumerate(CORPUS)], qrels="query-id\tcorpus-id\tscore\nq0\t0\t1\n"
        ),
        [],
    ),
    "floats in test": (
        classes(test=[{**row, "label": float(row["label"])} for row in LABELLED]),
        ["labels that are the same number or truth value are taken as one: '0' / '0.0', '1' / '1.0'"],
    ),
    "other case": (
        classes(
            [{**r, "label": "ab"[r["label"]]} for r in LABELLED], [{**r, "label": "AB"[r["label"]]} for r in LABELLED]
        ),
        [
            "3 of 3 test rows have a label that never occurs in train (counts as wrong): 'A' (2), 'B' (1)",
            "labels that differ only in case, spaces or Unicode form are not the same: 'a' / 'A', 'b' / 'B'",
        ],
    ),
    "one unseen": (
        classes(test=but(LABELLED, 2, label=7)),
        ["1 of 3 test rows has a label that never occurs in train"],
    ),
    "two unseen": (classes(test=[{"text": "a", "label": 5}, {"text": "b", "label": 7}]), ["2 of 2 test rows have"]),
    "spaces in a cluster": (
        clusters(but(SETS, 0, labels=["a", "a ", "b"])),
        ["labels that differ only in case, spaces"],
    ),
    "empty text": (
        classes(test=but(LABELLED, 0, text=" ")),
        ["test.jsonl: 1 empty text in 'text' (the first in line 1)"],
    ),
    "empty sentence": (
        sts(but(STS, 1, sentence2="")),
        ["test.jsonl: 1 empty text in 'sentence2' (the first in line 2)"],
    ),
    "empty document": (
        retrieval(but(CORPUS, 2, text="")),
        ["corpus.jsonl: 1 empty text in 'text' (the first in line 3)"],
    ),
    "title without text": (retrieval(but(CORPUS, 2, title="a storm", text="")), []),
    "empty candidate": (reranking(but(RANKED, 0, negative=["", "a"])), ["1 empty text in 'negative'"]),
    "empty hypothesis": (billboard(hyps=but(HYPS, 1, hyp="")), ["1 empty text in 'hyp'"]),
    "empty example": (
        prompts(but(POOL, 1, text="")),
        ["pool: 1 empty text in 'text' (the first in pool.jsonl, line 2)"],
    ),
    "a label the pool lacks": (
        prompts([p for p in POOL if p["label"] == "a"]),
        ["1 of 2 test rows has a label that never occurs in pool (no example shows it): 'b' (1)"],
    ),
    "labels as numbers": (
        prompts(
            [{**p, "label": float(p["label"] == "b")} for p in POOL],
            [{**t, "label": int(t["label"] == "b")} for t in TEST],
            'options: {input: "{text}", labels: {"0": a, "1": b}, most: 2}',
        ),
        [],
    ),
    "unknown document": (
        retrieval(qrels=f"{QRELS}q0\td9\t1\n"),
        ["qrels/test.tsv: 1 judgement of an unknown document is left out (the first: 'd9', line 4)"],
    ),
    "an id in quotes": (
        retrieval(qrels=f'{QRELS}"q0"\td1\t1\n'),
        ["(the first: '\"q0\"', line 4, differs from 'q0' in spaces, quotes"],
    ),
    "an id in another Unicode form": (
        retrieval(but(CORPUS, 0, _id="caf\u00e9"), qrels=QRELS.replace("d0", "cafe\u0301")),
        ["(the first: 'cafe\u0301', line 2, differs from 'caf\u00e9' in spaces, quotes, case, Unicode form or digits)"],
    ),
    "unknown documents only": (
        retrieval(qrels=QRELS.replace("q1\td1", "q1\td9")),
        ["left out (the first: 'd9', line 3); 1 query has no other and counts as 0, as in mteb and BEIR"],
    ),
    "unknown queries": (
        retrieval(qrels=f"{QRELS}q8\td0\t1\nq9\td0\t1\n"),
        ["2 judgements of unknown queries are left out (the first: 'q8', line 4)"],
    ),
    "below 0": (
        retrieval(qrels=f"{QRELS}q0\td2\t-1\n"),
        ["1 grade below 0, not relevant as 0 is (the first: -1, line 4)"],
    ),
    "no header": (
        retrieval(qrels="q0\td0\t1\nq1\td1\t1\n"),
        ["has no header: its columns are read as query-id, corpus-id, score"],
    ),
    "no header, grades as floats": (retrieval(qrels="q0\td0\t1.0\nq1\td1\t0.0\n"), ["has no header"]),
    "TREC, tabs": (retrieval(qrels="q0\t0\td0\t1\nq1\t0\td1\t1\n"), ["has no header"]),
    "TREC, spaces": (retrieval(qrels="q0 0 d0 1\nq1 0 d1 1\n"), ["has no header"]),
}
