"""One side of a comparison: a model under one instruction set, from wherever its scores were read."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.core.errors import UserError
from instructor_eval.results.score import ReadItems, Score
from instructor_eval.tasks.cards import shipped_cards

if TYPE_CHECKING:
    from instructor_eval.results.probe import Probe


BASELINES = Path("results/baselines")
"""The default folder of baselines."""


@dataclass(frozen=True)
class Side:
    """The scores of one model, variant and instruction set, and how to read what they were computed from."""

    label: str
    """As `sentence-transformers/all-MiniLM-L6-v2@int8:none`."""
    values: dict[str, float]
    """Task -> score, fractions of 1; a part (a CQADupstack forum) is left out where its whole is there."""
    scores: dict[str, Score]
    """Task -> score as stored, parts of wholes included; empty for published and imported ones."""
    read: ReadItems | None
    """Reads the items of one of `scores`; None: there are none."""
    source: str
    """The place it was read from, for people."""
    failed: dict[str, str]
    """Task -> error, of the tasks that have only failed."""
    root: Path | None = None
    """The folder whose `probes/` are of these scores."""

    @property
    def kind(self) -> str:
        """Name what it is: `published` or `imported` scores, or those of a `run`."""
        return next((kind for kind in ("published", "imported") if self.label.startswith(f"{kind}:")), "run")

    def probe(self) -> Probe | None:
        """The newest probe of these scores, for the drift gate; None where there is none.

        Raises:
            UserError: its file is damaged.
        """
        from instructor_eval.results import probe

        path = probe.newest(self.root, self.scores.values()) if self.root else None
        return probe.read(path) if path else None


def side_of(
    label: str, scores: Iterable[Score], read: ReadItems | None, source: str, *, root: Path | None = None
) -> Side:
    """A side of these scores; of several of one task the newest counts, and good ones before failed ones."""
    good: dict[str, Score] = {}
    failed: dict[str, Score] = {}
    for score in scores:
        group = good if score.status == "ok" and score.score is not None else failed
        if score.task not in group or score.created >= group[score.task].created:
            group[score.task] = score
    values = {task: s.score for task, s in good.items() if s.score is not None}
    errors = {
        task: s.error or ("its score is not a number" if s.status == "ok" else "failed")
        for task, s in failed.items()
        if task not in good
    }
    return Side(label, without_parts(values), good, read, source, errors, root)


def refuse_imported(*sides: Side) -> None:
    """Refuse scores that nobody tested here, for a gate: they have no items to test with.

    Raises:
        UserError: a side is of imported scores.
    """
    imported = next((side for side in sides if side.kind == "imported"), None)
    if imported is not None:
        raise UserError(
            f"{imported.label}: imported scores were not measured here and have no items to test: a gate takes results "
            "of a run (a comparison shows the differences)"
        )


def without_parts(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values without those of parts whose whole is there."""
    return {task: values[task] for task in wholes(values, values)}


def wholes(tasks: Iterable[str], among: Container[str]) -> list[str]:
    """Return the tasks that are no part of one among these."""
    known = shipped_cards()
    return [task for task in tasks if not (task in known and known[task].part_of in among)]
