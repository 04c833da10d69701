"""The cost of a numeric form on one machine: the record, and its folder.

    DIR/costs/<model>/<form>.<identity>.json

A record holds what was measured, round by round; rates and ratios are computed from it. No torch here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from instructor_eval.core.errors import DamagedFileError, UserError, reason
from instructor_eval.core.escapes import json_text
from instructor_eval.core.paths import slug
from instructor_eval.core.stored_files import files_below, read_record
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results.score import CostFigures, Percentiles, Prepare

SCHEMA_VERSION = 1
_STEADY = 1.25
SHARES = (50, 95, 99)
"""Percentiles of a query's time."""


@dataclass(frozen=True)
class Cold:
    """A form in a fresh process: from its start to the first vector, and the memory it took. Seconds and bytes.

    The files lie in the system's file cache: what is timed is the computer's work, not its disk.
    """

    import_seconds: float
    """Python started; torch, transformers and the form's own libraries imported"""
    load_seconds: float
    """weights and tokenizer read, and brought into the form"""
    first_vector_seconds: float
    """one short text embedded"""
    memory_before_bytes: int
    """the process in memory before the model was loaded: Python and libraries"""
    memory_after_bytes: int
    """the process in memory after the sample was encoded"""
    memory_peak_bytes: int
    """the most the process had in memory, loading included, up to the end of the sample"""
    gpu_peak_bytes: int | None = None
    """on a GPU: the most that torch had allocated there"""

    @property
    def seconds(self) -> float:
        """From the start of the process to the first vector."""
        return self.import_seconds + self.load_seconds + self.first_vector_seconds

    @property
    def peak_bytes(self) -> int:
        """The peak on the device: of its memory on a GPU, of the process elsewhere."""
        return self.memory_peak_bytes if self.gpu_peak_bytes is None else self.gpu_peak_bytes


@dataclass(frozen=True)
class Cost:
    """One form of one model on one device of one machine."""

    identity: str
    """hash of everything that a measured time depends on, as far as it is known beforehand"""
    model: str
    revision: str
    form: str
    fingerprint: str
    """of the model in this form"""
    baseline: str
    """the form it took turns with"""
    baseline_fingerprint: str
    device: str
    machine: Mapping[str, Any]
    """processor, cores, threads, library versions"""
    texts: int
    """of the fixed sample, from its start (`sample_texts`); 0 where a pass is over pictures"""
    tokens: int
    """of those texts as the model reads them, instruction and special tokens included"""
    seconds: tuple[float, ...]
    """for one pass over the texts, or pictures, round by round"""
    baseline_seconds: tuple[float, ...]
    """for the baseline's pass in the same rounds"""
    resident_bytes: int
    """weights in memory, as they are computed with"""
    file_bytes: int
    """weights in a file of this form"""
    baseline_file_bytes: int
    proof: str
    """what ran, read off the network itself"""
    measured: str
    """when, in ISO 8601"""
    cold: Cold | None = None
    """None: not measured, or that failed"""
    pictures: int = 0
    """of the fixed sample, from its start (`sample_pictures`), of a model of texts and pictures"""
    query_seconds: tuple[float, ...] = ()
    """for one short text, a batch of one, time by time; empty: not measured"""
    schema_version: int = SCHEMA_VERSION

    @property
    def rounds(self) -> int:
        """Return how often each form had its turn."""
        return len(self.seconds)

    @property
    def texts_per_second(self) -> float:
        """By the median of the rounds."""
        return self.texts / median(self.seconds)

    @property
    def tokens_per_second(self) -> float:
        """By the median of the rounds; padding does not count."""
        return self.tokens / median(self.seconds)

    @property
    def pictures_per_second(self) -> float:
        """By the median of the rounds; opening and resizing counts."""
        return self.pictures / median(self.seconds)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Return how many times as fast as the baseline, round by round."""
        return tuple(base / own for base, own in zip(self.baseline_seconds, self.seconds, strict=True))

    @property
    def speed_ratio(self) -> float:
        """Return how many times as fast as the baseline: the median of the rounds' ratios."""
        return median(self.ratios)

    @property
    def unsteady(self) -> bool:
        """Return whether the rounds differ so much that something else was running."""
        return any(max(values) > _STEADY * min(values) for values in (self.seconds, self.ratios))

    @property
    def size_ratio(self) -> float:
        """Return how many times smaller than the baseline's file."""
        return self.baseline_file_bytes / self.file_bytes

    def for_score(self) -> CostFigures:
        """Return the form's cost as a score has it; bytes, seconds, texts and tokens a second."""
        figures = CostFigures(
            identity=self.identity,
            form=self.form,
            baseline=self.baseline,
            device=self.device,
            resident_bytes=self.resident_bytes,
            file_bytes=self.file_bytes,
            size_ratio=round(self.size_ratio, 4),
            texts_per_second=round(self.texts_per_second, 3) or None,
            tokens_per_second=round(self.tokens_per_second, 1) or None,
            pictures_per_second=round(self.pictures_per_second, 3) or None,
            speed_ratio=round(self.speed_ratio, 4),
            speed_ratio_min=round(min(self.ratios), 4),
            speed_ratio_max=round(max(self.ratios), 4),
            texts=self.texts or None,
            tokens=self.tokens or None,
            pictures=self.pictures or None,
            query_ms=percentiles(self.query_seconds) if self.query_seconds else None,
            rounds=self.rounds,
            proof=self.proof,
            measured=self.measured,
        )
        cold = self.cold
        if cold is None:
            return figures
        seconds = (cold.import_seconds, cold.load_seconds, cold.first_vector_seconds)
        return dataclasses.replace(
            figures,
            cold_start_seconds=round(cold.seconds, 3),
            prepare=Prepare(*(round(value, 3) for value in seconds)),
            peak_memory_bytes=cold.peak_bytes,
            memory_before_load_bytes=cold.memory_before_bytes,
            memory_after_bytes=cold.memory_after_bytes,
        )

    def to_json(self) -> dict[str, Any]:
        """All fields, as JSON has them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Cost:
        """The record again.

        Raises:
            TypeError: a field is missing or of another kind than it should be.
        """
        try:
            cost = msgspec.convert(raw, cls)
        except msgspec.ValidationError as e:
            raise TypeError(str(e)) from e
        if not len(cost.seconds) == len(cost.baseline_seconds) > 0:
            raise TypeError("not a pass of each form in every round")
        numbers: list[float] = [cost.resident_bytes, cost.file_bytes, cost.baseline_file_bytes]
        numbers += [cost.pictures] if cost.pictures else [cost.texts, cost.tokens]
        numbers += [*cost.seconds, *cost.baseline_seconds, *cost.query_seconds]
        if not all(number > 0 for number in numbers):
            raise TypeError("a number is not above 0")
        return cost


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Return the percentiles of some times, in milliseconds."""
    import numpy as np

    p50, p95, p99 = (round(1000 * float(value), 4) for value in np.percentile(seconds, SHARES))
    return Percentiles(p50, p95, p99, len(seconds))


class CostStore:
    """The costs in one results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, model: str, form: str, identity: str) -> Path:
        """Return the path of a cost."""
        return self.root / "costs" / slug(model) / f"{slug(form)}.{identity}.json"

    def find(self, model: str, form: str, identity: str) -> Cost | None:
        """The cost with this identity, if there is one; a damaged one is none, and is replaced by the next.

        Raises:
            UserError: its schema version is unknown.
        """
        path = self.path(model, form, identity)
        try:
            return read_cost(path) if path.exists() else None
        except DamagedFileError:
            return None

    def write(self, cost: Cost) -> Path:
        """File a cost; an older one of the same identity is replaced.

        Raises:
            UserError: the folder cannot be written.
        """
        path = self.path(cost.model, cost.form, cost.identity)
        content = f"{json_text(cost.to_json())}\n".encode()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, lambda f: f.write(content))
        except OSError as e:
            raise UserError(f"cannot write {path}: {reason(e)}: correct that and run the same command again") from e
        return path

    def all(self) -> Iterator[Cost]:
        """Every stored cost, ordered by path.

        Raises:
            UserError: a file that is not a whole cost of a known schema version.
        """
        for path in files_below(self.root / "costs", ".json"):
            yield read_cost(path)


def read_cost(path: Path) -> Cost:
    """Read one cost file.

    Raises:
        DamagedFileError: it cannot be read, or is not whole.
        UserError: its schema version is unknown.
    """
    _, raw = read_record(path, "cost file", (SCHEMA_VERSION,), "measure again")
    try:
        return Cost.from_json(raw)
    except TypeError as e:
        raise DamagedFileError(f"{path}: not a whole cost file ({e}): delete it and measure again") from e
