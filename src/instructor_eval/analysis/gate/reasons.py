"""Reasons of the quality gate's verdicts, in words that are true of the figures beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from instructor_eval.analysis.compare.compare import TaskComparison
from instructor_eval.analysis.format import plural
from instructor_eval.analysis.statistics.estimates import Difference

_FEW_CHANGED = 20


@dataclass(frozen=True)
class Adjustment:
    """The adjustment of p-values: Holm's method, with weights (Holm 1979, section 4)."""

    tasks: int = 1
    """Tasks that are tested."""
    with_mean: bool = False
    """True where their mean is tested too."""
    alpha: float = 0.05

    @property
    def mean_weight(self) -> float:
        """Of the mean, beside 1 of each task: that of all together, so that it has half of alpha."""
        return float(self.tasks) if self.with_mean else 0.0

    @property
    def of_task(self) -> float:
        """Return the level that a task is tested at, if it alone has lost."""
        return self.alpha / (self.tasks + self.mean_weight) if self.tasks else self.alpha

    @property
    def of_mean(self) -> float:
        """Return the level that the mean is tested at."""
        return self.alpha / 2 if self.with_mean else self.alpha

    @property
    def p_name(self) -> str:
        """`p`, or `adjusted p` where it is."""
        return "adjusted p" if self.tasks > 1 else "p"

    @property
    def what(self) -> str:
        """`10 tasks and their mean`."""
        return f"{self.tasks} tasks" + (" and their mean" if self.with_mean else "")

    @property
    def sentence(self) -> str:
        """Return what the p in a table means."""
        if self.tasks <= 1:
            return "p: one-sided, that nothing is lost; of one test, so not adjusted."
        weights = (
            f"weight {self.tasks} for the mean and 1 for each task, so that half of {self.alpha:g} is the mean's"
            if self.with_mean
            else "the same weight for each"
        )
        return f"p: one-sided, that nothing is lost; adjusted for {self.what} by Holm's method, {weights}."


ONE_TEST = Adjustment()


def same_model(tasks: Sequence[TaskComparison], limit: float) -> str:
    """Say why an OK needs no statistics: the vectors are the baseline's."""
    off = [t.likeness for t in tasks if t.likeness.cosine is not None and not t.likeness.same_model]
    if not off:
        return "the same model: fingerprint, instructions and search are the baseline's, and no item changed"
    worst = max(off, key=lambda found: found.cosine or 0.0)
    return (
        f"the same model elsewhere: its vectors are the baseline's (largest 1 - cosine {worst.cosine:.2g} of "
        f"{worst.texts} probe texts, within {limit:g}), and no item changed"
    )


def excluded(difference: Difference, margin: float, tasks: Sequence[TaskComparison]) -> str:
    """Say why a loss of the margin is excluded."""
    bound = signed(difference.lower or 0.0)
    nothing = f"no {_unit(tasks)} changed, and " if _changed(tasks) == 0 else ""
    return f"{nothing}a loss of {points(margin)} or more is excluded (95 % lower bound {bound})"


@dataclass(frozen=True)
class Open:
    """The reason that a task or the mean is INCONCLUSIVE, and what would settle it."""

    difference: Difference
    tasks: Sequence[TaskComparison]
    """The task, or those that the mean is of."""
    margin: float
    p: tuple[float, float]
    """That nothing is lost, before it was adjusted and after."""
    adjustment: Adjustment
    detectable: float | None
    """The loss that would be REGRESSED four times in five; None where none would."""
    needed: int | None
    """So many items would settle it; None is not known."""
    limit: float
    """Of 1 - cosine, within which vectors are the same."""

    @property
    def text(self) -> str:
        """All of it, on one line."""
        difference, one = self.difference, self._one
        if difference.lower is None or difference.low is None or difference.high is None:
            return "no interval: too few items to say anything"
        said = []
        if difference.weak:
            units = f" ({one.n:,} {plural(one.unit, one.n)})" if one is not None else ""
            said.append(f"too few items to rely on the interval{units}")
        if difference.delta <= -self.margin:
            said.append(self._not_shown)
        elif difference.lower <= -self.margin:
            said.append(self._not_excluded)
            if not _changed(self.tasks):
                said.append(self._remedy)
        if self.detectable is not None:
            found = f"a true loss of {points(self.detectable)}"
            said.append(f"with these items {found} would be REGRESSED four times in five")
        elif difference.se:
            said.append("with so few items no loss could be REGRESSED")
        if self.needed is not None and one is not None and self.needed > one.n:
            said.append(
                f"about {self.needed:,} {plural(one.unit, self.needed)} would settle it if the difference stayed"
            )
        return "; ".join(said)

    @property
    def _one(self) -> TaskComparison | None:
        return self.tasks[0] if len(self.tasks) == 1 else None

    @property
    def _not_shown(self) -> str:
        """A loss beyond the margin that is not significant."""
        (raw, p), alpha, one = self.p, self.adjustment.alpha, self._one
        lost = f"lost {points(-self.difference.delta)}"
        if raw < alpha <= p:
            adjusted = f"adjusted for {self.adjustment.what} it is {p_text(p)}"
            return f"{lost}, and p alone is {p_text(raw)}, but {adjusted}, not below {alpha:g}"
        reason = f"{self.adjustment.p_name} is {p_text(p)}, not below {alpha:g}"
        if self.difference.high is None or self.difference.high >= 0:
            return f"{lost}, but other items may show none ({reason})"
        few = one is not None and one.chance is not None and one.chance.exact and one.changed <= _FEW_CHANGED
        basis = f", as it is counted over the {one.changed:,} that changed" if few and one is not None else ""
        return f"{lost}, and the interval excludes 0, but {reason}{basis}"

    @property
    def _not_excluded(self) -> str:
        """A difference within the margin, or a gain, beside which a loss of the margin is possible."""
        difference = self.difference
        lower, by_t = difference.lower or 0.0, difference.lower_by_t
        is_open = f"a loss of {points(self.margin)} or more is not excluded (95 % lower bound {signed(lower)})"
        if by_t is not None and by_t > -self.margin:
            changed, n, unit = _changed(self.tasks), sum(t.n for t in self.tasks), _unit(self.tasks)
            items = f"{f'{changed:,}' if changed else 'none'} of {n:,} {plural(unit, n)}"
            return f"{items} changed, but others that are seldom met may lose much: {is_open}"
        if difference.high is not None and difference.high < 0:
            return f"a loss is shown, of {points(-difference.delta)}, less than the margin, but {is_open}"
        if difference.low is not None and difference.low > 0:
            return f"a gain is shown, but {is_open}"
        return is_open

    @property
    def _remedy(self) -> str:
        """Return what would show that it is the same model."""
        distances = [t.likeness.cosine for t in self.tasks if t.likeness.cosine is not None]
        if distances and max(distances) > self.limit:
            return f"it is another model: its vectors are off the baseline's by up to {max(distances):.2g} (1 - cosine)"
        return "whether its vectors are the baseline's is not known: run both with --no-cache, which files a probe"


def _changed(tasks: Sequence[TaskComparison]) -> int:
    return sum(t.changed for t in tasks)


def _unit(tasks: Sequence[TaskComparison]) -> str:
    units = {t.unit for t in tasks}
    return units.pop() if len(units) == 1 else "item"


def points(value: float) -> str:
    """Return a size in points (x 100), without sign."""
    return f"{abs(100 * value):.2f} points"


def signed(value: float) -> str:
    """Return points with their sign."""
    return f"{100 * value:+.2f}"


def p_text(p: float) -> str:
    """Return a p-value as it is printed."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
