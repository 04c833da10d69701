"""Differences and intervals of thousands of made-up comparisons at once, each with a truth that is known."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from instructor_eval.analysis.statistics import randomise

Numbers: TypeAlias = npt.NDArray[np.float64]
REPEATS, DRAWS = 2000, 499
FEW_DRAWS = 199
BLOCK = 100


def band(rate: float, repeats: int) -> tuple[float, float]:
    """Where 999 of 1,000 observed rates lie."""
    half = 3.29 * math.sqrt(rate * (1 - rate) / repeats)
    return rate - half, rate + half


# Differences without a true effect: a and b are exchangeable, so their difference is symmetric


def bounded(rng: np.random.Generator, shape: tuple[int, int]) -> Numbers:
    """Of scores anywhere from 0 to 1."""
    level = rng.beta(2, 2, shape)
    a, b = (np.clip(level + rng.normal(0, 0.15, shape), 0, 1) for _ in "ab")
    return np.asarray(a - b)


def tenths(rng: np.random.Generator, shape: tuple[int, int]) -> Numbers:
    """Of accuracies over ten draws; none is 0."""
    return np.asarray(rng.integers(1, 6, shape) * rng.choice([-0.1, 0.1], shape))


def lumps(rng: np.random.Generator, shape: tuple[int, int]) -> Numbers:
    """Of nDCG with one relevant document, found at one place or another; many are 0."""
    gains = np.array([1, 0.63093, 0.5, 0.43068, 0.38685, 0.0])
    return np.asarray(rng.choice(gains, shape) - rng.choice(gains, shape))


KINDS = {"bounded": bounded, "tenths": tenths, "lumps": lumps}


def flips(rng: np.random.Generator, k: int, draws: int) -> Numbers:
    """All assignments of k units, or drawn ones: 1 where the sign is flipped, [k, assignments]."""
    if k <= randomise.EXACT_UP_TO:
        return np.asarray(np.arange(2**k)[None, :] >> np.arange(k)[:, None] & 1, dtype=np.float64)
    return rng.integers(0, 2, (k, draws)).astype(np.float64)


def sign_flip(d: Numbers, flipped: Numbers, *, exact: bool) -> tuple[Numbers, Numbers]:
    """`randomise._sign_flip` of each row of `d` [repeats, k], with the same flips for all: p of a loss, of a gain."""
    steps = np.rint(d * randomise._STEPS)
    total = steps.sum(axis=1, keepdims=True)
    sums = total - 2 * (steps @ flipped)
    near = np.abs(sums - total) <= (steps != 0).sum(axis=1, keepdims=True)
    lower, higher = (((sums < total) | near).sum(axis=1), ((sums > total) | near).sum(axis=1))
    if exact:
        return lower / flipped.shape[1], higher / flipped.shape[1]
    return (1 + lower) / (1 + flipped.shape[1]), (1 + higher) / (1 + flipped.shape[1])


def losses(rng: np.random.Generator, d: Numbers, draws: int = DRAWS) -> Numbers:
    """One-sided p of every row, with other flips for each block of rows."""
    exact = d.shape[1] <= randomise.EXACT_UP_TO
    blocks = (d[i : i + BLOCK] for i in range(0, len(d), BLOCK))
    return np.concatenate(
        [sign_flip(block, flips(rng, d.shape[1], draws), exact=exact)[0] for block in blocks]
    )  # fmt: skip


def t_p(d: Numbers) -> Numbers:
    """One-sided p of the paired t test, of each row."""
    n = d.shape[1]
    se = d.std(axis=1, ddof=1) / math.sqrt(n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(se > 0, stdtr(n - 1, d.mean(axis=1) / se), 1.0))


def padded(d: Numbers, n: int) -> Numbers:
    """With units that do not differ, n in all."""
    return np.concatenate([d, np.zeros((len(d), n - d.shape[1]))], axis=1)


def pairs(rng: np.random.Generator, n: int, child_gain: float = 1.5, parent_gain: float = 1.5) -> Any:
    """Three pairs in ten are alike; their similarities are higher."""
    gold = (rng.permutation(n) < 0.3 * n).astype(int)
    shared = 0.8 * rng.normal(size=n)
    return gold, *(gain * gold + shared + 0.6 * rng.normal(size=n) for gain in (child_gain, parent_gain))


def t_interval(d: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    n = d.shape[1]
    se = d.std(axis=1, ddof=1) / math.sqrt(n)
    half, side = (stdtrit(n - 1, q) * se for q in (0.975, 0.95))
    middle = d.mean(axis=1)
    return middle - half, middle + half, middle - side, se
