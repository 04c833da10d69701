"""The quality gate: a verdict for each task and for their mean, from a comparison and margins.

Another checkpoint, variant or instruction set is judged by paired statistics *and* by a margin that matters in
practice: significance alone fails builds for nothing, a tolerance alone drowns in false alarms. The other two gates are
of other questions: `drift.py` (the same model elsewhere) and `speed.py`.

| verdict        | when                                                                    |
|----------------|-------------------------------------------------------------------------|
| REGRESSED      | adjusted p of "nothing is lost" < alpha, and Δ <= -margin               |
| IMPROVED       | the mirror: adjusted p of "nothing is gained" < alpha, and Δ >= margin  |
| OK             | the one-sided 95 % lower bound of Δ is above -margin                    |
| INCONCLUSIVE   | none of these: a loss above the margin is neither shown nor excluded    |
| NOT COMPARABLE | not the same task, data, items or protocol, or no items                 |

Several tasks and their mean are tested at once: p-values are adjusted by Holm's method with weights, half of alpha for
the mean, which leads, and half shared by the tasks (Holm 1979, section 4), so that the chance of any false REGRESSED
stays below alpha.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instructor_eval.comparing import stats
from instructor_eval.comparing.compare import Comparison, TaskComparison, draws
from instructor_eval.comparing.stats import Chance, Difference

if TYPE_CHECKING:
    from instructor_eval.gates.thresholds import Thresholds

REGRESSED, OK, IMPROVED = "REGRESSED", "OK", "IMPROVED"
INCONCLUSIVE, NOT_COMPARABLE = "INCONCLUSIVE", "NOT COMPARABLE"
ORDER = (REGRESSED, NOT_COMPARABLE, INCONCLUSIVE, IMPROVED, OK)
"""The worst first."""
EXIT_CODES = {OK: 0, IMPROVED: 0, REGRESSED: 1, INCONCLUSIVE: 3, NOT_COMPARABLE: 4}
"""What `evaluate gate` exits with; INCONCLUSIVE only where it was asked to fail on it, else 0."""
SENTENCE = (
    "Embeddings are deterministic, so a measured drop on these items is real; the test says whether it would hold for "
    "other items of this kind."
)
MACRO = "macro mean"


@dataclass(frozen=True)
class TaskVerdict:
    """What is decided of one task, or of the mean; fractions of 1."""

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
    """The loss that would be found four times in five with these items."""
    needed: int | None = None
    """Of an INCONCLUSIVE one: about how many items would settle it if the difference stayed; None is unknown."""


@dataclass(frozen=True)
class Judgement:
    """The quality gate's outcome for one baseline."""

    verdict: str
    macro: TaskVerdict | None
    """None where fewer than two tasks can be compared."""
    tasks: list[TaskVerdict]
    """In the comparison's order."""
    comparison: Comparison
    gate: str = "quality"
    sentence: str = SENTENCE

    @property
    def all(self) -> list[TaskVerdict]:
        """The mean first."""
        return [*([self.macro] if self.macro else []), *self.tasks]


def judge(comparison: Comparison, thresholds: Thresholds) -> Judgement:
    """Decide every task and their mean.

    The whole is REGRESSED where the mean or one task is; else NOT COMPARABLE where one task is (nothing passes
    unseen); else what the mean is, or the only task.
    """
    tested = [t for t in comparison.comparable if t.difference is not None and t.chance is not None]
    has_macro = len(tested) > 1 and comparison.macro is not None and comparison.macro.se is not None
    chances: list[Chance] = [t.chance for t in tested if t.chance is not None]
    weights = [1.0] * len(tested)
    if has_macro and comparison.macro is not None:
        chances.append(comparison.macro_chance or stats.chance_of_mean(comparison.macro))
        weights.append(float(len(tested)))  # half of alpha
    losses = stats.holm([c.loss for c in chances], weights)
    gains = stats.holm([c.gain for c in chances], weights)
    by_task = {t.task: i for i, t in enumerate(tested)}
    verdicts = []
    for task in comparison.tasks:
        margin = thresholds.margin(task.task)
        if task.task in by_task and task.difference is not None:
            i = by_task[task.task]
            verdicts.append(_decide(task.task, task.difference, task, margin, losses[i], gains[i], thresholds.alpha))
        else:
            why = task.not_comparable or "; ".join(task.notes) or "no items on one of the sides"
            verdicts.append(TaskVerdict(task.task, NOT_COMPARABLE, why, margin, task, task.difference))
    macro = None
    if has_macro and comparison.macro is not None:
        macro = _decide(MACRO, comparison.macro, None, thresholds.macro, losses[-1], gains[-1], thresholds.alpha)
    return Judgement(_overall(verdicts, macro), macro, verdicts, comparison)


def least_p(comparison: Comparison) -> float:
    """The least adjusted p that a loss of a single task can have here, the mean not being lost; 0 where there is none.

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
    """The one of several gates' verdicts that decides; none at all is NOT COMPARABLE."""
    return min(verdicts, key=ORDER.index, default=NOT_COMPARABLE)


def _decide(  # one rule, told in one place
    name: str,
    difference: Difference,
    comparison: TaskComparison | None,
    margin: float,
    p_loss: float,
    p_gain: float,
    alpha: float,
) -> TaskVerdict:
    delta, lower = difference.delta, difference.lower
    unchanged = comparison is not None and comparison.n > 0 and comparison.changed == 0
    reliable = lower is not None and not difference.weak
    if p_loss < alpha and delta <= -margin:
        verdict, message = REGRESSED, f"lost {points(-delta)}, margin {points(margin)}, adjusted p {p_text(p_loss)}"
    elif p_gain < alpha and delta >= margin:
        verdict, message = IMPROVED, f"gained {points(delta)}, adjusted p {p_text(p_gain)}"
    elif unchanged:
        verdict, message = OK, "no item changed"
    elif reliable and lower is not None and lower > -margin:
        verdict, message = OK, f"a loss of {points(margin)} or more is excluded (95 % lower bound {signed(lower)})"
    else:
        verdict, message = INCONCLUSIVE, ""
    detectable = stats.minimum_detectable(difference.se) if difference.se is not None else None
    needed = None
    if verdict == INCONCLUSIVE:
        units = (comparison.n, comparison.unit) if comparison else (0, "")
        raw = comparison.chance.loss if comparison and comparison.chance else p_loss
        needed = _needed(difference, margin, units[0], alpha * raw / p_loss)
        message = _inconclusive(difference, detectable, margin, needed, units)
    return TaskVerdict(name, verdict, message, margin, comparison, difference, p_loss, p_gain, detectable, needed)


def _inconclusive(
    difference: Difference, detectable: float | None, margin: float, needed: int | None, units: tuple[int, str]
) -> str:
    n, unit = units
    if difference.lower is None:
        return "no interval: too few items to say anything"
    said = [f"too few items to rely on the interval ({n} {plural(unit, n)})"] if difference.weak and n else []
    if difference.delta > -margin:
        said.append(f"a loss of {points(margin)} or more is not excluded")
    else:
        said.append(f"lost {points(-difference.delta)}, but other items may show none")
    if detectable is not None:
        said.append(f"with these items a loss of {points(detectable)} would be found four times in five")
    if needed is not None and needed > n:
        said.append(f"about {needed:,} {plural(unit, needed)} would settle it if the difference stayed")
    return "; ".join(said)


def _needed(difference: Difference, margin: float, n: int, share: float) -> int | None:
    """How many items make the bound exclude the margin, or the loss significant, if difference and spread stayed.

    Args:
        difference: As it is now.
        margin: What may be lost.
        n: How many items there are now.
        share: What is left of alpha for this test after adjusting for the others.
    """
    from scipy.special import ndtri

    if not difference.se or n < 2:
        return None
    within = difference.delta > -margin
    distance = abs(difference.delta + margin) if within else abs(difference.delta)
    z = stats.Z_95 if within else float(ndtri(1 - share))
    return math.ceil(n * (z * difference.se / distance) ** 2) if distance > 0 else None


def plural(unit: str, n: int) -> str:
    """`query` -> `queries` where `n` is not 1."""
    if n == 1 or not unit:
        return unit or "items"
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def points(value: float) -> str:
    """A size in points (x 100), without sign."""
    return f"{abs(100 * value):.2f} points"


def signed(value: float) -> str:
    """Points with their sign."""
    return f"{100 * value:+.2f}"


def p_text(p: float) -> str:
    """A p-value as it is printed."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
