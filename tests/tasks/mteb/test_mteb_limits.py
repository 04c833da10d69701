"""The MTEB adapter under `--limit`, and on values that mteb cannot use, against mteb itself."""

import dataclasses
import json

import by_type
import made_up
import numpy as np
import pytest
from made_up import MIRRORS, FakeEncoder, card, jsonl, read_jsonl, rows_without, settings
from mteb_alone import run_mteb

from instructor_eval import metrics
from instructor_eval.core.errors import UserError

# Limits: the cut made by hand, written as a mirror, and scored by mteb


def _cut_scifact(n):
    corpus, queries, qrels = made_up.retrieval_rows()
    relevant = {r["query-id"] for r in qrels if r["score"] > 0}
    chosen = [q for q in queries if q["_id"] in relevant][:n]
    ids = {q["_id"] for q in chosen}
    judged = {r["corpus-id"] for r in qrels if r["query-id"] in ids}
    others = [d["_id"] for d in corpus if d["_id"] not in judged][: 10 * n]
    docs = [d for d in corpus if d["_id"] in judged | set(others)]
    return docs, chosen, [r for r in qrels if r["query-id"] in ids]


def _cut_reranking(rows, n):
    corpus, queries, qrels, top = rows
    ids = {q["_id"] for q in queries[:n]}
    top = [t for t in top if t["query-id"] in ids]
    docs = {d for t in top for d in t["corpus-ids"]}
    return [d for d in corpus if d["_id"] in docs], queries[:n], [r for r in qrels if r["query-id"] in ids], top


def _cut_lists(n, *keys):
    return lambda rows: [{k: v[:n] if k in keys else v for k, v in row.items()} for row in rows]


LIMITS = {
    "SciFact": (3, 3, lambda f: made_up.write_retrieval(f, *_cut_scifact(3))),
    "AskUbuntuDupQuestions": (
        4,
        4,
        lambda f: made_up.write_retrieval(f, *_cut_reranking(made_up.reranking_rows(), 4)),
    ),
    "MindSmallReranking": (4, 2, lambda f: made_up.write_retrieval(f, *_cut_reranking(made_up.mind_rows(), 4))),
    "TwentyNewsgroupsClustering": (
        15,
        3,
        lambda f: jsonl(f / "test.jsonl", _cut_lists(15, "sentences", "labels")(read_jsonl(f / "test.jsonl"))),
    ),
    "TwitterSemEval2015": (
        11,
        11,
        lambda f: jsonl(f / "test.jsonl", _cut_lists(11, "sent1", "sent2", "labels")(read_jsonl(f / "test.jsonl"))),
    ),
    "MTOPDomainClassification": (
        6,
        6,
        lambda f: jsonl(f / "en/test.jsonl", read_jsonl(f / "en/test.jsonl")[:6]),
    ),
    "BIOSSES": (9, 9, lambda f: jsonl(f / "test.jsonl", read_jsonl(f / "test.jsonl")[:9])),
    "STS22": (
        9,
        9,
        lambda f: jsonl(f / "test.jsonl", [r for r in read_jsonl(f / "test.jsonl") if r["lang"] == "en"][:9]),
    ),
    "SummEval": (3, 3, lambda f: jsonl(f / "test.jsonl", read_jsonl(f / "test.jsonl")[:3])),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITS)
def test_a_limited_run_equals_mteb_on_data_cut_by_hand(evaluated, tmp_path, name):
    limit, n_items, cut = LIMITS[name]
    e = evaluated(name)
    encoder = FakeEncoder()
    outcome = by_type.run(e.card, encoder, settings(e.hub, limit=limit))
    folder = MIRRORS[name](tmp_path)
    cut(folder)
    subset = None if e.card.subset == "default" else e.card.subset
    assert outcome.score == run_mteb(name, folder, tmp_path / "cache", subset=subset)["main_score"]
    assert len(outcome.items["id"]) == n_items
    assert metrics.compute(outcome.metric, outcome.items) == outcome.score
    assert outcome.gold_hash != e.outcome.gold_hash
    whole = sum(len(texts) for _, _, texts in e.encoder.calls)
    assert sum(len(texts) for _, _, texts in encoder.calls) < whole


def test_a_limit_leaves_judged_documents_and_ten_others(evaluated):
    e = evaluated("SciFact")
    encoder = FakeEncoder()
    by_type.run(e.card, encoder, settings(e.hub, limit=1))
    docs, queries, qrels = _cut_scifact(1)
    assert encoder.texts_of("query") == [q["text"] for q in queries] and queries[0]["_id"] == "q2"
    assert encoder.texts_of("document") == [f"{d['title']} {d['text']}".strip() for d in docs]
    assert {r["corpus-id"] for r in qrels} <= {d["_id"] for d in docs}
    assert len(docs) == len({r["corpus-id"] for r in qrels}) + 10


def test_a_limit_leaves_what_a_classifier_learns_from(evaluated):
    e = evaluated("MTOPDomainClassification")
    encoder = FakeEncoder()
    by_type.run(e.card, encoder, settings(e.hub, limit=2))
    assert [len(texts) for _, _, texts in encoder.calls] == [40, 2]


def test_a_limit_beyond_the_data_changes_nothing(evaluated):
    for name in ("SciFact", "BIOSSES", "TwentyNewsgroupsClustering"):
        e = evaluated(name)
        outcome = by_type.run(e.card, FakeEncoder(), settings(e.hub, limit=1000))
        assert (outcome.score == e.outcome.score) == (
            name != "SciFact"
        )  # SciFact: q1, judged but with nothing relevant
    assert (
        len(by_type.run(card("SciFact"), FakeEncoder(), settings(evaluated("SciFact").hub, limit=1000)).items["id"])
        == 7
    )


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 2, 60])
@pytest.mark.parametrize("name", MIRRORS)
def test_a_limit_of_any_size_gives_a_score(evaluated, name, limit):
    outcome = by_type.run(card(name), FakeEncoder(), settings(evaluated(name).hub, limit=limit))
    pairs = card(name).type in ("STS", "PairClassification")
    assert 0 < len(outcome.items["id"]) <= max(limit, 2 if pairs else 1)
    assert metrics.compute(outcome.metric, outcome.items) == outcome.score


def test_a_limit_with_one_gold_value_takes_another(tmp_path):
    made_up.twitter_rows(tmp_path)
    labels = [label for _, _, label in made_up.pair_rows(*made_up.PAIRS)]
    first, other = labels[0], labels.index(1 - labels[0])
    for limit in (1, 2):
        outcome = by_type.run(card("TwitterSemEval2015"), FakeEncoder(), settings(tmp_path, limit=limit))
        assert outcome.items["gold"] == [first, labels[other]]


def test_gold_values_that_are_all_equal_give_no_score(tmp_path):
    folder = made_up.biosses(tmp_path)
    jsonl(folder / "test.jsonl", [{**row, "score": 1.0} for row in read_jsonl(folder / "test.jsonl")])
    with pytest.raises(UserError, match="task BIOSSES: there is a single gold value, which gives no score"):
        by_type.run(card("BIOSSES"), FakeEncoder(), settings(tmp_path, limit=2))


def _wrong(file, key, value, row=3):
    """Set one value of one row."""

    def change(folder):
        rows = read_jsonl(folder / file)
        rows[row][key] = value(rows[row][key]) if callable(value) else value
        (folder / file).write_text("".join(json.dumps(r) + "\n" for r in rows))

    return change


WRONG = {
    "NaN as text": ("BIOSSES", _wrong("test.jsonl", "sentence1", float("nan")), "line 4: NaN in 'sentence1'"),
    "a number as text": ("BIOSSES", _wrong("test.jsonl", "sentence1", 5), "line 4: the number 5 in 'sentence1'"),
    "a list as text": ("BIOSSES", _wrong("test.jsonl", "sentence1", ["a"]), "test.jsonl"),
    "infinity as score": ("BIOSSES", _wrong("test.jsonl", "score", float("inf")), "line 4: Infinity in 'score'"),
    "NaN as score": ("BIOSSES", _wrong("test.jsonl", "score", float("nan")), "line 4: NaN in 'score'"),
    "null as label": ("EmotionClassification", _wrong("test.jsonl", "label", None), "line 4: null in 'label'"),
    "NaN as label": ("EmotionClassification", _wrong("test.jsonl", "label", float("nan")), "line 4: NaN in 'label'"),
    "null in a list": ("TwentyNewsgroupsClustering", _wrong("test.jsonl", "sentences", lambda v: [None, *v[1:]], 0),
                       "test.jsonl, line 1: null in 'sentences'"),
    "lists of two lengths": ("TwentyNewsgroupsClustering", _wrong("test.jsonl", "sentences", lambda v: v[1:], 0),
                             "test, row 1: 39 values in 'sentences' but 40 in 'labels'"),
    "a third label": ("TwitterSemEval2015", _wrong("test.jsonl", "labels", lambda v: [2, *v[1:]], 0),
                      "'labels' of test should be 0 and 1, found [0, 1, 2]"),
    "null as a grade": ("SummEval", _wrong("test.jsonl", "relevance", lambda v: [None, *v[1:]], 0),
                        "test.jsonl, line 1: null in 'relevance'"),
    "too few grades": ("SummEval", _wrong("test.jsonl", "relevance", lambda v: v[1:], 0),
                       "6 values in 'machine_summaries' but 5 in 'relevance'"),
    "half a grade": ("SciFact", _wrong("qrels/test.jsonl", "score", 0.5), "qrels/test.jsonl, line 4: the number 0.5"),
    "no column of languages": ("STS22", lambda f: [rows_without(n, "lang")(f) for n in ("test.jsonl", "train.jsonl")],
                               "has no column 'lang', which mteb reads: it has sentence1, sentence2, score"),
}  # fmt: skip


@pytest.mark.parametrize("error", WRONG)
def test_a_value_that_mteb_cannot_use_is_named_with_its_place(tmp_path, error):
    name, change, why = WRONG[error]
    change(MIRRORS[name](tmp_path))
    encoder = FakeEncoder()
    with pytest.raises(UserError) as e:
        by_type.run(card(name), encoder, settings(tmp_path))
    assert why in str(e.value)
    assert len(str(e.value)) <= 600 and not encoder.calls


def test_a_missing_value_in_a_parquet_file_is_named_by_its_row(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = made_up.biosses(tmp_path)
    rows = read_jsonl(folder / "test.jsonl")
    (folder / "test.jsonl").unlink()
    rows[2]["sentence2"] = None
    pq.write_table(pa.Table.from_pylist(rows), folder / "test-00000-of-00001.parquet")
    with pytest.raises(UserError, match=r"test-00000-of-00001\.parquet, row 3: null in 'sentence2'"):
        by_type.run(card("BIOSSES"), FakeEncoder(), settings(tmp_path))


def test_a_csv_mirror_may_have_texts_like_nan(tmp_path):
    folder = made_up.biosses(tmp_path)
    rows = read_jsonl(folder / "test.jsonl")
    (folder / "test.jsonl").unlink()
    words = ["NaN", "null", "None", "NA"]
    for row, word in zip(rows, words, strict=False):
        row["sentence1"] = word
    lines = [",".join(f'"{v}"' if isinstance(v, str) else str(v) for v in row.values()) for row in rows]
    (folder / "test.csv").write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    encoder = FakeEncoder()
    by_type.run(card("BIOSSES"), encoder, settings(tmp_path))
    assert encoder.calls[0][2][:4] == words


NAMED = {
    "empty text": ("BIOSSES", _wrong("test.jsonl", "sentence1", " "), "test: 1 empty text in 'sentence1'"),
    "unseen label": ("EmotionClassification", _wrong("test.jsonl", "label", 99),
                     "1 of 26 test rows has a label that never occurs in train (counts as wrong): '99' (1)"),
    "unknown document": ("SciFact", _wrong("qrels/test.jsonl", "corpus-id", "d999"),
                         "qrels: 1 judgement of a document that is not in the corpus, counted as not found (the first: "
                         "'d999')"),
    "unknown query": ("SciFact", _wrong("qrels/test.jsonl", "query-id", "q999"),
                      "qrels: 1 unknown query left out: 'q999'"),
    "negative grade": ("SciFact", _wrong("qrels/test.jsonl", "score", -1),
                       "qrels: 1 grade below 0, not relevant as 0 is (one: -1)"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("what", NAMED)
def test_data_that_mteb_skips_is_a_warning(tmp_path, what):
    name, change, warning = NAMED[what]
    folder = MIRRORS[name](tmp_path)
    change(folder)
    outcome = by_type.run(card(name), FakeEncoder(), settings(tmp_path))
    assert outcome.warnings == (warning,)
    assert outcome.score == run_mteb(name, folder, tmp_path / "cache")["main_score"]
    with pytest.raises(UserError, match="--strict makes a warning an error"):
        by_type.run(card(name), FakeEncoder(), dataclasses.replace(settings(tmp_path), strict=True))


class ConstantEncoder(FakeEncoder):
    """The same vector for every text."""

    name = "constant"

    def encode(self, texts, role, *, bare=False):
        return np.ones((len(texts), 4), dtype=np.float32)


@pytest.mark.parametrize("name", ["BIOSSES", "SummEval"])
def test_a_model_that_tells_no_texts_apart_has_no_correlation(evaluated, name):
    with pytest.raises(UserError) as e:
        by_type.run(card(name), ConstantEncoder(), settings(evaluated(name).hub))
    assert f"task {name}: there is no " in str(e.value) and "are equal" in str(e.value)
