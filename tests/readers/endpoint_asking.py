"""The questions of the reader `endpoint:`'s tests, and the answers computed without it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from completions_server import CompletionsServer, TinyLM
from waiting import LONGEST, wait_for

from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import Answer, Question
from instructor_eval.readers.openai import EndpointReader

KEY = "sk-very-secret-0123456789"
QUESTIONS = [
    Question("question: is it true? True or False?\nanswer:\n", ("True", "False")),
    Question("How do you feel about it?\nanswer:", (" very positive", " negative", " neutral", " very negative")),
    Question("Café, naïve, 日本語 1 2 3.\nanswer: ", ("Yes.", "No.")),  # characters of several tokens in the prompt
    Question("Zahlen: ", ("日本語", "naïve", "Café 語")),  # and in the options
    Question("How do you feel ab", ("out it?", "ove")),  # tokens that reach over the boundary
    Question("The cat sat on the mat and", max_tokens=12),
    Question("write a title\nWe study bats\ntitle:", max_tokens=8, stop=("\n",)),
    Question("SELECT name", max_tokens=5),
]
BARE = Question("The cat", ("x",))
STEP = "see that the server runs there and is not overloaded, then run again"


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("endpoint")]


def threads_end() -> bool:
    return wait_for(lambda: not threads(), "no thread is left")


def directly(model: TinyLM, question: Question) -> Answer:
    """The answer by a forward pass over each option, or by transformers' own `generate`."""
    import torch

    if not question.options:
        ids = model.tokenizer(question.prompt, return_tensors="pt")
        out = model.model.generate(**ids, max_new_tokens=question.max_tokens, do_sample=False, pad_token_id=0)
        text = model.tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        for stop in question.stop:
            text = text.split(stop)[0]
        return Answer(text)
    losses = []
    for option in question.options:
        encoded = model.tokenizer(question.prompt + option, return_offsets_mapping=True)
        ids = encoded["input_ids"]
        with torch.inference_mode():
            logits = model.model(torch.tensor([ids])).logits[0]
        own = [k for k, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(question.prompt)]
        nll = [torch.nn.functional.cross_entropy(logits[k - 1], torch.tensor(ids[k])).item() for k in own]
        losses.append(sum(nll) / len(nll))
    return Answer(question.options[losses.index(min(losses))], tuple(losses))


def reader_of(server: CompletionsServer, **options: Any) -> EndpointReader:
    return EndpointReader(server.url, **({"wait": 0.001, "timeout": LONGEST} | options))


def read(reader: EndpointReader, questions: Sequence[Question] = QUESTIONS) -> list[Answer]:
    found = dict(reader.read(questions))
    assert sorted(found) == list(range(len(questions)))
    return [found[place] for place in range(len(questions))]


def assert_same(found: Sequence[Answer], expected: Sequence[Answer]) -> None:
    assert [answer.text for answer in found] == [answer.text for answer in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.losses == pytest.approx(other.losses, abs=1e-4)


def error(reader: EndpointReader, question: Question = BARE) -> str:
    with pytest.raises(UserError) as caught:
        list(reader.read([question]))
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(reader.describe()["url"] if reader.name.count("#") else reader.name.split(":", 1)[1], "URL")
