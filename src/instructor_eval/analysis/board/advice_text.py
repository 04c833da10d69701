"""Advice in words: one sentence, and what it rests on, where at most three rows are named and the others counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from instructor_eval.analysis.board.advice import Advice, Option
from instructor_eval.analysis.board.rows import Row
from instructor_eval.analysis.board.variants import MARGIN, alike
from instructor_eval.analysis.board.variants_text import none_safe
from instructor_eval.analysis.format import interval_text, plural, points

NAMED = 3
"""So many rows of a group are named."""


@dataclass(frozen=True)
class Named:
    """A row of a reason."""

    row: Row
    name: str
    text: str = ""
    """The sentence about it."""


@dataclass(frozen=True)
class Reason:
    """A group of rows that the advice rests on."""

    what: str
    rows: Sequence[Named]
    more: int = 0
    """How many rows of the group are not named."""


def sentence(advice: Advice) -> str:
    """Return the advice in one sentence, or two short ones."""
    best, pick = advice.best, advice.pick
    names = names_of(advice)
    if len(advice.parents) == 1 and advice.unsafe and not (advice.near or advice.worse or advice.unknown):
        return none_safe(best.row, advice.unsafe)
    others = len(advice.near) + len(advice.worse) + len(advice.unknown)
    if not others:
        return f"Only {names[best.row]} can be judged: run another model or variant on the same tasks to compare."
    if pick is not best:
        could = f"; on other items it could lose up to {points(pick.risk)} points" if pick.risk > MARGIN else ""
        return f"Take {names[pick.row]}: within noise of the best, {_gains(pick)}{could}."
    return f"Take {names[best.row]}{_why_the_best(advice, names)}"


def _why_the_best(advice: Advice, names: Mapping[Row, str]) -> str:
    """Return what stands behind the name of the highest score where no other row is taken in its place."""
    if not advice.near and advice.unknown:
        few = "too few items, or none that can be compared," if advice.worse else "no intervals that can be relied on"
        return f" for now: the highest score. There are {few} to say whether others are as good."
    if not advice.near:
        return f": it scores higher than {_the_others(len(advice.worse))}, beyond noise."
    cheaper = [option for option in advice.near if option.is_cheaper]
    if cheaper:  # but more than a point worse
        one = min(cheaper, key=lambda option: option.loss)
        return (
            f": the highest score. {names[one.row]} is {_gains(one)}, and within noise of it, but scores "
            f"{points(one.loss)} points less here."
        )
    known = any(option.faster or option.smaller for option in advice.near)
    why = "none is faster, or as fast and smaller" if known else "their costs cannot be compared"
    return f": the highest score. {_within(advice.near)}, and {why}."


def reasons(advice: Advice) -> list[Reason]:
    """Return the groups of rows that the advice rests on; those without a row are left out."""
    names = names_of(advice)
    best, pick = advice.best, advice.pick
    near = [option for option in advice.near if option is not pick]
    found = [Reason("Highest score", [Named(best.row, names[best.row], f"{points(best.quality)}{_cost(best.row)}")])]
    if pick is not best:
        found.append(Reason("To take", [Named(pick.row, names[pick.row], _beside(pick) + _cost(pick.row))]))
    groups: list[tuple[str, Sequence[Row], Callable[[Row], str]]] = [
        ("Within noise of the best" if pick is best else "Within noise of it too", *_texts(near, _beside)),
        ("Shown to score lower", *_texts(advice.worse, lambda option: points(option.quality))),
        ("Unclear beside the best", *_texts(advice.unknown, lambda option: points(option.quality))),
        ("Variants that are not safe yet", advice.unsafe, _lost),
        ("Left out, without some of the tasks", advice.incomplete, lambda row: f"{len(row.tasks)} tasks"),
    ]
    for what, rows, text in groups:
        shown = [Named(row, names[row], text(row)) for row in rows[:NAMED]]
        found += [Reason(what, shown, max(0, len(rows) - NAMED))] if rows else []
    return found


def basis(advice: Advice) -> str:
    """Return what the scores and differences are."""
    n = len(advice.tasks)
    scores = f"Scores: mean of {n} {plural('task', n)}" if n > 1 else f"Scores: of {advice.tasks[0]}"
    return (
        f"{scores}. Differences: from the best, paired item by item, with 95 % intervals; within noise: the interval "
        f"holds 0. The fastest of these is to be taken, or the smallest, if it scores at most {100 * MARGIN:.1f} point "
        "less here."
    )


def names_of(advice: Advice) -> Mapping[Row, str]:
    """Return each row's name, as short as tells it from the others."""
    options = [advice.best, *advice.near, *advice.worse, *advice.unknown]
    return names([*(option.row for option in options), *advice.unsafe, *advice.incomplete])


def names(rows: Sequence[Row]) -> dict[Row, str]:
    """Return short names: the end of the model's, and the variant and instruction set where they differ.

    Variants of a single model go by what they are: `int8`.
    """
    heads = {row.parent or row for row in rows}
    sets: dict[str, set[str]] = {}
    for row in rows:
        sets.setdefault(row.name, set()).add(row.instructions)
    single = len(heads) == 1 and any(row.parent for row in rows)

    def short(row: Row) -> str:
        if single:
            return row.short
        parts = [(row.name or row.model).rstrip("/").rsplit("/", 1)[-1] or row.model]
        parts += [row.short] if row.variant != "fp32" else []
        parts += [row.instructions] if len(sets[row.name]) > 1 else []
        return " · ".join(parts)

    found = {row: short(row) for row in rows}
    known = Counter(found.values())
    return {row: name if known[name] == 1 else f"{row.model} · {row.instructions}" for row, name in found.items()}


def _texts(options: Sequence[Option], text: Callable[[Option], str]) -> tuple[list[Row], Callable[[Row], str]]:
    by_row = {option.row: option for option in options}
    return list(by_row), lambda row: text(by_row[row])


def _gains(option: Option) -> str:
    """Return `3.1 x faster and 4.0 x smaller`; what is worse stands in brackets."""
    ratios = [(option.faster, "faster", "slower"), (option.smaller, "smaller", "larger")]
    known = [(ratio, more, less) for ratio, more, less in ratios if ratio and not alike(ratio)]
    gains = [f"{_times(ratio)}x {more}" for ratio, more, _ in known if ratio > 1]
    losses = [f"{_times(1 / ratio)}x {less}" for ratio, _, less in known if ratio < 1]
    return " and ".join(gains) + (f" ({', '.join(losses)})" if losses else "")


def _times(ratio: float) -> str:
    return f"{ratio:.{2 if ratio < 1.095 else 1 if ratio < 9.95 else 0}f}"


def _beside(option: Option) -> str:
    found = option.beside
    return points(option.quality) + (f", {interval_text(found)}" if found else "")


def _cost(row: Row) -> str:
    cost = row.cost
    speed = f", {cost.texts_per_second:,.0f} texts a second" if cost and cost.texts_per_second else ""
    size = f", {cost.file_bytes / 1e6:,.0f} MB" if cost and cost.file_bytes else ""
    return speed + size


def _lost(row: Row) -> str:
    delta = row.delta_macro
    return "nothing to compare" if delta is None else f"{interval_text(delta)}{' (few items)' if delta.weak else ''}"


def _within(near: Sequence[Option]) -> str:
    return f"{len(near)} other {plural('row', len(near))} {'is' if len(near) == 1 else 'are'} within noise of it"


def _the_others(n: int) -> str:
    return {1: "the other row", 2: "both others"}.get(n, f"all {n} others")
