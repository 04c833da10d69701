"""The engine around a served model.

A model behind a server (or in another library) gives vectors for a few texts at a time; everything else happens here.
Repeats are removed and the cache is asked as for a checkpoint; the rest is divided into requests, several at a time;
every vector is checked, and stored when it arrives. `models/served/asking.py` handles refused requests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from instructor_eval.cache.vectors import Cache, keys_of
from instructor_eval.core.crew import Crew
from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.values import Vectors
from instructor_eval.models.description import ModelDescription
from instructor_eval.models.engine import BaseEngine
from instructor_eval.models.missing import Missing
from instructor_eval.models.served.asking import Requests, ServerLimit
from instructor_eval.models.served.contract import ServedModel
from instructor_eval.models.variant import BASELINE

PROBES = (
    "Hello world",
    "The quick brown fox jumps over the lazy dog.",
    "Embeddings are vectors: naïve, 日本語, 12.5 %",
)
"""The first texts for every served model: their vectors show its dimension, and whether it has changed."""
CHANGED = 1e-3
"""From this 1 - cosine of a probe's vectors on, the model has changed. Servers' own noise stays below 1e-4."""
FIRST_TRIES, FEW_TRIES = 4, 2
"""Tries of the first request, so that a wrong address shows within a minute; and tries of `embed_briefly`."""
_UNIT = 1e-3
_BYTES_A_TOKEN = 4
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Served(ModelDescription):
    """A served model in one variant, with its vectors of `PROBES`."""

    source: ServedModel
    probe: Vectors = field(repr=False)
    """float32 [len(PROBES), dim]."""
    limit: ServerLimit = field(repr=False, compare=False)
    """Its server's limit, shared by all engines."""

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self.probe.shape[1])

    @property
    def card_name(self) -> str:
        """The name under which task cards list instructions for it."""
        return self.source.card_name or self.name

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks that a reader of its scores needs."""
        return self.source.notes()

    def _hash(self, variant: str) -> str:
        parts = {"version": _VERSION, "served": dict(self.source.identity), "dim": self.dim, "variant": variant}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def describe(source: ServedModel) -> Served:
    """Ask a model for the vectors of `PROBES`.

    Raises:
        UserError: it cannot be had, or gives something else than vectors.
    """
    limit = ServerLimit(source.limits.texts)
    try:
        probe = np.asarray(Requests(source, limit).vectors(PROBES, ""), dtype=np.float32)
    finally:
        source.stop()
    if probe.ndim != 2 or len(probe) != len(PROBES) or not probe.shape[1]:
        raise ModelOutputError(
            f"{source.name}: gives an array {probe.shape} for {len(PROBES)} texts, not their vectors"
        )
    if not np.isfinite(probe).all() or not probe.any(axis=1).all():
        raise ModelOutputError(
            f"{source.name}: gives vectors that are not finite numbers, or all zero: check the model"
        )
    return Served(
        name=source.name,
        revision=source.revision,
        family=source.family,
        family_rule=source.family_rule,
        prompts=source.prompts,
        prompts_rule=source.prompts_rule,
        normalize=bool(np.abs(np.linalg.norm(probe, axis=1) - 1.0).max() < _UNIT),
        max_length=source.max_length,
        source=source,
        probe=probe,
        limit=limit,
    )


class ServedEngine(BaseEngine):
    """An engine that asks a served model.

    Args:
        served: The model.
        cache: The cache that vectors are read from and written to; None asks for everything.

    Raises:
        UserError: the model no longer gives the vectors that the cache has.
    """

    def __init__(self, served: Served, cache: Cache | None) -> None:
        super().__init__(served, cache)
        self.source = served.source
        self.libraries = self.source.libraries
        self._limit = served.limit
        if cache is not None:
            self._check_unchanged(served, cache)

    @property
    def device(self) -> str:
        """The place of the computation, as far as it is known."""
        return self.source.where

    def options(self) -> dict[str, Any]:
        """Return the sizes of requests."""
        limits = self.source.limits
        return {"request_texts": limits.texts, "request_tokens": limits.tokens}

    def scope(self, instruction: str, task: str, task_type: str, role: str) -> str:
        """Return what the model's vectors depend on beside the text."""
        return self.source.scope(instruction, task, task_type, role)

    def input_lengths(self, texts: Sequence[str], instruction: str) -> list[int]:
        """Raise an error: a served model's tokens cannot be counted here.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"{self.model.name}: its tokens cannot be counted here, which clustering_256=on needs: add "
            "--protocol clustering_256=off, or --instructions none"
        )

    def _check_unchanged(self, served: Served, cache: Cache) -> None:
        """Compare the probe with the one in the cache, and store it if there is none.

        The cache may have dropped it, as any vector that is not used for long; then there is no comparison.
        """
        keys = keys_of(self.space.fingerprint, "", PROBES)
        before = np.zeros_like(served.probe)
        known = cache.read(self.space, keys, before)
        if not known.all():
            new = np.flatnonzero(~known)
            cache.write(self.space, [keys[i] for i in new], self._rounded(served.probe[new]))
        now, before = served.probe[known], before[known]
        lengths = np.linalg.norm(now, axis=1) * np.linalg.norm(before, axis=1)
        cosines = np.einsum("ij,ij->i", now, before) / lengths
        if len(cosines) and float(cosines.min()) < 1 - CHANGED:
            raise UserError(
                f"{self.model.name}: its vectors are no longer those in the cache (1 - cosine up to "
                f"{1 - float(cosines.min()):.2g}): the model behind this name has changed; name its new state with "
                "--label TEXT, under which it gets vectors and results of its own"
            )

    def _compute(self, missing: Missing) -> None:
        used, limit = self._used(), self._limit.most
        for at, found in self._asked(missing.items, missing.instruction, min(limit, missing.most or limit)):
            before, used = used, self._used()
            self._store(missing, at, self._take(missing, at, found, used - before))

    def used(self) -> dict[str, float]:
        """Return the use of the model's server so far, by all engines."""
        return self.source.totals()

    def _used(self) -> int:
        return int(self.used().get("tokens", 0))

    def _asked(self, texts: list[str], instruction: str, most: int) -> Iterator[tuple[list[int], Vectors]]:
        """Yield (numbers of texts, vectors) as they arrive; the first request goes alone: a bad key fails once."""
        batches = request_batches(texts, instruction, most, self.source.limits.tokens)
        requests = Requests(self.source, self._limit, PROBES[0])

        def embed(number: int) -> Vectors:
            return self._of_shape(
                requests.vectors([texts[i] for i in batches[number]], instruction), len(batches[number])
            )

        try:
            yield batches[0], embed(0)
            rest = range(1, len(batches))
            threads = self.source.limits.concurrency
            for number, rows in Crew(embed, rest, threads) if threads else ((i, embed(i)) for i in rest):
                yield batches[number], rows
        finally:
            requests.stop()
            self.source.stop()

    def _of_shape(self, found: Vectors, count: int) -> Vectors:
        """Check that an array has the vectors of `count` texts, and return it."""
        rows = np.asarray(found, dtype=np.float32)
        if rows.shape != (count, self.dim):
            raise ModelOutputError(
                f"{self.model.name}: gives an array {rows.shape} for {count} texts, not vectors of {self.dim} "
                "values as before: see whether the model behind this name was changed, then run again"
            )
        return rows


def request_batches(texts: Sequence[str], instruction: str, most: int, tokens: int) -> list[list[int]]:
    """Return numbers of texts in requests of at most `most` texts and about `tokens` tokens, the longest first.

    A longer text gets a request of its own.
    """
    head = _size(instruction)
    sizes = [-(-(head + _size(text)) // _BYTES_A_TOKEN) for text in texts]
    found: list[list[int]] = []
    room = 0
    for i in sorted(range(len(texts)), key=lambda i: -sizes[i]):
        if not found or len(found[-1]) >= most or sizes[i] > room:
            found.append([])
            room = tokens
        found[-1].append(i)
        room -= sizes[i]
    return found


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def check_form(forms: Sequence[str], name: str) -> None:
    """Refuse any numeric form but the one that a served model has.

    Raises:
        UserError: one of `forms` is another.
    """
    other = next((form for form in forms if form != BASELINE), None)
    if other:
        raise UserError(
            f"variant {other}: {name} is served in the one form it has, which is called {BASELINE} here: leave "
            "--variant out (--embedding and --truncate-dim work on any vectors)"
        )
