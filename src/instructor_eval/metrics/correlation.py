"""Correlations: of gold grades with cosines (STS), of human with automatic scores (Billboard).

| of a correlation | unit by unit                                                                                     |
|------------------|--------------------------------------------------------------------------------------------------|
| adds             | the product of its standard scores (of ranks for Spearman), of which r is the mean               |
| influence        | a b - r (a² + b²) / 2, of standard scores a and b (Devlin, Gnanadesikan, Kettenring 1975); for   |
|                  | Spearman of ranks, and what a unit does to the ranks of others (Croux and Dehon 2010)            |
| of clusters      | the same, summed over the rows of a cluster                                                      |

What a unit adds depends on the others: it says where a difference shows, not what caused it. All is computed by
sorting: n log n. Only order counts for Spearman, so compact baselines give the same values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers, Places, Statistic, summed
from instructor_eval.metrics.ranks import ranks, weighted_ranks


def pearson(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return Pearson's r of columns [n]; NaN where one is constant.

    The order of operations is that of `scipy.stats.pearsonr`, whose bits it gives; that module takes long to import.
    """
    centred: list[Numbers] = []
    for column in (np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)):
        if len(column) < 2 or bool(np.all(column == column[0])):
            return float("nan")
        off = column - np.mean(column, keepdims=True)
        most = np.max(np.abs(off))
        with np.errstate(invalid="ignore", divide="ignore"):
            centred.append(off / (most * np.linalg.norm(off / most, axis=-1)))
    r = float(np.clip(np.vecdot(*centred), -1.0, 1.0))
    return float(np.round(r)) if len(centred[0]) == 2 else r


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return Spearman's rho of columns [n]; NaN where one is constant or holds NaN. Its bits are `spearmanr`'s."""
    columns = [np.asarray(column, dtype=np.float64) for column in (x, y)]
    if any(len(c) < 2 or bool(np.all(c == c[0]) or np.any(np.isnan(c))) for c in columns):
        return float("nan")
    found: Numbers = np.atleast_2d(np.corrcoef(np.stack([ranks(c) for c in columns])))
    return float(found[1, 0])


def article_correlation(cosines: list[float], gold: list[float]) -> tuple[float, float]:
    """Return Spearman's (rho, p-value) over the machine summaries of one article."""
    from scipy.special import stdtr

    rho, freedom = spearman(gold, cosines), len(gold) - 2
    with np.errstate(divide="ignore", invalid="ignore"):
        t = rho * np.sqrt((freedom / np.float64((rho + 1.0) * (1.0 - rho))).clip(0))
    return rho, float(2 * stdtr(freedom, -np.abs(t)))


def standard(values: npt.ArrayLike, *, equal: float = np.nan) -> Numbers:
    """Return standard scores; `equal` for all where values are equal."""
    column = np.asarray(values, dtype=np.float64)
    if np.ptp(column) == 0:  # of equal values the mean is rounded, and so their spread is not quite 0
        return np.full(len(column), equal)
    return np.asarray((column - np.mean(column)) / np.std(column))


def pearson_influence(x: npt.ArrayLike, y: npt.ArrayLike) -> Numbers:
    """Return Pearson's r plus the influence of each pair."""
    a, b = standard(x), standard(y)
    r = float(np.mean(a * b))
    return np.asarray(r + a * b - r * (a * a + b * b) / 2)


def spearman_influence(x: npt.ArrayLike, y: npt.ArrayLike) -> Numbers:
    """Return Spearman's rho plus the influence of each pair."""
    a, b = (_middle_ranks(values) for values in (x, y))
    across, own_a, own_b = (float(np.mean(p * q)) for p, q in ((a, b), (a, a), (b, b)))
    both = _product_influence(a, b, across) / across if across else np.zeros(len(a))
    alone = _product_influence(a, a, own_a) / own_a + _product_influence(b, b, own_b) / own_b
    rho = across / np.sqrt(own_a * own_b)
    if not across:
        return np.asarray(_product_influence(a, b, 0.0) / np.sqrt(own_a * own_b))
    return np.asarray(rho + rho * (both - alone / 2))


def _middle_ranks(values: npt.ArrayLike) -> Numbers:
    """Return ranks as shares of n, less their mean; NaN where values are equal."""
    column = np.asarray(values, dtype=np.float64)
    if not np.ptp(column):
        return np.full(len(column), np.nan)
    return np.asarray((ranks(column) - (len(column) + 1) / 2) / len(column))


def _product_influence(a: Numbers, b: Numbers, mean: float) -> Numbers:
    """Return the influence on the mean product of two columns of ranks: a unit's own, and through others' ranks."""
    return np.asarray(a * b - mean + _pushed(a, b) + _pushed(b, a))


def _pushed(middle: Numbers, weights: Numbers) -> Numbers:
    """Return the mean over all others of `weights` times what one more unit here adds to their rank, of mean 0."""
    order = np.argsort(middle, kind="stable")
    _, first, tie = np.unique(middle[order], return_index=True, return_inverse=True)
    sums = np.add.reduceat(weights[order], first)
    above = np.cumsum(sums[::-1])[::-1] - sums / 2
    found = np.empty(len(middle))
    found[order] = above[tie.ravel()] / len(middle)
    return np.asarray(found - np.mean(found))


def weighted_spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> Statistic:
    """Return Spearman's rho of draws: Pearson's r of their ranks."""
    first_ranks, second_ranks = weighted_ranks(x), weighted_ranks(y)

    def statistic(counts: Numbers) -> Numbers:
        middle = (counts.sum(axis=0) + 1) / 2  # the mean of all ranks
        a, b = first_ranks(counts) - middle, second_ranks(counts) - middle
        of_a = counts * a
        across, own = np.einsum("ir,ir->r", of_a, b), np.einsum("ir,ir->r", of_a, a)
        return np.asarray(across / np.sqrt(own * np.einsum("ir,ir,ir->r", counts, b, b)))

    return statistic


def weighted_pearson(x: npt.ArrayLike, y: npt.ArrayLike, places: Places | None = None) -> Statistic:
    """Return Pearson's r of draws of pairs, or of clusters, the one of each pair in `places`."""
    # Centred first: sums of squares stay exact.
    a, b = (np.asarray(v, dtype=np.float64) - np.mean(np.asarray(v, dtype=np.float64)) for v in (x, y))
    sums = np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], axis=1)
    if places is not None:
        sums = summed(sums, places)

    def statistic(counts: Numbers) -> Numbers:
        n, sa, sb, saa, sbb, sab = np.einsum("is,ir->sr", sums, counts)
        return np.asarray((sab - sa * sb / n) / np.sqrt((saa - sa * sa / n) * (sbb - sb * sb / n)))

    return statistic


def correlation(name: str, value: str, *, unit: str, cluster: str = "", ranked: bool = False) -> Metric:
    """Return the correlation of a column of the system's with the gold values.

    Args:
        name: The metric's name.
        value: The column.
        unit: What is resampled, in words.
        cluster: A column whose equal values make one unit; of Pearson's r alone.
        ranked: Whether it is Spearman's rho.
    """
    plain = spearman if ranked else pearson

    def by_unit(items: Items, pairs: Numbers) -> Numbers:
        """Return what each unit's pairs add, from what each pair does: of clusters the sum, scaled; else as it is."""
        if not cluster:
            return pairs
        sums = summed(pairs, metric.places(items))
        return np.asarray(sums * (len(sums) / len(pairs)))

    def adds(items: Items) -> Numbers:
        gold, found = (ranks(c) if ranked else np.asarray(c, dtype=np.float64) for c in (items["gold"], items[value]))
        return by_unit(items, standard(gold, equal=0.0) * standard(found, equal=0.0))

    def influence(items: Items) -> Numbers:
        found = (spearman_influence if ranked else pearson_influence)(items["gold"], items[value])
        if not cluster:
            return found
        r = float(np.mean(found))
        return r + by_unit(items, found - r)

    def weighted(items: Items) -> Statistic:
        if ranked:
            return weighted_spearman(items["gold"], items[value])
        return weighted_pearson(items["gold"], items[value], metric.places(items) if cluster else None)

    metric = Metric(
        name,
        lambda items: plain(items["gold"], items[value]),
        unit=unit,
        bounds=(-1.0, 1.0),
        columns=(cluster, "gold", value) if cluster else ("gold", value),
        ranked=(value,) if ranked else (),
        cluster=cluster,
        correlates=("gold", value),
        adds=adds,
        influence=influence,
        weighted=weighted,
    )
    return metric


COSINE_SPEARMAN = correlation("cosine_spearman", "cosine", unit="pair", ranked=True)
"""Spearman's rho of grades and cosines of pairs (STS; mteb, `AbsTaskSTS`)."""
COSINE_PEARSON = correlation("cosine_pearson", "cosine", unit="pair")
"""Pearson's r of grades and cosines of pairs (STS)."""
PEARSON = correlation("pearson", "value", unit="segment", cluster="segment")
"""One Pearson r over all (segment, system) rows pooled (Billboard; paper, section 4.1; THumB)."""
