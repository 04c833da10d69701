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

from instructor_eval.encoder.served import FIRST_TRIES, ServedModel, Serving, TooMuchError
from instructor_eval.errors import UserError
from instructor_eval.http_client import Client, PassingError, checked
from instructor_eval.types import Vectors

WAIT = 1.0
"""Seconds before the second try; doubled before each further one."""
SURROGATE = re.compile("[\ud800-\udfff]")
_INSTRUCTOR = re.compile(r"\binstructor-(base|large|xl)\b", re.IGNORECASE)
TOO_MUCH = re.compile(
    r"too (many|long|large|big)|context length|maximum|max(imum)?[ _-](batch|tokens|model|input|length)|exceed|at most"
    r"|must have less than|longer than|batch size",
    re.IGNORECASE,
)
_OTHER_NAME = "; the server's answers name another model than this: check what stands behind the #"
"""A server of one model may answer whatever it is asked for. Its own word for it is not shown: that may be anything."""
_WHERE = "check the URL (the API's root, as in http://localhost:8000/v1), or add #MODEL to it"


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
        self._model = model or self._only_model()
        self.name = f"endpoint:{self._url}#{self._model}"
        self.card_name = self._model
        self.revision = how.label or "served"
        self.family, self.family_rule = family_of(self._model, how.family)
        self.identity = {"kind": "endpoint", "url": self._url, "model": self._model, "label": how.label}

    def embed(self, texts: Sequence[str], instruction: str) -> Vectors:
        """One request, asked again after faults that may pass."""
        # A lone surrogate has no UTF-8; one character stands for it, as for checkpoints.
        inputs = [SURROGATE.sub("\ufffd", instruction + text) for text in texts]
        body = {"model": self._model, "input": inputs, "encoding_format": "float"}
        with self._lock:
            client = self._client = self._client or self._connect()
        rows, tokens = client.ask("embeddings", lambda reply: self._read(reply, inputs), body, refused=self._refused)
        with self._lock:
            self._totals["tokens"] += tokens or 0
            self._counts_tokens |= tokens is not None
        return rows

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
        otherwise = "mend what it names, run again"
        return Client(self._url, how.limits.concurrency, how.timeout, tries, WAIT, otherwise=otherwise)

    def _only_model(self) -> str:
        with self._connect() as client:
            names = client.ask("models", lambda reply: [_text(model["id"]) for model in reply["data"]], hint=_WHERE)
        if len(names) != 1:
            listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            what = f"the server has {len(names)} models ({listed})" if names else "the server lists no model"
            raise UserError(f"endpoint:{self._url}: {what}: add #MODEL to the URL")
        return names[0]

    def _refused(self, code: int, said: str) -> UserError | None:
        if code == 413 or (code in (400, 422) and TOO_MUCH.search(said)):
            step = "cut the data's texts, or let the server cut them (TEI: --auto-truncate)"
            return TooMuchError(f"endpoint:{self._url}: {said}, of a single text: {step}")
        return None

    def _read(self, reply: Any, inputs: Sequence[str]) -> tuple[Vectors, int | None]:
        """The vectors of a reply in the order of the texts, and the tokens it counts.

        Raises:
            PassingError: it has not one good vector for each text.
            UserError: it is another model's.
        """
        rows = vectors_of(reply["data"], inputs)
        says = reply.get("model")
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
        counted = [usage.get(name) for name in ("prompt_tokens", "total_tokens")]
        return rows, next((n for n in counted if isinstance(n, int) and n >= 0), None)


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
    raw = np.array(found)
    if raw.dtype.kind not in "fiu" or raw.ndim != 2:
        raise PassingError("a vector has a value that is no number")
    with np.errstate(over="ignore"):
        rows = raw.astype(np.float32)
    for bad, what in ((~np.isfinite(rows).all(axis=1), "a NaN or infinite"), (~rows.any(axis=1), "an all-zero")):
        if bad.any():
            raise PassingError(f"{what} vector for the text {inputs[int(bad.argmax())][:60]!r}")
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


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
