"""The questions of the reader `hf:`'s tests, and a plain loop over transformers to hold it against."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import Answer, Question
from instructor_eval.readers.transformers import HfReader

LINES = "The cat sat on the mat and looked at the moon. Café, 日本語. I liked it very much.\n"


@contextmanager
def one_line(*parts: str) -> Iterator[None]:
    """Expect a `UserError` that says all of these."""
    with pytest.raises(UserError) as caught:
        yield
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)


QUESTIONS = [
    Question("answer:", (" True", " False")),
    Question(LINES * 4 + "answer:", (" very positive", " negative", " neutral", "")[:3]),
    Question("question: is it true?\nanswer:\n", ("No.", "Yes.", "Yes. I liked it", "日本")),
    Question(LINES[:50], (" moon",)),
    Question("title: B", ("ats and viruses", "AT", "ats")),  # the first tokens of options merge with the prompt's last
    Question("the cat", ("s", " sat on the mat and looked at the moon.")),
    Question(LINES * 2, ("a", "b", "c", "d", "e", "f", "g")),
    Question("", ("True", "False", " very negative")),  # nothing stands before an option
    Question("1", ("2 3 4", "2")),
    Question(" Ca", ("t", "fé", "a", "ts")),  # the prompt is split otherwise before one option than before another
    Question(LINES + " Ca", ("t", "fé", "a", "ts")),
]


def read(reader: HfReader, questions: Sequence[Question]) -> list[Answer]:
    """Answers in the order of the questions, each there once."""
    given = list(reader.read(questions))
    assert sorted(place for place, _ in given) == list(range(len(questions)))
    return [answer for _, answer in sorted(given, key=lambda pair: pair[0])]


@functools.cache
def plain_model(folder: Path) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()


def plain_losses(folder: Path, questions: Sequence[Question]) -> list[list[float]]:
    """One text after another through a bare forward pass."""
    tokenizer, model = plain_model(folder)
    front = 1 if tokenizer("a").input_ids[0] == 0 else 0
    losses = []
    for question in questions:
        losses.append([])
        for option in question.options:
            text = question.prompt + option
            given = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            ids, spans = given["input_ids"], given["offset_mapping"]
            own = [i for i, (_, end) in enumerate(spans) if end > len(question.prompt)]
            if front or own[0] == 0:
                ids, own = [0, *ids], [i + 1 for i in own]
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0].double()
            said = torch.log_softmax(logits, -1)
            losses[-1].append(-sum(float(said[i - 1, ids[i]]) for i in own) / len(own))
    return losses


def plain_text(folder: Path, prompt: str, tokens: int) -> str:
    """The text that transformers generates from this prompt alone."""
    tokenizer, model = plain_model(folder)
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if not ids or tokenizer("a").input_ids[0] == 0:
        ids = [0, *ids]
    given = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_new_tokens=tokens,
        pad_token_id=0,
    )  # fmt: skip
    text = tokenizer.decode(given[0, len(ids) :], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text)


def assert_close(answers: Sequence[Answer], expected: Sequence[Sequence[float]]) -> None:
    for answer, losses in zip(answers, expected, strict=True):
        assert answer.losses == pytest.approx(losses, abs=1e-4)


def count_calls(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls, forward = [], model.forward

    def watch(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return forward(*args, **kwargs)

    watch.__signature__ = inspect.signature(forward)
    monkeypatch.setattr(model, "forward", watch)
    return calls


MIXED = [*QUESTIONS, Question("The", max_tokens=6), Question(LINES * 2, max_tokens=9), Question("is it", max_tokens=3)]


def edit(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
