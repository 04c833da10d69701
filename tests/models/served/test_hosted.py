"""Hosted providers through litellm, each against a server on the loopback that speaks its API."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import embeddings_server as es
import numpy as np
import pytest
from embeddings_server import EmbeddingsServer
from loopback import LoopbackServer
from made_vectors import hashed

from instructor_eval.core.errors import UserError
from instructor_eval.models.served import bounded_httpx
from instructor_eval.models.served import openai as endpoint
from instructor_eval.models.served.contract import Limits, Serving
from instructor_eval.models.served.engine import PROBES, ServedEngine, describe
from instructor_eval.models.served.litellm import HostedModel
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import shipped_cards

KEY = "sk-very-secret-0123456789"
TEXTS = [f"text {i}" for i in range(25)]


class _Providers(BaseHTTPRequestHandler):
    """Cohere's, Gemini's, Bedrock's and Voyage's APIs, as far as litellm asks them for embeddings."""

    protocol_version = "HTTP/1.1"
    server: LoopbackServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.owner.append((self.path, body, dict(self.headers)))
        reply: dict[str, Any]
        if "batchEmbedContents" in self.path:
            texts = [request["content"]["parts"][0]["text"] for request in body["requests"]]
            reply = {"embeddings": [{"values": row} for row in hashed(texts).tolist()]}
        elif "titan" in self.path:
            reply = {"embedding": hashed([body["inputText"]]).tolist()[0], "inputTextTokenCount": 4}
        elif self.path.startswith("/model/"):
            reply = {"embeddings": hashed(body["texts"]).tolist(), "texts": body["texts"], "id": "x"}
        elif self.path == "/voyage/embeddings":
            rows = enumerate(hashed(body["input"]).tolist())
            data = [{"object": "embedding", "index": i, "embedding": row} for i, row in rows]
            reply = {"object": "list", "data": data, "model": body["model"], "usage": {"total_tokens": 7}}
        else:
            assert self.path == "/cohere", self.path
            units = {"billed_units": {"input_tokens": 9}}
            reply = {"id": "x", "embeddings": {"float": hashed(body["texts"]).tolist()}, "texts": body["texts"],
                     "meta": units}  # fmt: skip
        content = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(endpoint, "WAIT", 0.001)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [n for n in os.environ if n.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")) or n.startswith("AWS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any, dict[str, str]]]]:
    """The requests that providers were sent."""
    requests: list[tuple[str, Any, dict[str, str]]] = []
    server = LoopbackServer(_Providers, requests)
    for name, value in {
        **{"COHERE_API_KEY": KEY, "GEMINI_API_KEY": KEY, "VOYAGE_API_KEY": KEY, "AWS_ACCESS_KEY_ID": "AKIA000000"},
        **{"AWS_SECRET_ACCESS_KEY": KEY, "AWS_REGION": "us-east-1", "AWS_BEDROCK_RUNTIME_ENDPOINT": server.url},
        **{"COHERE_API_BASE": f"{server.url}/cohere", "GEMINI_API_BASE": server.url},
        **{"VOYAGE_API_BASE": f"{server.url}/voyage"},
    }.items():
        monkeypatch.setenv(name, value)
    yield requests
    server.stop()


def model_of(spec: str, **how: Any) -> HostedModel:
    limits = Limits(texts=10, concurrency=2)
    return HostedModel(spec, Serving(**({"limits": limits, "tries": 3, "timeout": 300.0} | how)))


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingsServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with EmbeddingsServer(hashed, key=KEY) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        yield server


@pytest.mark.slow
def test_openai_whatever_passes_on_the_way(openai: EmbeddingsServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    engine = ServedEngine(describe(model_of("openai/tiny", price=0.5, tries=20)), None)
    openai.failures = ["429:0", "500", es.fewer, es.reordered, es.nan, "truncated", "reset", None, es.duplicate]
    np.testing.assert_array_equal(engine.encode(TEXTS, "q: "), hashed([f"q: {t}" for t in TEXTS]))
    while openai.failures:
        engine.encode([f"more {len(openai.requests)}"], "")
    used = engine.used()
    assert (used["requests"], used["retries"]) == (len(openai.requests), 7)
    assert used["usd"] == pytest.approx(used["tokens"] * 0.5e-6)
    assert KEY not in caplog.text
    assert KEY not in str(engine.model.describe())


@pytest.mark.parametrize(
    ("failure", "line", "times"),
    [
        ("500", "HTTP 500 (asked to answer 500), asked 3 times: see that the provider can be reached", 3 + 2),
        ("400", "refuses a text even alone (6 characters, 'text 0'): HTTP 400 (asked to answer 400): change what", 5),
    ],
)
def test_what_does_not_pass_is_one_line(openai: EmbeddingsServer, failure: Any, line: str, times: int) -> None:
    engine = ServedEngine(describe(model_of("openai/tiny")), None)
    before = len(openai.requests)
    openai.failures = lambda _number: failure
    with pytest.raises(UserError) as caught:
        engine.encode(TEXTS[:10], "")
    assert str(caught.value).startswith("hosted:openai/tiny: ")
    assert line in str(caught.value)
    assert len(openai.requests) - before == times


def test_keys(openai: EmbeddingsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY[:-1])
    with pytest.raises(UserError, match=r"Bearer \*\*\*.*set or check the provider's key") as caught:
        describe(model_of("openai/tiny"))
    assert KEY[:-1] not in str(caught.value)
    assert len(openai.requests) == 1
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="set or check the provider's key"):
        describe(model_of("openai/tiny"))
    monkeypatch.delenv("OPENAI_API_BASE")
    with pytest.raises(UserError, match="set or check the provider's key"):
        describe(model_of("gemini/gemini-embedding-001"))


def test_fewer_texts_where_the_provider_takes_no_more(openai: EmbeddingsServer) -> None:
    openai.most_texts = 4
    engine = ServedEngine(describe(model_of("openai/tiny")), None)
    np.testing.assert_array_equal(engine.encode(TEXTS, ""), hashed(TEXTS))


@pytest.mark.parametrize(
    ("spec", "of_query", "of_clustering"),
    [
        ("cohere/embed-english-v3.0", ("input_type", "search_query"), ("input_type", "clustering")),
        ("bedrock/cohere.embed-english-v3", ("input_type", "search_query"), ("input_type", "clustering")),
        ("gemini/gemini-embedding-001", ("taskType", "RETRIEVAL_QUERY"), ("taskType", "CLUSTERING")),
        ("voyage/voyage-3", ("input_type", "query"), None),
        ("bedrock/amazon.titan-embed-text-v2:0", None, None),
    ],
)
def test_a_provider_gets_the_purpose_of_a_text(asked: Any, spec: str, of_query: Any, of_clustering: Any) -> None:
    model = model_of(spec)
    served = describe(model)
    assert (served.dim, served.normalize) == (16, True)
    np.testing.assert_allclose(served.probe, hashed(PROBES), atol=1e-7)
    for role, wanted in (("query", of_query), ("clustering", of_clustering)):
        del asked[:]
        scope = model.scope("i: ", "T", "Clustering", role)
        np.testing.assert_allclose(model.embed(["a", "gs://b"], scope), hashed(["i: a", "i: gs://b"]), atol=1e-7)
        sent = [body for _, whole, _ in asked for body in whole.get("requests", [whole])]
        if wanted:
            assert all(body[wanted[0]] == wanted[1] for body in sent)
            assert wanted[1] in scope, "the cache's key tells them apart"
        elif of_query is None:
            assert scope == "i: "
    np.testing.assert_allclose(model.embed(["a"], "bare: "), hashed(["bare: a"]), atol=1e-7)
    assert model.totals()["tokens"] > 0
    assert model.totals()["usd"] > 0, "litellm's own table has its price"
    assert all(KEY not in str(body) for _, body, _ in asked)


def test_roles_reach_the_provider_from_the_command_line(asked: Any, cli: Callable[..., Any], tmp_path: Path) -> None:
    model = "hosted:cohere/embed-english-v3.0"
    run = ("--model", model, "--task", "DemoRetrieval", "--task", "DemoSTS", "--limit", "10", "--device", "cpu")
    done = cli(*run, "--results", "r")
    assert done.code == 0, done.out + done.err
    assert "input_type by role and type of task" in done.out
    types = {text: body["input_type"] for _, body, _ in asked for text in body["texts"]}
    data = shipped_cards()["DemoRetrieval"].folder
    assert data is not None
    queries = {json.loads(line)["text"] for line in (data / "queries.jsonl").read_text("utf-8").splitlines()}
    assert {kind for text, kind in types.items() if text in queries} == {"search_query"}
    assert {kind for text, kind in types.items() if text not in queries} == {"search_document"}
    before = len(asked)
    again = cli(*run, "--results", "other")
    assert again.out.count("vectors from the cache") == 2
    assert [body["texts"] for _, body, _ in asked[before:]] == [list(PROBES)]
    scores = {score.task: score for score in Store(tmp_path / "r").scores()}
    assert scores["DemoSTS"].environment.versions["litellm"]
    assert scores["DemoSTS"].served["usd"] > 0


def test_no_text_is_taken_for_a_file(asked: Any) -> None:
    describe(model_of("gemini/gemini-embedding-001")).source.embed(["gs://bucket/a.png", "files/b", "data:c"], "")
    texts = [request["content"]["parts"][0]["text"] for request in asked[-1][1]["requests"]]
    assert texts == [" gs://bucket/a.png", " files/b", " data:c"]


def test_what_is_no_hosted_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for spec in ("openai", "openai/", "/x", "Open AI/x", "openai/ x", ""):
        with pytest.raises(UserError, match="give a provider and its model"):
            model_of(spec)
    with pytest.raises(UserError, match="unknown provider 'opnai': did you mean openai"):
        model_of("opnai/x")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"hosted:openai/x needs litellm: pip install 'instructor-eval\[hosted\]'"):
        model_of("openai/x")


def test_identity_and_price(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = model_of("openai/text-embedding-3-small")
    monkeypatch.setenv("OPENAI_API_BASE", "http://localhost:1")
    assert plain.identity != model_of("openai/text-embedding-3-small").identity
    assert plain.max_length == 8191
    assert plain.totals() == {"requests": 0, "retries": 0, "tokens": 0, "usd": 0.0}
    assert "usd" not in model_of("openai/nobody-knows-it").totals()


def test_no_password_in_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "http://user:hush@localhost:1")
    with pytest.raises(
        UserError, match="OPENAI_API_BASE has a user or password in it: give the address alone"
    ) as caught:
        model_of("openai/x")
    assert "hush" not in str(caught.value)


def test_a_call_that_does_not_end_and_a_reply_that_is_too_long(
    openai: EmbeddingsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of("openai/tiny", timeout=0.3, tries=7)
    openai.failures = lambda _number: "hang"
    monkeypatch.setattr(model._litellm, "embedding", lambda **_given: openai._stopped.wait(60))
    with pytest.raises(UserError, match=r"no whole answer within 1\.2 s, asked 2 times: raise --timeout"):
        model.embed(["a"], "")
    monkeypatch.undo()
    monkeypatch.setattr(bounded_httpx, "SIZE", 1000)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    openai.failures = []
    model = model_of("openai/tiny")
    model._base = openai.url
    with pytest.raises(UserError, match=r"a reply of more than .* MB: check its API base"):
        model.embed([f"text {i}" for i in range(50)], "")
