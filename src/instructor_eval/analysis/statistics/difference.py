"""Paired comparison of two systems on the items of one task: the difference of their scores and its interval.

Embeddings are deterministic, so a difference on these items is real; the interval says whether it would hold for other
items of this kind. Pure functions: items in, `Difference` out. numpy is imported when items are compared,
not before.

An interval is Student's t around the difference. Its standard error is that of the units' paired values where the score
is their mean; else of their influences, if the metric says these (`Metric.influence`); else of a paired bootstrap. Of a
mean of tasks, or of a task's parts, it is sqrt(Σ s.e.²) / T. docs/comparing.md lists them.

`lower` is the bound that a gate's OK rests on: Student's t's, or what items that were not drawn may have lost, if that
is more (`unseen.py`). `upper` is Student's t's.

p-values of one task come from randomisation (`randomise.py`); those of a mean of tasks from t. Holm's method adjusts
for many. Items are taken in the order of their ids, so no figure here depends on the order they are stored in.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from instructor_eval.analysis.statistics import unseen
from instructor_eval.analysis.statistics.estimates import FEW, Chance, Difference
from instructor_eval.analysis.statistics.unseen import Unseen
from instructor_eval.core.distributions import t_chance, t_quantile
from instructor_eval.core.errors import UserError

if TYPE_CHECKING:
    from instructor_eval.core.values import Items
    from instructor_eval.metrics.metric import Metric, Numbers
    from instructor_eval.results.score import Score

Z_95 = 1.6448536269514722
"""The normal distribution's one-sided 95 % point."""
Z_80 = 0.8416212335729143
_SAME = 1e-9
_PLACES = 12
"""Sums of the same items in another order differ beyond these."""
_MANY = 1e9
"""Degrees of freedom that stand for infinitely many."""


def why_not(child: Score, parent: Score, *, instructions: bool = True) -> str | None:
    """Return why two scores cannot be compared, or None: all but the model must be the same.

    Args:
        child: One score.
        parent: The other.
        instructions: Whether their instruction texts must be the same too.
    """
    texts, others = child.instructions.texts, parent.instructions.texts
    pairs: list[tuple[str, Any, Any]] = [
        ("task", child.task, parent.task),
        ("metric", child.metric, parent.metric),
        ("protocol", child.protocol, parent.protocol),
        ("protocol version", child.protocol_version, parent.protocol_version),
        ("limit", child.limit, parent.limit),
        ("seed", child.seed, parent.seed),
        ("reader", child.answered_by, parent.answered_by),
        *([("instruction texts", texts, others)] if instructions else []),
    ]
    pairs.append(("data", child.data.hash, parent.data.hash))
    return next((f"other {what}" for what, a, b in pairs if a != b), None)


def paired(metric: str, child: Items, parent: Items, *, seed_text: str) -> Difference:
    """`child - parent` on one task, from the items of both; items are matched by id.

    Args:
        metric: The metric of both scores: it decides what the unit and the interval are (table above).
        child: Items as stored, one system's.
        parent: The other's.
        seed_text: What resampling starts from; by convention both identities and the task's name.

    Returns:
        The difference; without an interval where one unit is all there is, or no resample has a value.

    Raises:
        NotComparableError: other item ids, or other gold values.
        UserError: an unknown metric, a mean of parts (`mean` their differences), or items without the metric's columns.
    """
    from instructor_eval import metrics
    from instructor_eval.analysis.statistics import matching

    known = metrics.get(metric)
    if known.of_parts:
        raise UserError("a mean of parts is compared part by part: take the mean of their differences")
    # A sum's last digits depend on the order of its items: rounded, and 0 is never -0.
    delta = round(known.compute(child) - known.compute(parent), _PLACES) + 0.0
    child, parent, _ = matching.matched(metric, child, parent)
    try:
        return _by_units(delta, known, child, parent, seed_text)
    except KeyError as e:
        raise known.missing(e) from e


def mean(differences: Iterable[Difference]) -> Difference:
    """The mean of the differences of several tasks, which are taken as independent.

    Those without an interval are left out, so that the mean and its interval are of the same tasks (`n` of them);
    where none has one, the mean is over all and has none either. One alone keeps its own interval. The degrees of
    freedom of the mean's t are Welch and Satterthwaite's.

    Raises:
        ValueError: there are none.
    """
    every = list(differences)
    used = [d for d in every if d.se is not None] or every
    if not used:
        raise ValueError("no differences to take the mean of")
    if len(used) == 1:
        return dataclasses.replace(used[0], n=1)
    delta = math.fsum(d.delta for d in used) / len(used)
    if used[0].se is None:
        return Difference(delta, n=len(used))
    variances = [(d.se or 0.0) ** 2 for d in used]
    total = math.fsum(variances)
    # Welch-Satterthwaite: how far the sum of these variances can be relied on.
    wobble = math.fsum(v**2 / d.df for v, d in zip(variances, used, strict=True))
    df = total**2 / wobble if wobble > 0 else math.inf
    se = math.sqrt(total) / len(used)
    shaky = math.fsum(v for v, d in zip(variances, used, strict=True) if d.weak)
    weak = shaky > total / 2 or all(d.weak for d in used)
    found = _interval(delta, se, df, len(used), "welch", weak)
    return bounded(
        found, [dataclasses.replace(u, weight=u.weight / len(used)) for difference in used for u in difference.unseen]
    )


def bounded(difference: Difference, tasks: Sequence[Unseen]) -> Difference:
    """Return the difference with its lower bound no higher than what items that were not drawn allow."""
    if difference.lower is None or not tasks:
        return difference
    low = min(difference.lower, unseen.lower(tasks))
    return dataclasses.replace(difference, lower=low, unseen=tuple(tasks))


def chance_of_mean(difference: Difference) -> Chance:
    """One-sided p-values of a mean of tasks: its t around the standard error, two-sided intervals' counterpart."""
    mirrored = dataclasses.replace(difference, delta=-difference.delta)
    return Chance(p_of_t(difference), p_of_t(mirrored), method="welch")


def p_of_t(difference: Difference) -> float:
    """One-sided p of Student's t that nothing is lost: small where `delta` is far below 0; 1 without an interval."""
    if difference.se is None:
        return 1.0
    if difference.se == 0:
        return 0.0 if difference.delta < 0 else 1.0
    return t_chance(min(difference.df, _MANY), difference.delta / difference.se)


def holm(p: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """p-values adjusted for being many (Holm 1979), in their order; the chance of any false alarm stays below alpha.

    With `weights` (section 4 there) a hypothesis with twice the weight is tested at twice the level.
    """
    shares = list(weights) if weights is not None else [1.0] * len(p)
    left, highest = math.fsum(shares), 0.0
    adjusted = [1.0] * len(p)
    for i in sorted(range(len(p)), key=lambda i: (p[i] / shares[i], i)):
        highest = max(highest, min(1.0, p[i] * left / shares[i]))
        adjusted[i] = highest
        left -= shares[i]
    return adjusted


def minimum_detectable(se: float, *, level: float = 0.05, df: float = math.inf, margin: float = 0.0) -> float:
    """Return the true loss that is found four times in five: significant, and seen to be no less than the margin.

    Args:
        se: Standard error of the difference.
        level: Of the one-sided test: what an adjustment for others leaves to this one.
        df: Degrees of freedom of `se`.
        margin: What the difference seen must reach too.
    """
    critical = -t_quantile(df if df == math.inf else min(df, _MANY), level)
    return max(critical * se, margin) + Z_80 * se


def drawn_level(level: float, drawn: int) -> float:
    """Return the p whose drawn estimate is below `level` half of the time; 0 where none is.

    A drawn p is (1 + b) / (drawn + 1): of a small level only a few of the draws may be as large as what was seen, and
    with 112 hypotheses at 5 % that is 3 of 9,999. The median of b is a third below its mean and 1.

    Args:
        level: Of the test.
        drawn: Assignments; 0: p is not drawn.
    """
    if not drawn:
        return level
    most = math.ceil(level * (drawn + 1)) - 1
    return max(0.0, (most - 1 / 3) / drawn)


def _by_units(delta: float, metric: Metric, child: Items, parent: Items, seed_text: str) -> Difference:
    """Student's t interval around the difference of the published scores, or a bootstrap's standard error.

    The scores may be rounded (nDCG, to five places), so that they are off the mean difference by up to 0.00001.
    """
    import numpy as np

    mine, theirs, method = metric.influences(child), metric.influences(parent), metric.method(parent)
    if mine is None or theirs is None:
        return bounded(_by_bootstrap(delta, metric, child, parent, seed_text), _unseen(metric, None, child, parent))
    d, n = mine - theirs, len(mine)
    if n < 2 or not np.all(np.isfinite(d)):
        return Difference(delta, n=n)
    weak = n < FEW[method] or metric.rests_on_few(parent)
    se = float(np.std(d, ddof=1)) / math.sqrt(n)
    return bounded(_interval(delta, se, n - 1, n, method, weak), _unseen(metric, d, child, parent))


def _unseen(metric: Metric, d: Numbers | None, child: Items, parent: Items) -> list[Unseen]:
    """Describe what each unit lost; nothing where that is not known."""
    import numpy as np

    from instructor_eval.analysis.statistics.contributions import TooManyUnitsError, contributions

    try:
        _, before = contributions(metric.name, parent)
        if d is None:
            d = contributions(metric.name, child)[1] - before
    except TooManyUnitsError:
        return []
    if not len(d) or not np.all(np.isfinite(d)):
        return []
    most = float(np.max(np.abs(before)))
    # What units that nobody has drawn may lose on average: all that the best adds; of a correlation twice the score,
    # which a similarity loses that turns the other way; nothing where units are means themselves.
    floor = 0.0 if metric.aggregated else 2 * abs(float(np.mean(before))) if metric.correlates else most
    losses = np.where(np.abs(d) < _SAME, 0.0, d)
    return [unseen.describe(losses, most=most, floor=floor, aggregated=metric.aggregated)]


def _by_bootstrap(delta: float, metric: Metric, child: Items, parent: Items, seed_text: str) -> Difference:
    """Student's t interval with the standard error of a paired bootstrap."""
    from instructor_eval.analysis.statistics import resample

    n = len(metric.units(parent))
    if n < 2:
        return Difference(delta, n=n)
    found = resample.replicates(metric, child, parent, seed_text=seed_text)
    return _around(delta, found, n, metric.method(parent))


def _around(delta: float, found: Numbers, n: int, method: str) -> Difference:
    """The interval from resampled differences; weak where one resample in twenty has no value."""
    import numpy as np

    whole = found[np.isfinite(found)]
    if len(whole) < 2:
        return Difference(delta, n=n)
    weak = n < FEW[method] or len(whole) < 0.95 * len(found)
    return _interval(delta, float(np.std(whole, ddof=1)), n - 1, n, method, weak)


def _interval(delta: float, se: float, df: float, n: int, method: str, weak: bool) -> Difference:
    """Student's t around `delta`, two-sided and, as bounds, one-sided."""
    half, side = (t_quantile(min(df, _MANY), q) * se for q in (0.975, 0.95))
    return Difference(delta, delta - half, delta + half, se, n, method, weak, delta - side, delta + side, df)
