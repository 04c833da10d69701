"""The quality gate: a verdict for each task and for their mean, from a comparison and margins.

Another checkpoint, variant or instruction set is judged by paired statistics *and* by a margin that matters in
practice: significance alone fails builds for nothing, a tolerance alone drowns in false alarms. The other two gates are
of other questions: `drift.py` (the same model elsewhere) and `speed.py`.

| verdict        | when                                                                    |
|----------------|-------------------------------------------------------------------------|
| REGRESSED      | adjusted p of "nothing is lost" < alpha, and Δ <= -margin               |
| IMPROVED       | the mirror: adjusted p of "nothing is gained" < alpha, and Δ >= margin  |
| OK             | the one-sided 95 % lower bound of Δ is above -margin (`unseen.py`); or  |
|                | no item changed, and the vectors are the baseline's (`likeness.py`)     |
| INCONCLUSIVE   | none of these: a loss above the margin is neither shown nor excluded    |
| NOT COMPARABLE | not the same task, data, items or protocol, or no items                 |

Several tasks and their mean are tested at once: p-values are adjusted by Holm's method with weights, half of alpha for
the mean, which leads, and half shared by the tasks (Holm 1979, section 4), so that the chance of any false REGRESSED
stays below alpha. The words for all this are in `reasons.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instructor_eval.analysis.compare.compare import Comparison, TaskComparison, draws
from instructor_eval.analysis.format import SENTENCE
from instructor_eval.analysis.gate import reasons
from instructor_eval.analysis.gate.reasons import Adjustment, points
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics import unseen
from instructor_eval.analysis.statistics.estimates import Chance, Difference
from instructor_eval.core.distributions import normal_quantile

if TYPE_CHECKING:
    from instructor_eval.analysis.gate.limits import Thresholds

REGRESSED, OK, IMPROVED = "REGRESSED", "OK", "IMPROVED"
INCONCLUSIVE, NOT_COMPARABLE = "INCONCLUSIVE", "NOT COMPARABLE"
ORDER = (REGRESSED, NOT_COMPARABLE, INCONCLUSIVE, IMPROVED, OK)
"""The worst first."""
EXIT_CODES = {OK: 0, IMPROVED: 0, REGRESSED: 1, INCONCLUSIVE: 3, NOT_COMPARABLE: 4}
"""Exit codes of `evaluate gate`; INCONCLUSIVE only where it was asked to fail on it, else 0."""
MACRO = "macro mean"
_COUNTED = 20
"""Up to so many items all sign patterns are counted (`randomise.EXACT_UP_TO`)."""
_MOST_NEEDED, _HALVINGS = 1e9, 40


@dataclass(frozen=True)
class TaskVerdict:
    """The verdict on one task, or on the mean; fractions of 1."""

    name: str
    """The task, or `MACRO`."""
    verdict: str
    message: str
    """One line: why."""
    margin: float
    comparison: TaskComparison | None = None
    """None for the mean."""
    difference: Difference | None = None
    p_adjusted: float | None = None
    """Of "nothing is lost", adjusted for all that is tested."""
    p_adjusted_gain: float | None = None
    minimum_detectable: float | None = None
    """The true loss that would be REGRESSED four times in five with these items, this margin and these other tasks;
    None where none would, or nothing is known."""
    needed: int | None = None
    """Of an INCONCLUSIVE one: about how many items would settle it if the difference stayed; None is unknown."""
    same_model: bool = False
    """True where no item changed and the vectors are the baseline's."""


@dataclass(frozen=True)
class Judgement:
    """The quality gate's outcome for one baseline."""

    verdict: str
    macro: TaskVerdict | None
    """None where fewer than two tasks can be compared."""
    tasks: list[TaskVerdict]
    """In the comparison's order."""
    comparison: Comparison
    adjustment: Adjustment = reasons.ONE_TEST
    """The tests that p-values are adjusted for."""
    gate: str = "quality"
    sentence: str = SENTENCE


def judge(comparison: Comparison, thresholds: Thresholds) -> Judgement:
    """Decide every task and their mean.

    The whole is REGRESSED where the mean or one task is; else NOT COMPARABLE where one task is (nothing passes
    unseen); else what the mean is, or the only task.
    """
    tested = [t for t in comparison.comparable if t.difference is not None and t.chance is not None]
    mean = _mean(comparison, thresholds.drift.cosine)
    has_macro = len(tested) > 1 and mean is not None and mean.se is not None
    adjustment = Adjustment(len(tested), has_macro, thresholds.alpha)
    chances: list[Chance] = [t.chance for t in tested if t.chance is not None]
    if has_macro and mean is not None:
        chances.append(comparison.macro_chance or stats.chance_of_mean(mean))
    weights = [1.0] * len(tested) + [adjustment.mean_weight] * has_macro
    losses = stats.holm([c.loss for c in chances], weights)
    gains = stats.holm([c.gain for c in chances], weights)
    by_task = {t.task: i for i, t in enumerate(tested)}
    limit, drawn = thresholds.drift.cosine, draws(len(comparison.tasks))
    verdicts = []
    for task in comparison.tasks:
        margin = thresholds.margin(task.task)
        if task.task in by_task and task.difference is not None:
            i = by_task[task.task]
            p = _P(chances[i].loss, losses[i], gains[i], adjustment.of_task)
            row = _Row(task.task, task.difference, (task,), margin, p, _is_same(task, limit))
            verdicts.append(_decide(row, adjustment, limit, drawn))
        else:
            why = task.not_comparable or "; ".join(task.notes) or "no items on one of the sides"
            verdicts.append(TaskVerdict(task.task, NOT_COMPARABLE, why, margin, task, task.difference))
    macro = None
    if has_macro and mean is not None:
        p = _P(chances[-1].loss, losses[-1], gains[-1], adjustment.of_mean)
        same = all(_is_same(task, limit) for task in tested)
        macro = _decide(_Row(MACRO, mean, tuple(tested), thresholds.macro, p, same), adjustment, limit, drawn)
    return Judgement(_overall(verdicts, macro), macro, verdicts, comparison, adjustment)


def _is_same(task: TaskComparison, limit: float) -> bool:
    """Tell whether no item changed and the vectors are the same."""
    return task.n > 0 and task.changed == 0 and task.likeness.is_same(limit)


def _mean(comparison: Comparison, limit: float) -> Difference | None:
    """Return the mean of all tasks, in which nothing unseen is feared of those whose vectors are the same."""
    same = [t for t in comparison.comparable if _is_same(t, limit)]
    if comparison.macro is None or not same:
        return comparison.macro
    differences = (
        dataclasses.replace(t.difference, unseen=()) if t in same else t.difference
        for t in comparison.comparable
        if t.difference is not None
    )
    return stats.mean(differences)


def least_p(comparison: Comparison) -> float:
    """Return the least adjusted p that a loss of one task alone can have here; 0 where there is none.

    Draws bound it: of 9,999 no p is below 1 / 10,000, and Holm's weights multiply that. A level of .02 and more is
    always within reach, as more are drawn for more tasks.
    """
    chances = [t.chance for t in comparison.comparable if t.chance is not None]
    n = len(chances)
    drawn = any(c.resamples and not c.exact for c in chances)
    return min(1.0, (2 * n if n > 1 else 1) / (draws(len(comparison.tasks)) + 1)) if drawn else 0.0


def _overall(tasks: list[TaskVerdict], macro: TaskVerdict | None) -> str:
    found = {v.verdict for v in tasks} | ({macro.verdict} if macro else set())
    for decisive in (REGRESSED, NOT_COMPARABLE):
        if decisive in found:
            return decisive
    if not tasks:
        return NOT_COMPARABLE
    return macro.verdict if macro else worst([task.verdict for task in tasks])


def worst(verdicts: list[str]) -> str:
    """Return the one of several gates' verdicts that decides; none at all is NOT COMPARABLE."""
    return min(verdicts, key=ORDER.index, default=NOT_COMPARABLE)


@dataclass(frozen=True)
class _P:
    """The p-values of a task or the mean."""

    raw: float
    """That nothing is lost, before it is adjusted."""
    loss: float
    """The same, adjusted."""
    gain: float
    """That nothing is gained, adjusted."""
    level: float
    """The part of alpha that the adjustment leaves to this one, if it alone has lost."""


@dataclass(frozen=True)
class _Row:
    """A task or the mean, before it is decided."""

    name: str
    difference: Difference
    tasks: Sequence[TaskComparison]
    """The task, or those that the mean is of."""
    margin: float
    p: _P
    same: bool
    """True where its vectors are the baseline's."""


def _decide(row: _Row, adjustment: Adjustment, limit: float, drawn: int) -> TaskVerdict:
    """Decide one; `limit` is that of 1 - cosine, `drawn` the assignments that a p counts."""
    difference, margin, alpha, p = row.difference, row.margin, adjustment.alpha, row.p
    delta, lower = difference.delta, difference.lower
    detectable, needed = _detectable(row, drawn), None
    if p.loss < alpha and delta <= -margin:
        found = f"lost {points(-delta)}, margin {points(margin)}"
        verdict, message = REGRESSED, f"{found}, {adjustment.p_name} {reasons.p_text(p.loss)}"
    elif p.gain < alpha and delta >= margin:
        verdict, message = IMPROVED, f"gained {points(delta)}, {adjustment.p_name} {reasons.p_text(p.gain)}"
    elif row.same:
        verdict, message = OK, reasons.same_model(row.tasks, limit)
    elif lower is not None and not difference.weak and lower > -margin:
        verdict, message = OK, reasons.excluded(difference, margin, row.tasks)
    else:
        needed = _needed(row, alpha)
        why = reasons.Open(difference, row.tasks, margin, (p.raw, p.loss), adjustment, detectable, needed, limit)
        verdict, message = INCONCLUSIVE, why.text
    comparison = row.tasks[0] if row.name != MACRO else None
    return TaskVerdict(
        row.name, verdict, message, margin, comparison, difference, p.loss, p.gain, detectable, needed, row.same
    )


def _detectable(row: _Row, drawn: int) -> float | None:
    """Return the loss that is REGRESSED four times in five; None where none is, or the spread is not known."""
    difference = row.difference
    if not difference.se:
        return None
    level = row.p.level
    if len(row.tasks) == 1:
        n, chance = row.tasks[0].n, row.tasks[0].chance
        if chance is not None and chance.method != "welch":  # a p by counting, which has a least value
            level = level if n <= _COUNTED else stats.drawn_level(level, drawn)
            if 0.5 ** min(n, 1000) >= level:
                return None
    return stats.minimum_detectable(difference.se, level=level, df=difference.df, margin=row.margin)


def _needed(row: _Row, alpha: float) -> int | None:
    """Return how many items would settle it, if difference and spread stayed the same."""
    difference, n = row.difference, row.tasks[0].n if len(row.tasks) == 1 else 0
    if n < 2 or difference.se is None or difference.delta == -row.margin:
        return None
    if difference.delta <= -row.margin:
        z = normal_quantile(1 - alpha * row.p.raw / row.p.loss)  # what is left of alpha for this test
        return math.ceil(n * (z * difference.se / difference.delta) ** 2) if difference.se else None

    def bound(growth: float) -> float:
        by_t = difference.delta - stats.Z_95 * (difference.se or 0.0) / math.sqrt(growth)
        return min(by_t, unseen.lower(difference.unseen, growth=growth)) if difference.unseen else by_t

    low, high = 1.0, 2.0
    while bound(high) <= -row.margin:
        low, high = high, 2 * high
        if n * high > _MOST_NEEDED:
            return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if bound(middle) > -row.margin else (middle, high)
    return math.ceil(n * high)
