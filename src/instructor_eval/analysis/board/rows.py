"""The leaderboard's values: rows, their means and their figures of size and speed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.results.score import CostFigures, Key, Score

if TYPE_CHECKING:
    from instructor_eval.analysis.statistics.spreads import Spread


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


def newest_cost(row: Row) -> CostFigures | None:
    """Return the newest measurement among a row's scores; None where none was measured."""
    measured = [s for s in row.scores.values() if s.cost]
    return max(measured, key=lambda s: s.created).cost if measured else None


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


@dataclass
class Row:
    """One model under one instruction set."""

    model: str
    instructions: str
    source: str
    """measured | published"""
    variant: str = "fp32"
    revision: str = ""
    fingerprint: str = ""
    tasks: dict[str, float] = field(default_factory=dict)
    """Task -> score, fractions of 1."""
    failed: set[str] = field(default_factory=set)
    failures: dict[str, Score] = field(default_factory=dict, repr=False)
    """The failed tasks as they were filed."""
    means: dict[str, Mean] = field(default_factory=dict)
    """The MTEB types, MTEB-56, Billboard, PromptRetrieval, the paper's nine-category mean, other benchmarks."""
    borda: float | None = None
    """None for published rows and for children."""
    rank: int | None = None
    rank_low: int | None = None
    """The ends of the rank's 95 % interval; None where nothing says how far the rank can be relied on."""
    rank_high: int | None = None
    name: str = ""
    """The model's bare name; `model` is what tells the row apart."""
    base: str = ""
    """Fingerprint of the checkpoint as fp32; empty where the scores do not say."""
    scores: dict[str, Score] = field(default_factory=dict, repr=False)
    """The stored scores behind `tasks`, those of parts included."""
    parent: Row | None = field(default=None, repr=False, compare=False)
    """The row of the baseline variant, for rows of another variant of the same model."""
    children: list[Row] = field(default_factory=list, repr=False, compare=False)
    delta: dict[str, Difference] = field(default_factory=dict)
    """Of a child: task -> its score less the parent's."""
    not_comparable: dict[str, str] = field(default_factory=dict)
    """Of a child: task -> why its score cannot be compared with the parent's."""
    delta_macro: Difference | None = None
    """Of a child: the mean of `delta`."""
    figures: Figures = field(default_factory=Figures)
    """Size and speed, of parents and children."""
    spreads: dict[str, Spread] = field(default_factory=dict, repr=False)
    """Task -> its score with its interval, where there are items."""
    mean_spreads: dict[str, Spread] = field(default_factory=dict, repr=False)
    """The same of the means, where every task in them has one."""
    marks: dict[str, Difference] = field(default_factory=dict, repr=False)
    """Task -> its score less that of the board's baseline row; without one, a child's `delta`."""
    pareto: bool | None = None
    """True where no sibling is at least as good in all of quality, size, speed and index and better in one."""

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
        return newest_cost(self)


@dataclass
class Board:
    """Rows in the order of their rank, measured before published, and the task columns in the order of the cards."""

    rows: list[Row]
    tasks: list[str]
    means: list[str]
    left_out: int = 0
    """Stored scores of another protocol, limit or reader than the one asked for."""
    reader: str | None = None
    """The reader of the prompt-retrieval scores shown; None where there are none."""
    without_interval: list[str] = field(default_factory=list)
    """Comparisons of variants whose items are missing or damaged, each as "task (variant)"."""
    without_items: list[str] = field(default_factory=list)
    """Scores whose items are missing or damaged, each as "task (model)"."""
    baseline: Row | None = None
    """The row that `marks` compare with, where one was named."""
    unmarked: list[str] = field(default_factory=list)
    """Scores that cannot be compared with the baseline row's, each as "task (model: why)"."""
    lower: bool = False
    """True where lower scores are better."""
    published_apart: bool = False
    """True where published scores are left out that are of another limit or protocol than the rows."""

    @property
    def parents(self) -> list[Row]:
        """Rows that have variants below them."""
        return [row for row in self.rows if row.children]
