"""A model behind an OpenAI-compatible API of embeddings: TEI, infinity, vLLM, Ollama, OpenAI itself.

A valid reply has one vector for each text, numbered 0 to n - 1 (or not numbered at all: then in the order of the texts,
and a server that mixes them up goes unnoticed), all of one length, finite, not zero. Otherwise the request is repeated,
a bounded number of times.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.http import SIZE, Client, PassingError, checked, checked_name, refuse_leaked
from instructor_eval.core.http_replies import is_too_much, may_pass
from instructor_eval.core.values import Vectors
from instructor_eval.models.family import INSTRUCTOR_NAME
from instructor_eval.models.served.contract import ServedModel, Serving, TooMuchError
from instructor_eval.models.served.engine import FEW_TRIES, FIRST_TRIES

WAIT = 1.0
"""Seconds before the second try; doubled before each further one."""
SURROGATE = re.compile("[\ud800-\udfff]")
_OTHER_NAME = "; the server's answers name another model than this: check what stands behind the #"
"""A server of one model may answer to any name. Its own name for the model is not shown: it may be anything."""
UNRELATED_STATUSES = (401, 402, 403, 404, 405, 407, 410)
"""Statuses that have nothing to do with the texts."""
_BYTES_A_VALUE = 40
"""Bytes of a vector's value in JSON."""
_MOST_TOKENS = 10**12
_SHORT, _LONG = 1e-12, 1e12
"""The length of every useful vector is between these; beyond, its square is not a float32."""


class EndpointModel(ServedModel):
    """A model behind a server of embeddings.

    Args:
        spec: The text after `endpoint:`: the URL of the API's root, with `#MODEL` if the server has several.
        how: Settings of requests.

    Raises:
        UserError: `spec` is not such a URL, or the server does not name its model when asked.
    """

    def __init__(self, spec: str, how: Serving) -> None:
        url, _, model = spec.partition("#")
        self._url = checked(url, spec)
        self._how = how
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._totals = {"requests": 0, "retries": 0, "tokens": 0}
        self._counts_tokens = False
        self._dim: int | None = None
        self._answered_as: str | None = None
        self.limits = how.limits
        if model:
            self._model = checked_name(model, f"endpoint:{self._url}: the model's name")
        else:
            with self._connect() as client:
                self._model = client.only_model()
        self.name = f"endpoint:{self._url}#{self._model}"
        self.card_name = self._model
        self.revision = how.label or "served"
        self.family, self.family_rule = family_of(self._model, how.family)
        self.identity = {"kind": "endpoint", "url": self._url, "model": self._model, "label": how.label}

    def embed(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Embed with one request, repeated after errors that may pass."""
        return self._ask(texts, instruction, None)

    def embed_briefly(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Embed with one request, repeated at most once."""
        return self._ask(texts, instruction, FEW_TRIES)

    def _ask(self, texts: Sequence[str], instruction: str, tries: int | None) -> Vectors:
        # A lone surrogate has no UTF-8; one character replaces it, as for checkpoints.
        inputs = [SURROGATE.sub("\ufffd", instruction + text) for text in texts]
        body = {"model": self._model, "input": inputs, "encoding_format": "float"}
        with self._lock:
            client = self._client = self._client or self._connect()
        rows, tokens = client.ask(
            "embeddings",
            lambda reply: self._read(reply, inputs),
            body,
            refused=self._refused,
            tries=tries,
            size=max(SIZE, len(inputs) * (self._dim or 0) * _BYTES_A_VALUE),
        )
        with self._lock:
            self._totals["tokens"] += tokens or 0
            self._counts_tokens |= tokens is not None
        return rows

    def notes(self) -> tuple[str, ...]:
        """Return a remark if the server names another model than the one asked for."""
        if not self._answered_as or may_be_same_model(self._model, self._answered_as):
            return ()
        name = self._answered_as[:100]
        return (f"the server was asked for {self._model!r} and answers as {name!r}: see which model it is",)

    def totals(self) -> dict[str, float]:
        """Return requests, retries, and tokens with their price if the server counts them."""
        with self._lock:
            found: dict[str, float] = dict(self._totals)
            if self._client is not None:
                found["requests"] += self._client.sent
                found["retries"] += self._client.retried
            if not self._counts_tokens:
                del found["tokens"]
            elif self._how.price is not None:
                found["usd"] = found["tokens"] * self._how.price / 1e6
        return found

    def stop(self) -> None:
        """End the connections."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None:
                client.close()
                self._totals["requests"] += client.sent
                self._totals["retries"] += client.retried

    def _connect(self) -> Client:
        how = self._how
        tries = how.tries if self._dim else min(how.tries, FIRST_TRIES)
        otherwise = "change what it names, run again"
        return Client(self._url, how.limits.concurrency, how.timeout, tries, WAIT, otherwise=otherwise)

    def _refused(self, code: int, said: str) -> UserError | None:
        if code < 400 or code in UNRELATED_STATUSES or not (is_too_much(code, said) or not may_pass(code)):
            return None
        return TooMuchError(f"{self.name}: {said}")

    def _read(self, reply: Any, inputs: Sequence[str]) -> tuple[Vectors, int | None]:
        """Return the vectors of a reply in the order of the texts, and the tokens that it counts.

        Raises:
            PassingError: it does not have one valid vector for each text.
            UserError: another model made it.
        """
        rows = vectors_of(reply["data"], inputs)
        says = reply.get("model")
        if isinstance(says, str):
            refuse_leaked(says, f"endpoint:{self._url}: the model's name in its reply")
        with self._lock:
            if self._dim is None:
                self._dim = rows.shape[1]
            if self._answered_as is None:
                self._answered_as = says if isinstance(says, str) else ""
                if self._answered_as not in ("", self._model):
                    self.family_rule += _OTHER_NAME
        if rows.shape[1] != self._dim:
            raise PassingError(f"vectors of {rows.shape[1]} values, and of {self._dim} before")
        if isinstance(says, str) and says != self._answered_as:
            raise UserError(
                f"endpoint:{self._url}: answers as {says[:100]!r}, and as {self._answered_as[:100]!r} before: name the "
                "model meant after a #, then run again"
            )
        usage = reply.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        counts = [counted(usage.get(name)) for name in ("prompt_tokens", "total_tokens")]
        return rows, next((n for n in counts if n is not None), None)


def counted(tokens: object) -> int | None:
    """Return a number of tokens, or None if the value cannot be one."""
    return tokens if type(tokens) is int and 0 <= tokens <= _MOST_TOKENS else None


def may_be_same_model(asked: str, says: str) -> bool:
    """Return whether a server that names its model `says` may have the model `asked`.

    Servers answer with a path, a file's name, the name without its organisation, or the name and a version.
    """
    one, other = (name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower() for name in (asked, says))
    return one.startswith(other) or other.startswith(one)


def vectors_of(data: Any, inputs: Sequence[str]) -> Vectors:
    """Return the vectors in the list `data` of a reply, in the order of the texts: float32 [len(inputs), dim].

    Raises:
        PassingError: there is not one valid vector for each text.
        LookupError, TypeError, AttributeError: it is not such a list.
    """
    if len(data) != len(inputs):
        raise PassingError(f"{len(data)} vectors for {len(inputs)} texts")
    numbers = [entry.get("index") for entry in data]
    if any(number is not None for number in numbers):
        place = {number: i for i, number in enumerate(numbers) if type(number) is int}
        if sorted(place) != list(range(len(inputs))):
            raise PassingError(f"its vectors are not numbered 0 to {len(inputs) - 1}")
        data = [data[place[i]] for i in range(len(inputs))]
    return check_rows([entry["embedding"] for entry in data], inputs)


def check_rows(found: Sequence[Any], inputs: Sequence[str]) -> Vectors:
    """Check lists of numbers and return them as float32 [len(inputs), dim].

    Raises:
        PassingError: one is not a list of finite numbers, or all zero, or not as long as the others.
    """
    if any(isinstance(row, str) for row in found):
        raise PassingError("vectors as text, not as lists of numbers")
    lengths = {len(row) if isinstance(row, list) else 0 for row in found}
    if len(lengths) > 1 or 0 in lengths:
        raise PassingError(f"vectors of {' and '.join(map(str, sorted(lengths)))} values in one reply")
    if any(set(map(type, row)) - {int, float} for row in found):
        raise PassingError("a vector has a value that is no number")
    try:
        raw: Any = np.array(found, dtype=np.float64)
    except OverflowError:  # of an integer of hundreds of digits
        raise PassingError("a vector has a value that is no number") from None
    finite = (np.abs(raw) < np.finfo(np.float32).max).all(axis=1)
    norms = np.linalg.norm(np.where(finite[:, None], raw, 1.0), axis=1)
    checks = [
        (~finite, "a NaN or infinite"),
        (~raw.any(axis=1), "an all-zero"),
        ((norms < _SHORT) | (norms > _LONG), "an endlessly long or short"),
    ]
    for bad, what in checks:
        if bad.any():
            raise PassingError(f"{what} vector for the text {inputs[int(bad.argmax())][:60]!r}")
    rows: Vectors = raw.astype(np.float32)
    return rows


def family_of(model: str, given: str | None) -> tuple[str, str]:
    """Return a served model's family, and the sign that decided."""
    pooled = "put before each text here, and pooled with it unless the server leaves it out"
    if given:
        return given, "--family; " + ("none is sent" if given == "plain" else f"the instruction is {pooled}")
    if INSTRUCTOR_NAME.search(model):
        return "instructor", f"its name is INSTRUCTOR's; the instruction is {pooled}"
    return (
        "plain",
        "served, so that no file shows instructions: none is sent (--family instructor or prefix sends them)",
    )
