"""The page's sections: one for every model, with its rows beside each other, and one for every task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from instructor_eval.analysis.board import variants_text
from instructor_eval.analysis.board.rows import Row
from instructor_eval.analysis.format import interval_text, some
from instructor_eval.report import chart, details, pairs, table
from instructor_eval.report.lines import MODEL, PUBLISHED, Line


@dataclass(frozen=True)
class TaskSection:
    """A task of the page."""

    column: table.Column
    summary: str
    facts: list[dict[str, Any]]
    details: list[str]
    """Keys of what stands behind its scores."""


@dataclass(frozen=True)
class ModelSection:
    """A model of the page, with its rows."""

    id: str
    name: str
    headers: list[str]
    rows: list[list[str]]
    reading: list[str]
    """The result of its variants, in words."""
    pairs: Sequence[tuple[str, str]]
    """Key and label of each row beside another."""


def trees(lines: Sequence[Line]) -> list[list[Line]]:
    """Return the measured lines, a list for each model: its head first."""
    found: list[list[Line]] = []
    for line in lines:
        if line.kind == MODEL:
            found.append([])
        if line.kind != PUBLISHED:
            found[-1].append(line)
    return found


def model_section(
    tree: Sequence[Line], beside: Sequence[tuple[str, str]], families: Mapping[Row, Sequence[Row]]
) -> ModelSection:
    """Return what is known of a model's rows; columns that say nothing are left out."""
    columns: dict[str, Callable[[Line], str]] = {
        "row": lambda line: line.short if line.parent else f"{line.row.variant} · {line.row.instructions}",
        "Δ [95 %]": lambda line: interval_text(line.delta_macro) if line.delta_macro else "",
        "size MB": lambda line: _figure(line.cost.file_bytes, 1e6, 1),
        "texts/s": lambda line: _figure(line.cost.texts_per_second, 1, 1),
        "pictures/s": lambda line: _figure(line.cost.pictures_per_second, 1, 1),
        "ms/query": lambda line: _figure(chart.query_milliseconds(line), 1, 2),
        "peak MB": lambda line: _figure(line.cost.peak_memory_bytes, 1e6, 0),
        "x faster": lambda line: _figure(line.row.figures.faster, 1, 2),
        "index MB per 1M texts": lambda line: _figure(line.row.figures.vector_bytes, 1, 0),
        "Pareto (score, size, speed, index)": lambda line: "*" if line.row.pareto else "",
        "family": lambda line: line.family,
        "decided by": lambda line: _of_model(line, "family_rule"),
        "dim": lambda line: _of_model(line, "dim"),
        "max length": lambda line: _of_model(line, "max_length"),
        "revision": lambda line: line.row.revision,
        "fingerprint": lambda line: line.row.fingerprint,
    }
    rows = [[of(line) for of in columns.values()] for line in tree]
    shown = [i for i in range(len(columns)) if i == 0 or any(row[i] for row in rows)]
    return ModelSection(
        f"m-{tree[0].id}",
        tree[0].row.name or tree[0].row.model,
        [list(columns)[i] for i in shown],
        [[row[i] for i in shown] for row in rows],
        [sentence for line in tree for sentence in _reading(line.row, families.get(line.row, ()))],
        beside,
    )


def model_pairs(
    tree: Sequence[Line], baseline: Line | None, places: Mapping[str, int]
) -> Iterator[tuple[Line, Line, pairs.Pair]]:
    """Return a model's lines, each beside its parent, and beside the board's baseline row where there is one."""
    for line in tree:
        if line.parent is not None and (found := pairs.with_parent(line, places)) is not None:
            yield line, line.parent, found
        if baseline is None or line.parent is baseline:
            continue
        if (found := pairs.with_baseline(line, baseline, places)) is not None:
            yield line, baseline, found


def _reading(head: Row, variants: Sequence[Row]) -> list[str]:
    """Return what to deploy, and a line for each variant, as the terminal has them."""
    return [*variants_text.deploy(head, variants), *map(variants_text.line_of, variants)]


def _of_model(line: Line, key: str) -> str:
    known = [*line.row.scores.values(), *line.row.failures.values()]
    return str(getattr(known[0].model, key)) if known else ""


def _figure(value: float | None, unit: float, places: int) -> str:
    return "" if value is None else f"{value / unit:,.{places}f}"


def _whose(using: Sequence[Line], every: Sequence[Line]) -> str:
    """Return who uses something: nobody is named where all do, else instruction sets, or rows."""
    if len(using) == len(every):
        return ""
    sets = {line.row.instructions for line in using}
    if all((line in using) == (line.row.instructions in sets) for line in every):
        return f": {some(sorted(sets))}"
    return f": {some(list(dict.fromkeys(f'{line.row.name} · {line.row.instructions}' for line in using)))}"


def task_section(column: table.Column, found: Sequence[details.Detail], shared: details.Shared) -> TaskSection:
    """Return what is known of a task, and what its scores share."""
    metrics = sorted({d.score.metric for d in found})
    parts = [f"{column.type}, benchmark {column.benchmark}"]
    parts += [f"scored by {', '.join(metrics)}"] if metrics else []
    units = list(dict.fromkeys(d.unit for d in found if d.unit))
    parts += [", ".join(units)] if units else []
    parts += list(dict.fromkeys(note.rstrip(".") for d in found for note in d.score.notes))
    titles = {"i": "Instructions", "d": "Data and protocol"}
    facts = []
    for one in shared.by_task.get(column.name, []):
        whose = _whose([d.line for d in found if one in d.shared], [d.line for d in found])
        facts.append({"title": f"{titles[one.id[0]]}{whose}", "facts": one})
    return TaskSection(column, "; ".join(parts) + ".", facts, [d.key for d in found])
