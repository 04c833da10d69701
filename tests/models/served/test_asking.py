"""Requests that are refused or never answered: halves, what is learnt, and the text that is named, in few requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embeddings_server import EmbeddingsServer
from made_vectors import hashed
from openai_server import error

from instructor_eval.core.errors import UserError
from instructor_eval.models.served import openai
from instructor_eval.models.served.asking import RefusedTextError
from instructor_eval.models.served.contract import Limits, Serving
from instructor_eval.models.served.engine import ServedEngine, describe
from instructor_eval.models.served.openai import EndpointModel

TEXTS = [f"text {i} {'word ' * (i % 5)}" for i in range(200)]
LLAMA = "input (3002 tokens) is too large to process. increase the physical batch size (current batch size: 512)"


class Server(EmbeddingsServer):
    """Refuses what `refuses` says (status, words), each time that it is asked for it."""

    refuses: Callable[[list[str]], tuple[int, str] | None] = staticmethod(lambda _texts: None)

    def __init__(self) -> None:
        super().__init__(hashed)
        ours = self

        class Handler(self._handler):  # type: ignore[name-defined,misc] # a base chosen at run time
            def _embed(self, *given: Any) -> None:
                found = ours.refuses(given[1]["input"])
                if found is None:
                    super()._embed(*given)
                elif found[0]:
                    self._send(error(found[1]), found[0])
                else:
                    self.close_connection = True

        self._handler = Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(openai, "WAIT", 0.001)
    monkeypatch.delenv("INSTRUCTOR_EVAL_API_KEY", raising=False)
    with Server() as found:
        yield found


def engine_of(server: Server, *, tries: int = 7, concurrency: int = 4, texts: int = 64) -> ServedEngine:
    how = Serving(limits=Limits(texts=texts, concurrency=concurrency, tokens=10**6), tries=tries, timeout=300.0)
    return ServedEngine(describe(EndpointModel(f"{server.url}#tiny", how)), None)


@pytest.mark.parametrize("status", [400, 406, 413, 422, 500, 503, 429])
def test_the_largest_batch_is_found_whatever_the_status(server: Server, status: int) -> None:
    words = "" if status in (400, 406, 413, 422) else "maximum batch size is 10"
    server.refuses = lambda texts: (status, words or "no") if len(texts) > 10 else None
    engine = engine_of(server)
    np.testing.assert_array_equal(engine.encode(TEXTS, ""), hashed(TEXTS))
    refused = sum(len(request.body["input"]) > 10 for request in server.requests)
    assert refused == 3, "64, 32 and 16 texts, each once; all that follows is small enough at once"
    before = len(server.requests)
    engine.encode([f"more {text}" for text in TEXTS], "")
    assert max(len(request.body["input"]) for request in server.requests[before:]) == 8
    assert engine.used()["retries"] == 0


def test_what_one_thread_learns_holds_for_the_others(server: Server) -> None:
    """All but the first request are under way or waiting when the limit comes down."""
    engine = engine_of(server, texts=8)
    engine.encode(TEXTS[:8], "")
    barrier, met = threading.Barrier(4), threading.Event()

    def refuse(texts: list[str]) -> tuple[int, str] | None:
        if len(texts) > 4 and not met.is_set():
            barrier.wait(60)  # all four threads have sent one
            met.set()
        return (422, "too many inputs") if len(texts) > 4 else None

    more = [f"new {text}" for text in TEXTS]
    longest = max(more, key=len)  # is in the first request, which is alone
    before = len(server.requests)
    server.refuses = lambda texts: None if longest in texts else refuse(texts)
    np.testing.assert_array_equal(engine.encode(more, ""), hashed(more))
    large = [r for r in server.requests[before:] if len(r.body["input"]) > 4]
    assert len(large) <= 1 + 4 + 4, "the first, one a thread, and what was on its way meanwhile"


@pytest.mark.parametrize(
    ("status", "words", "bad", "shown"),
    [
        (500, LLAMA, "long " * 3000, r"\(15,000 characters, 'long long .*: HTTP 500 \(input \(3002 .*: cut that text"),
        (400, "input cannot be empty", "  \n", r"\(empty\): HTTP 400 \(input cannot be empty\): give that row a text"),
        (422, "no such letter", "a #", r"\(3 characters, 'a #'\): HTTP 422 \(no such letter\): change what the server"),
    ],
)
def test_the_text_is_named(server: Server, status: int, words: str, bad: str, shown: str) -> None:
    texts = [*TEXTS[:100], bad, *TEXTS[100:]]
    server.refuses = lambda asked: (status, words) if bad in asked else None
    with pytest.raises(RefusedTextError, match=rf"refuses a text even alone {shown}") as caught:
        engine_of(server).encode(texts, "")
    assert caught.value.text == bad
    assert len(str(caught.value)) <= 480
    asked = [len(request.body["input"]) for request in server.requests if bad in request.body["input"]]
    assert asked == ([64, 32, 16, 8, 4, 2, 1] if status == 500 else [9, 4, 2, 1]), "of the last request it is the end"


@pytest.mark.parametrize("status", [500, 502, 0])
def test_a_text_that_breaks_the_server_is_found_in_few_requests(server: Server, status: int) -> None:
    bad = TEXTS[70]
    server.refuses = lambda asked: (status, "Internal Server Error") if bad in asked else None
    with pytest.raises(RefusedTextError) as caught:
        engine_of(server, tries=3, concurrency=1).encode(TEXTS, "")
    assert caught.value.text == bad
    assert "asked 2 times" in str(caught.value)
    asked = [len(request.body["input"]) for request in server.requests if bad in request.body["input"]]
    assert asked == [8, 8, 8, 4, 4, 2, 2, 1, 1], "in vain, and then twice for each part of it"


def test_a_dead_server_is_not_asked_for_halves(server: Server) -> None:
    engine = engine_of(server, tries=3, concurrency=1)
    before = len(server.requests)
    server.refuses = lambda _texts: (500, "gone")
    with pytest.raises(UserError, match=r"HTTP 500 \(gone\), asked 3 times: see that the server runs there"):
        engine.encode(TEXTS, "")
    assert len(server.requests) - before == 3 + 2, "and twice for a text that it had answered"


def test_too_long_for_the_time_is_halved(server: Server) -> None:
    """A server that is too slow for a whole batch."""
    engine = engine_of(server, tries=2, concurrency=1)
    server.refuses = lambda texts: (504, "upstream timed out") if len(texts) > 20 else None
    np.testing.assert_array_equal(engine.encode(TEXTS, ""), hashed(TEXTS))
    assert engine._limit.most == 16


def test_words_of_an_overload_are_not_too_much() -> None:
    from instructor_eval.core.http_replies import is_too_much

    for words in (LLAMA, "This model's maximum context length is 512 tokens", "Request too large for model x",
                  "batch size 100 > maximum allowed batch size 32", "Payload Too Large", "inputs must have less than 5",
                  "too many inputs", "the prompt is longer than the context"):  # fmt: skip
        assert is_too_much(500, words), words
        assert is_too_much(429, words), words
    for words in ("Rate limit exceeded: 100 tokens per min", "Too many requests", "Model is overloaded", "quota",
                  "Internal Server Error", "the queue is too long", "maximum recursion depth exceeded"):  # fmt: skip
        assert not is_too_much(503, words), words


def test_the_row_is_named_from_the_command_line(server: Server, cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    rows = [f'{{"sentence1": "one {i}", "sentence2": "two {i}", "score": {i}}}' for i in range(12)]
    rows[6] = rows[6].replace('"two 6"', '"   "')
    (tmp_path / "d" / "test.jsonl").write_text("\n".join(rows))
    (tmp_path / "mine.yaml").write_text("name: Mine\ntype: STS\ndata: d\n")
    server.refuses = lambda texts: (422, "empty input") if not all(t.strip() for t in texts) else None
    run = ("--model", f"endpoint:{server.url}#tiny", "--task", "mine.yaml", "--protocol", "empty_text=encode")
    done = cli(*run, "--quiet")
    assert "refuses text 7 of 12 even alone (empty): HTTP 422 (empty input): give that row a text" in done.error
