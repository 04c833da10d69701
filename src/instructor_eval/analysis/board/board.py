"""The leaderboard: rows model x instruction set, columns tasks and their means, from stored scores alone.

Published scores stand in rows of their own, marked, and take no part in ranks. A mean over an incomplete set of tasks
says how many it is over; a missing cell stays empty. Variants of one model stand below their baseline (`variants.py`).
"""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from instructor_eval import metrics
from instructor_eval.analysis.board import intervals, variants
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Board, ComparedRow, Figures, Mean, Row, ScoredRow
from instructor_eval.analysis.statistics import difference
from instructor_eval.results.published import BILLBOARD, CATEGORIES, PROMPTED, Published, beside
from instructor_eval.results.readers import default_reader, reader_label, readers_of
from instructor_eval.results.score import Key, ReadItems, Score, is_made_with, key_of
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.task import Card

if TYPE_CHECKING:
    from instructor_eval.analysis.board.statistics_files import StoredStatistics

MTEB_TYPES = CATEGORIES[:7]
_BENCHMARKS = {"mteb": "MTEB-56", "billboard": BILLBOARD, "prompt-retrieval": PROMPTED}
"""The paper's three, and what their means are called."""
_NINE = "Nine-category"


def build(
    scores: Iterable[Score],
    published: Iterable[Published] = (),
    *,
    protocol: Mapping[str, str],
    limit: int | None = None,
    only: Sequence[Card | str] | None = None,
    reader: str | None = None,
    current: Collection[str] = (),
    items: ReadItems | None = None,
    stored: StoredStatistics | None = None,
    baseline: Key | None = None,
) -> Board:
    """The board of all scores of one protocol, limit and reader.

    Variants of one model stand below the baseline variant's row and carry no rank: models are ranked against each other
    by their baselines, so that a model does not push others down by existing in many variants.

    Args:
        scores: Stored scores; of several with the same row and task the newest counts.
        published: Published models; those with a score in one of the columns get a row, and all of them, by their
            means alone, where nothing is measured yet.
        protocol: The protocol choices that scores must have been made with.
        limit: The `--limit` that scores must have been made with; None means whole tasks.
        only: Restrict the columns to these tasks, each a card, or the name of one whose card is not here.
        reader: Of prompt retrieval, the scores that the reader with this fingerprint answered; by default those of
            `nearest`, or else of the first by name.
        current: Identities of scores that count before newer ones: those a run has just made or reused, where data or
            options were changed and changed back.
        items: Reads a score's items, `Store.items` for example. None leaves everything without intervals.
        stored: Statistics of earlier calls; what is new is added.
        baseline: The row that every other measured row is compared with, task by task.
    """
    named = [c if isinstance(c, str) else c.name for c in only or ()]
    wanted = set(named) if only is not None else None
    # Parts are no columns, but the interval of their whole comes of them.
    parts = {part for c in only or () if not isinstance(c, str) for part in c.parts}
    found = [s for s in scores if wanted is None or s.task in wanted | parts]
    asked = [s for s in found if wanted is None or s.task in wanted]
    chosen = [s for s in found if is_made_with(s, protocol, limit)]
    readers = readers_of(chosen)
    reader = default_reader(readers) if reader is None else reader
    shown = [s for s in chosen if s.answered_by in (None, reader)]
    left_out = len(asked) - sum(wanted is None or s.task in wanted for s in shown)
    measured = _scored(shown, current, wanted)
    seen = {t for row in measured for t in (*row.tasks, *row.failures)}
    known = shipped_cards()
    columns = named if only is not None else [t for t in known if t in seen] + sorted(seen - set(known))
    columns = [t for t in columns if not (t in known and known[t].part_of in columns)]
    groups = groups_of(measured)
    entries = [entry for entry in published if _has_any(entry, columns)]
    beside_these = [beside(entry, protocol, limit) for entry in entries]
    others = _published_rows(beside_these, columns, groups)
    sources = {f"{e.model} ({', '.join(e.sources)})": None for e in beside_these if e.kind == "imported"}
    families = variants.families(measured)
    lower = any(metrics.is_lower(score.metric) for score in shown)
    neutral = any(metrics.is_neutral(score.metric) for score in shown)
    ranked = sorted(
        zip(_ranks([family[0] for family in families], columns, lower=lower), families, strict=True),
        key=lambda found: (found[0][1], found[1][0].model, found[1][0].instructions),
    )
    against = next((row for row in measured if row.key == baseline), None)
    compared, gaps = intervals.compare([family for _, family in ranked], columns, against, Evidence(items, stored))
    ends = intervals.of_ranks([family[0] for family in compared], columns, lower=lower)
    rows = [
        row
        for (rank, _), family, its_ends in zip(ranked, compared, ends, strict=True)
        for row in _rows(
            variants.weigh(family, columns, 0 if neutral else -1 if lower else 1),
            family,
            (None,) * 4 if neutral else (*rank, *its_ends),
            groups,
        )
    ]
    if stored is not None:
        stored.save()
    return Board(
        [*rows, *others],
        columns,
        [name for name in groups if any(name in row.means for row in (rows or others))],
        left_out,
        reader_label(readers[reader]) if reader in readers else None,
        baseline=next((row for row in rows if row.key == baseline), None),
        lower=lower,
        neutral=neutral,
        imported=list(sources),
        published_apart=entries != beside_these,
        **gaps,
    )


def _scored(scores: Iterable[Score], current: Collection[str], wanted: Collection[str] | None) -> list[ScoredRow]:
    """Return a row for each model, variant and instruction set, with the newest score of every task.

    A numeric form other than fp32 stands behind the name; where two are still the same, a piece of the fingerprint.
    """
    groups: dict[Key, list[Score]] = {}
    for score in scores:
        groups.setdefault(key_of(score), []).append(score)
    rows = [_row_of(key, group, current, wanted) for key, group in groups.items()]
    rows = [row for row in rows if row.tasks or row.failures]
    prints = Counter(model for model, _ in {(row.model, row.fingerprint) for row in rows})
    return [
        dataclasses.replace(row, model=f"{row.model} #{row.fingerprint[:6]}") if prints[row.model] > 1 else row
        for row in rows
    ]


def _row_of(key: Key, group: Sequence[Score], current: Collection[str], wanted: Collection[str] | None) -> ScoredRow:
    name, fingerprint, variant, instructions = key
    good = [score for score in group if score.status == "ok" and score.score is not None]
    # Of two the later counts; the tasks are in the order in which they were found.
    late = {score.task: score for score in sorted(good, key=lambda s: (s.identity in current, s.created))}
    scores = {score.task: late[score.task] for score in good}
    return ScoredRow(
        name if variant == "fp32" else f"{name} ({variant})",
        instructions,
        "measured",
        variant,
        group[0].model.revision,
        fingerprint,
        name,
        group[0].model.base_fingerprint,
        {task: score.score or 0.0 for task, score in scores.items() if wanted is None or task in wanted},
        scores,
        {s.task: s for s in group if (s.status != "ok" or s.score is None) and (wanted is None or s.task in wanted)},
    )


def _rows(
    weighed: Sequence[tuple[Figures, bool | None]],
    family: Sequence[ComparedRow],
    ranks: tuple[float | None, int | None, int | None, int | None],
    groups: Mapping[str, Sequence[str]],
) -> Iterator[Row]:
    """Yield the rows of a family, the parent first: it alone has a rank."""
    parent = None
    for row, (figures, pareto) in zip(family, weighed, strict=True):
        means = _means(row.tasks, groups)
        borda, rank, low, high = (None,) * 4 if parent else ranks
        whole = Row(
            **vars(row),
            borda=borda,
            rank=rank,
            rank_low=low,
            rank_high=high,
            means=means,
            mean_spreads=intervals.of_means(row, means, groups),
            delta_macro=difference.mean(row.delta.values()) if row.delta else None,
            figures=figures,
            pareto=pareto,
            parent=parent,
        )
        parent = parent or whole
        yield whole


def kind_of(task: str, rows: Iterable[ScoredRow]) -> tuple[str, str]:
    """Return a task's benchmark and type: its card's, or else those of its results; no benchmark of ours is theirs."""
    cards = shipped_cards()
    if task in cards:
        return cards[task].benchmark, cards[task].type
    score = next((s for r in rows for s in (r.scores.get(task), r.failures.get(task)) if s is not None), None)
    if score is None:
        return "own", "no results yet"
    is_ours = any(score.benchmark == card.benchmark for card in cards.values())
    return "own" if is_ours else score.benchmark, score.type


def groups_of(rows: Sequence[ScoredRow]) -> dict[str, Sequence[str]]:
    """Return the tasks of each mean; the nine categories' is of other means, and an own benchmark's of what was run."""
    known = shipped_cards()
    whole = [c for c in known.values() if c.part_of is None]
    groups: dict[str, Sequence[str]] = {
        **{t: [c.name for c in whole if c.benchmark == "mteb" and c.type == t] for t in MTEB_TYPES},
        **{mean: [c.name for c in whole if c.benchmark == name] for name, mean in _BENCHMARKS.items()},
        _NINE: [],
    }
    own: dict[str, list[str]] = {}
    for task in dict.fromkeys(t for r in rows for t in (*r.tasks, *r.failures)):
        benchmark, _ = kind_of(task, rows)
        if benchmark not in _BENCHMARKS:
            own.setdefault(benchmark, []).append(task)
    return groups | {b: [c.name for c in whole if c.benchmark == b] or tasks for b, tasks in own.items()}


def _mean(scores: Mapping[str, float], names: Sequence[str]) -> Mean | None:
    values = [scores[name] for name in names if name in scores]
    return Mean(sum(values) / len(values), len(values), len(names)) if values else None


def _means(scores: Mapping[str, float], groups: Mapping[str, Sequence[str]]) -> dict[str, Mean]:
    found = {name: mean for name, tasks in groups.items() if (mean := _mean(scores, tasks))}
    # The paper's "Avg. (70)": the mean of nine category means. A category counts once all its tasks are there.
    nine = _mean({name: mean.value for name, mean in found.items() if mean.complete}, CATEGORIES)
    return found | ({_NINE: nine} if nine else {})


def _has_any(entry: Published, columns: Sequence[str]) -> bool:
    """Return whether a published model has a score in one of the columns, or there are no columns yet."""
    known = shipped_cards()
    prompted = any(t in known and known[t].benchmark == "prompt-retrieval" for t in columns)
    return not columns or any(t in entry.tasks for t in columns) or (prompted and PROMPTED in entry.categories)


def _published_rows(
    entries: Iterable[Published], columns: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> list[Row]:
    """Return the rows of published models, the highest mean over the columns first."""
    rows = [
        Row(e.model, e.kind, e.kind, "", tasks=e.tasks, means=_means(e.tasks, groups) | _published_means(e))
        for e in entries
        if e.tasks or e.categories
    ]
    leads = {row: _mean(row.tasks, columns or list(shipped_cards())) for row in rows}
    return sorted(rows, key=lambda row: (-lead.value if (lead := leads[row]) else 0.0, row.model))


def _published_means(entry: Published) -> dict[str, Mean]:
    """The categories that only the paper's table gives; MTEB's are computed from the tasks where these are there."""
    given = {c: v for c, v in entry.categories.items() if c not in MTEB_TYPES or not entry.tasks}
    nine = _mean(entry.categories, CATEGORIES)
    return {c: Mean(v, 1, 1) for c, v in given.items()} | ({_NINE: nine} if nine else {})


def _ranks(rows: Sequence[ScoredRow], columns: Sequence[str], *, lower: bool = False) -> list[tuple[float, int]]:
    """Return Borda counts and ranks: in every task a point for each row that is beaten, half a point for each tie.

    A row without a result in a task earns nothing there. Equal counts share a rank.
    """
    counts = [0.0] * len(rows)
    for task in columns:
        sign = -1 if lower else 1
        values = [sign * row.tasks[task] if task in row.tasks else -math.inf for row in rows]
        rising = sorted(values)
        for i, own in enumerate(values):
            if own > -math.inf:
                counts[i] += (bisect_left(rising, own) + bisect_right(rising, own) - 1) / 2
    return [(count, 1 + sum(other > count for other in counts)) for count in counts]
