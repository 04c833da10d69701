"""The normal and Student's t distribution: chances and quantiles, to the precision of SciPy's, which takes 143 MB.

Student's t by the regularised incomplete beta function as a continued fraction (Abramowitz and Stegun 26.5.8, 26.7.1),
its quantiles by Newton's steps within a bracket. Tests hold all four to SciPy.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300
_CLOSE, _MOST_STEPS, _MOST_TERMS = 1e-13, 200, 20_000
_ALMOST_NORMAL = 100_000
_STANDARD = NormalDist()


def normal_chance(x: float) -> float:
    """Return the chance that a standard normal value is below `x`, exact in the lower tail too."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(p: float) -> float:
    """Return the value that a standard normal one is below with chance `p`; infinite at 0 and 1."""
    return _STANDARD.inv_cdf(p) if 0 < p < 1 else math.inf if p == 1 else -math.inf if p == 0 else math.nan


def t_chance(df: float, t: float) -> float:
    """Return the chance that Student's t is below `t`; NaN where an argument is, or `df` is not above 0."""
    if math.isnan(t) or not df > 0:
        return math.nan
    if df == math.inf or math.isinf(t):
        return normal_chance(t)
    beyond = _beyond(df, abs(t))
    return beyond if t < 0 else 1 - beyond


@lru_cache(4096)
def t_quantile(df: float, p: float) -> float:
    """Return the value that Student's t is below with chance `p`; NaN where `df` is not above 0."""
    if not df > 0 or not 0 <= p <= 1:
        return math.nan
    if df == math.inf or p in (0, 1):
        return normal_quantile(p)
    if p == 0.5:
        return 0.0
    tail = min(p, 1 - p)
    low, high = 0.0, max(1.0, -normal_quantile(tail))
    while _beyond(df, high) > tail:
        low, high = high, 2 * high
    t = high
    for _ in range(_MOST_STEPS):
        excess = _beyond(df, t) - tail
        step = t + excess / _density(df, t)
        if abs(step - t) <= _CLOSE * t:
            break
        low, high = (t, high) if excess > 0 else (low, t)
        t = step if low < step < high else (low + high) / 2
    return -t if p < 0.5 else t


def _density(df: float, t: float) -> float:
    return _gammas(df / 2) / math.sqrt(math.pi * df) * math.exp(-(df + 1) / 2 * math.log1p(t * t / df))


def _beyond(df: float, t: float) -> float:
    """Return the chance that Student's t is above `t`, which is not negative."""
    if df >= _ALMOST_NORMAL and t < 8:  # Fisher's expansion (26.7.8); the fraction loses digits there
        density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
        first = t * (t**2 + 1) / 4
        second = t * (3 * t**6 - 7 * t**4 - 5 * t**2 - 3) / 96
        third = t * (t**10 - 11 * t**8 + 14 * t**6 + 6 * t**4 - 3 * t**2 - 15) / 384
        return normal_chance(-t) + density * (first + (second + third / df) / df) / df
    inner = t * t / (df + t * t)
    outer = df / (df + t * t)
    # Both parts of the beta function's argument, neither as 1 less the other: each keeps its digits.
    front = _gammas(df / 2) / math.sqrt(math.pi) * math.exp(0.5 * _log(inner, outer) + df / 2 * _log(outer, inner))
    if outer < (df / 2 + 1) / (df / 2 + 2.5):
        return front * _fraction(df / 2, 0.5, outer) / df
    return 0.5 - front * _fraction(0.5, df / 2, inner)


def _log(part: float, other: float) -> float:
    """Return the logarithm of a part of 1, by the other part where it is near 1."""
    return math.log1p(-other) if other < 0.5 else math.log(part) if part > 0 else -math.inf


def _gammas(a: float) -> float:
    """Return the gamma function of a + 1/2 over that of a."""
    if a < 100:
        return math.gamma(a + 0.5) / math.gamma(a)
    x = 1 / a
    series = (1, -1 / 8, 1 / 128, 5 / 1024, -21 / 32768, -399 / 262144, 869 / 4194304)
    return math.sqrt(a) * sum(factor * x**power for power, factor in enumerate(series))


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / _not_zero(1 + term * d), _not_zero(1 + term / c)
            found *= c * d
        if abs(c * d - 1) < 3e-15:
            break
    return found


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
