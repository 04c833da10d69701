"""The connections to a server of completions or embeddings: its key, bounded patience, one line for every fault.

A fault that may pass (no connection, a silent or broken one, 408, 429, 5xx, a reply that is none) is met by asking
again, after a wait that doubles and has some chance in it, or after what the server asks for (`Retry-After`).
"""

from __future__ import annotations

import json
import math
import os
import random
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar
from urllib.parse import urlsplit

from instructor_eval.errors import UserError, one_line

if TYPE_CHECKING:
    import requests

_T = TypeVar("_T")
_VARIABLE, _OPENAI_VARIABLE, _OPENAI_HOST = "INSTRUCTOR_EVAL_API_KEY", "OPENAI_API_KEY", "api.openai.com"
_LIMIT = 32 * 2**20
_CONNECT_SECONDS, _MOST_SECONDS = 10.0, 60.0
Refused: TypeAlias = Callable[[int, str], Exception | None]
"""What to raise for a status and what the server says with it; None: the usual."""


class Client:
    """The connections to one server for a while, and the patience with it.

    Args:
        url: The API's root, `checked`.
        concurrency: Requests at the same time.
        timeout: Seconds to wait for a server that says nothing.
        tries: How often a request is sent at most.
        wait: Seconds before the second try; twice as many before each further one.
        otherwise: The next step that an error names where the server's refusal shows none.

    Raises:
        UserError: the server's key cannot be one.
    """

    def __init__(self, url: str, concurrency: int, timeout: float, tries: int, wait: float, *, otherwise: str) -> None:
        from http.cookiejar import DefaultCookiePolicy

        import requests  # not needed by reading commands

        self._url, self._timeout, self._tries, self._wait = url, timeout, tries, wait
        self._otherwise = otherwise
        self._variable, self._key = _api_key(url)
        self.sent = self.retried = 0
        """Requests so far, and those of them that repeated one."""
        self._counting = threading.Lock()
        self._stop = threading.Event()
        # One for all threads: its pool of connections is made for that, and without cookies nothing else changes.
        self._session = requests.Session()
        self._session.mount(url, requests.adapters.HTTPAdapter(pool_maxsize=concurrency))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections; who is still waiting for one stops."""
        self._stop.set()
        self._session.close()

    def ask(
        self,
        what: str,
        read: Callable[[Any], _T],
        body: dict[str, Any] | None = None,
        *,
        hint: str = "",
        refused: Refused | None = None,
    ) -> _T:
        """What `read` finds in the reply to a GET, or to a POST of `body`.

        A reply that it stumbles over (LookupError, TypeError, AttributeError, PassingError) is asked for again, as
        after any fault.

        Raises:
            UserError: the server is not there, or refuses, or what may pass has not after all tries.
        """
        for attempt in range(self._tries):
            if self._stop.is_set():
                raise _StoppedError
            try:
                with self._counting:
                    self.sent += 1
                    self.retried += attempt > 0
                return self._once(what, read, body, hint, refused)
            except PassingError as e:
                fault = e
            finally:
                if self._stop.is_set():  # this connection came back after the others were closed
                    self._session.close()
            if attempt + 1 < self._tries and self._stop.wait(pause_after(attempt, self._wait, fault)):
                raise _StoppedError
        step = "see that the server runs there and is not overloaded, then run again"
        raise UserError(f"endpoint:{self._url}: {fault}, asked {times(self._tries)}: {step}")

    def _once(
        self, what: str, read: Callable[[Any], _T], body: dict[str, Any] | None, hint: str, refused: Refused | None
    ) -> _T:
        import requests

        content, method = bytearray(), "GET" if body is None else "POST"
        limits = (min(_CONNECT_SECONDS, self._timeout), self._timeout)
        broken = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
        try:
            with self._session.request(
                method, f"{self._url}/{what}", json=body, auth=self._sign, timeout=limits, stream=True,
                allow_redirects=False,
            ) as response:  # fmt: skip
                for chunk in response.iter_content(2**16):
                    content += chunk
                    if len(content) > _LIMIT:
                        what = f"a reply of more than {_LIMIT >> 20} MB"
                        raise UserError(f"endpoint:{self._url}: {what}: check that this is an API's root")
        except (requests.ConnectionError, requests.Timeout, *broken) as e:
            raise PassingError(_why(e, *limits)) from e
        except requests.RequestException as e:
            what = f"cannot be asked ({type(e).__name__})"
            raise UserError(f"endpoint:{self._url}: {what}: check the URL and the proxy settings") from e
        if response.status_code not in range(200, 300):
            self._refuse(response, bytes(content), hint, refused)
        try:
            reply = json.loads(bytes(content))
        except (ValueError, RecursionError) as e:
            raise PassingError("the reply is not JSON") from e
        try:
            return read(reply)
        except (LookupError, TypeError, AttributeError) as e:
            said = self._clean(_message(bytes(content)))
            raise PassingError(f"no reply to /{what} ({said})") from e

    def _refuse(self, response: requests.Response, content: bytes, hint: str, refused: Refused | None) -> NoReturn:
        """Raise what a status that is not a success means."""
        code, message = response.status_code, self._clean(_message(content))
        if code in range(300, 400):
            place = self._clean(response.headers.get("Location", "nowhere"))
            raise UserError(f"endpoint:{self._url}: redirects to {place}, which is not followed: give the URL meant")
        said = f"HTTP {code} ({message})" if message else f"HTTP {code}"
        if code in (408, 429) or code >= 500:
            raise PassingError(said, seconds_of(response.headers.get("Retry-After")))
        other = refused(code, said) if refused else None
        if other is not None:
            raise other
        if code in (401, 403):
            hint = f"check the key in {self._variable}" if self._key else f"set {self._variable} to its key"
        elif code == 404 and not hint:
            hint = "check the URL (the API's root, as in http://localhost:8000/v1) and the model"
        raise UserError(f"endpoint:{self._url}: {said}: {hint or self._otherwise}")

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Set even without a key, as `requests` would otherwise send what ~/.netrc has for the host.
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def _clean(self, text: str) -> str:
        text = one_line(text.replace(self._key, "***") if self._key else text)
        return text if len(text) <= 200 else f"{text[:197]}..."


class PassingError(Exception):
    """What may be over at the next try; `pause`: the seconds that the server asks for."""

    def __init__(self, what: str, pause: float | None = None) -> None:
        super().__init__(what)
        self.pause = pause


def pause_after(attempt: int, wait: float, fault: PassingError) -> float:
    """Seconds before the next try: what the server asks for, or twice as long as the time before, and never too long.

    Chance spreads those who were refused at the same moment.
    """
    usual = wait * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 # no secret
    return min(usual if fault.pause is None else fault.pause, _MOST_SECONDS)


def times(tries: int) -> str:
    """`once`, `7 times`."""
    return "once" if tries == 1 else f"{tries} times"


class _StoppedError(Exception):
    """Nobody waits for the answer any more."""


def checked(url: str, spec: str) -> str:
    """The URL of an API's root, without a slash at its end.

    Raises:
        UserError: it is none, or holds what belongs elsewhere; a password in it is not shown.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:  # of a port that is none
        good = False
    if not good or "?" in url or " " in url or not url.isprintable():
        shown = "..." if {"@", "?"} & set(spec) else spec[:200]  # never a password
        rule = "give the root of an API, as in endpoint:http://localhost:8000/v1, without user, password or query"
        raise UserError(f"endpoint:{shown}: not a URL that can be used: {rule}; a key goes into {_VARIABLE}")
    return url.rstrip("/")


def _api_key(url: str) -> tuple[str, str]:
    """The variable that has the key of this server, and the key, "" without one."""
    variable, parts = _VARIABLE, urlsplit(url)
    if not os.environ.get(variable) and (parts.scheme, parts.hostname) == ("https", _OPENAI_HOST):
        variable = _OPENAI_VARIABLE
    key = os.environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:  # checked here, since other errors would show it
        raise UserError(f"{variable}: has characters that are in no API key: set it anew")
    return variable, key


def _message(content: bytes) -> str:
    """What a server says of an error, in one of the ways in which servers say it."""
    text = content.decode("utf-8", "replace").strip()
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text  # a proxy's page helps nobody
    for name in ("error", "message", "detail"):
        said = reply.get(name) if isinstance(reply, dict) else None
        said = said.get("message") if isinstance(said, dict) else said
        if isinstance(said, str):
            return said
    return text


def seconds_of(retry_after: str | None) -> float | None:
    """The seconds that a `Retry-After` asks for, in either of its forms; None of neither, and of a past date."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after or "").timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
        return date if date > 0 else None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _why(error: Exception, connect: float, read: float) -> str:
    """What went wrong with a connection, without the addresses of objects that the libraries put into it."""
    import requests

    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {connect:g} s"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, requests.Timeout | TimeoutError):
            return f"no answer within {read:g} s"
        if isinstance(cause, OSError) and cause.strerror:
            return f"connection failed ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return "the connection ended before the reply did"
