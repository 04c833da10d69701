"""Billboard: does the similarity of a generated text to its references follow the human judgement?

Paper, section 4.1, on data in THumB's format (Kasai et al. 2022, arXiv:2111.08940): hypotheses and references are
embedded under one instruction; a hypothesis scores the maximum cosine over its references; the result is one Pearson r
with the human score over all (segment, system) rows pooled. Texts by humans count as systems too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from instructor_eval import metrics
from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.hub import files_key, mirror_folder
from instructor_eval.core.values import Items, Vectors
from instructor_eval.tasks.rows import read_rows
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.values import RowReader, cut, folder_of, gold_hash, refuse_if_strict

_ROUNDING = 1e-6
"""Cosines that differ by less are equal: float32 products of one pair differ with the shape of the matrix."""


@dataclass(frozen=True)
class Segment:
    """One source with its references and the systems' texts."""

    id: str
    references: list[str]
    systems: list[str]
    hypotheses: list[str]
    human: list[float]


def data_key(card: Card, settings: RunSettings) -> str:
    """Return a hash of the folder's files.

    Raises:
        UserError: there is no such folder.
    """
    return files_key(_folder(card, settings))


def run(card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
    """Run a task: embed, take the maximum over references, correlate.

    Raises:
        UserError: the data is missing or broken, or the model gives no usable vectors.
    """
    segments, warnings = read_segments(_folder(card, settings))
    refuse_if_strict(card, warnings, strict=settings.strict)
    segments = limit_segments(segments, settings.limit)
    encoder.calibrate([t for s in segments for t in (*s.references, *s.hypotheses)], "text")
    references = encoder.encode([r for s in segments for r in s.references], "text")
    hypotheses = encoder.encode([h for s in segments for h in s.hypotheses], "text")
    if settings.texts_only:
        return Outcome(metric=card.metric, score=0.0, items={"id": []})
    values = max_over_references(
        unit(hypotheses),
        unit(references),
        [len(s.hypotheses) for s in segments],
        [len(s.references) for s in segments],
    )
    rows = [(s.id, system, human) for s in segments for system, human in zip(s.systems, s.human, strict=True)]
    items: Items = {
        "id": [f"{segment}/{system}" for segment, system, _ in rows],
        "segment": [segment for segment, _, _ in rows],
        "system": [system for _, system, _ in rows],
        "gold": [human for _, _, human in rows],
        "value": [float(v) for v in values],
    }
    if len(set(items["gold"])) < 2 or np.ptp(values) < _ROUNDING:
        raise UserError(f"task {card.name}: all scores are equal, no correlation exists")
    score = metrics.compute(card.metric, items)
    return Outcome(card.metric, score, items, gold_hash=gold_hash(rows), warnings=warnings)


def _folder(card: Card, settings: RunSettings) -> Path:
    if card.folder is not None:
        return folder_of(card)
    folder = mirror_folder(settings.hub, str(card.data_id))
    if folder is None:
        raise UserError(
            f"data set {card.data_id} ({card.name}) is on no public data hub: give a folder with its two THumB "
            f"files with --hub DIR (DIR/datasets/{card.data_id}/) or write a card of your own with `data: FOLDER`"
        )
    return folder


def _one(folder: Path, ending: str) -> Path:
    found = sorted(folder.glob(f"*{ending}"))
    if len(found) != 1:
        raise UserError(f"{folder}: expected one file *{ending}, found {len(found)}")
    return found[0]


def read_segments(folder: Path) -> tuple[list[Segment], tuple[str, ...]]:
    """Return the data of a folder in THumB's format, and warnings for its owner.

    Raises:
        UserError: a file is missing, a row broken, a segment without references, a system twice in one segment, or
            no correlation can exist.
    """
    path = _one(folder, "_references.jsonl")
    reader = RowReader(path)
    references: dict[str, list[str]] = {}
    for line, row in read_rows(path):
        segment = reader.id(line, row, "seg_id")
        if segment in references:
            raise reader.fail(line, f"segment {cut(segment)} is there twice")
        references[segment] = reader.texts(line, row, "refs")
        if not references[segment]:
            raise reader.fail(line, f"segment {cut(segment)} has no references")
    warnings = reader.warnings()
    path = _one(folder, "_THumB-1.0.jsonl")
    reader = RowReader(path)
    segments: dict[str, Segment] = {}
    for line, row in read_rows(path):
        segment, system = reader.id(line, row, "seg_id"), reader.id(line, row, "SYS")
        if segment not in references:
            raise reader.fail(line, f"segment {cut(segment)} has no references in the other file")
        into = segments.setdefault(segment, Segment(segment, references[segment], [], [], []))
        if system in into.systems:
            raise reader.fail(line, f"system {cut(system)} is there twice for segment {cut(segment)}")
        into.systems.append(system)
        into.hypotheses.append(reader.text(line, row, "hyp"))
        into.human.append(reader.number(line, row, "human_score"))
    if not segments:
        raise UserError(f"{path}: no rows")
    found = list(segments.values())
    _check_variety(found, path)
    return found, tuple(map(one_line, warnings + reader.warnings()))


def _check_variety(segments: Sequence[Segment], path: Path) -> None:
    """Refuse data with equal grades only, or with equal similarities in any model."""
    if len({score for s in segments for score in s.human}) < 2:
        raise UserError(f"{path}: no variety: every 'human_score' is {segments[0].human[0]:g}")
    if all(hypothesis in s.references for s in segments for hypothesis in s.hypotheses):
        raise UserError(f"{path}: no variety: every 'hyp' is one of its own references")
    if len({(hypothesis, frozenset(s.references)) for s in segments for hypothesis in s.hypotheses}) < 2:
        raise UserError(f"{path}: no variety: every row has the same 'hyp'")


def limit_segments(segments: list[Segment], n: int | None) -> list[Segment]:
    """Return the first n segments, all if None; if all their human scores are equal, another replaces the last."""
    if n is None:
        return segments
    first = {score for s in segments[:n] for score in s.human}
    if len(first) > 1:
        return segments[:n]
    other = next(s for s in segments[n:] if set(s.human) != first)
    return [*(segments[: n - 1] if len(set(other.human)) > 1 else segments[: max(n, 2) - 1]), other]


def unit(vectors: Vectors) -> Vectors:
    """Scale rows to length 1."""
    normed: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normed


def max_over_references(
    hypotheses: Vectors, references: Vectors, n_hypotheses: Sequence[int], n_references: Sequence[int]
) -> Vectors:
    """Return each hypothesis' largest cosine with a reference of its segment.

    Rows have length 1, segment after segment.
    """
    best = []
    h = r = 0
    for nh, nr in zip(n_hypotheses, n_references, strict=True):
        best.append((hypotheses[h : h + nh] @ references[r : r + nr].T).max(axis=1))
        h, r = h + nh, r + nr
    return np.concatenate(best)
