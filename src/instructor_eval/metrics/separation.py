"""How well similarities keep relevant items apart from irrelevant ones: false positives, a threshold, and d'.

| items            | relevant                                     | irrelevant                                    |
|------------------|----------------------------------------------|-----------------------------------------------|
| pairs, labelled  | label 1                                      | label 0                                       |
| pairs, graded    | in the top quarter of the range of grades    | in the bottom quarter; the middle is left out |
| queries          | judged relevant, among their first ten found | not judged relevant, among their first ten    |

Of a search it is the first ten documents that count, as a user who sets a threshold sees no others: of a whole corpus
nearly all documents are far away, and the share of those above any threshold is about 0. A document that nobody judged
counts as irrelevant, as everywhere in retrieval. The similarity is the cosine, or whatever the search ranked by.

The figures are those of `sklearn.metrics.roc_curve`: at the threshold itself an item is taken. Intervals come from
draws of whole queries, or pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers, Places, Statistic, summed

SHARE = 0.95
_BAND = 0.25
"""Share of the range of grades that is relevant at the top, and irrelevant at the bottom."""
_ROUNDING = 1e-9


class _Side(NamedTuple):
    """Similarities of one side in rising order, with the unit (query, pair) that each is of."""

    values: Numbers
    units: Places


def _sides(items: Items) -> tuple[_Side, _Side]:
    """Return the relevant and the irrelevant side.

    Raises:
        KeyError: a column is missing.
    """
    if "top_scores" in items:
        lists = items["top_scores"]
        units = np.repeat(np.arange(len(lists)), [len(row) for row in lists])
        values = np.array([value for row in lists for value in row], dtype=np.float64)
        relevant = np.array([grade > 0 for row in items["top_grades"] for grade in row], dtype=bool)
        return _side(values, units, relevant), _side(values, units, ~relevant)
    gold, values = (np.asarray(items[name], dtype=np.float64) for name in ("gold", "cosine"))
    units, low, width = np.arange(len(gold)), float(np.min(gold)), float(np.ptp(gold))
    if not width:
        return _side(values, units, gold < low), _side(values, units, gold < low)
    place = (gold - low) / width
    return _side(values, units, place >= 1 - _BAND), _side(values, units, place <= _BAND)


def _side(values: Numbers, units: Places, chosen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> _Side:
    order = np.argsort(values[chosen], kind="stable")
    return _Side(values[chosen][order], units[chosen][order])


def _passing(side: _Side, counts: Numbers, share: float) -> Numbers:
    """Return of each draw the highest similarity that a share of a side has or exceeds, [draws]; NaN where it is empty.

    Args:
        side: The side.
        counts: How often each unit was drawn, [units, draws].
        share: The share, from 0 to 1.
    """
    if not len(side.values):
        return np.full(counts.shape[1], np.nan)
    from_here = np.cumsum(counts.take(side.units, axis=0)[::-1], axis=0)  # how many are as high, from the highest down
    enough = from_here >= share * from_here[-1] - _ROUNDING
    found = side.values[::-1][np.argmax(enough, axis=0)]
    return np.where(from_here[-1] > 0, found, np.nan)


def _share_from(side: _Side, counts: Numbers, thresholds: Numbers) -> Numbers:
    """Return of each draw the share of a side at its threshold or above, [draws]."""
    if not len(side.values):
        return np.full(counts.shape[1], np.nan)
    below = np.zeros((len(side.values) + 1, counts.shape[1]))
    np.cumsum(counts.take(side.units, axis=0), axis=0, out=below[1:])
    first = np.searchsorted(side.values, thresholds, "left")
    found = (below[-1] - below[first, np.arange(counts.shape[1])]) / below[-1]
    return np.where(np.isnan(thresholds), np.nan, found)


def _strict_share(side: _Side, counts: Numbers, thresholds: Numbers) -> Numbers:
    """Return of each draw the share of a side above its threshold."""
    return _share_from(side, counts, np.nextafter(thresholds, np.inf))


def _false_positives(relevant: _Side, irrelevant: _Side, counts: Numbers) -> Numbers:
    return _share_from(irrelevant, counts, _passing(relevant, counts, SHARE))


def _misses(relevant: _Side, irrelevant: _Side, counts: Numbers) -> Numbers:
    """Return of each draw the share of the relevant that are lost where 5 % of the irrelevant, or fewer, pass."""
    turned = _Side(-irrelevant.values[::-1], irrelevant.units[::-1])
    limit = -_passing(turned, counts, SHARE)  # 95 % of the irrelevant are no higher
    return np.asarray(1 - _strict_share(relevant, counts, limit))


def _d_prime(relevant: _Side, irrelevant: _Side, counts: Numbers) -> Numbers:
    means, variances = zip(*(_moments(side, counts) for side in (relevant, irrelevant)), strict=True)
    return np.asarray((means[0] - means[1]) / np.sqrt((variances[0] + variances[1]) / 2))


def _moments(side: _Side, counts: Numbers) -> tuple[Numbers, Numbers]:
    """Return the mean and the variance of a side in each draw."""
    if not len(side.values):
        nothing = np.full(counts.shape[1], np.nan)
        return nothing, nothing
    middle = float(np.mean(side.values))  # centred first: sums of squares stay exact
    off = side.values - middle
    sums = summed(np.stack([np.ones_like(off), off, off * off], axis=1), side.units)
    n, first, second = np.einsum("is,ir->sr", sums, counts[: len(sums)])
    mean = first / n
    return middle + mean, np.maximum(second / n - mean * mean, 0.0)


def _figure(
    name: str,
    of: Callable[[_Side, _Side, Numbers], Numbers],
    bounds: tuple[float, float],
    *,
    lower: bool = False,
    neutral: bool = False,
) -> Metric:
    """Return a figure of the two sides as a metric."""

    def weighted(items: Items) -> Statistic:
        relevant, irrelevant = _sides(items)
        return lambda counts: of(relevant, irrelevant, counts)

    def formula(items: Items) -> float:
        with np.errstate(invalid="ignore", divide="ignore"):  # nothing on one side: NaN
            return float(weighted(items)(np.ones((len(items["id"]), 1)))[0])

    return Metric(name, formula, bounds=bounds, weighted=weighted, lower=lower, neutral=neutral)


FPR_AT_95 = _figure("fpr_at_95", _false_positives, (0.0, 1.0), lower=True)
"""The share of irrelevant items at or above the similarity at which 95 % of the relevant are found."""
FNR_AT_95 = _figure("fnr_at_95", _misses, (0.0, 1.0), lower=True)
"""The reverse: the share of relevant items lost above the similarity that 95 % of the irrelevant do not exceed."""
THRESHOLD = _figure(
    "threshold", lambda relevant, _other, counts: _passing(relevant, counts, SHARE), (-np.inf, np.inf), neutral=True
)
"""The similarity at which 95 % of the relevant are found: what to set in a search."""
SEPARATION = _figure("separation", _d_prime, (-np.inf, np.inf))
"""d': the difference of the two sides' means, in their common standard deviation (Green and Swets 1966)."""

FIGURES = (FPR_AT_95, FNR_AT_95, THRESHOLD, SEPARATION)
NAMES = tuple(metric.name for metric in FIGURES)
