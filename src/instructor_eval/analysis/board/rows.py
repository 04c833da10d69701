"""The leaderboard's values, each made once of the one before: scores, what their items say, the row, the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.results.score import CostFigures, Key, Score

if TYPE_CHECKING:
    from instructor_eval.analysis.statistics.spreads import Spread

Scores: TypeAlias = Mapping[str, Score]
"""Task -> the stored score."""


@dataclass(frozen=True)
class Figures:
    """Size and speed of a variant; None is unknown."""

    file_bytes: int | None = None
    smaller: float | None = None
    """File bytes of the parent over its own."""
    faster: float | None = None
    """Speed over the parent's: measured in turns with it, or both in turns with one baseline on one device."""
    vector_bytes: int | None = None
    """Bytes of one text in an index."""
    device: str | None = None
    """The machine that `faster` was measured on."""
    untimed: str = ""
    """The reason that `faster` is unknown although the variant was measured."""


@dataclass(frozen=True)
class Mean:
    """A mean of task scores, and over how many of those there should be."""

    value: float
    n: int
    of: int

    @property
    def complete(self) -> bool:
        """Return whether no task is missing."""
        return self.n == self.of


@dataclass(frozen=True, eq=False)
class ScoredRow:
    """One model under one instruction set, with its scores."""

    model: str
    """The fields that identify the row."""
    instructions: str
    source: str
    """measured | published | imported"""
    variant: str = "fp32"
    revision: str = ""
    fingerprint: str = ""
    name: str = ""
    """The model's bare name."""
    base: str = ""
    """Fingerprint of the checkpoint as fp32; empty where the scores do not say."""
    tasks: Mapping[str, float] = field(default_factory=dict)
    """Task -> score, fractions of 1."""
    scores: Scores = field(default_factory=dict, repr=False)
    """The stored scores behind `tasks`, those of parts included."""
    failures: Scores = field(default_factory=dict, repr=False)
    """The tasks that failed, as they were filed; some may have a score since."""

    @property
    def failed(self) -> set[str]:
        """The tasks that failed and have no score."""
        return self.failures.keys() - self.tasks.keys()

    @property
    def key(self) -> Key:
        """Return the values that make the row."""
        return self.name, self.fingerprint, self.variant, self.instructions

    @property
    def short(self) -> str:
        """Return the variant, for a place where the model is known; distinct where two rows have the same."""
        return self.variant + self.model.removeprefix(self.name).removeprefix(f" ({self.variant})")

    @property
    def cost(self) -> CostFigures | None:
        """The newest measurement of the variant, as filed; None where there is none."""
        measured = [s for s in self.scores.values() if s.cost]
        return max(measured, key=lambda s: s.created).cost if measured else None


@dataclass(frozen=True, eq=False)
class ComparedRow(ScoredRow):
    """A row with what its items say: its intervals, and its differences from other rows."""

    spreads: Mapping[str, Spread] = field(default_factory=dict, repr=False)
    """Task -> its score with its interval, where there are items."""
    delta: Mapping[str, Difference] = field(default_factory=dict)
    """Of a child: task -> its score less the parent's."""
    not_comparable: Mapping[str, str] = field(default_factory=dict)
    """Of a child: task -> why its score cannot be compared with the parent's."""
    marks: Mapping[str, Difference] = field(default_factory=dict, repr=False)
    """Task -> its score less that of the board's baseline row; without one, a child's `delta`."""


@dataclass(frozen=True, eq=False)
class Row(ComparedRow):
    """A row of the board."""

    borda: float | None = None
    """None for published rows and for children."""
    rank: int | None = None
    rank_low: int | None = None
    """The ends of the rank's 95 % interval; None where nothing says how far the rank can be relied on."""
    rank_high: int | None = None
    means: Mapping[str, Mean] = field(default_factory=dict)
    """The MTEB types, MTEB-56, Billboard, PromptRetrieval, the paper's nine-category mean, other benchmarks."""
    mean_spreads: Mapping[str, Spread] = field(default_factory=dict, repr=False)
    """Those of the means where every task in them has one."""
    delta_macro: Difference | None = None
    """Of a child: the mean of `delta`."""
    figures: Figures = field(default_factory=Figures)
    """Size and speed, of parents and children."""
    pareto: bool | None = None
    """True where no sibling is at least as good in all of quality, size, speed and index and better in one."""
    parent: Row | None = field(default=None, repr=False)
    """The row of the baseline variant, for rows of another variant of the same model."""


@dataclass(frozen=True)
class Board:
    """Rows in the order of their rank, measured before published, and the task columns in the order of the cards."""

    rows: Sequence[Row]
    tasks: Sequence[str]
    means: Sequence[str]
    left_out: int = 0
    """Stored scores of another protocol, limit or reader than the one asked for."""
    reader: str | None = None
    """The reader of the prompt-retrieval scores shown; None where there are none."""
    without_interval: Sequence[str] = ()
    """Comparisons of variants whose items are missing or damaged, each as "task (variant)"."""
    without_items: Sequence[str] = ()
    """Scores whose items are missing or damaged, each as "task (model)"."""
    baseline: Row | None = None
    """The row that `marks` compare with, where one was named."""
    unmarked: Sequence[str] = ()
    """Scores that cannot be compared with the baseline row's, each as "task (model: why)"."""
    lower: bool = False
    """True where lower scores are better."""
    neutral: bool = False
    """True where neither high nor low scores are better: nothing is ranked."""
    imported: Sequence[str] = ()
    """Models whose scores were imported, each with revision and source."""
    published_apart: bool = False
    """True where published scores are left out that are of another limit or protocol than the rows."""

    @cached_property
    def families(self) -> Mapping[Row, Sequence[Row]]:
        """Rows that have variants below them, with these."""
        found: dict[Row, list[Row]] = {}
        for row in self.rows:
            if row.parent is not None:
                found.setdefault(row.parent, []).append(row)
        return found
