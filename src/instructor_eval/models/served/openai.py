"""A model behind an OpenAI-compatible API of embeddings: TEI, infinity, vLLM, Ollama, OpenAI itself.

A reply is believed when it has one vector for each text, numbered 0 to n - 1 (or not numbered at all: then the order is
taken for that of the texts, and a server that mixes them up cannot be found out), all of one length, finite, not zero.
Anything else is asked for again, a bounded number of times.
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
from instructor_eval.models.served.asking import TooMuchError
from instructor_eval.models.served.contract import ServedModel, Serving
from instructor_eval.models.served.engine import FEW_TRIES, FIRST_TRIES

WAIT = 1.0
"""Seconds before the second try; doubled before each further one."""
SURROGATE = re.compile("[\ud800-\udfff]")
_INSTRUCTOR = re.compile(r"\binstructor-(base|large|xl)\b", re.IGNORECASE)
_OTHER_NAME = "; the server's answers name another model than this: check what stands behind the #"
"""A server of one model may answer whatever it is asked for. Its own word for it is not shown: that may be anything."""
NO_REQUEST = (401, 402, 403, 404, 405, 407, 410)
"""Statuses that say nothing of the texts."""
_BYTES_A_VALUE = 40
"""Of a vector, as JSON."""
_MOST_TOKENS = 10**12
_SHORT, _LONG = 1e-12, 1e12
"""Between these is the length of every vector of use; beyond, its square is no float32."""


class EndpointModel(ServedModel):
    """Asks a server of embeddings.

    Args:
        spec: What stands after `endpoint:`: the URL of the API's root, with `#MODEL` if the server has several.
        how: Sizes and patience.

    Raises:
        UserError: `spec` is no such URL, or the server is asked for its model and does not say.
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
        self._says: str | None = None
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
        """One request, asked again after faults that may pass."""
        return self._ask(texts, instruction, None)

    def embed_briefly(self, texts: Sequence[str], instruction: str) -> Vectors:
        """One request, asked again once at most."""
        return self._ask(texts, instruction, FEW_TRIES)

    def _ask(self, texts: Sequence[str], instruction: str, tries: int | None) -> Vectors:
        # A lone surrogate has no UTF-8; one character stands for it, as for checkpoints.
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
        """That the server answers as another model than was asked for, where it says so."""
        if not self._says or is_called(self._model, self._says):
            return ()
        return (f"the server was asked for {self._model!r} and answers as {self._says[:100]!r}: see which model it is",)

    def totals(self) -> dict[str, float]:
        """Requests, retries, and tokens as the server counts them, with their price, if it does."""
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
        if code < 400 or code in NO_REQUEST or not (is_too_much(code, said) or not may_pass(code)):
            return None
        return TooMuchError(f"{self.name}: {said}")

    def _read(self, reply: Any, inputs: Sequence[str]) -> tuple[Vectors, int | None]:
        """The vectors of a reply in the order of the texts, and the tokens it counts.

        Raises:
            PassingError: it has not one good vector for each text.
            UserError: it is another model's.
        """
        rows = vectors_of(reply["data"], inputs)
        says = reply.get("model")
        if isinstance(says, str):
            refuse_leaked(says, f"endpoint:{self._url}: the model's name in its reply")
        with self._lock:
            if self._dim is None:
                self._dim = rows.shape[1]
            if self._says is None:
                self._says = says if isinstance(says, str) else ""
                if self._says not in ("", self._model):
                    self.family_rule += _OTHER_NAME
        if rows.shape[1] != self._dim:
            raise PassingError(f"vectors of {rows.shape[1]} values, and of {self._dim} before")
        if isinstance(says, str) and says != self._says:
            raise UserError(
                f"endpoint:{self._url}: answers as {says[:100]!r}, and as {self._says[:100]!r} before: name the model "
                "meant after a #, then run again"
            )
        usage = reply.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        counts = [counted(usage.get(name)) for name in ("prompt_tokens", "total_tokens")]
        return rows, next((n for n in counts if n is not None), None)


def counted(tokens: object) -> int | None:
    """A number of tokens, as far as it can be one."""
    return tokens if type(tokens) is int and 0 <= tokens <= _MOST_TOKENS else None


def is_called(asked: str, says: str) -> bool:
    """Whether a server that answers as `says` may have been asked for `asked`.

    Servers answer with a path, a file's name, the name without its organisation, or with a version behind it.
    """
    one, other = (name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower() for name in (asked, says))
    return one.startswith(other) or other.startswith(one)


def vectors_of(data: Any, inputs: Sequence[str]) -> Vectors:
    """The vectors in the list `data` of a reply, in the order of the texts: float32 [len(inputs), dim].

    Raises:
        PassingError: there is not one good vector for each text.
        LookupError, TypeError, AttributeError: it is no such list.
    """
    if len(data) != len(inputs):
        raise PassingError(f"{len(data)} vectors for {len(inputs)} texts")
    numbers = [entry.get("index") for entry in data]
    if any(number is not None for number in numbers):
        place = {number: i for i, number in enumerate(numbers) if type(number) is int}
        if sorted(place) != list(range(len(inputs))):
            raise PassingError(f"its vectors are not numbered 0 to {len(inputs) - 1}")
        data = [data[place[i]] for i in range(len(inputs))]
    return checked_rows([entry["embedding"] for entry in data], inputs)


def checked_rows(found: Sequence[Any], inputs: Sequence[str]) -> Vectors:
    """Lists of numbers as float32 [len(inputs), dim].

    Raises:
        PassingError: one is no list of finite numbers, or all zero, or not as long as the others.
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
    faults = [
        (~finite, "a NaN or infinite"),
        (~raw.any(axis=1), "an all-zero"),
        ((norms < _SHORT) | (norms > _LONG), "an endlessly long or short"),
    ]
    for bad, what in faults:
        if bad.any():
            raise PassingError(f"{what} vector for the text {inputs[int(bad.argmax())][:60]!r}")
    rows: Vectors = raw.astype(np.float32)
    return rows


def family_of(model: str, given: str | None) -> tuple[str, str]:
    """How a served model takes instructions, and the sign that decided."""
    pooled = "put before each text here, and pooled with it unless the server leaves it out"
    if given:
        return given, "--family; " + ("none is sent" if given == "plain" else f"the instruction is {pooled}")
    if _INSTRUCTOR.search(model):
        return "instructor", f"its name is INSTRUCTOR's; the instruction is {pooled}"
    return (
        "plain",
        "served, so that no file shows instructions: none is sent (--family instructor or prefix sends them)",
    )
