"""A loopback server of OpenAI-compatible embeddings, answering from a real model, and failing as told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any

from loopback import LoopbackServer

Embed = Callable[[list[str]], Any]
"""Texts to vectors [n, dim]."""
Reshape = Callable[[dict[str, Any]], None]
"""Changes a reply before it is sent."""
Fault = str | Reshape | None
"""What happens to one request.

`429` or any other status, `429:0.2` with a Retry-After; `hang`, `reset`, `truncated`, `html`; or a function that
reshapes the reply; None: nothing.
"""


def fewer(reply: dict[str, Any]) -> None:
    """One vector is missing."""
    del reply["data"][-1]


def reordered(reply: dict[str, Any]) -> None:
    """As a server that answers in another order, and says so."""
    reply["data"].reverse()


def duplicate(reply: dict[str, Any]) -> None:
    """Two vectors of one number, none of another."""
    reply["data"][0]["index"] = len(reply["data"]) - 1


def unnumbered(reply: dict[str, Any]) -> None:
    """As a server that leaves `index` out."""
    for entry in reply["data"]:
        del entry["index"]


def nan(reply: dict[str, Any]) -> None:
    """JSON has no NaN; servers send it."""
    reply["data"][0]["embedding"][3] = float("nan")


def null(reply: dict[str, Any]) -> None:
    """As servers that have it as null."""
    reply["data"][0]["embedding"][3] = None


def zero(reply: dict[str, Any]) -> None:
    """A vector without a direction."""
    reply["data"][0]["embedding"] = [0.0] * len(reply["data"][0]["embedding"])


def shorter(reply: dict[str, Any]) -> None:
    """Vectors of another dimension."""
    for entry in reply["data"]:
        entry["embedding"] = entry["embedding"][:8]


def ragged(reply: dict[str, Any]) -> None:
    """One vector of another dimension."""
    reply["data"][0]["embedding"].pop()


def base64(reply: dict[str, Any]) -> None:
    """As a server that does not look at `encoding_format`."""
    for entry in reply["data"]:
        entry["embedding"] = "AACAPwAAAEA="


def renamed(reply: dict[str, Any]) -> None:
    """As a router that has chosen another model."""
    reply["model"] = "another"


def no_usage(reply: dict[str, Any]) -> None:
    """As a server that does not count."""
    del reply["usage"]


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    body: dict[str, Any]
    headers: Mapping[str, str]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LoopbackServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._handle({})

    def do_POST(self) -> None:
        self._handle(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _handle(self, body: dict[str, Any]) -> None:
        ours = self.server.owner
        with ours._lock:
            number = len(ours.requests)
            ours.requests.append(Asked(self.command, self.path, body, dict(self.headers)))
            ours._now += 1
            ours.most_at_once = max(ours.most_at_once, ours._now)
            faults = ours.faults
            fault = faults(number) if callable(faults) else faults.pop(0) if faults else None
        try:
            self._reply(ours, body, fault)
        except ConnectionError:
            self.close_connection = True
        finally:
            with ours._lock:
                ours._now -= 1

    def _reply(self, ours: EmbeddingsServer, body: dict[str, Any], fault: Fault) -> None:
        if isinstance(fault, str):
            kind, _, detail = fault.partition(":")
            if kind.isdecimal():
                self._send(_error(f"told to answer {kind}"), int(kind), {"Retry-After": detail} if detail else {})
            elif kind in ("hang", "reset"):
                if kind == "hang":
                    ours._stopped.wait()
                self.close_connection = True
            elif kind == "html":
                self._send(b"<html>busy</html>")
            else:
                self._send(b'{"data": [{"embedding": [0.1, ', length=1000)
                self.close_connection = True
            return
        if ours.key and self.headers.get("Authorization") != f"Bearer {ours.key}":
            self._send(_error(f"Incorrect API key provided: {self.headers.get('Authorization')}"), 401)
        elif (self.command, self.path) == ("GET", "/v1/models"):
            self._send(json.dumps({"data": [{"id": name} for name in ours.models]}).encode())
        elif (self.command, self.path) == ("POST", "/v1/embeddings"):
            self._embed(ours, body, fault)
        else:
            self._send(json.dumps({"detail": "Not Found"}).encode(), 404)

    def _embed(self, ours: EmbeddingsServer, body: dict[str, Any], reshape: Reshape | None) -> None:
        texts = body["input"]
        if body["model"] not in ours.models:
            self._send(_error(f"The model `{body['model']}` does not exist."), 404)
        elif len(texts) > ours.most_texts:
            self._send(_error(f"batch size {len(texts)} > maximum allowed batch size {ours.most_texts}"), 413)
        elif any(len(text) > ours.most_characters for text in texts):
            self._send(_error("This model's maximum context length is 8192 tokens"), 400)
        else:
            assert body["encoding_format"] == "float"
            with ours._lock:
                rows = ours.embed(texts)
                ours.embedded += texts
            data = [
                {"object": "embedding", "index": i, "embedding": [float(x) for x in row]} for i, row in enumerate(rows)
            ]
            tokens = sum(len(text.split()) for text in texts)
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            reply = {"object": "list", "model": body["model"], "data": data, "usage": usage}
            for change in (ours.reshape, reshape):
                if change is not None:
                    change(reply)
            self._send(json.dumps(reply).encode())

    def _send(
        self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, *, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": None}}).encode()


class EmbeddingsServer:
    """`with EmbeddingsServer(embed) as server:` serves it at `server.url`, the root of an API.

    Args:
        embed: Texts to vectors.
        faults: What happens to each request, in order, then nothing more; or a function of the request's number.
        models: What the server says it has; all of them are `embed`.
        key: The API key without which it refuses; none by default.
        reshape: Changes every reply.
        most_texts: Texts in a request beyond which it answers 413.
        most_characters: Characters of a text beyond which it answers 400.
    """

    def __init__(
        self,
        embed: Embed,
        *,
        faults: list[Fault] | Callable[[int], Fault] | None = None,
        models: Sequence[str] = ("tiny",),
        key: str = "",
        reshape: Reshape | None = None,
        most_texts: int = 10**9,
        most_characters: int = 10**9,
    ) -> None:
        self.embed, self.models, self.key, self.reshape = embed, models, key, reshape
        self.faults: list[Fault] | Callable[[int], Fault] = faults or []
        self.most_texts, self.most_characters = most_texts, most_characters
        self.url = ""
        self.requests: list[Asked] = []
        self.embedded: list[str] = []
        """Texts of requests that were answered, in the order of their coming."""
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @property
    def model(self) -> str:
        """As `--model` takes it."""
        return f"endpoint:{self.url}#{self.models[0]}"

    def __enter__(self) -> EmbeddingsServer:
        self._server = LoopbackServer(_Handler, self)
        self.url = f"{self._server.url}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.stop()
