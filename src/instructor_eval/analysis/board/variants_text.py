"""Variants beside their baselines, as text: a table for each parent, and a line for each child in plain words.

A difference is given with its interval. Where the interval holds 0 nothing is shown, which is not that nothing is lost:
the words give the loss that could still hide in it, and call it undecided where that is more than `MARGIN`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from instructor_eval.analysis import format as difference_text
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.board.variants import MARGIN, NOISE, alike, is_safe
from instructor_eval.analysis.format import delta_header, mark, some
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.core.errors import printable
from instructor_eval.core.output import columns
from instructor_eval.core.tables import blocks, render
from instructor_eval.models.variant import BASELINE, canonical
from instructor_eval.results.reading import known

CSV_COLUMNS = [
    "variant", "parent", "delta", "delta_low", "delta_high", "delta_tasks", "file_bytes", "times_smaller",
    "times_faster", "device", "index_bytes_per_million_texts", "pareto",
]  # fmt: skip
"""The columns of CSV behind those of the score table; `delta` in points (x 100), as the scores are."""
_POINT = f"more than {100 * MARGIN:.1f} point"
SAFE = f"Safe (no loss shown, at most {100 * MARGIN:.1f} point could be lost)"
_MILLION = 1_000_000
_MEANINGS = {
    "better": "▲ better.",
    "worse": "▼ worse.",
    "same": "=: no difference shown, the interval holds 0; that does not show that there is none.",
    "unknown": "?: no interval.",
}


def as_json(row: Row, children: Sequence[Row]) -> dict[str, Any]:
    """Return a row as a variant for JSON; fractions of 1 and bytes, null where unknown."""
    figures = row.figures
    return {
        "parent": row.parent.model if row.parent else None,
        "children": [child.model for child in children],
        "delta": difference_text.as_json(row.delta_macro),
        "deltas": {task: difference_text.as_json(delta) for task, delta in row.delta.items()},
        "not_comparable": row.not_comparable,
        "cost": known(row.cost),
        "file_bytes": figures.file_bytes,
        "times_smaller": figures.smaller,
        "times_faster": figures.faster,
        "bytes_per_vector": figures.vector_bytes,
        "pareto": row.pareto,
    }


def csv_cells(row: Row) -> list[Any]:
    """The values of `CSV_COLUMNS`."""
    figures, delta = row.figures, row.delta_macro
    ends = (delta.delta, delta.low, delta.high) if delta else (None, None, None)
    points = [None if v is None else f"{100 * v:.4f}" for v in ends]
    index = None if figures.vector_bytes is None else figures.vector_bytes * _MILLION
    ratios = [None if v is None else f"{v:.4f}" for v in (figures.smaller, figures.faster)]
    pareto = None if row.pareto is None else int(row.pareto)
    return [
        row.variant, row.parent.model if row.parent else None, *points, delta.n if delta else None,
        figures.file_bytes, *ratios, figures.device, index, pareto,
    ]  # fmt: skip


def tables(board: Board, form: str) -> list[str]:
    """The variants: in a terminal a title and a table for each parent, elsewhere one table of all."""
    if form == "table":
        found = []
        for parent, children in board.families.items():
            headers, rows = _table([parent, *children], form)
            title = f"Variants of {parent.model}, instructions {parent.instructions}"
            found.append(printable("; ".join(filter(None, [title, _without_baseline(parent, children)]))))
            found.append(blocks(headers, rows, left=1, width=columns()))
        return found
    if not board.families:
        return []
    family = _rows(board)
    headers, rows = _table(family, form)
    cells = [[row.model, row.instructions, *shown] for row, shown in zip(family, rows, strict=True)]
    return [render(["model", "instructions", *headers], cells, form, left=3)]


def _rows(board: Board) -> list[Row]:
    """Return the rows that have variants below them, each before these."""
    return [row for parent, children in board.families.items() for row in (parent, *children)]


def _table(rows: Sequence[Row], form: str) -> tuple[list[str], list[list[str | None]]]:
    """Headers and rows; columns of which nothing is known are left out."""
    devices = {(row.parent, row.figures.device) for row in rows if row.parent and row.figures.faster}
    of_children: Counter[Row | None] = Counter(parent for parent, _ in devices)
    columns: dict[str, Callable[[Row], str | None]] = {
        "variant": lambda row: row.short if row.parent else _parent_cell(row),
        delta_header(form): lambda row: _delta_cell(row, form),
        "tasks": _tasks_cell,
        "size MB": lambda row: _megabytes(row.figures.file_bytes),
        "x smaller": lambda row: _ratio(row.figures.smaller),
        "x faster here": lambda row: _faster_cell(row, several=of_children[row.parent] > 1),
        "ms/query": _milliseconds,
        "index MB/1M": lambda row: _megabytes(row.figures.vector_bytes, _MILLION),
        "Pareto": lambda row: "*" if row.pareto else None,
    }
    cells = {header: [cell(row) for row in rows] for header, cell in columns.items()}
    shown = {header: column for header, column in cells.items() if any(column)}
    return list(shown), [list(row) for row in zip(*shown.values(), strict=True)]


def _without_baseline(parent: Row, children: Sequence[Row]) -> str:
    """Return a note where a family is compared with another form than fp32; empty where it is fp32."""
    if canonical(parent.variant) == BASELINE:
        return ""
    failed = any(canonical(child.variant) == BASELINE for child in children)
    return f"{f'{BASELINE} has no scores' if failed else f'no {BASELINE} row'}: compared with {parent.variant}"


def _parent_cell(parent: Row) -> str:
    return f"{parent.variant} ({'baseline' if canonical(parent.variant) == BASELINE else 'compared with'})"


def _delta_cell(row: Row, form: str) -> str | None:
    delta = row.delta_macro
    if delta is None:
        return "nothing to compare" if row.parent else None
    return f"{_interval(delta)} {mark(delta, form)}"


def _interval(delta: Difference) -> str:
    """`-0.31 [-0.52, -0.10]`, in points."""
    text = _points(delta.delta)
    return text if delta.low is None or delta.high is None else f"{text} [{_points(delta.low)}, {_points(delta.high)}]"


def _points(value: float) -> str:
    """Hundredths with two places, a sign, and no minus before zero; more places where two would show nothing."""
    points = 100 * value
    places = 2 if abs(points) >= 0.005 or points == 0 else min(6, 1 - math.floor(math.log10(abs(points))))
    text = f"{points:+.{places}f}"
    return text if float(text) else "0.00"


def _tasks_cell(row: Row) -> str | None:
    if row.parent is None:
        return None
    n = row.delta_macro.n if row.delta_macro else 0
    return str(n) if n == _shared(row) else f"{n} of {_shared(row)}"


def _shared(row: Row) -> int:
    """Return how many tasks a child and its parent both have."""
    return len(row.delta) + len(row.not_comparable)


def _faster_cell(row: Row, *, several: bool) -> str | None:
    """Return its speed; with the machine where siblings ran on several."""
    text = _ratio(row.figures.faster)
    return f"{text} ({row.figures.device})" if text and several else text


def _milliseconds(row: Row) -> str | None:
    return None if row.cost is None or row.cost.query_ms is None else f"{row.cost.query_ms.p50:.2f}"


def _ratio(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _megabytes(size: int | None, times: int = 1) -> str | None:
    if size is None:
        return None
    megabytes = size * times / 1e6
    return f"{megabytes:,.1f}" if megabytes < 100 else f"{megabytes:,.0f}"


def reading(board: Board) -> list[str]:
    """Return what the tables of variants show, in paragraphs: the marks, a line a child, what to deploy.

    The marks alone where higher is not better.
    """
    if not board.families:
        return []
    if board.lower or board.neutral:  # what to deploy is a question of quality
        return [" ".join(_legend(board))]
    return [" ".join(_legend(board)), *(_reading_of(parent, of) for parent, of in board.families.items())]


def _legend(board: Board) -> list[str]:
    rows = _rows(board)
    deltas = [row.delta_macro for row in rows if row.delta_macro]
    whom = "the row compared with" if any(canonical(p.variant) != BASELINE for p in board.families) else "the baseline"
    lines = [f"Δ: mean difference from {whom} over the tasks both have, and its 95 % interval, in points."]
    marks = {delta.verdict for delta in deltas}
    meanings = _MEANINGS | ({"better": "▲ higher.", "worse": "▼ lower."} if board.lower or board.neutral else {})
    lines += [text for verdict, text in meanings.items() if verdict in marks]
    if any(delta.weak for delta in deltas):
        lines.append("weak: too few items to rely on the interval.")
    if any(row.delta_macro and row.delta_macro.n < _shared(row) for row in rows):
        lines.append("n of m tasks: n have an interval, of m that both have.")
    if marks - {"unknown"}:
        lines.append(
            "Embeddings are deterministic, so a difference on these items is real; the interval says whether it would "
            "hold for other items of this kind. Each interval stands alone: of twenty, one may miss."
        )
    if any(row.figures.vector_bytes for row in rows):
        lines.append("index MB/1M: the vectors of a million texts.")
    if any(row.pareto is not None for row in rows):
        lines.append(
            "Pareto *: no sibling is at least as good in score, file size, speed and index, and better in one; speeds "
            f"within {100 * NOISE:.0f} % are equal."
        )
    apart = [f"{task} ({row.short}: {why})" for row in rows for task, why in row.not_comparable.items()]
    if apart:
        lines.append(f"Not compared: {some(apart)}.")
    if board.without_interval:
        lines.append(f"No interval, as items are missing or damaged: {some(board.without_interval)}; run these again.")
    return lines


def _reading_of(parent: Row, children: Sequence[Row]) -> str:
    compared = _without_baseline(parent, children) or f"beside {parent.variant}"
    title = f"{parent.model}, instructions {parent.instructions}, {compared}"
    lines = [*map(line_of, children), *_untimed(children), *deploy(parent, children)]
    return "\n".join(map(printable, [f"{title}:", *(f"  {line}" for line in lines)]))


def _untimed(children: Sequence[Row]) -> list[str]:
    """One line on the children that were measured and have no speed beside the parent."""
    reasons: dict[str, list[str]] = {}
    for child in children:
        if child.figures.untimed:
            reasons.setdefault(child.figures.untimed, []).append(child.short)
    said = "; ".join(f"{some(names)} ({why})" for why, names in reasons.items())
    return [f"speed not compared: {said}; `--cost full` of a run with both times them in turns"] if said else []


def line_of(child: Row) -> str:
    """One child in words: "int8: 2.4x smaller, 1.6x faster here, -0.31 points [-0.52, -0.10] on 12 tasks: ..."."""
    figures, delta = child.figures, child.delta_macro
    whole = child.parent.figures.vector_bytes if child.parent else None
    index = whole / figures.vector_bytes if whole and figures.vector_bytes else None
    said = [
        _times(figures.smaller, "smaller", "larger", "the same size"),
        _times(figures.faster, "faster here", "slower here", "as fast here"),
        None if index == 1 else _times(index, "smaller index", "larger index", "the same index"),
    ]
    if delta is None:
        return f"{child.short}: {', '.join([*filter(None, said), 'no task to compare'])}"
    points, _, interval = _interval(delta).partition(" ")
    said.append(" ".join(filter(None, [points, "points", interval, "on", _tasks(delta)])))
    return f"{child.short}: {', '.join(filter(None, said))}: {_verdict(delta)}"


def _tasks(delta: Difference) -> str:
    return f"{delta.n} task{'s' * (delta.n != 1)}"


def _verdict(delta: Difference) -> str:
    weak = " (weak: few items)" if delta.weak else ""
    if delta.verdict == "unknown":
        return "whether that is a loss cannot be said without an interval"
    if delta.verdict != "same":
        return f"a real {'gain' if delta.verdict == 'better' else 'loss'}{weak}"
    if _risk(delta) > MARGIN:
        return f"undecided: could lose up to {_lost(delta)}{weak}"
    if delta.delta == delta.low == delta.high == 0:  # of the scores: items can differ where a metric does not see it
        return f"no difference in the score or in its interval{weak}"
    return f"no loss shown ({_room(delta)}){weak}" if _risk(delta) else f"no loss in the interval{weak}"


def _risk(delta: Difference) -> float:
    """The largest loss in the interval, 0 where it holds none; not for a difference without one."""
    return max(0.0, -(delta.low or 0.0))


def _lost(delta: Difference) -> str:
    return _points(_risk(delta)).lstrip("+")


def _room(delta: Difference) -> str:
    """Return the loss that an interval which shows none still allows."""
    return f"could hide up to {_lost(delta)}" if _risk(delta) else "no loss in the interval"


def _times(ratio: float | None, more: str, less: str, same: str) -> str | None:
    """`2.4x smaller`; `same` where `alike`."""
    if ratio is None:
        return None
    if alike(ratio):
        return same
    shown = max(ratio, 1 / ratio)
    return f"{shown:.{1 if shown < 9.95 else 0}f}x {more if ratio > 1 else less}"


def deploy(parent: Row, children: Sequence[Row]) -> list[str]:
    """Return which variants to deploy: the smallest, the fastest, the one with the smallest index; and the undecided.

    Children whose loss is shown are no candidates, nor those whose interval is missing or weak, or leaves room for a
    loss above `MARGIN`; the parent is one.
    """
    judged = [
        (c, c.delta_macro)
        for c in children
        if c.delta_macro and not c.delta_macro.weak and c.delta_macro.low is not None
    ]
    if not judged:
        return []
    safe = [child for child, _ in judged if is_safe(child)]
    open_ones = [(c, delta) for c, delta in judged if delta.verdict != "worse" and c not in safe]
    undecided = some([f"{c.short} (up to {_lost(delta)})" for c, delta in open_ones])
    return [
        _choice(parent, safe) if safe else none_safe(parent, children),
        *([f"Undecided, could lose {_POINT}: {undecided}"] if undecided else []),
    ]


def none_safe(parent: Row, children: Sequence[Row]) -> str:
    """Return the advice where no child is safe, `No variant is safe yet: ... Keep fp32.` for example."""
    risks = [c.delta_macro for c in children if c.delta_macro and c.delta_macro.low is not None]
    if not risks:
        return f"No variant can be judged yet: there are no intervals. Keep {parent.variant}."
    large = all(_risk(delta) > MARGIN for delta in risks)
    each = f"loses, or could lose, {_POINT}" if large else f"shows a loss, or could lose {_POINT}"
    return f"No variant is safe yet: each {each}. Keep {parent.variant}."


def _choice(parent: Row, chosen: Sequence[Row]) -> str:
    """Return the best in each respect, of the parent and the candidates."""
    rows = [parent, *chosen]
    best = [
        _best("smallest", rows, lambda row: row.figures.smaller),
        *_fastest(rows),
        _best("smallest index", rows, lambda row: 1 / row.figures.vector_bytes if row.figures.vector_bytes else None),
    ]
    lines: dict[str, list[str]] = {}
    for what, answer in filter(None, best):
        lines.setdefault(answer, []).append(what)
    said = "; ".join(f"{' and '.join(whats)}: {answer}" for answer, whats in lines.items())
    return f"{SAFE}: {said or ', '.join(c.short for c in chosen)}"


def _fastest(rows: Sequence[Row]) -> list[tuple[str, str] | None]:
    """The fastest on each device; ratios measured on two are not compared."""
    devices = list(dict.fromkeys(row.figures.device for row in rows if row.parent and row.figures.faster))
    found = []
    for device in devices:
        here = [row for row in rows if row.parent is None or row.figures.device == device]
        where = f" on {device}" if len(devices) > 1 and device else ""
        found.append(_best(f"fastest{where}", here, lambda row: row.figures.faster, alike))
    return found


def _best(
    what: str,
    rows: Sequence[Row],
    worth: Callable[[Row], float | None],
    equal: Callable[[float], bool] = lambda ratio: ratio == 1,
) -> tuple[str, str] | None:
    """`what`, and the row worth most; of equals, by the ratio of their worths, the first in the table.

    None where rows do not differ, or the baseline's worth is unknown.
    """
    known = [(value, row) for row in rows if (value := worth(row)) is not None]
    most = max((value for value, _ in known), default=0.0)
    if not known or known[0][1].parent is not None or all(equal(most / value) for value, _ in known):
        return None
    row = next(row for value, row in known if equal(most / value))
    if row.delta_macro is None:
        return what, f"{row.variant} itself"
    return what, f"{row.short} ({_room(row.delta_macro)}, {_tasks(row.delta_macro)})"
