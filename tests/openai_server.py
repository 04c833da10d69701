"""The common part of OpenAI-compatible loopback servers: requests noted, failures in turn, replies, the key."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

from loopback import LoopbackServer

Reshape = Callable[[dict[str, Any]], None]
"""Changes a reply before it is sent."""
Failure = str | Reshape | None
"""The answer to one request: a word that the server knows, a function that reshapes the reply, or nothing."""


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    body: dict[str, Any]
    headers: Mapping[str, str]


class ApiHandler(BaseHTTPRequestHandler):
    """Notes a request and its failure; `_reply` answers it."""

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
            ours._now.add(self)
            ours.most_at_once = max(ours.most_at_once, len(ours._now))
            failures = ours.failures
            failure = failures(number) if callable(failures) else failures.pop(0) if failures else None
        try:
            ours._stopped.wait(ours.delay)
            self._reply(ours, body, failure)
        except ConnectionError:
            self.close_connection = True
        finally:
            self._answered()

    def _answered(self) -> None:
        """This request is no longer among those at work: before its reply is out, which the next one may follow."""
        with self.server.owner._lock:
            self.server.owner._now.discard(self)

    def _reply(self, ours: Any, body: dict[str, Any], failure: Failure) -> None:
        raise NotImplementedError

    def _send(
        self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, *, length: int | None = None
    ) -> None:
        self._answered()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def error(message: str) -> bytes:
    """As these APIs say what is wrong."""
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": None}}).encode()


class ApiServer:
    """Within `with` it serves at `url`, the root of an API.

    Args:
        handler: Answers.
        failures: What happens to each request, in order, then nothing more; or a function of the request's number.
        models: What the server says it has.
        key: The API key without which it refuses; none by default.
        delay: Seconds before each answer.
    """

    def __init__(
        self,
        handler: type[ApiHandler],
        *,
        failures: list[Failure] | Callable[[int], Failure] | None,
        models: Sequence[str],
        key: str,
        delay: float = 0.0,
    ) -> None:
        self._handler, self.models, self.key, self.delay = handler, models, key, delay
        self.failures: list[Failure] | Callable[[int], Failure] = failures or []
        self.url = ""
        self.requests: list[Asked] = []
        self.most_at_once = 0
        self._now: set[ApiHandler] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        self._server = LoopbackServer(self._handler, self)
        self.url = f"{self._server.url}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.stop()
