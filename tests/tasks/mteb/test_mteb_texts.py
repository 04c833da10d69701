"""A dry run asks for the texts of a real run, call by call: on made-up mirrors of every type."""

import dataclasses
import json

import by_type
import pytest
import tiny
from made_up import MIRRORS, FakeEncoder, card, settings

from instructor_eval.metrics import distances, trec
from instructor_eval.models.variant import Variant
from instructor_eval.tasks.mteb import search

QUICK = [n for n in MIRRORS if n not in ("EmotionClassification", "AmazonCounterfactualClassification")]


class Calibrated(FakeEncoder):
    """One that wants to know what will be searched."""

    variant = Variant(embedding="int8")

    def calibrate(self, texts, role):
        self.calls.append((role, None, list(texts)))


@pytest.mark.slow
@pytest.mark.parametrize("name", MIRRORS)
def test_the_calls_are_those_of_a_run(tmp_path, name):
    MIRRORS[name](tmp_path)
    asked = settings(tmp_path, summeval_machine_instruction="off")
    real, dry = Calibrated(), Calibrated()
    by_type.run(card(name), real, asked)
    outcome = by_type.run(card(name), dry, dataclasses.replace(asked, texts_only=True))
    assert dry.calls == real.calls
    assert len(dry.calls) >= 2
    assert outcome.items == {"id": []}


def test_limits_and_parts_of_a_corpus_stay(tmp_path, monkeypatch):
    MIRRORS["SciFact"](tmp_path)
    real, dry = FakeEncoder(), FakeEncoder()
    monkeypatch.setattr(search, "_WINDOW", 7)
    by_type.run(card("SciFact"), real, settings(tmp_path, limit=3))
    dry_settings = dataclasses.replace(settings(tmp_path, limit=3), texts_only=True)
    by_type.run(card("SciFact"), dry, dry_settings)
    assert dry.calls == real.calls
    assert len(dry.calls) > 3


@pytest.mark.parametrize("name", ["SciFact", "AskUbuntuDupQuestions", "TwentyNewsgroupsClustering", "BIOSSES"])
def test_nothing_is_scored(tmp_path, monkeypatch, name):
    def fail(*_args, **_kwargs):
        raise AssertionError("scored")

    MIRRORS[name](tmp_path)
    import sklearn.cluster
    from mteb._evaluators import retrieval_evaluator

    monkeypatch.setattr(sklearn.cluster, "MiniBatchKMeans", fail)
    monkeypatch.setattr(retrieval_evaluator, "calculate_retrieval_scores", fail)
    monkeypatch.setattr(distances, "cosine_distances", fail)
    monkeypatch.setattr(trec, "figures_of_queries", fail)
    by_type.run(card(name), FakeEncoder(), dataclasses.replace(settings(tmp_path), texts_only=True))
    with pytest.raises(AssertionError, match="scored"):
        by_type.run(card(name), FakeEncoder(), settings(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("plain", ["SciFact", "TwentyNewsgroupsClustering", "STS22"]),
        ("instructor", [n for n in QUICK if n not in ("MindSmallReranking", "STS22")]),
    ],
)
def test_counts_are_those_of_the_run_that_follows(cli, tmp_path, family, names):
    hub = tmp_path / "hub"
    for name in names:
        MIRRORS[name](hub)
    getattr(tiny, f"build_{family}")(tmp_path / "tiny")
    run = ["--model", "tiny", *(f"--task={name}" for name in names), "--hub", hub, "--results", "r", "--cache", "c"]
    run += ["--instructions=paper", "--instructions=none", "--variant=fp32,fp32+int8", "--protocol=clustering_256=on"]
    run += ["--protocol=summeval_machine_instruction=off", "--device=cpu"]
    some = [word for word in run if not str(word).startswith(("--instructions=none", "--variant"))]
    assert cli(*some, "--limit", "10", "--results", "limited").code == 0  # some vectors are there
    planned = json.loads(cli("plan", *run, "--format", "json", "--no-calibration").out)
    assert cli(*run).code == 0
    rows = {(row["task"], row["variant"], row["instructions"]): row for row in planned["tasks"]}
    scores = [json.loads(path.read_text()) for path in (tmp_path / "r" / "scores").rglob("*.json")]
    assert len(scores) == len(rows) > 0
    for score in scores:
        row = rows[score["task"], score["model"]["variant"], score["instructions"]["set"]]
        found = {"texts": row["texts"], "unique": row["unique"], "tokens": row["tokens"]}
        assert found | {"hits": row["cached"] + row["shared"]} == score["counts"], score["task"]
    total = planned["total"]
    assert total["tokens"] == sum(s["counts"]["tokens"] for s in scores) > 0
    assert total["compute"] == sum(s["counts"]["unique"] - s["counts"]["hits"] for s in scores)
    assert 0 < total["cached"] < total["unique"] == total["cached"] + total["compute"]
