"""The MTEB adapter against mteb itself, on made-up mirrors of one task or more of each type."""

import dataclasses
import json
import os
import random
import shutil

import by_type
import made_up
import numpy as np
import pytest
import tiny
from made_up import MIRRORS, FakeEncoder, card, embed, jsonl, read_jsonl, settings
from mteb_alone import OwnMtebModel, run_mteb
from scipy.stats import spearmanr

from instructor_eval import metrics
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.tasks import types
from instructor_eval.tasks.encoder import BoundEncoder
from instructor_eval.tasks.instructions import ModelRule, parse_set, resolve_all
from instructor_eval.tasks.values import gold_hash

QUICK = [n for n in MIRRORS if n not in ("EmotionClassification", "AmazonCounterfactualClassification")]


EACH = [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in MIRRORS]
"""The default run has one classification; each fits ten regressions, here and in mteb."""


@pytest.mark.parametrize("name", EACH)
def test_the_score_is_mtebs(evaluated, name):
    e = evaluated(name)
    assert e.outcome.score == pytest.approx(e.theirs["main_score"], abs=0)
    assert e.outcome.metric == types.get(e.card.type).metric_of(e.card, made_up.PROTOCOL)
    assert 0 < abs(e.outcome.score) < 1  # neither empty nor perfect: a score that could be wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", MIRRORS)
def test_the_score_is_the_metric_of_the_items(evaluated, name):
    e = evaluated(name)
    stored = json.loads(json.dumps(e.outcome.items))
    assert metrics.compute(e.outcome.metric, stored) == e.outcome.score
    assert {len(column) for column in stored.values()} == {len(stored["id"])}
    assert len(set(stored["id"])) == len(stored["id"])
    assert all(isinstance(i, str) for i in stored["id"])


@pytest.mark.parametrize("name", EACH)
def test_further_metrics_are_mtebs_too(evaluated, name):
    e = evaluated(name)
    shared = {k: v for k, v in e.outcome.metrics.items() if k in e.theirs}
    assert len(shared) >= 2
    # Of a similarity that a model brings along: ours is mteb's cosine, that of the tests' model is torch's.
    for correlation in ("pearson", "spearman") if e.card.type == "STS" else ():
        assert shared[correlation] == shared[f"cosine_{correlation}"]
        assert shared.pop(correlation) == pytest.approx(e.theirs[correlation], abs=1e-6)
    # mteb sums some of MindSmallReranking's in an order that changes from run to run
    assert shared == pytest.approx({k: e.theirs[k] for k in shared}, abs=1e-12 if name.startswith("Mind") else 0)
    assert not [k for k in e.outcome.metrics if k.startswith("nauc")]


# Items


def test_retrieval_items(evaluated):
    e = evaluated("SciFact")
    items = e.outcome.items
    corpus, queries, qrels = made_up.retrieval_rows()
    judged = {row["query-id"] for row in qrels}
    assert set(items["id"]) == judged and "q0" not in judged and "q1" in judged
    relevant = {q: sum(r["score"] > 0 for r in qrels if r["query-id"] == q) for q in judged}
    assert dict(zip(items["id"], items["relevant"], strict=True)) == relevant
    assert relevant["q1"] == 0

    grades = {(r["query-id"], r["corpus-id"]): r["score"] for r in qrels}
    documents = embed([f"{d['title']} {d['text']}".strip() for d in corpus], "tell ").astype(np.float64)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    for row, q in enumerate(items["id"]):
        text = next(x["text"] for x in queries if x["_id"] == q)
        vector = embed([text], "ask ")[0].astype(np.float64)
        cosines = documents @ (vector / np.linalg.norm(vector))
        order = np.argsort(-cosines, kind="stable")
        assert items["top"][row] == [corpus[i]["_id"] for i in order[:10]]
        assert items["top_scores"][row] == pytest.approx(cosines[order[:10]], abs=1e-5)
        # trec_eval's nDCG: linear gain
        found = [grades.get((q, corpus[i]["_id"]), 0) for i in order[:10]]
        best = sorted((g for (query, _), g in grades.items() if query == q), reverse=True)[:10]
        ideal = sum(g / np.log2(k + 2) for k, g in enumerate(best))
        expected = sum(g / np.log2(k + 2) for k, g in enumerate(found)) / ideal if ideal else 0.0
        assert items["ndcg_at_10"][row] == pytest.approx(expected, abs=1e-9)


def test_a_subquery_task_has_one_item_a_reader(evaluated):
    e = evaluated("MindSmallReranking")
    items = e.outcome.items
    assert sorted(items["id"]) == [f"reader_{r}" for r in range(5)]
    assert items["relevant"] == [2] * 5
    corpus, queries, _, top = made_up.mind_rows()
    texts = {d["_id"]: d["text"] for d in corpus}
    for row, reader in enumerate(items["id"]):
        vectors = embed([q["text"] for q in queries if q["_id"].startswith(f"{reader}_")], "ask ")
        candidates = next(t["corpus-ids"] for t in top if t["query-id"] == f"{reader}_0")
        docs = embed([texts[d] for d in candidates], "tell ")
        unit = lambda m: m / np.linalg.norm(m, axis=1, keepdims=True)  # noqa: E731 - one line, used twice
        best = (unit(vectors) @ unit(docs).T).max(axis=0)
        ranked = [candidates[i] for i in np.argsort(-best, kind="stable")]
        hits = [k for k, d in enumerate(ranked, 1) if d[-1] in "01"]
        precision = np.mean([n / k for n, k in enumerate(hits, 1)])
        assert items["map_at_1000"][row] == pytest.approx(precision, abs=1e-9)
        assert items["top"][row] == ranked


def test_reranking_stays_within_the_candidates(evaluated):
    e = evaluated("AskUbuntuDupQuestions")
    for query, top in zip(e.outcome.items["id"], e.outcome.items["top"], strict=True):
        assert sorted(top) == [f"{query}c{k}" for k in range(8)]


def test_clustering_items_are_the_splits(evaluated):
    items = evaluated("TwentyNewsgroupsClustering").outcome.items
    assert items["size"] == [40, 28, 33]
    assert len(set(items["v_measure"])) == 3
    assert evaluated("TwentyNewsgroupsClustering").outcome.score == pytest.approx(np.mean(items["v_measure"]))


def test_classification_items_are_the_test_rows_with_every_draw(evaluated):
    e = evaluated("MTOPDomainClassification")
    items = e.outcome.items
    gold = [str(row["label"]) for row in read_jsonl(e.folder / "en" / "test.jsonl")]
    assert items["gold"] == gold
    assert {len(draws) for draws in items["predictions"]} == {10}
    assert items["value"] == [np.mean([p == g for p in d]) for d, g in zip(items["predictions"], gold, strict=True)]
    assert np.mean(items["value"]) == pytest.approx(e.outcome.score, abs=1e-12)


def test_sts_items_have_scaled_grades_of_the_subset(evaluated):
    e = evaluated("STS22")
    rows = [r for r in read_jsonl(e.folder / "test.jsonl") if r["lang"] == "en"]
    items = e.outcome.items
    assert len(rows) == 21
    assert items["gold"] == pytest.approx([(r["score"] - 1) / 3 for r in rows])
    a, b = (embed([r[f"sentence{k}"] for r in rows], "say ").astype(np.float64) for k in (1, 2))
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert items["cosine"] == pytest.approx(cosines, abs=1e-6)
    assert e.outcome.score == pytest.approx(spearmanr([r["score"] for r in rows], cosines)[0], abs=1e-12)


@pytest.mark.parametrize(
    "name", ["MTOPDomainClassification", pytest.param("AmazonCounterfactualClassification", marks=pytest.mark.slow)]
)
def test_only_the_english_subset_is_read(evaluated, name):
    e = evaluated(name)
    english = [row["text"] for row in read_jsonl(e.folder / "en" / "test.jsonl")]
    asked = [set(texts) for _, _, texts in e.encoder.calls]
    train = {row["text"] for row in read_jsonl(e.folder / "en" / "train.jsonl")}
    assert asked[1] == set(english) and asked[0] <= train
    assert len(e.outcome.items["id"]) == len(english)


def test_pairs_as_one_row_of_lists_or_as_rows_score_alike(evaluated, tmp_path):
    made_up.twitter_rows(tmp_path)
    listed = evaluated("TwitterSemEval2015").outcome
    rows = by_type.run(card("TwitterSemEval2015"), FakeEncoder(), settings(tmp_path))
    assert (rows.score, rows.items, rows.gold_hash) == (listed.score, listed.items, listed.gold_hash)
    assert rows.items["gold"] == [y for *_, y in made_up.pair_rows(*made_up.PAIRS)]


# Roles


def test_queries_and_documents_are_asked_under_their_roles(evaluated):
    corpus, queries, qrels = made_up.retrieval_rows()
    encoder = evaluated("SciFact").encoder
    judged = {row["query-id"] for row in qrels}
    assert sorted(encoder.texts_of("query")) == sorted(q["text"] for q in queries if q["_id"] in judged)
    wanted = [f"{d['title']} {d['text']}" if d["title"] else d["text"] for d in corpus]
    assert encoder.texts_of("document") == wanted
    assert {role for role, _, _ in encoder.calls} == {"query", "document"}


@pytest.mark.parametrize("name", ["AskUbuntuDupQuestions", "MindSmallReranking"])
def test_reranking_has_the_two_roles(evaluated, name):
    e = evaluated(name)
    assert sorted(e.encoder.texts_of("query")) == sorted(q["text"] for q in read_jsonl(e.folder / "queries.jsonl"))
    assert e.encoder.texts_of("document") == [d["text"] for d in read_jsonl(e.folder / "corpus.jsonl")]


@pytest.mark.parametrize("name", [name for name in EACH if name.values[0] not in ("SciFact", "AskUbuntuDupQuestions")])
def test_other_types_know_the_role_text_only(evaluated, name):
    e = evaluated(name)
    expected = {"query", "document"} if e.card.type == "Reranking" else {"text"}
    assert {role for role, _, _ in e.encoder.calls} == set(e.card.roles) == expected
    assert not any(bare for _, bare, _ in e.encoder.calls)


def test_a_real_engine_gets_the_cards_instructions_per_role(tmp_path):
    made_up.scifact(tmp_path)
    folder = tmp_path / "datasets/mteb/scifact"
    model = tiny.build_instructor(tmp_path / "hkunlp" / "instructor-tiny")
    checkpoint = locate(ModelSpec(str(model)), offline=True, known=[])
    engine = Engine(checkpoint, device="cpu")
    c = card("SciFact")
    resolved = resolve_all(c, parse_set("paper", {c.name}), ModelRule(checkpoint.name, "instructor"))
    bound = BoundEncoder(engine, resolved, made_up.PROTOCOL, task=c.name)
    outcome = by_type.run(c, bound, settings(tmp_path))
    assert engine.totals.texts == 8 + 40

    literal = {
        "query": "Represent a Scientific query for retrieving a supporting passage; ",
        "document": "represent the Scientific passage for retrieval; ",
    }
    theirs = OwnMtebModel(lambda texts, role: engine.encode(texts, literal[role]))
    assert outcome.score == run_mteb("SciFact", folder, tmp_path / "cache", theirs)["ndcg_at_10"]
    swapped = OwnMtebModel(lambda texts, role: engine.encode(texts, literal["query"]))
    other = run_mteb("SciFact", folder, tmp_path / "cache", swapped)
    assert other["ndcg_at_1000"] != outcome.metrics["ndcg_at_1000"]


# Repetition, changed data


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_the_same_process_scores_the_same_again(evaluated, name):
    e = evaluated(name)
    random.seed(999)
    np.random.seed(999)
    np.random.random(17)
    again = by_type.run(e.card, FakeEncoder(), settings(e.hub))
    assert again.metrics == pytest.approx(e.outcome.metrics, abs=1e-12)
    assert dataclasses.replace(again, metrics={}) == dataclasses.replace(e.outcome, metrics={})


def _change_gold(rows_path, key):
    rows = read_jsonl(rows_path)
    value = rows[0][key]
    if isinstance(value, list) and rows_path.parent.name == "twittersemeval2015-pairclassification":
        rows[0][key] = [1 - value[0], *value[1:]]
    elif isinstance(value, list):
        rows[0][key] = [value[0] + 1, *value[1:]]
    else:
        rows[0][key] = 1 - value if value in (0, 1) else value - 0.5
    jsonl(rows_path, rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "key"),
    [
        ("SciFact", "qrels/test.jsonl", "score"),
        ("AskUbuntuDupQuestions", "qrels/test.jsonl", "score"),
        ("TwentyNewsgroupsClustering", "test.jsonl", "labels"),
        ("TwitterSemEval2015", "test.jsonl", "labels"),
        ("MTOPDomainClassification", "en/test.jsonl", "label"),
        ("BIOSSES", "test.jsonl", "score"),
        ("SummEval", "test.jsonl", "relevance"),
    ],
)
def test_changed_gold_changes_gold_hash_and_data_key(evaluated, tmp_path, name, file, key):
    e = evaluated(name)
    hub = shutil.copytree(e.hub, tmp_path / "hub")
    assert by_type.data_key(e.card, settings(hub)) == by_type.data_key(e.card, settings(e.hub))
    _change_gold(hub / "datasets" / e.card.data_id / file, key)
    assert by_type.data_key(e.card, settings(hub)) != by_type.data_key(e.card, settings(e.hub))
    changed = by_type.run(e.card, FakeEncoder(), settings(hub))
    assert changed.gold_hash != e.outcome.gold_hash
    assert changed.items != e.outcome.items


def test_a_changed_text_changes_the_data_key_but_not_the_gold(evaluated, tmp_path):
    e = evaluated("BIOSSES")
    hub = shutil.copytree(e.hub, tmp_path / "hub")
    path = hub / "datasets/mteb/biosses-sts/test.jsonl"
    rows = read_jsonl(path)
    rows[0]["sentence1"] += " more"
    jsonl(path, rows)
    assert by_type.data_key(e.card, settings(hub)) != by_type.data_key(e.card, settings(e.hub))
    assert by_type.run(e.card, FakeEncoder(), settings(hub)).gold_hash == e.outcome.gold_hash


def test_gold_hash_ignores_order_and_tells_values_from_ids():
    rows = [("a", "x", 1), ("b", "y", 0)]
    assert gold_hash(rows) == gold_hash(reversed(rows))
    assert len({gold_hash(rows), gold_hash([("a", "x", 0), ("b", "y", 1)]), gold_hash(rows[:1]), gold_hash([])}) == 4


def test_the_data_key_without_a_mirror_is_id_and_revision():
    key = by_type.data_key(card("SciFact"), settings(None))
    assert key == "hub:mteb/scifact@d56462d0e63a25450459c4f213e49ffdb866f7f9"


@pytest.mark.parametrize("name", ["BIOSSES", "SciFact"])
def test_a_file_that_changed_in_place_is_read_again(tmp_path, name):
    """`datasets` keeps tables by the folder's name, the files' sizes and times: here all of them stay."""
    folder = MIRRORS[name](tmp_path)
    path = folder / ("test.jsonl" if name == "BIOSSES" else "queries.jsonl")
    before = by_type.run(card(name), FakeEncoder(), settings(tmp_path))
    stat, text = path.stat(), path.read_text(encoding="utf-8")
    swapped = text.replace("small", "glass").replace("near", "iron").replace("every", "cloud")
    path.write_text(swapped, encoding="utf-8")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size and path.read_text(encoding="utf-8") != text
    encoder = FakeEncoder()
    after = by_type.run(card(name), encoder, settings(tmp_path))
    now = [r.get("sentence1", r.get("text")) for r in read_jsonl(path)]
    asked = {t for _, _, texts in encoder.calls for t in texts}
    assert set(now[1:]) <= asked
    column = "cosine" if name == "BIOSSES" else "top_scores"
    assert after.items[column] != before.items[column]


def test_two_mirrors_with_folders_of_one_name_are_not_mixed_up(tmp_path):
    for k in (1, 2):
        jsonl(tmp_path / f"hub{k}/datasets/mteb/biosses-sts/test.jsonl", made_up.sts_rows(12, 40 + k))
    first, second = (by_type.run(card("BIOSSES"), FakeEncoder(), settings(tmp_path / f"hub{k}")) for k in (1, 2))
    assert first.items["cosine"] != second.items["cosine"]


def test_mtebs_progress_bars_and_messages_are_not_ours(evaluated, capfd):
    e = evaluated("SummEval")
    capfd.readouterr()
    by_type.run(e.card, FakeEncoder(), settings(e.hub))
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
