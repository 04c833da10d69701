"""Paired comparison of two systems on the items of one task: the difference of their scores and its interval.

Embeddings are deterministic, so a difference on these items is real; the interval says whether it would hold for other
items of this kind. Pure functions: items in, `Difference` out. numpy and scipy are imported when items are compared,
not before.

| metric                              | unit         | 95 % interval                       |
|-------------------------------------|--------------|-------------------------------------|
| nDCG, MAP, recall, precision at k   | query        | t                                   |
| accuracy                            | test item    | t; the draws are taken as given     |
| Rouge-L                             | test example | t                                   |
| V-measure                           | split        | t                                   |
| average precision, Spearman of STS  | pair         | paired bootstrap                    |
| SummEval                            | article      | paired bootstrap                    |
| Pearson of Billboard                | segment      | bootstrap of whole segments         |
| Rouge-L of the third worst reviewer | test example | bootstrap within reviewers          |
| mean of tasks, or of a task's parts | task         | normal, s.e. = sqrt(Σ s.e.²) / T    |
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from instructor_eval.errors import UserError

if TYPE_CHECKING:
    from instructor_eval.resample import Numbers
    from instructor_eval.types import Items, Score

FEW = {"t": 5, "bootstrap": 20, "cluster bootstrap": 20}
"""With fewer units than these an interval is weak: t leans on a shape that nobody has seen; the bootstrap's held the
truth 80 to 92 times in 100 with 5 to 10 simulated units, 93 and more with 20."""
_NORMAL_95 = 1.959963984540054
_MEANS = {"accuracy": "value", "v_measure": "v_measure", "rougeL": "value", "rougeL_bootstrap": "value"}


class NotComparableError(Exception):
    """Two results are not of the same items; the text says in what they differ."""


@dataclass(frozen=True)
class Difference:
    """How much higher one score is than another; all in the score's own unit, fractions of 1."""

    delta: float
    low: float | None = None
    """Ends of the two-sided 95 % interval; None where there is none."""
    high: float | None = None
    se: float | None = None
    n: int = 0
    """Units compared: queries, pairs, segments ...; of a mean over tasks, the tasks."""
    method: str = ""
    """t | bootstrap | cluster bootstrap | normal; empty without an interval"""
    weak: bool = False
    """Whether the interval rests on too few units to be relied on."""

    @property
    def verdict(self) -> str:
        """One of better, worse, same (the interval holds 0: no difference shown), unknown (no interval)."""
        if self.low is None or self.high is None:
            return "unknown"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "same"


def why_not(child: Score, parent: Score) -> str | None:
    """What keeps two scores from being compared, or None: all but the model must be the same."""
    texts, others = (
        {role: r.get("text") for role, r in s.instructions.get("roles", {}).items()} for s in (child, parent)
    )
    pairs: list[tuple[str, Any, Any]] = [
        ("task", child.task, parent.task),
        ("metric", child.metric, parent.metric),
        ("protocol", child.protocol, parent.protocol),
        ("limit", child.limit, parent.limit),
        ("seed", child.seed, parent.seed),
        ("reader", child.reader.get("fingerprint"), parent.reader.get("fingerprint")),
        ("instruction texts", texts, others),
    ]
    mine, theirs = child.data.get("hash"), parent.data.get("hash")
    if mine and theirs:
        pairs.append(("data", mine, theirs))
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
    from instructor_eval import scorers

    if metric == "mean_of_parts":
        raise UserError("a mean of parts is compared part by part: take the mean of their differences")
    delta = scorers.compute(metric, child) - scorers.compute(metric, parent)
    child = _matched(child, parent)
    for name in ("gold", "relevant"):
        if name in child and name in parent and child[name] != parent[name]:
            raise NotComparableError("other gold values")
    column = _MEANS.get(metric) or (metric.removeprefix("max_over_subqueries_") if "_at_" in metric else None)
    try:
        if column is not None:
            return _by_t(delta, child[column], parent[column])
        return _by_bootstrap(delta, metric, child, parent, seed_text)
    except KeyError as e:
        raise UserError(f"the items hold no column {e} for {metric}: the file is not whole, run the task again") from e


def mean(differences: Iterable[Difference]) -> Difference:
    """The mean of the differences of several tasks, which are taken as independent.

    Those without an interval are left out, so that the mean and its interval are of the same tasks (`n` of them);
    where none has one, the mean is over all and has none either. One alone keeps its own interval.

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
    se = math.sqrt(math.fsum(variances)) / len(used)
    shaky = math.fsum(v for v, d in zip(variances, used, strict=True) if d.weak)
    weak = shaky > math.fsum(variances) / 2 or all(d.weak for d in used)
    return Difference(delta, delta - _NORMAL_95 * se, delta + _NORMAL_95 * se, se, len(used), "normal", weak)


def _matched(child: Items, parent: Items) -> Items:
    """The child's items in the parent's order.

    Raises:
        NotComparableError: they are not the same items.
        UserError: there are no ids.
    """
    if "id" not in child or "id" not in parent:
        raise UserError("the items hold no column 'id': the file is not whole, run the task again")
    if child["id"] == parent["id"]:
        return child
    place = {key: i for i, key in enumerate(child["id"])}
    if len(place) < len(child["id"]) or sorted(child["id"]) != sorted(parent["id"]):
        raise NotComparableError("other items")
    order = [place[key] for key in parent["id"]]
    return {name: [values[i] for i in order] for name, values in child.items()}


def _by_t(delta: float, child: Sequence[float], parent: Sequence[float]) -> Difference:
    """Student's t interval of the paired differences (Student 1908), around the difference of the published scores.

    These may be rounded (nDCG, to five places), so that they are off the mean difference by up to 0.00001.
    """
    import numpy as np
    from scipy.special import stdtrit

    d = np.asarray(child, dtype=np.float64) - np.asarray(parent, dtype=np.float64)
    n = len(d)
    if n < 2:
        return Difference(delta, n=n)
    se = float(np.std(d, ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, 0.975)) * se
    return Difference(delta, delta - half, delta + half, se, n, "t", n < FEW["t"])


def _by_bootstrap(delta: float, metric: str, child: Items, parent: Items, seed_text: str) -> Difference:
    """The percentile interval of a paired bootstrap."""
    from instructor_eval import resample

    clusters = list(dict.fromkeys(parent["segment"])) if metric == "pearson" else parent["id"]
    n, method = len(clusters), "cluster bootstrap" if metric == "pearson" else "bootstrap"
    if n < 2:
        return Difference(delta, n=n)
    found = resample.differences(
        resample.statistic(metric, child),
        resample.statistic(metric, parent),
        n,
        seed_text=seed_text,
        strata=parent["group"] if metric.startswith("rougeL_third_worst_group") else None,
    )
    return _percentiles(delta, found, n, method)


def _percentiles(delta: float, found: Numbers, n: int, method: str) -> Difference:
    """The interval that holds the middle 95 % of the resampled differences; weak where one in twenty has no value."""
    import numpy as np

    whole = found[np.isfinite(found)]
    if len(whole) < 2:
        return Difference(delta, n=n)
    low, high = (float(q) for q in np.quantile(whole, [0.025, 0.975]))
    weak = n < FEW[method] or len(whole) < 0.95 * len(found)
    return Difference(delta, low, high, float(np.std(whole, ddof=1)), n, method, weak)
