"""Connections of `requests` that read no more of a reply, and no longer, than was agreed.

The libraries bound the silence between two bytes only. Here every read from the socket looks at the clock and at what
came so far, so that the bounds hold for status line, headers, body and trailers alike.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager, ProxyManager

WHOLE = 4
"""A whole reply may take so many times as long as a server may be silent."""
_HEAD = 2**20
"""Bytes of status lines and headers."""
_now = threading.local()


class TooSlowError(TimeoutError):
    """A reply that trickles."""


class TooLongError(OSError):
    """A reply of more bytes than anything asked for can have."""


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Bound the replies that this thread reads to `size` bytes of content; chunks and packing come on top."""
    _now.size = size + _HEAD
    try:
        yield
    finally:
        del _now.size


class _Bounded(io.RawIOBase):
    """A socket's bytes, within bounds."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._silence = sock.gettimeout()
        self._end = time.monotonic() + WHOLE * (self._silence or 0.0)
        self._read = 0
        self.size = _HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        if self._silence is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TooSlowError
            self._sock.settimeout(min(self._silence, left))
        try:
            count = self._raw.readinto(into)
        except TimeoutError as e:
            if self._silence is not None and time.monotonic() >= self._end:
                raise TooSlowError from e
            raise
        self._read += count or 0
        if self._read > self.size:
            raise TooLongError
        return count

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A reply within bounds, and without cookies, whose parser has warnings of its own."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._bounded = _Bounded(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._bounded)

    def begin(self) -> None:
        try:
            super().begin()
        except BaseException:
            self.close()  # http.client leaves that to the garbage collector where the connection has ended
            raise
        self._bounded.size = getattr(_now, "size", _HEAD)
        for name in ("Set-Cookie", "Set-Cookie2"):
            del self.headers[name]


class _HTTP(HTTPConnection):
    response_class = _Response


class _HTTPS(HTTPSConnection):
    response_class = _Response


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return _bound(super().proxy_manager_for(*args, **kwargs))


def _bound(manager: PoolManager) -> PoolManager:
    if type(manager) in (PoolManager, ProxyManager):  # one for SOCKS has connections of its own
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Say that there is none: where a reply points to is not even decoded."""
        return None


def session(url: str, connections: int) -> requests.Session:
    """Return a session for `url` with as many connections, no redirects and no cookies."""
    found = _Session()
    found.mount(url, _Adapter(pool_maxsize=connections))
    return found
