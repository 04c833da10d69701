"""The leaderboard: rows model x instruction set, columns tasks and their means, from stored scores alone.

Published scores stand in rows of their own, marked, and take no part in ranks. A mean over an incomplete set of tasks
says how many it is over; a missing cell stays empty. Variants of one model stand below their baseline (`siblings.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from instructor_eval import metrics
from instructor_eval.analysis.board import intervals, variants
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Board, Mean, Row
from instructor_eval.results.published import BILLBOARD, CATEGORIES, PROMPTED, Published, beside
from instructor_eval.results.readers import default_reader, reader_label, readers_of
from instructor_eval.results.score import Key, ReadItems, Score, is_made_with, key_of
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.task import Card

if TYPE_CHECKING:
    from instructor_eval.analysis.board.statistics_files import KeptStatistics

MTEB_TYPES = CATEGORIES[:7]


def build(
    scores: Iterable[Score],
    published: Iterable[Published] = (),
    *,
    protocol: Mapping[str, str],
    limit: int | None = None,
    only: Sequence[Card] | None = None,
    reader: str | None = None,
    current: Collection[str] = (),
    items: ReadItems | None = None,
    kept: KeptStatistics | None = None,
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
        only: Restrict the columns to these tasks.
        reader: Of prompt retrieval, the scores that the reader with this fingerprint answered; by default those of
            `nearest`, or else of the first by name.
        current: Identities of scores that count before newer ones: those a run has just made or reused, where data or
            options were changed and changed back.
        items: Reads a score's items, `Store.items` for example. None leaves everything without intervals.
        kept: Statistics of earlier calls; what is new is added.
        baseline: The row that every other measured row is compared with, task by task.
    """
    wanted = {c.name for c in only} if only is not None else None
    parts = {part for c in only or () for part in c.parts}  # no columns, but what the interval of their whole comes of
    found = [s for s in scores if wanted is None or s.task in wanted | parts]
    asked = [s for s in found if wanted is None or s.task in wanted]
    chosen = [s for s in found if is_made_with(s, protocol, limit)]
    readers = readers_of(chosen)
    reader = default_reader(readers) if reader is None else reader
    shown = [s for s in chosen if s.answered_by in (None, reader)]
    left_out = len(asked) - sum(wanted is None or s.task in wanted for s in shown)
    measured = _measured(shown, current, wanted)
    variants.link(measured)
    _tell_apart(measured)
    seen = {t for row in measured for t in (*row.tasks, *row.failed)}
    known = shipped_cards()
    entries = [(entry, beside(entry, protocol, limit)) for entry in published]
    if only is not None:
        columns = [c.name for c in only]
    else:
        columns = [t for t in known if t in seen] + sorted(seen - set(known))
    columns = [t for t in columns if not (t in known and known[t].part_of in columns)]
    prompted = any(t in known and known[t].benchmark == "prompt-retrieval" for t in columns)
    wanted_entries = [
        (whole, e)
        for whole, e in entries
        if not columns or any(t in whole.tasks for t in columns) or (prompted and PROMPTED in whole.categories)
    ]
    others = [
        Row(e.model, "published", "published", "", tasks=dict(e.tasks), means=_published_means(e))
        for _, e in wanted_entries
        if e.tasks or e.categories
    ]
    own = _own_benchmarks(measured, known)
    groups = _groups(known, own)
    for row in measured + others:
        row.means = _means(row, groups) | row.means
    heads = [row for row in measured if row.parent is None]
    lower = any(metrics.is_lower(s.metric) for s in shown)
    _rank(heads, columns, lower=lower)
    heads.sort(key=lambda r: (r.rank or 0, r.model, r.instructions))
    measured = [row for head in heads for row in (head, *head.children)]
    others.sort(key=lambda r: (-_lead(r, columns or list(known)), r.model))
    all_rows = measured + others
    means = [m for m in (*MTEB_TYPES, "MTEB-56", BILLBOARD, PROMPTED, "Nine-category", *own) if any(
        m in r.means for r in (measured or all_rows))]  # fmt: skip
    board = Board(all_rows, columns, means, left_out, reader_label(readers[reader]) if reader in readers else None)
    board.lower = lower
    board.published_apart = any(whole != e for whole, e in wanted_entries)
    board.baseline = next((row for row in measured if row.key == baseline), None) if baseline else None
    intervals.fill(board, heads, Evidence(items, kept), groups)
    if kept is not None:
        kept.save()
    return board


def _measured(scores: Iterable[Score], current: Collection[str], wanted: Collection[str] | None) -> list[Row]:
    """A row for each model, variant and instruction set, with the newest score of every task."""
    rows: dict[tuple[str, str, str, str], Row] = {}
    for score in scores:
        model, is_wanted = score.model, wanted is None or score.task in wanted
        key = key_of(score)
        if key not in rows:
            rows[key] = Row(
                key[0], key[3], "measured", key[2], model.revision, key[1], name=key[0], base=model.base_fingerprint
            )
        row = rows[key]
        if score.status != "ok" or score.score is None:
            if is_wanted:
                row.failed.add(score.task)
                row.failures[score.task] = score
            continue
        before = row.scores.get(score.task)
        if before is None or _age(score, current) >= _age(before, current):
            row.scores[score.task] = score
            if is_wanted:
                row.tasks[score.task] = score.score
    for row in rows.values():
        row.failed -= set(row.tasks)
    return [row for row in rows.values() if row.tasks or row.failed]


def _age(score: Score, current: Collection[str]) -> tuple[bool, str]:
    """The later of two is the one that counts."""
    return score.identity in current, score.created


def _tell_apart(rows: list[Row]) -> None:
    """A numeric form other than fp32 stands behind the name; where two are still the same, a piece of fingerprint."""
    prints: dict[str, set[str]] = {}
    for row in rows:
        if row.variant != "fp32":
            row.model = f"{row.model} ({row.variant})"
        prints.setdefault(row.model, set()).add(row.fingerprint)
    for row in rows:
        if len(prints[row.model]) > 1:
            row.model = f"{row.model} #{row.fingerprint[:6]}"


def stored_benchmark(rows: Iterable[Row], task: str) -> str:
    """The benchmark that results of a task that is not shipped name; none of ours is theirs to name."""
    found = (s for r in rows for s in (r.scores.get(task), r.failures.get(task)) if s is not None)
    score = next(found, None)
    ours = {card.benchmark for card in shipped_cards().values()}
    return "own" if score is None or score.benchmark in ours else score.benchmark


def _own_benchmarks(rows: Sequence[Row], known: Mapping[str, Card]) -> dict[str, list[str]]:
    """Benchmarks beside the paper's three, with the tasks that were run of them."""
    own: dict[str, list[str]] = {}
    for task in dict.fromkeys(t for r in rows for t in (*r.tasks, *r.failed)):
        benchmark = known[task].benchmark if task in known else stored_benchmark(rows, task)
        if benchmark not in ("mteb", "billboard", "prompt-retrieval"):
            own.setdefault(benchmark, []).append(task)
    whole = {b: [c.name for c in known.values() if c.benchmark == b and not c.part_of] for b in own}
    return {b: whole[b] or tasks for b, tasks in own.items()}


def _mean(row: Row, tasks: Sequence[str]) -> Mean | None:
    values = [row.tasks[t] for t in tasks if t in row.tasks]
    return Mean(sum(values) / len(values), len(values), len(tasks)) if values else None


def _groups(known: Mapping[str, Card], own: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The tasks of each mean but the nine categories'."""
    whole = [c for c in known.values() if c.part_of is None]
    groups = {t: [c.name for c in whole if c.benchmark == "mteb" and c.type == t] for t in MTEB_TYPES}
    groups["MTEB-56"] = [c.name for c in whole if c.benchmark == "mteb"]
    groups[BILLBOARD] = [c.name for c in whole if c.benchmark == "billboard"]
    groups[PROMPTED] = [c.name for c in whole if c.benchmark == "prompt-retrieval"]
    return {**groups, **own}


def _means(row: Row, groups: Mapping[str, Sequence[str]]) -> dict[str, Mean]:
    found = {name: mean for name, tasks in groups.items() if (mean := _mean(row, tasks))}
    # The paper's "Avg. (70)": the mean of nine category means. A category counts once all its tasks are there.
    categories = [c for c in CATEGORIES if c in found and found[c].complete]
    if categories:
        values = [found[c].value for c in categories]
        found["Nine-category"] = Mean(sum(values) / len(values), len(values), len(CATEGORIES))
    return found


def _published_means(entry: Published) -> dict[str, Mean]:
    """The categories that only the paper's table gives; MTEB's are computed from the tasks where these are there."""
    given = {c: v for c, v in entry.categories.items() if c not in MTEB_TYPES or not entry.tasks}
    found = {c: Mean(v, 1, 1) for c, v in given.items()}
    if entry.categories:
        values = list(entry.categories.values())
        found["Nine-category"] = Mean(sum(values) / len(values), len(values), len(CATEGORIES))
    return found


def _rank(rows: list[Row], columns: Sequence[str], *, lower: bool = False) -> None:
    """Borda count: in every task a row earns a point for each row it beats and half a point for each it ties with.

    A row without a result in a task earns nothing there. Equal counts share a rank.
    """
    for row in rows:
        row.borda = 0.0
        for task in columns:
            if task not in row.tasks:
                continue
            for other in rows:
                if other is not row:
                    mine, theirs = row.tasks[task], other.tasks.get(task)
                    row.borda += (
                        1.0 if theirs is None or (mine < theirs if lower else mine > theirs) else 0.5 * (mine == theirs)
                    )
    for row in rows:
        row.rank = 1 + sum((r.borda or 0.0) > (row.borda or 0.0) for r in rows)


def _lead(row: Row, columns: Sequence[str]) -> float:
    mean = _mean(row, columns)
    return mean.value if mean else 0.0
