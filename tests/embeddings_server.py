"""A loopback server of OpenAI-compatible embeddings, answering from a real model, and failing on request.

Failures: `429` or any other status, `429:0.2` with a Retry-After; `hang`, `reset`, `truncated`, `html`; or a function
that reshapes the reply; None: nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from openai_server import ApiHandler, ApiServer, Failure, Reshape, error

Embed = Callable[[list[str]], Any]
"""Texts to vectors [n, dim]."""


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


class _Handler(ApiHandler):
    def _reply(self, ours: EmbeddingsServer, body: dict[str, Any], failure: Failure) -> None:
        if isinstance(failure, str):
            kind, _, detail = failure.partition(":")
            if kind.isdecimal():
                self._send(error(f"asked to answer {kind}"), int(kind), {"Retry-After": detail} if detail else {})
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
            self._send(error(f"Incorrect API key provided: {self.headers.get('Authorization')}"), 401)
        elif (self.command, self.path) == ("GET", "/v1/models"):
            self._send(json.dumps({"data": [{"id": name} for name in ours.models]}).encode())
        elif (self.command, self.path) == ("POST", "/v1/embeddings"):
            self._embed(ours, body, failure)
        else:
            self._send(json.dumps({"detail": "Not Found"}).encode(), 404)

    def _embed(self, ours: EmbeddingsServer, body: dict[str, Any], reshape: Reshape | None) -> None:
        texts = body["input"]
        if body["model"] not in ours.models:
            self._send(error(f"The model `{body['model']}` does not exist."), 404)
        elif len(texts) > ours.most_texts:
            self._send(error(f"batch size {len(texts)} > maximum allowed batch size {ours.most_texts}"), 413)
        elif any(len(text) > ours.most_characters for text in texts):
            self._send(error("This model's maximum context length is 8192 tokens"), 400)
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


class EmbeddingsServer(ApiServer):
    """`with EmbeddingsServer(embed) as server:` serves it at `server.url`, the root of an API.

    Args:
        embed: Texts to vectors.
        failures: What happens to each request, in order, then nothing more; or a function of the request's number.
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
        failures: list[Failure] | Callable[[int], Failure] | None = None,
        models: Sequence[str] = ("tiny",),
        key: str = "",
        reshape: Reshape | None = None,
        most_texts: int = 10**9,
        most_characters: int = 10**9,
    ) -> None:
        super().__init__(_Handler, failures=failures, models=models, key=key)
        self.embed, self.reshape = embed, reshape
        self.most_texts, self.most_characters = most_texts, most_characters
        self.embedded: list[str] = []
        """Texts of requests that were answered, in the order of their coming."""

    @property
    def model(self) -> str:
        """As `--model` takes it."""
        return f"endpoint:{self.url}#{self.models[0]}"
