"""The connections to a server of completions: the key, bounded patience, and one line for every fault."""

from __future__ import annotations

import json
import math
import os
import random
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from instructor_eval.errors import UserError, one_line

if TYPE_CHECKING:
    import requests

_T = TypeVar("_T")
_VARIABLE, _OPENAI_VARIABLE, _OPENAI_HOST = "INSTRUCTOR_EVAL_API_KEY", "OPENAI_API_KEY", "api.openai.com"
_LIMIT = 32 * 2**20
_CONNECT_SECONDS, _MOST_SECONDS = 10.0, 60.0
_BESIDE = "use a server that does (vLLM does), hf:, or nearest"


class Client:
    """The connections of one reading, and the patience with its server."""

    def __init__(self, url: str, concurrency: int, timeout: float, tries: int, wait: float) -> None:
        from http.cookiejar import DefaultCookiePolicy

        import requests  # not needed by reading commands

        self._url, self._timeout, self._tries, self._wait = url, timeout, tries, wait
        self._variable, self._key = _api_key(url)
        self._stop = threading.Event()
        # One for all threads: its pool of connections is made for that, and without cookies nothing else changes.
        self._session = requests.Session()
        self._session.mount(url, requests.adapters.HTTPAdapter(pool_maxsize=concurrency))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._session.close()

    def ask(self, what: str, read: Callable[[Any], _T], body: dict[str, Any] | None = None, *, hint: str = "") -> _T:
        """What `read` finds in the reply; a reply that it stumbles over is asked for again, as after any fault."""
        for attempt in range(self._tries):
            if self._stop.is_set():
                raise _StoppedError
            try:
                return self._once(what, read, body, hint)
            except _PassingError as e:
                fault = e
            finally:
                if self._stop.is_set():  # this connection came back after the others were closed
                    self._session.close()
            pause = self._wait * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 # no secret
            pause = min(pause if fault.pause is None else fault.pause, _MOST_SECONDS)
            if attempt + 1 < self._tries and self._stop.wait(pause):
                raise _StoppedError
        times = "once" if self._tries == 1 else f"{self._tries} times"
        step = "see that the server runs there and is not overloaded, then run again"
        raise UserError(f"endpoint:{self._url}: {fault}, asked {times}: {step}")

    def _once(self, what: str, read: Callable[[Any], _T], body: dict[str, Any] | None, hint: str) -> _T:
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
            raise _PassingError(_why(e, *limits)) from e
        except requests.RequestException as e:
            what = f"cannot be asked ({type(e).__name__})"
            raise UserError(f"endpoint:{self._url}: {what}: check the URL and the proxy settings") from e
        if response.status_code not in range(200, 300):
            self._refuse(response, bytes(content), hint, scoring=bool(body and body.get("echo")))
        try:
            reply = json.loads(bytes(content))
        except (ValueError, RecursionError) as e:
            raise _PassingError("the reply is not JSON") from e
        try:
            return read(reply)
        except (LookupError, TypeError, AttributeError) as e:
            said = self._clean(_message(bytes(content)))
            raise _PassingError(f"no reply to /{what} ({said})") from e

    def _refuse(self, response: requests.Response, content: bytes, hint: str, *, scoring: bool) -> NoReturn:
        """Raise what a status that is not a success means."""
        code, message = response.status_code, self._clean(_message(content))
        if code in range(300, 400):
            place = self._clean(response.headers.get("Location", "nowhere"))
            raise UserError(f"endpoint:{self._url}: redirects to {place}, which is not followed: give the URL meant")
        said = f"HTTP {code} ({message})" if message else f"HTTP {code}"
        if code in (408, 429) or code >= 500:
            raise _PassingError(said, _seconds(response.headers.get("Retry-After")))
        if scoring and re.search("echo|logprob", message, re.IGNORECASE):
            raise no_logprobs(self._url, said)
        if code in (401, 403):
            hint = f"check the key in {self._variable}" if self._key else f"set {self._variable} to its key"
        elif code == 404 and not hint:
            hint = "check the URL (the API's root, as in http://localhost:8000/v1) and the model"
        raise UserError(f"endpoint:{self._url}: {said}: {hint or 'mend what it names, or use hf: or nearest'}")

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Set even without a key, as `requests` would otherwise send what ~/.netrc has for the host.
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def _clean(self, text: str) -> str:
        text = one_line(text.replace(self._key, "***") if self._key else text)
        return text if len(text) <= 200 else f"{text[:197]}..."


class _PassingError(Exception):
    """What may be over at the next try."""

    def __init__(self, what: str, pause: float | None = None) -> None:
        super().__init__(what)
        self.pause = pause


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


def no_logprobs(
    url: str, said: str = "", what: str = "returns no log-probabilities for the prompt (echo)"
) -> UserError:
    """The error for a server that does not score what it is given."""
    return UserError(f"endpoint:{url}: the server {what}{said and ': '}{said}: {_BESIDE}")


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


def _seconds(retry_after: str | None) -> float | None:
    try:
        seconds = float(retry_after or "")
    except ValueError:  # a date: the usual wait will do, as servers of completions send seconds
        return None
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
