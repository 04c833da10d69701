"""A server on the loopback that answers whatever it is asked with the raw bytes of a failure.

    with serving(failure) as url: ...

A failure is given a request and yields bytes; `None` among them ends the connection with a reset. It stops when the
client goes away.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_vectors import hashed

VERSION = "HTTP/1.1"


@dataclass(frozen=True)
class Request:
    """A request: its path, the body's JSON, the key that was sent, and its number, from 0."""

    path: str
    body: Any
    key: str
    number: int


Failure = Callable[[Request], Iterable[bytes | None]]


class Server:
    """Answers every request on a port of its own."""

    def __init__(self, failure: Failure) -> None:
        self._failure = failure
        self._count = 0
        self._open: set[socket.socket] = set()
        self._stopping = False
        self.requests: list[Request] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._open.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as incoming:
            while (request := self._read(incoming)) is not None:
                for part in self._failure(request):
                    if part is None:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    if part == b"":  # the end of a reply that ends with its connection
                        return
                    connection.sendall(part)

    def _read(self, incoming: Any) -> Request | None:
        first = incoming.readline().split()
        if len(first) < 2:
            return None
        headers: dict[str, str] = {}
        while (line := incoming.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = incoming.read(int(headers.get("content-length", "0")))
        key = headers.get("authorization", "").removeprefix("Bearer ")
        request = Request(first[1].decode(), json.loads(body) if body else None, key, self._count)
        self._count += 1
        self.requests.append(request)
        return request

    def stop(self) -> None:
        """Close all; a failure that still writes finds nobody there."""
        for connection in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                connection.close()


@contextlib.contextmanager
def serving(failure: Failure) -> Iterator[str]:
    """The URL of a server that does so."""
    server = Server(failure)
    try:
        yield server.url
    finally:
        server.stop()


def reply(content: bytes, status: str = "200 OK", *headers: str | bytes, length: int | str | None = None) -> bytes:
    """A whole reply; of `headers` each is a line."""
    lines = [header if isinstance(header, bytes) else header.encode("latin-1") for header in headers]
    head = [f"{VERSION} {status}".encode("latin-1"), b"Content-Type: application/json", *lines]
    head.append(f"Content-Length: {len(content) if length is None else length}".encode())
    return b"\r\n".join((*head, b"", content))


def of(value: Any) -> bytes:
    """A reply of JSON."""
    return reply(json.dumps(value).encode())


def good(request: Request) -> dict[str, Any]:
    """The reply that was asked for."""
    name = request.body["model"] if request.body else "m"
    if request.path.endswith("/models"):
        return {"data": [{"id": "m"}]}
    if request.path.endswith("/completions"):
        prompt = request.body["prompt"]
        tokens = [*prompt, "."]
        logprobs = {"tokens": tokens, "token_logprobs": [None, *[-0.5] * (len(tokens) - 1)]}
        choice = {"text": prompt + "." if request.body.get("echo") else "yes", "logprobs": logprobs}
        return {"model": name, "choices": [choice], "usage": {"prompt_tokens": len(prompt)}}
    rows = hashed(request.body["input"]).tolist()
    data = [{"index": i, "embedding": row} for i, row in enumerate(rows)]
    return {"model": name, "data": data, "usage": {"prompt_tokens": len(rows)}}
