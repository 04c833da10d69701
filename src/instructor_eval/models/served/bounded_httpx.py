"""Bounds for litellm, which limits only the silence between two bytes: on a whole call, and on a reply's size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from instructor_eval.core.http import PassingError

if TYPE_CHECKING:
    import httpx

_T = TypeVar("_T")
WHOLE = 4
"""A whole call may take this many times as long as a provider may be silent."""
SIZE = 64 * 2**20
"""Bytes of a reply at most, for providers that litellm asks through `client`."""
_REFUSAL = 2**14
"""Bytes of a refusal that litellm gets: it searches them slowly."""


class TooLongError(Exception):
    """A reply of more than `SIZE` bytes, or a compressed one, whose size is unknown."""


def call_within(silence: float, call: Callable[[], _T]) -> _T:
    """Run `call` in a thread and return its result; abandon the thread after too long: litellm cannot be stopped.

    Raises:
        PassingError: it took too long.
    """
    results: SimpleQueue[tuple[_T | None, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            results.put((call(), None))
        except Exception as e:  # noqa: BLE001 # raised again in the thread that waits
            results.put((None, e))

    threading.Thread(target=run, name="hosted", daemon=True).start()
    try:
        found, error = results.get(timeout=WHOLE * silence)
    except Empty:
        step = "raise --timeout, or ask for less at a time (--request-texts)"
        raise PassingError(
            f"no whole answer within {WHOLE * silence:g} s", most=2, step=step, by_request=True
        ) from None
    if error is not None:
        raise error
    return found  # type: ignore[return-value] # a result, since there is no error


def client(timeout: float) -> httpx.Client:
    """Return a client that reads no more of a reply than `SIZE`, and follows no redirect."""
    import httpx

    class _Bounded(httpx.SyncByteStream):
        def __init__(self, stream: Any, *, refuses: bool) -> None:
            self._stream, self._refuses = stream, refuses

        def __iter__(self) -> Iterator[bytes]:
            read = 0
            for part in self._stream:
                if self._refuses and read + len(part) > _REFUSAL:
                    yield part[: _REFUSAL - read]
                    return
                read += len(part)
                if read > SIZE:
                    raise TooLongError
                yield part

        def close(self) -> None:
            self._stream.close()

    def bound(response: httpx.Response) -> None:
        if "content-encoding" in response.headers:
            raise TooLongError
        response.stream = _Bounded(response.stream, refuses=response.status_code >= 300)

    def ask_unpacked(request: httpx.Request) -> None:
        request.headers["Accept-Encoding"] = "identity"

    return httpx.Client(timeout=timeout, event_hooks={"request": [ask_unpacked], "response": [bound]})


def was_too_long(error: BaseException) -> bool:
    """Return whether a `TooLongError` caused `error`."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, TooLongError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
