"""The reader `hf:` where memory does not hold what it is asked."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from language_models import LINES, MIXED, QUESTIONS, assert_close, one_line, read
from transformers import AutoModelForCausalLM

from instructor_eval.readers.contract import Question
from instructor_eval.readers.transformers import HfReader


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("full"), RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError()],
    ids=["device", "CPU", "Python"],
)
@pytest.mark.parametrize("kind", ["gpt2", "bloom"])
def test_full_memory_halves_the_batch(
    folders: dict[str, Path], kind: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = HfReader(str(folders[kind]), device="cpu")
    expected = read(reader, MIXED)
    refused = limit_memory(reader._model.model, 320, error, monkeypatch)
    answers = read(reader, MIXED)
    assert refused
    assert reader._model.budget < 4096
    assert_close(answers, [a.losses for a in expected])
    assert [a.text for a in answers] == [a.text for a in expected]


def limit_memory(model: Any, most: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a forward pass fail that reads more than `most` tokens, those in its cache counted."""
    refused, forward = [], model.forward

    def tight(*args: Any, **kwargs: Any) -> Any:
        size = kwargs.get("attention_mask", kwargs["input_ids"]).numel()  # generate leaves out a mask of ones
        if size > most:
            refused.append(size)
            raise error
        return forward(*args, **kwargs)

    tight.__signature__ = inspect.signature(forward)
    monkeypatch.setattr(model, "forward", tight)
    return refused


def test_one_question_that_memory_does_not_hold(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    list(reader.read(QUESTIONS[:1]))
    limit_memory(reader._model.model, 100, torch.OutOfMemoryError("full"), monkeypatch)
    with one_line("cpu has too little memory for one text of", "(full)", "use another device, a smaller reader"):
        list(reader.read(MIXED))
    with one_line("cpu has too little memory"):
        list(reader.read([Question(LINES * 5, max_tokens=4)]))
    read(reader, [Question("is it", (" so", " not"))])


def test_one_question_whose_options_are_read_apart(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question(LINES, tuple(f" {word} on the mat" for word in ("cat", "sat", "moon", "the", "very")))
    reader = HfReader(str(gpt2), device="cpu")
    [expected] = read(reader, [question])
    refused = limit_memory(reader._model.model, 50, torch.OutOfMemoryError("full"), monkeypatch)
    [answer] = read(reader, [question])
    assert len(refused) > 1, "halved once"
    assert answer.losses == pytest.approx(expected.losses, abs=1e-4)


def test_weights_that_memory_does_not_hold(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    with one_line("does not fit cpu in float32 (full)", "use another device, or a smaller reader"):
        list(HfReader(str(gpt2), device="cpu").read(QUESTIONS))


def test_other_errors_stay_as_they_are(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    list(reader.read(QUESTIONS[:1]))
    limit_memory(reader._model.model, 1, RuntimeError("a shape is wrong"), monkeypatch)
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        list(reader.read(QUESTIONS))
