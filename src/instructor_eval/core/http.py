"""The connections to a server of completions or embeddings: its key, bounded patience, one line for every error.

An error that may pass (no connection, a silent or broken one, 408, 429, 5xx, a reply that is none) is met by asking
again, after a wait that doubles and has some chance in it, or after what the server asks for (`Retry-After`).

All that a server says comes in here, and without its key: decoded replies, messages, `Location`. Libraries' exceptions
are not chained to ours, as they quote what was sent and received.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar
from urllib.parse import urlsplit

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.http_replies import may_pass, message_of, seconds_of
from instructor_eval.core.redaction import HIDDEN, Secrets

if TYPE_CHECKING:
    import requests

_T = TypeVar("_T")
_VARIABLE, _OPENAI_VARIABLE, _OPENAI_HOST = "INSTRUCTOR_EVAL_API_KEY", "OPENAI_API_KEY", "api.openai.com"
SIZE = 4 * 2**20
"""Bytes of a reply at most, unless more was asked for."""
_CONNECT_SECONDS, _MOST_SECONDS = 10.0, 60.0
_LONGEST_NAME, _LONGEST_MESSAGE = 200, 2000
_ROOT = "check the URL (the API's root, as in http://localhost:8000/v1; some servers have theirs without /v1)"
_LEAKED = "has the API key in it: do not use this server, and replace the key"
Refused: TypeAlias = Callable[[int, str], Exception | None]
"""Returns the error of a status and the server's words; None for the usual one."""


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
        from instructor_eval.core import http_bounds  # imports requests, which reading commands do not need

        self._url, self._timeout, self._tries, self._wait = url, timeout, tries, wait
        self._otherwise = otherwise
        self._variable, self._key = _api_key(url)
        self._secrets = Secrets([self._key])
        self.sent = self.retried = 0
        """Requests so far, and those of them that repeated one."""
        self._counting = threading.Lock()
        self._stop = threading.Event()
        # One for all threads: its pool of connections is made for that, and without cookies nothing else changes.
        self._session = http_bounds.session(url, concurrency)
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it warns of headers in the server's own words

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
        tries: int | None = None,
        size: int = SIZE,
    ) -> _T:
        """Return what `read` finds in the reply to a GET, or to a POST of `body`, its key removed.

        A reply that it stumbles over (LookupError, TypeError, AttributeError, PassingError) is asked for again, as
        after any error.

        Args:
            what: The path below the API's root.
            read: Given the decoded reply.
            body: To be sent as JSON.
            hint: The next step where the server refuses.
            refused: Looks at a refusal first.
            tries: How often it is sent at most, if less often than usual.
            size: Bytes of the reply at most.

        Raises:
            UnansweredError: what may pass has not after all tries.
            UserError: the server refuses, or answers with what no API does.
        """
        most, attempt = min(self._tries, tries or self._tries), 0
        while True:
            if self._stop.is_set():
                raise _StoppedError
            attempt += 1
            try:
                with self._counting:
                    self.sent += 1
                    self.retried += attempt > 1
                return self._once(what, read, body, hint, refused, size)
            except PassingError as e:
                error = e
            finally:
                if self._stop.is_set():  # this connection came back after the others were closed
                    self._session.close()
            if attempt >= min(most, error.most):
                said = f"{error}, asked {times(attempt)}"
                step = error.step or "see that the server runs there and is not overloaded, then run again"
                raise UnansweredError(f"endpoint:{self._url}: {said}: {step}", said, error) from None
            if self._stop.wait(pause_after(attempt - 1, self._wait, error)):
                raise _StoppedError

    def only_model(self) -> str:
        """The name of the one model that the server lists.

        Raises:
            UserError: it has none or several, or does not say, or the name cannot be one.
        """
        hint = f"{_ROOT}, or add #MODEL to it"
        names = self.ask("models", lambda reply: [_text(model["id"]) for model in reply["data"]], hint=hint)
        if len(names) != 1:
            listed = ", ".join(name[:60] for name in names[:5]) + (", ..." if len(names) > 5 else "")
            what = f"the server has {len(names):,} models ({listed})" if names else "the server lists no model"
            raise UserError(f"endpoint:{self._url}: {what}: add #MODEL to the URL")
        return checked_name(names[0], f"endpoint:{self._url}: the name of the server's model")

    def _once(
        self,
        what: str,
        read: Callable[[Any], _T],
        body: dict[str, Any] | None,
        hint: str,
        refused: Refused | None,
        size: int,
    ) -> _T:
        import requests
        import urllib3

        from instructor_eval.core import http_bounds

        content, method = bytearray(), "GET" if body is None else "POST"
        limits = (min(_CONNECT_SECONDS, self._timeout), self._timeout)
        broken = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
        odd = (requests.exceptions.InvalidHeader, urllib3.exceptions.HTTPError, http.client.HTTPException)
        try:
            with http_bounds.at_most(size), self._session.request(
                method, f"{self._url}/{what}", json=body, auth=self._sign, timeout=limits, stream=True,
                allow_redirects=False,
            ) as response:  # fmt: skip
                for chunk in response.iter_content(2**16):
                    content += chunk
                    if len(content) > size:
                        raise self._too_long(size)
        except (requests.ConnectionError, requests.Timeout, *broken, *odd) as e:
            if any(isinstance(cause, http_bounds.TooLongError) for cause in _causes(e)):
                raise self._too_long(size) from None
            raise _broken(e, *limits) from None
        except requests.RequestException as e:
            said = f"cannot be asked ({type(e).__name__})"
            raise UserError(f"endpoint:{self._url}: {said}: check the URL and the proxy settings") from None
        except ValueError:  # of urllib3's parser of chunks
            raise PassingError("the reply is not HTTP") from None
        if response.status_code not in range(200, 300):
            self._refuse(response, bytes(content), hint, refused)
        try:
            reply = self._secrets.out_of_all(json.loads(bytes(content)))
        except (ValueError, RecursionError):
            raise PassingError("the reply is not JSON") from None
        try:
            return read(reply)
        except (LookupError, TypeError, AttributeError):
            said = self._clean(message_of(bytes(content)))
            step = f"{_ROOT}, or add #MODEL to it" if body is None else ""
            raise PassingError(f"no reply to /{what} ({said})", step=step) from None

    def _too_long(self, size: int) -> UserError:
        what = f"a reply of more than {size >> 20} MB"
        return UserError(f"endpoint:{self._url}: {what}: check that this is an API's root")

    def _refuse(self, response: requests.Response, content: bytes, hint: str, refused: Refused | None) -> NoReturn:
        """Raise what a status that is not a success means."""
        code, message = response.status_code, self._clean(message_of(content))
        if code in range(300, 400):
            place = self._clean(response.headers.get("Location", "nowhere"))
            raise UserError(f"endpoint:{self._url}: redirects to {place}, which is not followed: give the URL meant")
        said = f"HTTP {code} ({message})" if message else f"HTTP {code}"
        other = refused(code, said) if refused else None
        if other is not None:
            raise other
        if may_pass(code):
            raise PassingError(said, seconds_of(response.headers.get("Retry-After")), by_request=code != 429)
        if code in (401, 403):
            hint = f"check the key in {self._variable}" if self._key else f"set {self._variable} to its key"
        elif code == 404 and not hint:
            hint = f"{_ROOT} and the model"
        raise UserError(f"endpoint:{self._url}: {said}: {hint or self._otherwise}")

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Set even without a key, as `requests` would otherwise send what ~/.netrc has for the host.
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def _clean(self, text: str) -> str:
        text = one_line(self._secrets.out_of(text[:_LONGEST_MESSAGE]))
        return text if len(text) <= 200 else f"{text[:197]}..."


class PassingError(Exception):
    """An error that may be over at the next try.

    Args:
        what: What happened.
        pause: The seconds that the server asks for.
        most: How often to ask at most.
        step: What the user can do if it does not pass, where that is not the usual.
        by_request: Whether what was asked for may be the reason: the server broke, or is at it still.
    """

    def __init__(
        self, what: str, pause: float | None = None, *, most: int = 10**9, step: str = "", by_request: bool = False
    ) -> None:
        super().__init__(what)
        self.pause, self.most, self.by_request = pause, most, by_request
        self.step = step


class UnansweredError(UserError):
    """An error that might have passed and did not, after all tries.

    Args:
        message: The whole line.
        said: What happened, and how often it was asked for.
        error: The last one.
    """

    def __init__(self, message: str, said: str, error: PassingError) -> None:
        super().__init__(message)
        self.said, self.by_request = said, error.by_request


def pause_after(attempt: int, wait: float, error: PassingError) -> float:
    """Seconds before the next try: what the server asks for, or twice as long as the time before, and never too long.

    Chance spreads those who were refused at the same moment.
    """
    usual = wait * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 # no secret
    return min(usual if error.pause is None else error.pause, _MOST_SECONDS)


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


def checked_name(name: str, what: str) -> str:
    """A model's name that may stand in tables, files and folders.

    Raises:
        UserError: it has the key in it, or is empty, very long, or holds what is not printable.
    """
    refuse_leaked(name, what)
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        why = f"is {len(name):,} characters long" if len(name) > _LONGEST_NAME else "has characters that no name has"
        raise UserError(f"{what} {why if name.strip() else 'is empty'} ({name[:60]!r}): name the model meant after a #")
    return name


def refuse_leaked(name: str, what: str) -> None:
    """Refuse a name out of a reply in which the key was found.

    Raises:
        UserError: so it was.
    """
    if HIDDEN in name:
        raise UserError(f"{what} {_LEAKED}")


def _api_key(url: str) -> tuple[str, str]:
    """The variable that has the key of this server, and the key, "" without one."""
    variable, parts = _VARIABLE, urlsplit(url)
    if not os.environ.get(variable) and (parts.scheme, parts.hostname) == ("https", _OPENAI_HOST):
        variable = _OPENAI_VARIABLE
    key = os.environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:  # checked here, since other errors would show it
        raise UserError(f"{variable}: has characters that are in no API key: set it again")
    return variable, key


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _broken(error: Exception, connect: float, read: float) -> PassingError:
    """Return what went wrong with a connection, without the addresses and quotations that libraries put into it."""
    import requests

    from instructor_eval.core.http_bounds import WHOLE, TooSlowError

    if isinstance(error, requests.ConnectTimeout):
        return PassingError(f"no connection within {connect:g} s")
    for cause in _causes(error):
        if isinstance(cause, TooSlowError):
            step = "raise --timeout, or ask for less at a time (--request-texts)"
            what = f"the reply was not whole within {WHOLE * read:g} s"
            return PassingError(what, most=2, step=step, by_request=True)
        if isinstance(cause, requests.Timeout | TimeoutError):
            return PassingError(f"no answer within {read:g} s", by_request=True)
        if isinstance(cause, OSError) and cause.strerror:
            return PassingError(f"connection failed ({cause.strerror})", by_request=True)
        if isinstance(cause, http.client.BadStatusLine | http.client.LineTooLong) and not isinstance(
            cause, http.client.RemoteDisconnected
        ):
            return PassingError("the reply is not HTTP")
    return PassingError("the connection ended before the reply did", by_request=True)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
