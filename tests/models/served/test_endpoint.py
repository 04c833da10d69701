"""Embeddings from a server on the loopback that fails on request: the vectors are right, or there is one clear line."""

from __future__ import annotations

import dataclasses
import email.utils
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import embeddings_server as es
import numpy as np
import pytest
from embeddings_server import EmbeddingsServer, Failure
from made_vectors import DIM, hashed
from waiting import LONGEST, wait_for

from instructor_eval.core import http_replies
from instructor_eval.core.errors import UserError
from instructor_eval.core.http import PassingError, pause_after
from instructor_eval.core.http_replies import seconds_of
from instructor_eval.models.served import openai
from instructor_eval.models.served.contract import Limits, Serving
from instructor_eval.models.served.engine import PROBES, ServedEngine, describe
from instructor_eval.models.served.openai import EndpointModel, family_of, vectors_of

KEY = "sk-very-secret-0123456789"
TEXTS = [f"text {i}" for i in range(30)]
PASSING: list[Failure] = [
    "429", "429:0", "500", "503", "408", "reset", "truncated", "html", es.fewer, es.duplicate, es.nan, es.null,
    es.zero, es.shorter, es.ragged, es.base64, es.reordered, es.unnumbered, es.no_usage,
]  # fmt: skip
LINES = {
    "429": "HTTP 429 (asked to answer 429), asked 3 times: see that the server runs there",
    "500": "HTTP 500 (asked to answer 500), asked 3 times",
    "reset": "the connection ended before the reply did, asked 3 times",
    "truncated": "the connection ended before the reply did, asked 3 times",
    "html": "the reply is not JSON, asked 3 times",
    es.fewer: "9 vectors for 10 texts, asked 3 times",
    es.duplicate: "its vectors are not numbered 0 to 9, asked 3 times",
    es.nan: "a NaN or infinite vector for the text 'text",
    es.null: "a vector has a value that is no number, asked 3 times",
    es.zero: "an all-zero vector for the text 'text",
    es.shorter: "vectors of 8 values, and of 16 before, asked 3 times",
    es.ragged: "vectors of 15 and 16 values in one reply, asked 3 times",
    es.base64: "vectors as text, not as lists of numbers, asked 3 times",
    es.renamed: "answers as 'another', and as 'tiny' before: name the model",
    "400": "#tiny: refuses a text even alone (6 characters, 'text 0'): HTTP 400 (asked to answer 400): change what",
    "404": "HTTP 404 (asked to answer 404): check the URL",
}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No keys and proxies of the environment, short waits; and no thread is left when a test is over."""
    for name in ("INSTRUCTOR_EVAL_API_KEY", "OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(openai, "WAIT", 0.001)
    yield
    wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("endpoint")], "no thread is left")


def model_of(server: EmbeddingsServer, **how: Any) -> EndpointModel:
    limits = Limits(texts=10, concurrency=3)
    return EndpointModel(f"{server.url}#tiny", Serving(**({"limits": limits, "timeout": LONGEST, "tries": 3} | how)))


def engine_of(server: EmbeddingsServer, **how: Any) -> ServedEngine:
    return ServedEngine(describe(model_of(server, **how)), None)


def test_vectors_whatever_passes_on_the_way() -> None:
    with EmbeddingsServer(hashed) as server:
        engine = engine_of(server, tries=30)
        server.failures = [failure for one in PASSING for failure in (one, None)]
        for i in range(4):
            texts = [f"{i} {text}" for text in TEXTS]
            np.testing.assert_array_equal(engine.encode(texts, "q: "), hashed([f"q: {t}" for t in texts]))
        while server.failures:  # each has come
            engine.encode([f"more {len(server.requests)}"], "")
        used = engine.used()
        assert (used["requests"], used["retries"]) == (len(server.requests), 16), "all but the last three are failures"
        assert server.most_at_once <= 3


@pytest.mark.parametrize("failure", LINES, ids=lambda f: f if isinstance(f, str) else f.__name__)
def test_what_does_not_pass_is_one_line(failure: Any) -> None:
    with EmbeddingsServer(hashed) as server:
        engine = engine_of(server)
        server.failures = lambda _number: failure
        before = len(server.requests)
        with pytest.raises(UserError) as caught:
            engine.encode(TEXTS[:10], "")
        line = str(caught.value)
        assert line.startswith(f"endpoint:{server.url}")
        assert LINES[failure] in line
        assert "\n" not in line
        # In vain, and after what a text may have caused twice for one that it had taken; halves of 10, 5, 3, 2 and 1.
        asked = {"500": 3 + 2, "reset": 3 + 2, "truncated": 3 + 2, "400": 5}.get(failure, 3 if "3 times" in line else 1)
        assert len(server.requests) - before == asked


def test_a_wrong_address_shows_soon() -> None:
    with EmbeddingsServer(hashed) as server:
        url = server.url
    with pytest.raises(UserError, match=r"connection failed \(Connection refused\), asked 4 times"):
        describe(EndpointModel(f"{url}#tiny", Serving(tries=7)))


def test_a_silent_server_and_one_that_is_not_there() -> None:
    with EmbeddingsServer(hashed) as server:
        model = model_of(server, tries=2)
        engine = ServedEngine(describe(model), None)
        model._how = dataclasses.replace(model._how, timeout=0.2)  # the first question may take a slow machine longer
        server.failures = lambda _number: "hang"
        with pytest.raises(UserError, match=r"no answer within 0\.2 s, asked 2 times"):
            engine.encode(TEXTS, "")
    with pytest.raises(UserError, match=r"connection failed \(Connection refused\), asked 2 times"):
        engine.encode(TEXTS, "")


def test_a_server_that_takes_fewer_or_shorter_texts() -> None:
    with EmbeddingsServer(hashed, most_texts=3) as server:
        engine = engine_of(server)
        np.testing.assert_array_equal(engine.encode(TEXTS, ""), hashed(TEXTS))
        server.most_characters = 20
        with pytest.raises(UserError, match=r"even alone \(126 char.*HTTP 400 \(This model's maximum.*: cut that text"):
            engine.encode(["short", "much too long " * 9], "")


def test_a_key_goes_into_the_header_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with EmbeddingsServer(hashed, key=KEY) as server:
        with pytest.raises(UserError, match=r"HTTP 401 .*: set INSTRUCTOR_EVAL_API_KEY to its key"):
            describe(model_of(server))
        monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", KEY[:-1])
        with pytest.raises(UserError, match=r"HTTP 401 .*Bearer \*\*\*.*check the key in") as caught:
            describe(model_of(server))
        assert KEY[:-1] not in str(caught.value)
        monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", KEY)
        served = describe(model_of(server))
        assert KEY not in f"{served} {served.describe()} {served.source.identity}"
        assert KEY not in caplog.text


def test_the_model_is_named_or_the_only_one() -> None:
    with EmbeddingsServer(hashed) as server:
        model = EndpointModel(f"{server.url}/", Serving())
        assert model.name == f"endpoint:{server.url}#tiny"
        assert model.identity == EndpointModel(f"{server.url}#tiny", Serving()).identity
        server.models = ("a", "b")
        with pytest.raises(UserError, match=r"the server has 2 models \(a, b\): add #MODEL"):
            EndpointModel(server.url, Serving())
    for url in ("localhost:8000", "http://user:pw@host/v1", "http://host/v1?key=1", ""):
        with pytest.raises(UserError, match="not a URL that can be used"):
            EndpointModel(url, Serving())


def test_totals_and_the_price() -> None:
    words = sum(len(text.split()) for text in (*PROBES, *TEXTS))
    with EmbeddingsServer(hashed) as server:
        engine = engine_of(server, price=0.5)
        engine.encode(TEXTS, "")
        assert engine.used() == {"requests": 4, "retries": 0, "tokens": words, "usd": pytest.approx(words * 0.5e-6)}
        assert engine.totals.tokens == words - sum(len(text.split()) for text in PROBES)
        server.reshape = es.no_usage
        uncounted = engine_of(server, price=0.5)
        uncounted.encode(TEXTS, "")
        assert uncounted.used() == {"requests": 4, "retries": 0}


def test_what_is_sent() -> None:
    with EmbeddingsServer(hashed) as server:
        engine_of(server).encode(["a\ud800b"], "i: ")
        assert server.requests[-1].body == {"model": "tiny", "input": ["i: a\ufffdb"], "encoding_format": "float"}


def test_how_it_takes_instructions() -> None:
    assert family_of("text-embedding-3-small", None)[0] == "plain"
    family, rule = family_of("hkunlp/instructor-large", None)
    assert (family, "its name is INSTRUCTOR's" in rule, "pooled with it" in rule) == ("instructor", True, True)
    assert family_of("hkunlp/instructor-large", "plain") == ("plain", "--family; none is sent")
    assert family_of("anything", "prefix")[0] == "prefix"


def test_a_reply_out_of_order_is_put_right() -> None:
    rows = hashed(["a", "b", "c"])
    data = [{"index": i, "embedding": rows[i].tolist()} for i in (2, 0, 1)]
    np.testing.assert_array_equal(vectors_of(data, ["a", "b", "c"]), rows)
    for numbers in ([0, 1, 1], [1, 2, 3], [0, None, 2], ["0", "1", "2"], [0.0, 1.0, 2.0], [True, False, 2]):
        with pytest.raises(PassingError, match="not numbered 0 to 2"):
            vectors_of([entry | {"index": n} for entry, n in zip(data, numbers, strict=True)], ["a", "b", "c"])
    with pytest.raises(PassingError, match="a NaN or infinite vector for the text 'a'"):
        vectors_of([{"index": 0, "embedding": [1e300] * DIM}], ["a"])


def test_how_long_a_server_asks_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_replies.time, "time", lambda: 1_000_000.0)
    later = email.utils.formatdate(1_000_030, usegmt=True)
    assert [seconds_of(text) for text in ("3", "0", "-1", later)] == [3, 0, 0, 30]
    past = email.utils.formatdate(999_000, usegmt=True)
    assert [seconds_of(text) for text in (None, "", "soon", "nan", past)] == [None] * 5
    assert pause_after(0, 1.0, PassingError("", 7.0)) == 7
    assert pause_after(0, 1.0, PassingError("", 7000.0)) == 60
    assert pause_after(8, 1.0, PassingError("")) == 60
    for attempt in range(5):
        pauses = {pause_after(attempt, 1.0, PassingError("")) for _ in range(50)}
        assert 0.75 * 2**attempt <= min(pauses) < max(pauses) <= 1.25 * 2**attempt


@pytest.mark.parametrize(
    ("says", "noted"), [("another", True), ("tiny", False), (None, False), (7, False), ("", False)]
)
def test_a_server_whose_answers_name_another_model_is_noted(says: object, noted: bool) -> None:
    def named(reply: dict[str, Any]) -> None:
        reply["model"] = says

    with EmbeddingsServer(hashed, failures=lambda _number: named) as server:
        rule = describe(model_of(server)).family_rule
    assert ("name another model than this" in rule) == noted
    assert "another'" not in rule
