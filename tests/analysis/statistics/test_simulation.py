"""Statistics against a known truth, thousands of times over.

Most p-values here come from a vectorised twin of the module's function, which a test holds to it. Bands are those of
the binomial distribution at 99.9 %; seeds are fixed.

A p-value from all sign flips is conservative: with k units that differ it is a multiple of 2^-k, and where values are
few (accuracies in tenths) whole groups of assignments are equal and count together. So p <= 5 % happens *at most* 5
times in 100, and with the 2 changed units of 5 % of 30 never, as the smallest p is 1/4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import stdtr, stdtrit
from scipy.stats import rankdata

from instructor_eval.analysis.compare.compare import Comparison, TaskComparison
from instructor_eval.analysis.gate.limits import Margins, Thresholds
from instructor_eval.analysis.gate.quality import REGRESSED, judge
from instructor_eval.analysis.statistics import difference, randomise, resample
from instructor_eval.analysis.statistics.estimates import Chance, Difference
from instructor_eval.metrics.correlation import weighted_pearson, weighted_spearman
from instructor_eval.metrics.metric import Statistic
from instructor_eval.metrics.pairs import weighted as precision_of

Numbers: TypeAlias = npt.NDArray[np.float64]
SIZES, SHARES = (30, 300, 1400), (0.05, 0.3, 1.0)
REPEATS, DRAWS = 2000, 499
FEW_DRAWS = 199
_BLOCK = 100


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
    blocks = (d[i : i + _BLOCK] for i in range(0, len(d), _BLOCK))
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


@pytest.fixture
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(randomise, "_FIRST", 99)
    monkeypatch.setattr(resample, "resamples", lambda _: FEW_DRAWS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [2, 15, 60])
def test_the_twin_of_sign_flips_is_the_modules(kind: str, k: int, fewer_draws: None) -> None:
    d = KINDS[kind](np.random.default_rng(k), (5, k))
    for row in d:
        whole = row[row != 0]
        # The flips of each unit, as the module draws them.
        own, exact = randomise._flipped(np.eye(len(whole), dtype=np.int64), "x", FEW_DRAWS)
        loss, gain = sign_flip(whole[None], own.T.astype(np.float64), exact=exact)
        found = randomise._sign_flip(row, "x", FEW_DRAWS)
        assert (found.loss, found.gain, found.exact) == (loss[0], gain[0], exact)


@pytest.mark.slow
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", KINDS)
def test_false_alarms_of_sign_flips_and_t(kind: str, share: float, n: int) -> None:
    rng = np.random.default_rng(n + round(100 * share))
    k = round(share * n)
    repeats = REPEATS if not 10 < k <= randomise.EXACT_UP_TO else 1000  # all 2^k are slow
    d = KINDS[kind](rng, (repeats, k))
    low, high = band(0.05, repeats)
    rate = np.mean(losses(rng, d) <= 0.05)
    assert rate <= high
    if k <= 4:
        assert rate == 0  # 2^-k is above 5 %
    elif kind == "bounded":
        assert rate >= low
    by_t = np.mean(t_p(padded(d, n)) <= 0.05)
    assert by_t <= high
    assert k <= 4 or by_t >= low


@pytest.mark.slow
@pytest.mark.parametrize(("n", "limits"), [(30, (0.02, 0.1)), (300, (0.035, 0.065)), (1400, (0.035, 0.065))])
def test_false_alarms_where_changes_are_lopsided(n: int, limits: tuple[float, float]) -> None:
    """A few large losses, many small gains, nothing lost on average: no p is exact then, but near 5 % with many units.

    The sign flip leans on symmetry, and t on the normal shape of the mean; both get it from many units.
    """
    rng = np.random.default_rng(n)
    d = np.where(rng.random((REPEATS, n)) < 0.2, -0.16, 0.04) + rng.normal(0, 0.02, (REPEATS, n))
    for found in (losses(rng, d), losses(rng, -d), t_p(d), t_p(-d)):
        assert limits[0] <= np.mean(found <= 0.05) <= limits[1]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "share"), [(300, 0.3), (300, 1.0), (1400, 0.05), (1400, 0.3), (1400, 1.0)])
def test_power_is_that_of_the_formula(n: int, share: float) -> None:
    """A true loss of the minimum detectable size is found four times in five, by either p."""
    rng = np.random.default_rng(n)
    # A changed unit loses mu on average, give or take 0.1: the variance is share * 0.01 + share (1 - share) mu^2.
    z = (difference.Z_95 + difference.Z_80) / math.sqrt(n)
    mu = math.sqrt(z**2 * share * 0.01 / (share**2 - z**2 * share * (1 - share)))
    effect, sd = share * mu, math.sqrt(share * 0.01 + share * (1 - share) * mu**2)
    assert effect == pytest.approx(difference.minimum_detectable(sd / math.sqrt(n)))
    changed = rng.random((REPEATS, n)) < share
    d = changed * (rng.normal(0, 0.1, (REPEATS, n)) - mu)
    for p in (losses(rng, d), t_p(d)):
        assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.03)


# Score swap


def standard(values: Numbers) -> Numbers:
    return np.rint((values - values.mean()) / values.std() * randomise._STANDARD_STEPS)


def twice_ranks(values: Numbers) -> Numbers:
    return np.asarray(2 * rankdata(values))


def swap(gold: Numbers, child: Numbers, parent: Numbers, flipped: Numbers, width: int) -> tuple[float, float]:
    """`randomise._swap_correlation` of values already on one scale, in segments of `width` rows."""

    def sums(values: Numbers) -> Numbers:
        rows = np.stack([values, values**2, values * gold], axis=1)
        return rows.reshape(-1, width, 3).sum(axis=1)

    def correlation(total: Numbers) -> Numbers:
        n, (s, ss, sg) = len(gold), total
        spread = (gold**2).sum() - gold.sum() ** 2 / n
        return np.asarray((sg - s * gold.sum() / n) / np.sqrt((ss - s * s / n) * spread))

    mine, theirs = sums(child), sums(parent)
    moved = (theirs - mine).T @ flipped
    ends = [side.sum(axis=0)[:, None] for side in (mine, theirs)]
    found = correlation(ends[0] + moved) - correlation(ends[1] - moved)
    seen = (correlation(ends[0]) - correlation(ends[1]))[0]
    found[np.abs(found - seen) < 1e-12] = seen
    of = 1 + len(found)
    return (1 + (found <= seen).sum()) / of, (1 + (found >= seen).sum()) / of


def exchangeable(rng: np.random.Generator, n: int, width: int = 1) -> tuple[Numbers, Numbers, Numbers]:
    """Gold in whole grades, and two systems that are equally good and much alike; rows of a segment share errors."""
    segment = np.repeat(np.arange(n), width)
    quality = rng.normal(size=n * width)
    shared = rng.normal(size=n)[segment]
    gold = np.clip(np.round(2.5 + 1.3 * (quality + 0.3 * rng.normal(size=n)[segment])), 0, 5)
    child, parent = (
        quality + 0.5 * shared + 0.3 * rng.normal(size=n)[segment] + 0.2 * rng.normal(size=n * width) for _ in "ab"
    )
    return gold, child, parent


CORRELATIONS: dict[str, tuple[Callable[[Numbers], Numbers], int]] = {
    "cosine_spearman": (twice_ranks, 1),
    "cosine_pearson": (standard, 1),
    "pearson": (standard, 4),
}


def items_of(metric: str, gold: Numbers, values: Numbers, width: int) -> dict[str, Any]:
    column = "value" if metric == "pearson" else "cosine"
    segment = np.repeat(np.arange(len(gold) // width), width).tolist()
    return {"id": list(range(len(gold))), "gold": gold.tolist(), column: values.tolist(), "segment": segment}


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_the_twin_of_swaps_is_the_modules(metric: str, fewer_draws: None) -> None:
    scale, width = CORRELATIONS[metric]
    for k in range(5):
        gold, child, parent = exchangeable(np.random.default_rng(k), 40, width)
        scaled = [scale(v) for v in (gold, child, parent)]
        differ = (scaled[1] != scaled[2]).reshape(-1, width).any(axis=1)
        flipped = np.zeros((40, FEW_DRAWS))
        flipped[differ] = randomise._flipped(np.eye(int(differ.sum()), dtype=np.int64), "x", FEW_DRAWS)[0].T
        expected = swap(*scaled, flipped, width)
        mine, theirs = (items_of(metric, gold, side, width) for side in (child, parent))
        found = randomise.chance(metric, mine, theirs, seed_text="x", resamples=FEW_DRAWS)
        assert (found.loss, found.gain) == expected


@pytest.mark.slow
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("metric", CORRELATIONS)
def test_false_alarms_of_swaps(metric: str, n: int) -> None:
    scale, width = CORRELATIONS[metric]
    rng, repeats = np.random.default_rng(n), 1000 if n < 1000 else 600
    found = []
    for k in range(repeats):
        if k % _BLOCK == 0:
            flipped = rng.integers(0, 2, (n, FEW_DRAWS)).astype(np.float64)
        gold, child, parent = (scale(v) for v in exchangeable(rng, n, width))
        found.append(swap(gold, child, parent, flipped, width))
    low, high = band(0.05, repeats)
    for p in np.transpose(found):
        assert low <= np.mean(p <= 0.05) <= high


def pairs(rng: np.random.Generator, n: int, child_gain: float = 1.5, parent_gain: float = 1.5) -> Any:
    """Three pairs in ten are alike; their similarities are higher."""
    gold = (rng.permutation(n) < 0.3 * n).astype(int)
    shared = 0.8 * rng.normal(size=n)
    return gold, *(gain * gold + shared + 0.6 * rng.normal(size=n) for gain in (child_gain, parent_gain))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "repeats"), [(30, 1000), (300, 500), (1400, 150)])
def test_false_alarms_of_average_precision(n: int, repeats: int, fewer_draws: None) -> None:
    """By the module itself, which stops early where p is clear."""
    rng, found = np.random.default_rng(n), []
    for k in range(repeats):
        gold, child, parent = pairs(rng, n)
        mine, theirs = ({"id": range(n), "gold": gold, "cosine": side} for side in (child, parent))
        drawn = randomise.chance("cosine_ap", mine, theirs, seed_text=str(k), resamples=FEW_DRAWS)
        found.append(drawn)
    low, high = band(0.05, repeats)
    for p in ([c.loss for c in found], [c.gain for c in found]):
        assert low <= np.mean(np.array(p) <= 0.05) <= high


# Intervals


def test_the_twin_of_t_intervals_is_the_modules() -> None:
    d = bounded(np.random.default_rng(0), (5, 40))
    low, high, lower, se = t_interval(d)
    for i, row in enumerate(d):
        sides = ({"id": range(40), "value": values} for values in (row.tolist(), [0.0] * 40))
        found = difference.paired("rougeL", *sides, seed_text="")
        assert (found.low, found.high, found.lower_by_t, found.se) == pytest.approx((low[i], high[i], lower[i], se[i]))
        assert difference.p_of_t(found) == pytest.approx(t_p(d)[i])


def t_interval(d: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    n = d.shape[1]
    se = d.std(axis=1, ddof=1) / math.sqrt(n)
    half, side = (stdtrit(n - 1, q) * se for q in (0.975, 0.95))
    middle = d.mean(axis=1)
    return middle - half, middle + half, middle - side, se


@pytest.mark.parametrize(
    ("n", "share", "short"),
    [
        (30, 1.0, 0.0), (300, 0.3, 0.0), (300, 1.0, 0.0), (1400, 0.05, 0.0), (1400, 0.3, 0.0), (1400, 1.0, 0.0),
        # Nine changed units of 30, or 15 of 300, say little of how large a change can be: short by so much.
        (30, 0.3, 0.03), (300, 0.05, 0.03),
    ],
)  # fmt: skip
def test_t_intervals_hold_the_truth(n: int, share: float, short: float) -> None:
    """Of lopsided changes: most lose a little, some much; the unchanged ones are part of the truth."""
    rng = np.random.default_rng(n + round(100 * share))
    changed = rng.random((REPEATS, n)) < share
    d = changed * (bounded(rng, (REPEATS, n)) - 0.05)
    low, high, lower, _ = t_interval(d)
    truth = -0.05 * share
    below, above = band(0.95, REPEATS)
    assert below - short <= np.mean((low <= truth) & (truth <= high)) <= above
    assert below - max(short, 0.01) <= np.mean(lower <= truth)  # one-sided, the lopsidedness shows


Sides: TypeAlias = Callable[[np.random.Generator, int], tuple[Statistic, Statistic]]


def spearman(rng: np.random.Generator, n: int) -> tuple[Statistic, Statistic]:
    gold, child, parent = normals(rng, n)
    return weighted_spearman(gold, child), weighted_spearman(gold, parent)


def pearson(rng: np.random.Generator, n: int) -> tuple[Statistic, Statistic]:
    gold, child, parent = normals(rng, n)
    return weighted_pearson(gold, child), weighted_pearson(gold, parent)


def normals(rng: np.random.Generator, n: int) -> Any:
    """Correlations of 0.8 / sqrt(1.25) and 0.8 with gold; the systems share half of their errors."""
    gold, shared = rng.normal(size=(2, n))
    parent = 0.8 * gold + 0.6 * (0.6 * shared + 0.8 * rng.normal(size=n))
    return gold, 0.8 * gold + 0.6 * shared + 0.5 * rng.normal(size=n), parent


def clusters(rng: np.random.Generator, n: int) -> tuple[Statistic, Statistic]:
    """Five rows a segment, which share most of their errors; correlations of 1 / sqrt(1.81) and 1 / sqrt(1.36)."""
    segment = np.repeat(np.arange(n), 5)

    def column() -> Numbers:
        return np.asarray(rng.normal(size=n)[segment] + 0.3 * rng.normal(size=5 * n))

    gold = column()
    child, parent = gold + 0.9 * column(), gold + 0.6 * column()
    return weighted_pearson(gold, child, segment), weighted_pearson(gold, parent, segment)


def precision(rng: np.random.Generator, n: int) -> tuple[Statistic, Statistic]:
    gold, child, parent = pairs(rng, n)
    return precision_of(gold, child), precision_of(gold, parent)


def rho(r: float) -> float:
    """Spearman's of two normal variables with Pearson's r."""
    return 6 / math.pi * math.asin(r / 2)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "repeats"), [(30, 1000), (300, 300), (1400, 120)])
@pytest.mark.parametrize(
    ("make", "truth"),
    [
        (spearman, rho(0.8 / 1.25**0.5) - rho(0.8)),
        (pearson, 0.8 / 1.25**0.5 - 0.8),
        (clusters, 1 / 1.81**0.5 - 1 / 1.36**0.5),
        (precision, 0.0),
    ],
)
def test_bootstrap_intervals_hold_the_truth(make: Sides, truth: float, n: int, repeats: int, fewer_draws: None) -> None:
    """With 30 units they may hold it too often (ranks and precisions are coarse), but never too rarely."""
    rng, held, bounded_below = np.random.default_rng(n), 0, 0
    for k in range(repeats):
        first, second = make(rng, n)
        ones = np.ones((n, 1))
        delta = float((first(ones) - second(ones))[0])
        drawn = resample.differences(first, second, n, seed_text=str(k))
        found = difference._around(delta, drawn, n, "bootstrap")  # as of metrics of which nothing is known
        assert found.low is not None
        assert found.high is not None
        assert found.lower is not None
        held += found.low <= truth <= found.high
        bounded_below += found.lower <= truth
    low, high = band(0.95, repeats)
    assert low <= held / repeats
    assert held / repeats <= high or n == 30
    # One-sided the skewness of a correlation shows: three in 100 short with 30 units.
    assert bounded_below / repeats >= (low if n > 30 else low - 0.02)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((30,) * 3, marks=pytest.mark.slow),
        (5, 10, 10),
        pytest.param((30, 60, 100, 300, 300, 1400), marks=pytest.mark.slow),
    ],
)
def test_intervals_and_p_of_a_mean_of_tasks(sizes: tuple[int, ...]) -> None:
    """Tasks of other sizes and spreads (Welch): by the module, from standard errors that are computed at once."""
    rng = np.random.default_rng(sum(sizes))
    spreads = [0.3 / (1 + i) for i in range(len(sizes))]
    effects = np.linspace(-0.02, 0.01, len(sizes))
    tasks = [
        effect + spread * rng.normal(size=(REPEATS, n))
        for n, spread, effect in zip(sizes, spreads, effects, strict=True)
    ]
    means, errors = [d.mean(axis=1) for d in tasks], [t_interval(d)[3] for d in tasks]
    held, alarms, truth = 0, 0, float(effects.mean())
    for i in range(REPEATS):
        found = difference.mean(
            [
                Difference(float(m[i]), se=float(e[i]), n=n, df=n - 1)
                for m, e, n in zip(means, errors, sizes, strict=True)
            ]
        )
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        centred = Difference(found.delta - truth, se=found.se, df=found.df)
        alarms += difference.chance_of_mean(centred).loss <= 0.05
    below, above = band(0.95, REPEATS)
    assert below <= held / REPEATS <= above
    assert band(0.05, REPEATS)[0] <= alarms / REPEATS <= band(0.05, REPEATS)[1]


# The gate


TEN = ((30, 1.0), (60, 0.2), (100, 0.3), (150, 1.0), (300, 0.05), (300, 0.3), (500, 0.3), (1000, 0.05), (1400, 0.3),
       (1400, 1.0))  # fmt: skip


def comparisons(repeats: int, effect: float = 0.0) -> Iterator[Comparison]:
    """Ten tasks of other sizes, of which other shares of units changed; a true loss of `effect` in each."""
    rng = np.random.default_rng(10)
    rows = []
    for n, share in TEN:
        kind = list(KINDS.values())[n % 3]
        d = kind(rng, (repeats, round(n * share))) - effect / share
        low, high, lower, se = t_interval(padded(d, n))
        rows.append((n, d.sum(axis=1) / n, se, low, high, lower, losses(rng, d), losses(rng, -d)))
    for i in range(repeats):
        tasks = []
        for k, (n, *columns) in enumerate(rows):
            delta, se, low, high, lower, loss, gain = (float(c[i]) for c in columns)
            found = Difference(delta, low, high, se, n, "t", lower=lower, upper=2 * delta - lower, df=n - 1)
            tasks.append(
                TaskComparison(
                    f"t{k}",
                    "Retrieval",
                    "ndcg_at_10",
                    "query",
                    0.5,
                    0.5 + delta,
                    found,
                    Chance(loss, gain),
                    n=n,
                    wins=n // 2,
                    losses=n // 3,
                )
            )
        yield Comparison(
            "a", "b", tasks, macro=difference.mean([t.difference for t in tasks if t.difference is not None])
        )


@pytest.mark.slow
def test_ten_unchanged_tasks_are_seldom_called_regressed() -> None:
    """With the default margins well below 5 times in 100; by significance alone at most 5."""
    repeats, bare = 2000, Thresholds(Margins(default=1e-7, macro=1e-7))
    fails, alarms = 0, 0
    for comparison in comparisons(repeats):
        fails += judge(comparison, Thresholds()).verdict == REGRESSED
        alarms += judge(comparison, bare).verdict == REGRESSED
    assert fails / repeats < 0.05
    assert fails <= alarms
    assert band(0.05, repeats)[0] / 2 <= alarms / repeats <= band(0.05, repeats)[1]


def test_a_loss_of_two_points_everywhere_is_found() -> None:
    found = [judge(comparison, Thresholds()) for comparison in comparisons(200, effect=0.02)]
    assert np.mean([j.verdict == REGRESSED for j in found]) > 0.95
    assert np.mean([j.macro is not None and j.macro.verdict == REGRESSED for j in found]) > 0.95
