"""The MTEB adapter against mteb itself, on made-up mirrors of one task or more of each type."""

import dataclasses
import json
import os
import random
import shutil
from types import SimpleNamespace

import by_type
import made_up
import numpy as np
import pytest
import tiny
from made_up import MIRRORS, FakeEncoder, OwnMtebModel, card, embed, jsonl, read_jsonl, run_mteb, settings
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from instructor_eval import metrics
from instructor_eval.core.errors import UserError
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.tasks import types
from instructor_eval.tasks.encoder import BoundEncoder
from instructor_eval.tasks.instructions import ModelRule, parse_set, resolve_all
from instructor_eval.tasks.values import gold_hash

QUICK = [n for n in MIRRORS if n not in ("EmotionClassification", "AmazonCounterfactualClassification")]


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory):
    """Name -> the task's mirror, our outcome on it and mteb's scores; each computed once."""
    done = {}

    def evaluate(name):
        if name not in done:
            hub = tmp_path_factory.mktemp(name)
            folder = MIRRORS[name](hub)
            encoder, c = FakeEncoder(), card(name)
            outcome = by_type.run(c, encoder, settings(hub))
            subset = None if c.subset == "default" else c.subset
            theirs = run_mteb(name, folder, tmp_path_factory.mktemp("cache"), subset=subset)
            done[name] = SimpleNamespace(
                hub=hub, folder=folder, encoder=encoder, card=c, outcome=outcome, theirs=theirs
            )
        return done[name]

    return evaluate


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith(("Emotion", "Amazon"))) for name in MIRRORS]
)
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


@pytest.mark.parametrize("name", MIRRORS)
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
        unit = lambda m: m / np.linalg.norm(m, axis=1, keepdims=True)  # noqa: E731
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
    e = evaluated("EmotionClassification")
    items = e.outcome.items
    gold = [str(row["label"]) for row in read_jsonl(e.folder / "test.jsonl")]
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


@pytest.mark.parametrize("name", ["MTOPDomainClassification", "AmazonCounterfactualClassification"])
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


@pytest.mark.parametrize("name", [n for n in MIRRORS if n not in ("SciFact", "AskUbuntuDupQuestions")])
def test_other_types_know_the_role_text_only(evaluated, name):
    e = evaluated(name)
    if e.card.type != "Reranking":
        assert {role for role, _, _ in e.encoder.calls} == {"text"}
    assert {role for role, _, _ in e.encoder.calls} == set(e.card.roles)
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


# Protocol choices


def test_pair_ap_cosine_and_max(evaluated):
    e = evaluated("TwitterSemEval2015")
    cosine = by_type.run(e.card, FakeEncoder(), settings(e.hub, pair_ap="cosine"))
    assert (cosine.metric, e.outcome.metric) == ("cosine_ap", "max_ap")
    a, b, gold = zip(*made_up.pair_rows(*made_up.PAIRS), strict=True)
    a, b = embed(a, "say ").astype(np.float64), embed(b, "say ").astype(np.float64)
    values = {
        "cosine": (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1),
        "dot": (a * b).sum(1),
        "manhattan": np.abs(a - b).sum(1),
        "euclidean": np.linalg.norm(a - b, axis=1),
    }
    for name, expected in values.items():
        assert e.outcome.items[name] == pytest.approx(expected, rel=1e-4, abs=1e-5), name
    aps = {n: average_precision_score(gold, v if n in ("cosine", "dot") else -v) for n, v in values.items()}
    assert cosine.score == pytest.approx(aps["cosine"], abs=1e-12)
    assert e.outcome.score == pytest.approx(max(aps.values()), abs=1e-12)
    assert cosine.score != e.outcome.score
    assert cosine.score == e.theirs["cosine_ap"]


def _summary_correlations(rows, machine_instruction="say "):
    pairs = []
    for row in rows:
        human, machine = embed(row["human_summaries"], "say "), embed(row["machine_summaries"], machine_instruction)
        human, machine = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (human, machine))
        pairs.append(spearmanr(row["relevance"], (machine @ human.T).max(axis=1)))
    return np.asarray(pairs)


def test_summeval_v1_and_v2(evaluated, tmp_path):
    e = evaluated("SummEval")
    pairs = _summary_correlations(read_jsonl(e.folder / "test.jsonl"))
    second = by_type.run(e.card, FakeEncoder(), settings(e.hub, summeval="v2"))
    assert (e.outcome.metric, second.metric) == ("summeval_v1", "summeval_v2")
    assert e.outcome.score == pytest.approx(pairs.mean(), abs=1e-12)
    assert second.score == pytest.approx(pairs[:, 0].mean(), abs=1e-12)
    assert second.score == run_mteb("SummEvalSummarization.v2", e.folder, tmp_path)["main_score"]
    for outcome in (e.outcome, second):
        assert outcome.metrics["summeval_v1"] == e.outcome.score
        assert outcome.metrics["summeval_v2"] == second.score
    assert e.outcome.items["rho"] == pytest.approx(pairs[:, 0]) and e.outcome.items["p"] == pytest.approx(pairs[:, 1])


def test_the_choice_of_evaluator_does_not_stick(evaluated):
    e = evaluated("SummEval")
    by_type.run(e.card, FakeEncoder(), settings(e.hub, summeval="v2"))
    assert by_type.run(e.card, FakeEncoder(), settings(e.hub)).score == e.outcome.score


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_machine_summaries_without_their_instruction(evaluated, tmp_path, version):
    e = evaluated("SummEval")
    encoder = FakeEncoder()
    chosen = settings(e.hub, summeval=version, summeval_machine_instruction="off")
    outcome = by_type.run(e.card, encoder, chosen)
    rows = read_jsonl(e.folder / "test.jsonl")
    human, machine = ([t for r in rows for t in r[f"{who}_summaries"]] for who in ("human", "machine"))
    assert encoder.calls == [("text", False, human), ("text", True, machine)]
    pairs = _summary_correlations(rows, machine_instruction="")
    assert outcome.score == pytest.approx(pairs.mean() if version == "v1" else pairs[:, 0].mean(), abs=1e-12)
    task = "SummEval" if version == "v1" else "SummEvalSummarization.v2"
    assert outcome.score == run_mteb(task, e.folder, tmp_path, OwnMtebModel(bare_second_call=True))["main_score"]
    assert outcome.score != e.outcome.metrics[f"summeval_{version}"]


def test_an_article_that_mteb_leaves_out_keeps_its_number(tmp_path):
    folder = tmp_path / "datasets/mteb/summeval"
    rows = made_up.summary_rows(5, 33, equal_at=2)
    jsonl(folder / "test.jsonl", rows)
    outcome = by_type.run(card("SummEval"), FakeEncoder(), settings(tmp_path))
    assert outcome.items["id"] == ["0", "1", "3", "4"]
    assert outcome.score == run_mteb("SummEval", folder, tmp_path / "cache")["main_score"]
    pairs = _summary_correlations([r for i, r in enumerate(rows) if i != 2])
    assert outcome.items["rho"] == pytest.approx(pairs[:, 0])


def test_mtebs_progress_bars_and_messages_are_not_ours(evaluated, capfd):
    e = evaluated("SummEval")
    capfd.readouterr()
    by_type.run(e.card, FakeEncoder(), settings(e.hub))
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


# Limits: the cut made by hand, written as a mirror, and scored by mteb


def _cut_scifact(n):
    corpus, queries, qrels = made_up.retrieval_rows()
    relevant = {r["query-id"] for r in qrels if r["score"] > 0}
    kept = [q for q in queries if q["_id"] in relevant][:n]
    ids = {q["_id"] for q in kept}
    judged = {r["corpus-id"] for r in qrels if r["query-id"] in ids}
    others = [d["_id"] for d in corpus if d["_id"] not in judged][: 10 * n]
    docs = [d for d in corpus if d["_id"] in judged | set(others)]
    return docs, kept, [r for r in qrels if r["query-id"] in ids]


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
        assert outcome.score == e.outcome.score or name == "SciFact"  # SciFact: q1, judged but with nothing relevant
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
    "no column of languages": ("STS22", lambda f: [_rows_without(n, "lang")(f) for n in ("test.jsonl", "train.jsonl")],
                               "has no column 'lang', which mteb reads: it has sentence1, sentence2, score"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_a_value_that_mteb_cannot_use_is_named_with_its_place(tmp_path, fault):
    name, change, why = WRONG[fault]
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


# Errors


def test_a_data_set_that_is_nowhere_names_both_ways_to_give_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty-cache"))
    (tmp_path / "datasets").mkdir()
    with pytest.raises(UserError) as e:
        by_type.run(card("SciFact"), FakeEncoder(), settings(tmp_path))
    text = str(e.value)
    assert "mteb/scifact" in text and "d56462d0e63a25450459c4f213e49ffdb866f7f9" in text
    assert "run once without it" in text and "--hub DIR (DIR/datasets/mteb/scifact/)" in text
    assert "\n" not in text


@pytest.mark.parametrize("call", ["data_key", "run"])
def test_a_hub_that_is_no_mirror(tmp_path, call):
    arguments = (settings(tmp_path),) if call == "data_key" else (FakeEncoder(), settings(tmp_path))
    with pytest.raises(UserError, match="no folder 'datasets' in it: a mirror holds") as e:
        getattr(by_type, call)(card("SciFact"), *arguments)
    assert f"--hub {tmp_path}" in str(e.value)


def test_an_id_cannot_lead_out_of_the_mirror(tmp_path):
    (tmp_path / "datasets").mkdir()
    for data_id in ("../secret", "/etc"):
        with pytest.raises(UserError, match="is no id of the form org/name"):
            by_type.data_key(dataclasses.replace(card("SciFact"), data_id=data_id), settings(tmp_path))


def _rows_without(file, key):
    return lambda f: jsonl(f / file, [{k: v for k, v in r.items() if k != key} for r in read_jsonl(f / file)])


def _null(file, key):
    return lambda f: jsonl(
        f / file, [{**r, key: None if i == 3 else r[key]} for i, r in enumerate(read_jsonl(f / file))]
    )


BROKEN = {
    "not JSON": ("BIOSSES", lambda f: (f / "test.jsonl").write_text("nonsense"), "test.jsonl, line 1: not JSON"),
    "cut short": (
        "BIOSSES",
        lambda f: (f / "test.jsonl").write_text('{"sentence1": "a", \n'),
        "test.jsonl, line 1: not JSON",
    ),
    "empty": ("BIOSSES", lambda f: (f / "test.jsonl").write_text(""), "a file is empty"),
    "no score": ("BIOSSES", _rows_without("test.jsonl", "score"), "no column 'score' in test"),
    "no sentence1": ("BIOSSES", _rows_without("test.jsonl", "sentence1"), "no column 'sentence1' in test"),
    "null score": ("BIOSSES", _null("test.jsonl", "score"), "test.jsonl, line 4: null in 'score'"),
    "null text": ("BIOSSES", _null("test.jsonl", "sentence2"), "test.jsonl, line 4: null in 'sentence2'"),
    "no test split": ("BIOSSES", lambda f: (f / "test.jsonl").rename(f / "train.jsonl"), "no split 'test'"),
    "no data": ("BIOSSES", lambda f: (f / "test.jsonl").rename(f / "README.md"), "any data files"),
    "no train split": ("EmotionClassification", lambda f: (f / "train.jsonl").unlink(), "no split 'train'"),
    "no train label": ("EmotionClassification", _rows_without("train.jsonl", "label"), "label"),
    "no subset": ("MTOPDomainClassification", lambda f: (f / "README.md").unlink(), "BuilderConfig 'en' not found"),
    "no English": (
        "STS22",
        lambda f: jsonl(f / "test.jsonl", [r for r in read_jsonl(f / "test.jsonl") if r["lang"] != "en"]),
        "no split 'test'",
    ),
    "no qrels": ("SciFact", lambda f: (f / "qrels/test.jsonl").unlink(), "Unable to find"),
    "no configurations": ("SciFact", lambda f: (f / "README.md").unlink(), "BuilderConfig 'corpus' not found"),
    "no corpus-id": ("SciFact", _rows_without("qrels/test.jsonl", "corpus-id"), "corpus-id"),
    "no text": ("SciFact", _rows_without("corpus.jsonl", "text"), "no column 'text' in corpus"),
    "null title": ("SciFact", _null("corpus.jsonl", "title"), "corpus.jsonl, line 4: null in 'title'"),
    "no candidates": (
        "AskUbuntuDupQuestions",
        lambda f: made_up.write_retrieval(f, *made_up.reranking_rows()[:3]),
        "no configuration 'top_ranked'",
    ),
    "candidate unknown": (
        "AskUbuntuDupQuestions",
        lambda f: jsonl(f / "corpus.jsonl", read_jsonl(f / "corpus.jsonl")[1:]),
        "candidate 'q0c0' is not in the corpus",
    ),
    "no labels": ("TwentyNewsgroupsClustering", _rows_without("test.jsonl", "labels"), "no column 'labels' in test"),
    "no sent2": ("TwitterSemEval2015", _rows_without("test.jsonl", "sent2"), "test.jsonl has no column"),
    "no relevance": ("SummEval", _rows_without("test.jsonl", "relevance"), "no column 'relevance' in test"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_mirror_is_one_line_that_names_the_folder(tmp_path, capfd, fault):
    name, break_it, why = BROKEN[fault]
    folder = MIRRORS[name](tmp_path)
    break_it(folder)
    encoder = FakeEncoder()
    capfd.readouterr()
    with pytest.raises(UserError) as e:
        by_type.run(card(name), encoder, settings(tmp_path))
    assert str(e.value).startswith(f"{folder} does not hold {card(name).data_id} as mteb reads it (")
    assert why in str(e.value)
    assert not encoder.calls
    assert capfd.readouterr() == ("", "")


def test_an_error_of_the_encoder_is_not_blamed_on_the_data(evaluated):
    class Faulty(FakeEncoder):
        name = "faulty"

        def encode(self, texts, role, *, bare=False):
            raise UserError("model faulty gives a NaN vector")

    with pytest.raises(UserError, match=r"^model faulty gives a NaN vector$"):
        by_type.run(card("BIOSSES"), Faulty(), settings(evaluated("BIOSSES").hub))
