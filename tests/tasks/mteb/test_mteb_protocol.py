"""The choices of a protocol where mteb offers them, or where the original did something else."""

import by_type
import made_up
import numpy as np
import pytest
from made_up import FakeEncoder, card, embed, jsonl, read_jsonl, settings
from mteb_alone import OwnMtebModel, run_mteb
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score


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
