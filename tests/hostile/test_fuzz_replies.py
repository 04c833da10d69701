"""Replies made at random, for minutes: an endpoint gives vectors or answers, or raises one line that has no key in it.

    INSTRUCTOR_EVAL_FUZZ_SECONDS=600 python -m pytest -m fuzz tests/hostile/test_fuzz_replies.py

What fails is shrunk and printed with its seed.
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
from hostile_server import VERSION, Request, Server, good
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made_hostile_embeddings import KEY
from test_keys import found

from instructor_eval.core.errors import UserError
from instructor_eval.models.served import openai
from instructor_eval.models.served.asking import Requests, ServerLimit
from instructor_eval.models.served.contract import Limits, Serving
from instructor_eval.models.served.openai import EndpointModel
from instructor_eval.readers.contract import Question
from instructor_eval.readers.openai import EndpointReader

SECONDS = float(os.environ.get("INSTRUCTOR_EVAL_FUZZ_SECONDS", "600"))
TEXTS = ("a", "b", "c")
LEAKS = st.sampled_from([KEY, KEY[4:20], KEY.upper(), KEY[::-1], f"\x1b[2J{KEY}\u202e", "x", "index", "embedding"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), LEAKS,
    st.sampled_from([10**400, -1, 0, 1, 2, 1e308, -0.0, "", "\ud800", "0", "NaN"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LEAKS | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
STEPS = st.lists(st.tuples(st.integers(0, 2**16), VALUES, st.sampled_from(["set", "drop", "twice"])), max_size=3)
CONTENTS = st.one_of(VALUES.map(lambda v: json.dumps(v).encode()), st.binary(max_size=64), STEPS)
HEADERS = st.lists(
    st.one_of(
        st.sampled_from([
            b"Content-Length: 5", b"Content-Length: -1", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip",
            b"Content-Encoding: deflate", b"Location: \xff", b"Retry-After: 1e9", b"Retry-After: Mon, 01 Jan 9999",
            b"Set-Cookie: a=b; expires=x", b"Connection: close", b"Upgrade: x", b": ", b"\0", KEY.encode(),
        ]),
        st.binary(max_size=24),
    ),
    max_size=3,
)  # fmt: skip
CODES = st.sampled_from([200] * 8 + [100, 101, 103, 199, 204, 206, 301, 307, 400, 401, 404, 413, 422, 429, 500, 503])
STATUS = st.one_of(
    CODES.map(lambda code: f"{VERSION} {code} {KEY}".encode()),
    st.sampled_from([b"", b"HTTP/0.9 200", b"HTTP/2 200 OK", b"HTTP/1.1 2e2 OK", b"HTTP/1.1 200\0"]),
    st.binary(max_size=16),
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) below a value."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def changed(reply: Any, steps: list[tuple[int, Any, str]]) -> bytes:
    """A good reply after some steps: a value replaced, dropped, or there twice."""
    for number, value, how in steps:
        there = list(places(reply))
        if not there:
            break
        container, key = there[number % len(there)]
        if how == "set":
            container[key] = copy.deepcopy(value)
        elif how == "drop":
            del container[key]
        elif isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
    return json.dumps(reply).encode()


class Wire:
    """The server's next answer."""

    def __init__(self) -> None:
        self.status, self.headers, self.content, self.cut = b"", [], b"", 10**9

    def __call__(self, request: Request) -> Iterator[bytes]:
        content = self.content if isinstance(self.content, bytes) else changed(good(request), self.content)
        head = [self.status, *self.headers]
        if not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in head):
            head.append(f"Content-Length: {len(content)}".encode())
        yield b"\r\n".join((*head, b"", content))[: self.cut] or b"\n"
        yield b""


# A closed socket may be in a cycle with its error when the garbage collector finds it: once in 24,600 replies.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.fuzz
def test_random_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "WAIT", 0.0)
    monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", KEY)
    wire, seed, end, count = Wire(), random.SystemRandom().randrange(2**32), time.monotonic() + SECONDS, 0
    server, raised = Server(wire), dict[str, int]()

    def embed(spec: str) -> None:
        model = EndpointModel(f"{server.url}/v1{spec}", Serving(limits=Limits(concurrency=1), tries=1, timeout=2.0))
        try:
            rows = np.asarray(Requests(model, ServerLimit(64)).vectors(TEXTS, ""))
            assert rows.shape[0] == len(TEXTS)
            assert np.isfinite(rows).all()
            assert rows.any(axis=1).all()
            assert not found(f"{model.name} {model.notes()} {model.totals()}".encode())
        finally:
            model.stop()

    def read(spec: str) -> None:
        reader = EndpointReader(f"{server.url}/v1{spec}", tries=1, timeout=2.0, wait=0.0)
        for _, answer in reader.read([Question("a? ", ("x", "y")), Question("b? ", max_tokens=2)]):
            assert all(0 <= abs(loss) < 1e6 for loss in answer.losses)
            answer.text.encode()
            assert not found(f"{answer} {reader.describe()}".encode())

    @given(STATUS, HEADERS, CONTENTS, st.one_of(st.just(10**9), st.integers(0, 200)), st.sampled_from(["", "#m"]))
    @settings(
        max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), print_blob=False,
    )  # fmt: skip
    def one(status: bytes, headers: list[bytes], content: Any, cut: int, spec: str) -> None:
        nonlocal count
        for ask in (embed, read):
            wire.status, wire.headers, wire.content, wire.cut = status, headers, content, cut
            count += 1
            started = time.process_time()
            try:
                ask(spec)
            except UserError as e:
                line = str(e)
                assert line.isprintable()
                assert len(line) <= 500
                assert not found(line.encode())
                kind = "".join(c for c in line.partition("/v1")[2] if not c.isdigit())[:40]
                raised[kind] = raised.get(kind, 0) + 1
            assert time.process_time() - started < 5

    try:
        while time.monotonic() < end:
            print(f"seed {seed}")
            hypothesis.seed(seed)(one)()
            seed += 1
    finally:
        server.stop()
    print(f"{count:,} replies, {len(raised)} kinds of lines")
    assert len(raised) > 10
