"""The 95 % interval of one score, from what each unit adds to it: right near 0 and 1, and with 30 units.

| score                         | interval                                                                     |
|-------------------------------|------------------------------------------------------------------------------|
| a mean of values from 0 to 1  | Wilson's (1927), with as many items as have that variance if they are 0 or 1 |
| average precision             | t around its logit (Boyd, Eng and Page 2013)                                 |
| Spearman, Pearson             | t around Fisher's z                                                          |
| everything else               | t                                                                            |

Wilson's with an effective number of items, p (1 - p) / s.e.², is Korn and Graubard's (1998). The degrees of freedom are
those that the variance is known with, 2 n / (kurtosis - 1) (Satterthwaite 1946), at most n - 1: few units that stand
out say little of it. Of values 0 and 1 only, the mean tells the variance, and they are n - 1. Simulated in
`benchmarks/verdicts.py`.
"""

from __future__ import annotations

import math

import numpy as np

from instructor_eval.core.distributions import t_quantile
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers

Ends = tuple[float, float]
_LEAST = 2.0


def standard_error(units: Numbers) -> float:
    """Return the standard error of the mean of at least two units."""
    return float(np.std(units, ddof=1)) / math.sqrt(len(units))


def of(metric: Metric, items: Items, units: Numbers) -> Ends:
    """Return the interval of a score, from the influences of at least two units of its items."""
    if metric.column or metric.values:
        return of_mean(units)
    if metric.correlates:
        return of_correlation(units, ranks=bool(metric.ranked))
    if metric.positives:
        return of_average_precision(units, metric.count_positives(items))
    return t(float(np.mean(units)), standard_error(units), len(units) - 1)


def of_mean(values: Numbers) -> Ends:
    """Return the interval of a mean of at least two values."""
    p, se, n = float(np.mean(values)), standard_error(values), len(values)
    if float(np.min(values)) < 0 or float(np.max(values)) > 1:
        return t(p, se, n - 1)
    binary = bool(np.all((values == 0) | (values == 1)))
    if np.ptp(values) == 0:
        return wilson(p, n, n - 1) if binary else (p, p)
    return wilson(p, p * (1 - p) / se**2, n - 1 if binary else _freedom(values))


def of_average_precision(units: Numbers, positives: int) -> Ends:
    """Return the interval of average precision; a perfect one may be one of so many positives by chance.

    Args:
        units: What each pair adds (`pairs.influence`).
        positives: How many pairs are positive.
    """
    p, se = float(np.mean(units)), standard_error(units)
    if p >= 1 - 1e-12 or p <= 0 or se <= 0:
        return wilson(min(max(p, 0.0), 1.0), positives, len(units) - 1)
    half, middle = _t(_freedom(units)) * se / (p * (1 - p)), math.log(p / (1 - p))
    return _logistic(middle - half), _logistic(middle + half)


def of_correlation(units: Numbers, *, ranks: bool) -> Ends:
    """Return the interval of a correlation.

    Args:
        units: What each pair or segment adds (`Metric.influence`).
        ranks: Whether it is of ranks, whose standard error is not too small with few units, as that of values is: by
            sqrt((n - 3) / n), which is Fisher's.
    """
    r, se, n = float(np.mean(units)), standard_error(units), len(units)
    if not abs(r) < 1 - 1e-12:
        return r, r
    se *= 1.0 if ranks or n < 4 else math.sqrt(n / (n - 3))
    half, middle = _t(_freedom(units)) * se / (1 - r * r), math.atanh(r)
    return math.tanh(middle - half), math.tanh(middle + half)


def t(value: float, se: float, df: float) -> Ends:
    """Return Student's t interval around a value."""
    half = _t(df) * se
    return value - half, value + half


def wilson(p: float, n: float, df: float) -> Ends:
    """Return Wilson's interval of a share of `n` items."""
    z = _t(df)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _freedom(units: Numbers) -> float:
    """Return the degrees of freedom of the variance."""
    squares = (units - np.mean(units)) ** 2
    second = float(np.mean(squares))
    if second <= 0:
        return len(units) - 1.0
    kurtosis = float(np.mean(squares**2)) / second**2
    most = len(units) - 1.0
    return most if kurtosis <= 1 else min(most, max(min(_LEAST, most), 2 * len(units) / (kurtosis - 1)))


def _t(df: float) -> float:
    return t_quantile(df, 0.975)


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
