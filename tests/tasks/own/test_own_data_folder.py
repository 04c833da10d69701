"""The user's own data: every type in every file format, scored against plain computations; every error one line."""

import json
import random
import shutil
import warnings

import by_type
import made_up
import numpy as np
import pytest
import pytrec_eval
from made_up import TOPICS, FakeEncoder, Writer, embed, settings
from mteb_alone import run_mteb
from own_folders import own_card, write
from scipy.stats import pearsonr, spearmanr
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import average_precision_score, v_measure_score

from instructor_eval import metrics
from instructor_eval.tasks import types
from instructor_eval.tasks.rows import read_rows

FORMATS = ("jsonl", "tsv", "csv")


def score(card, **kwargs):
    """Outcome and encoder of a run; the score is the metric of the items as stored."""
    encoder = FakeEncoder()
    outcome = by_type.run(card, encoder, settings(None, **kwargs))
    assert metrics.compute(outcome.metric, json.loads(json.dumps(outcome.items))) == outcome.score
    return outcome, encoder


def unit(vectors):
    """Rows at length 1, in float64."""
    vectors = vectors.astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# Every type


@pytest.mark.parametrize("form", FORMATS)
def test_retrieval(tmp_path, form):
    corpus, queries, qrels = made_up.retrieval_rows(seed=5)
    write(tmp_path / "data/corpus", corpus, form)
    write(tmp_path / "data/queries", queries, form)
    write(tmp_path / "data/qrels/test", qrels, form)
    card = own_card(tmp_path, "type: Retrieval")
    outcome, encoder = score(card)

    grades = {}
    for row in qrels:
        grades.setdefault(row["query-id"], {})[row["corpus-id"]] = row["score"]
    judged = [q for q in queries if q["_id"] in grades]
    documents = [f"{d['title']} {d['text']}".strip() for d in corpus]
    assert sorted(encoder.texts_of("query")) == sorted(q["text"] for q in judged)
    assert encoder.texts_of("document") == documents
    cosines = unit(embed([q["text"] for q in judged], "ask ")) @ unit(embed(documents, "tell ")).T
    values = {}
    for query, row in zip(judged, cosines, strict=True):
        gains = [grades[query["_id"]].get(corpus[i]["_id"], 0) for i in np.argsort(-row)[:10]]
        ideal = sorted(grades[query["_id"]].values(), reverse=True)[:10]
        dcg, best = (sum(g / np.log2(k + 2) for k, g in enumerate(gs)) for gs in (gains, ideal))
        values[query["_id"]] = dcg / best if best else 0.0
    assert dict(zip(outcome.items["id"], outcome.items["ndcg_at_10"], strict=True)) == pytest.approx(values, abs=1e-9)
    assert outcome.score == pytest.approx(np.mean(list(values.values())), abs=6e-6)
    assert outcome.metric == "ndcg_at_10" and 0 < outcome.score < 1
    assert by_type.describe(card)[0] == f"9 queries, 40 documents, {len(qrels)} judgements"


@pytest.mark.parametrize("what", ["unknown document alone", "unknown query", "below 0", "no header", "TREC"])
def test_judgements_that_others_pass_over_give_mtebs_score(tmp_path, what):
    """mteb reads the same rows from a mirror: it is the reference for what does not count, and for what counts as 0."""
    corpus, queries, qrels = made_up.retrieval_rows(seed=7)
    last = queries[-1]["_id"]
    if what == "unknown document alone":
        qrels = [{**r, "corpus-id": "d999"} if r["query-id"] == last else r for r in qrels if r["query-id"] != last]
        qrels.append({"query-id": last, "corpus-id": "d999", "score": 1})
    elif what == "unknown query":
        qrels = [*qrels, {"query-id": "q999", "corpus-id": "d1", "score": 1}]
    elif what == "below 0":
        qrels = [{**r, "score": -1} if r["score"] == 0 else r for r in qrels]
    for name, rows in (("corpus", corpus), ("queries", queries), ("qrels/test", qrels)):
        path = write(tmp_path / "data" / name, rows, "tsv")
    if what in ("no header", "TREC"):
        lines = [(r["query-id"], *(["0"] if what == "TREC" else []), r["corpus-id"], str(r["score"])) for r in qrels]
        path.write_text("".join(("\t" if what == "no header" else " ").join(line) + "\n" for line in lines))
    outcome, _ = score(own_card(tmp_path, "type: Retrieval"))
    folder = made_up.write_retrieval(tmp_path / "mirror/datasets/mteb/scifact", corpus, queries, qrels)
    assert outcome.score == run_mteb("SciFact", folder, tmp_path / "cache")["main_score"]
    assert len(outcome.warnings) == 1


def test_a_judgement_of_an_unknown_document_is_left_out(tmp_path):
    corpus, queries, qrels = made_up.retrieval_rows(seed=7)
    for folder, more in (("a", []), ("b", [{"query-id": queries[-1]["_id"], "corpus-id": "d999", "score": 2}])):
        for name, rows in (("corpus", corpus), ("queries", queries), ("qrels/test", [*qrels, *more])):
            write(tmp_path / folder / "data" / name, rows, "tsv")
    without, _ = score(own_card(tmp_path / "a", "type: Retrieval"))
    beside, _ = score(own_card(tmp_path / "b", "type: Retrieval"))
    assert (beside.score, beside.items) == (without.score, without.items)
    assert without.warnings == () and "1 judgement of an unknown document is left out" in beside.warnings[0]


@pytest.mark.parametrize(("metric", "trec"), [("map_at_100", "map_cut_100"), ("recall_at_5", "recall_5"),
                                              ("precision_at_3", "P_3"), ("ndcg_at_3", "ndcg_cut_3")])  # fmt: skip
def test_other_ranking_metrics(tmp_path, metric, trec):
    corpus, queries, qrels = made_up.retrieval_rows(seed=6)
    for name, rows in (("corpus", corpus), ("queries", queries), ("qrels/dev", qrels)):
        write(tmp_path / "data" / name, rows, "tsv")
    outcome, _ = score(own_card(tmp_path, f"type: Retrieval\nmetric: {metric}\nsplit: dev"))
    grades, run = {}, {}
    documents = unit(embed([f"{d['title']} {d['text']}".strip() for d in corpus], "tell "))
    for row in qrels:
        grades.setdefault(row["query-id"], {})[row["corpus-id"]] = row["score"]
    for query in queries:
        if query["_id"] in grades:
            values = documents @ unit(embed([query["text"]], "ask "))[0]
            run[query["_id"]] = {d["_id"]: float(v) for d, v in zip(corpus, values, strict=True)}
    by_query = pytrec_eval.RelevanceEvaluator(grades, {trec.rpartition("_")[0] + "." + trec.rpartition("_")[2]})
    expected = np.mean([v[trec] for v in by_query.evaluate(run).values()])
    assert outcome.metric == metric
    assert outcome.score == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize("metric", ["map_at_1000", "ndcg_at_10"])
def test_reranking(tmp_path, metric):
    writer = Writer(8)
    rows = []
    for q in range(6):
        topic = writer.topic()
        positive = [writer.sentence(topic) for _ in range(1 + q % 3)]
        negative = [writer.sentence(writer.topic()) for _ in range(5)] + ([] if q else [""])
        if q:
            negative.append(rows[0]["positive"][0])  # a text may be a candidate of several queries
        rows.append({"query": writer.sentence(topic), "positive": [*positive, positive[0]], "negative": negative})
    write(tmp_path / "data/test", rows, "jsonl")
    card = own_card(tmp_path, f"type: Reranking\nmetric: {metric}")
    outcome, encoder = score(card)
    assert encoder.texts_of("query") == [r["query"] for r in rows]
    texts = list(dict.fromkeys(t for r in rows for t in [*r["positive"], *r["negative"]]))
    assert encoder.texts_of("document") == texts
    grades, run = {}, {}
    for i, row in enumerate(rows):
        candidates = [*dict.fromkeys([*row["positive"], *row["negative"]])]
        values = unit(embed(candidates, "tell ")) @ unit(embed([row["query"]], "ask "))[0]
        run[f"q{i}"] = {f"d{texts.index(t)}": float(v) for t, v in zip(candidates, values, strict=True)}
        grades[f"q{i}"] = {f"d{texts.index(t)}": int(t in row["positive"]) for t in candidates}
    kind = {"map_at_1000": "map_cut_1000", "ndcg_at_10": "ndcg_cut_10"}[metric]
    evaluated = pytrec_eval.RelevanceEvaluator(grades, {kind.rpartition("_")[0] + "." + kind.rpartition("_")[2]})
    expected = {q: v[kind] for q, v in evaluated.evaluate(run).items()}
    assert dict(zip(outcome.items["id"], outcome.items[metric], strict=True)) == pytest.approx(expected, abs=1e-9)
    assert outcome.score == pytest.approx(np.mean(list(expected.values())), abs=6e-6)
    assert (
        by_type.describe(card)[0] == f"6 queries, {len(texts)} documents, {sum(map(len, grades.values()))} judgements"
    )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("metric", ["cosine_spearman", "cosine_pearson"])
def test_sts(tmp_path, form, metric):
    rows = made_up.sts_rows(20, 9, 1.0, 10.0)
    write(tmp_path / "data/test", rows, form)
    card = own_card(tmp_path, f"type: STS\nmetric: {metric}")
    outcome, _ = score(card)
    a, b = (unit(embed([r[f"sentence{k}"] for r in rows], "say ")) for k in (1, 2))
    correlation = {"cosine_spearman": spearmanr, "cosine_pearson": pearsonr}[metric]
    assert outcome.score == pytest.approx(correlation([r["score"] for r in rows], (a * b).sum(1))[0], abs=1e-6)
    assert outcome.metric == metric and len(outcome.items["id"]) == 20
    assert by_type.describe(card)[0] == "test: 20 rows"


@pytest.mark.parametrize("form", FORMATS)
def test_pair_classification(tmp_path, form):
    pairs = made_up.pair_rows(*made_up.PAIRS)
    write(tmp_path / "data/test", [{"sentence1": a, "sentence2": b, "label": y} for a, b, y in pairs], form)
    card = own_card(tmp_path, "type: PairClassification")
    largest, _ = score(card)
    cosine, _ = score(card, pair_ap="cosine")
    named, _ = score(own_card(tmp_path, "type: PairClassification\nmetric: cosine_ap"))
    first, second, gold = zip(*pairs, strict=True)
    a, b = embed(first, "say ").astype(np.float64), embed(second, "say ").astype(np.float64)
    by_cosine = average_precision_score(gold, (unit(a) * unit(b)).sum(1))
    others = [(a * b).sum(1), -np.abs(a - b).sum(1), -np.linalg.norm(a - b, axis=1)]
    best = max(by_cosine, *(average_precision_score(gold, v) for v in others))
    assert best > by_cosine
    assert (largest.metric, cosine.metric, named.metric) == ("max_ap", "cosine_ap", "cosine_ap")
    assert largest.score == pytest.approx(best, abs=1e-12)
    assert cosine.score == named.score == pytest.approx(by_cosine, abs=1e-12)
    assert by_type.describe(card)[0] == "test: 30 rows"


@pytest.mark.parametrize("form", FORMATS)
def test_separable_classes_score_by_their_false_labels(tmp_path, form):
    shuffle = random.Random(10).sample  # all of a topic's words in some order
    train = [{"text": " ".join(shuffle(TOPICS[t], 12)), "label": t} for t in ("garden", "harbour") * 10]
    test = [{"text": " ".join(shuffle(TOPICS[t], 12)), "label": t} for t in ("garden", "harbour") * 6]
    for row in test[:3]:
        row["label"] = {"garden": "harbour", "harbour": "garden"}[row["label"]]
    write(tmp_path / "data/train", train, form)
    write(tmp_path / "data/test", test, form)
    card = own_card(tmp_path, "type: Classification\noptions: {n_experiments: 3, samples_per_label: 4}")
    outcome, encoder = score(card)
    assert outcome.score == 0.75
    assert outcome.items["value"] == [0.0] * 3 + [1.0] * 9
    assert outcome.items["gold"] == [row["label"] for row in test]
    assert {p for draws in outcome.items["predictions"] for p in draws} == {"garden", "harbour"}
    assert {len(p) for p in outcome.items["predictions"]} == {3}
    trained_on, tested_on = ([*texts] for _, _, texts in encoder.calls)
    assert len(trained_on) <= 3 * 2 * 4 and set(trained_on) <= {r["text"] for r in train}
    assert tested_on == [r["text"] for r in test]
    assert by_type.describe(card)[0] == "train: 20 rows, test: 12 rows"


def k_means_v(texts, labels):
    """V-measure of mini-batch k-means as mteb sets it up."""
    means = MiniBatchKMeans(len(set(labels)), batch_size=500, n_init="auto", random_state=42)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        means.fit(embed(texts, "say "))
    return v_measure_score(labels, means.labels_)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_clustering_in_rows(tmp_path, form):
    rows = [{"text": r["text"], "label": r["label_text"]} for r in made_up.labelled_rows(36, 14)]
    write(tmp_path / "data/test", rows, form)
    card = own_card(tmp_path, "type: Clustering")
    outcome, _ = score(card)
    assert outcome.score == pytest.approx(k_means_v([r["text"] for r in rows], [r["label"] for r in rows]), abs=1e-12)
    assert outcome.items["size"] == [36]
    assert by_type.describe(card)[0] == "test: 1 set, 36 texts"
    assert score(card)[0] == outcome


def test_clustering_in_sets(tmp_path):
    rows = []
    for n, seed in ((24, 15), (30, 16)):
        texts = made_up.labelled_rows(n, seed)
        rows.append({"sentences": [r["text"] for r in texts], "labels": [r["label_text"] for r in texts]})
    write(tmp_path / "data/test", rows, "jsonl")
    card = own_card(tmp_path, "type: Clustering")
    outcome, _ = score(card)
    expected = [k_means_v(r["sentences"], r["labels"]) for r in rows]
    assert outcome.items["v_measure"] == pytest.approx(expected, abs=1e-12)
    assert outcome.score == pytest.approx(np.mean(expected), abs=1e-12) and outcome.items["size"] == [24, 30]
    assert by_type.describe(card)[0] == "test: 2 sets, 54 texts"


# Files as users have them


AWKWARD = [
    {"sentence1": 'He said "no", twice', "sentence2": "naïve café 東京 🚢", "score": 1},
    {"sentence1": "comma, here", "sentence2": "emoji 👩‍🚀 and \u2028 a line separator", "score": 2.5},
    {"sentence1": "'single'", "sentence2": "NaN", "score": 4},
    {"sentence1": '"', "sentence2": "null", "score": 3},
]


@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_quotes_unicode_and_byte_order_mark_come_through(tmp_path, form, bom):
    write(tmp_path / "data/test", AWKWARD, form, bom=bom)
    _, encoder = score(own_card(tmp_path, "type: STS"))
    assert encoder.calls[0][2] == [r["sentence1"] for r in AWKWARD]
    assert encoder.calls[1][2] == [r["sentence2"] for r in AWKWARD]


def test_csv_line_breaks_and_tsv_quotes_are_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('a,b\r\n"two\nlines","with ""quotes"""\r\n\r\nx,y\r\n', encoding="utf-8", newline="")
    assert [row for _, row in read_rows(path)] == [{"a": "two\nlines", "b": 'with "quotes"'}, {"a": "x", "b": "y"}]
    path = tmp_path / "a.tsv"
    path.write_text('a\tb\r\n"open\ty, z\r\n', encoding="utf-8", newline="")
    assert list(read_rows(path)) == [(2, {"a": '"open', "b": "y, z"})]


def test_empty_lines_are_skipped_but_counted(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"a": 1}\n   \n{"a": 2}\r\n', encoding="utf-8", newline="")
    assert list(read_rows(path)) == [(2, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("type_", "columns", "rows"),
    [
        ("STS", {"sentence1": "left", "sentence2": "right", "score": "grade"},
         [{"left": "a b", "right": "b c", "grade": 1, "score": 9},
          {"left": "d", "right": "d e", "grade": 2, "score": 9}, {"left": "q", "right": "r", "grade": 0, "score": 9}]),
        ("PairClassification", {"sentence1": "q1", "sentence2": "q2", "label": "dup"},
         [{"q1": "a b", "q2": "b c", "dup": 1}, {"q1": "d", "q2": "e", "dup": 0}]),
        ("Clustering", {"text": "title", "label": "area"},
         [{"title": "a b", "area": "x"}, {"title": "c d", "area": "y"}, {"title": "c e", "area": "y"}]),
        ("Clustering", {"sentences": "titles", "labels": "areas"}, [{"titles": ["a", "b"], "areas": ["x", "y"]}]),
        ("Reranking", {"query": "question", "positive": "good", "negative": "bad"},
         [{"question": "a b", "good": ["a c"], "bad": ["d", "e"]}]),
    ],
)  # fmt: skip
def test_columns_may_have_other_names(tmp_path, type_, columns, rows):
    write(tmp_path / "renamed/data/test", rows, "jsonl")
    back = {theirs: ours for ours, theirs in columns.items()}
    plain = [{back.get(k, k): v for k, v in row.items() if k in back} for row in rows]
    write(tmp_path / "plain/data/test", plain, "jsonl")
    options = "\n".join(f"    {ours}: {theirs}" for ours, theirs in columns.items())
    renamed, _ = score(own_card(tmp_path / "renamed", f"type: {type_}\noptions:\n  columns:\n{options}"))
    assert renamed == score(own_card(tmp_path / "plain", f"type: {type_}"))[0]


def test_the_three_formats_give_one_outcome(tmp_path):
    outcomes = []
    for form in FORMATS:
        write(tmp_path / form / "data/test", made_up.sts_rows(12, 21), form)
        outcomes.append(score(own_card(tmp_path / form, "type: STS"))[0])
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_whole_numbers_are_taken_as_ids(tmp_path):
    write(tmp_path / "data/corpus", [{"_id": 1, "text": "1984"}, {"_id": 2.0, "text": "other words"}], "jsonl")
    write(tmp_path / "data/queries", [{"id": "7", "text": "what"}], "tsv")
    write(tmp_path / "data/qrels/test", [{"query-id": 7, "corpus-id": 1, "score": 1}], "csv")
    card = own_card(tmp_path, "type: Retrieval")
    _, encoder = score(card)
    assert encoder.texts_of("document") == ["1984", "other words"]
    assert types.get(card.type).own_data(card)[0].qrels == {"7": {"1": 1}}


def test_the_data_key_follows_the_files(tmp_path):
    path = write(tmp_path / "data/test", made_up.sts_rows(5, 22), "tsv")
    card = own_card(tmp_path, "type: STS")
    key = by_type.data_key(card, settings(None))
    moved = shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}-moved")
    assert by_type.data_key(own_card(moved, "type: STS"), settings(None)) == key
    before, _ = score(card)
    path.write_text(path.read_text(encoding="utf-8").replace("\t4.0\n", "\t3.5\n").replace("\t0.0\n", "\t0.5\n"),
                    encoding="utf-8")  # fmt: skip
    assert by_type.data_key(card, settings(None)) != key
    assert score(card)[0].gold_hash != before.gold_hash


# Limits


def test_limits_on_own_data(tmp_path):
    corpus, queries, qrels = made_up.retrieval_rows(seed=24)
    for name, rows in (("corpus", corpus), ("queries", queries), ("qrels/test", qrels)):
        write(tmp_path / "r/data" / name, rows, "jsonl")
    outcome, encoder = score(own_card(tmp_path / "r", "type: Retrieval"), limit=2)
    relevant = [q["_id"] for q in queries if any(r["score"] > 0 for r in qrels if r["query-id"] == q["_id"])]
    assert sorted(outcome.items["id"]) == sorted(relevant[:2])
    judged = {r["corpus-id"] for r in qrels if r["query-id"] in relevant[:2]}
    asked = set(encoder.texts_of("document"))
    assert {f"{d['title']} {d['text']}".strip() for d in corpus if d["_id"] in judged} <= asked
    assert len(asked) == len(judged) + 20

    rows = made_up.sts_rows(12, 25)
    write(tmp_path / "s/data/test", rows, "csv")
    outcome, encoder = score(own_card(tmp_path / "s", "type: STS"), limit=7)
    assert encoder.calls[0][2] == [r["sentence1"] for r in rows[:7]] and len(outcome.items["id"]) == 7

    write(tmp_path / "c/data/test", [{"text": t, "label": t[0]} for t in ("aa", "ab", "b")], "csv")
    _, encoder = score(own_card(tmp_path / "c", "type: Clustering"), limit=2)
    assert encoder.calls[0][2] == ["aa", "b"]
