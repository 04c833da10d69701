"""How often the gate's verdicts and the intervals of scores are right, by simulation of a known truth.

    python benchmarks/verdicts.py [--gates 400] [--part ok|macro|power|detectable|coverage|spearman]

    ok          OK of a true loss of the margin: at most 5 in 100 are right; beside it Student's t alone
    macro       the same of the mean of 2, 10 and 56 tasks
    power       OK, and REGRESSED, of two models that are equally good
    detectable  REGRESSED of the loss that the gate prints as found four times in five, in gates of 1 to 56 tasks
    coverage    95 % intervals of scores that hold the true score
    spearman    standard error of a difference, against the spread of the differences, with 30 pairs

Every figure is of the package's own functions; cells of all parts are independent, seeds are fixed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.stats import rankdata

from instructor_eval import metrics
from instructor_eval.analysis.compare.compare import Comparison, TaskComparison
from instructor_eval.analysis.gate.limits import Thresholds
from instructor_eval.analysis.gate.quality import IMPROVED, OK, REGRESSED, judge
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics import randomise, spread
from instructor_eval.analysis.statistics.estimates import Chance, Difference
from instructor_eval.metrics.pairs import average_precision

Numbers = Any
Rng = np.random.Generator
GAINS = np.array([1, 0.63093, 0.5, 0.43068, 0.38685, 0.35621, 0.33333, 0.31546, 0.30103, 0.28906, 0.0])
MARGIN = 0.01


def means(before: Numbers, after: Numbers, metric: str = "ndcg_at_10") -> tuple[dict[str, Any], dict[str, Any]]:
    """Items of a metric that is a mean, of baseline and candidate."""
    column = {"v_measure": "v_measure", "accuracy": "value"}.get(metric, metric)
    ids = list(range(len(before)))
    return {"id": ids, column: before}, {"id": ids, column: after}


def compared(metric: str, parent: dict[str, Any], child: dict[str, Any]) -> Difference:
    """The difference that `stats.paired` makes of items that are in one order."""
    known = metrics.get(metric)
    mine, theirs = (known.influences(side) for side in (child, parent))
    assert mine is not None
    assert theirs is not None
    delta = round(float(np.mean(mine)) - float(np.mean(theirs)), 12)
    return stats._by_units(delta, known, child, parent, "")


# Pairs of systems: `share` of the items change, and the score falls by `loss` on average


def flips(rng: Rng, n: int, share: float, loss: float) -> tuple[Numbers, Numbers]:
    """Values 0 and 1; a changed one turns round."""
    lose = (share + loss) / 2
    before = (rng.random(n) < 0.7).astype(float)
    lost = (before == 1) & (rng.random(n) < lose / 0.7)
    won = (before == 0) & (rng.random(n) < (share - lose) / 0.3)
    return before, np.where(lost, 0.0, np.where(won, 1.0, before))


def places(rng: Rng, n: int, share: float, loss: float) -> tuple[Numbers, Numbers]:
    """NDCG with one relevant document; a changed one moves to any other place, or is lost."""
    before, after = rng.choice(GAINS, (2, n))
    changed, gone = rng.random(n) < share, rng.random(n) < loss / share / float(np.mean(GAINS))
    return before, np.where(changed, np.where(gone, 0.0, after), before)


def tenths(rng: Rng, n: int, share: float, loss: float) -> tuple[Numbers, Numbers]:
    """Mean correctness over ten draws; a changed one moves by up to three tenths."""
    before = rng.integers(3, 8, n) / 10
    down = rng.random(n) < 0.5 + loss / share / 0.4
    moved = rng.integers(1, 4, n) / 10 * np.where(down, -1, 1)
    return before, np.where(rng.random(n) < share, before + moved, before)


def noisy(rng: Rng, n: int, share: float, loss: float) -> tuple[Numbers, Numbers]:
    """All items but few move by very little; a share of `loss` is lost whole."""
    before = np.full(n, 0.8) + rng.uniform(-0.2, 0.2, n)
    after = np.where(rng.random(n) < share, np.clip(before + rng.normal(0, 0.02, n), 0, 1), before)
    return before, np.where(rng.random(n) < loss / 0.8, 0.0, after)


KINDS: dict[str, Callable[[Rng, int, float, float], tuple[Numbers, Numbers]]] = {
    "0/1": flips, "nDCG": places, "tenths": tenths, "noise and rare": noisy,
}  # fmt: skip
MOST = {"0/1": 1.0, "nDCG": float(np.mean(GAINS)), "tenths": 0.2, "noise and rare": 9.9}


def correlated(kind: str, rng: Rng, n: int, share: float) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Pairs, of which a share has a similarity that says nothing any more; segments of five rows for Billboard."""
    rows = 5 * n if kind == "Pearson of segments" else n
    segment = np.repeat(np.arange(n), rows // n)
    quality = 0.7 * rng.normal(size=n)[segment] + 0.7 * rng.normal(size=rows)
    before = 0.8 * quality + 0.4 * rng.normal(size=n)[segment] + 0.45 * rng.normal(size=rows)
    after = np.where((rng.random(n) < share)[segment], rng.normal(size=rows), before)
    gold: Numbers = quality
    metric, column = {
        "Spearman": ("cosine_spearman", "cosine"),
        "AP": ("cosine_ap", "cosine"),
        "Pearson of segments": ("pearson", "value"),
    }[kind]
    if kind == "AP":
        gold = (quality > 0.5).astype(int)
    elif kind == "Spearman":
        gold = np.clip(np.round(2.5 + 1.3 * quality), 0, 5)
    parent, child = ({"id": np.arange(rows), "gold": gold, column: v, "segment": segment} for v in (before, after))
    return metric, parent, child


def splits(rng: Rng, n: int, _share: float, loss: float) -> tuple[Numbers, Numbers]:
    """V-measure of splits, which all change."""
    before = np.clip(0.45 + 0.04 * rng.normal(size=n), 0, 1)
    return before, before - loss + 0.015 * rng.normal(size=n)


def ok(gates: int) -> Iterator[str]:
    """OK of a true loss of the margin."""
    yield f"OK of a true loss of the margin (1 point but where said), % of {gates} gates: now / by t alone"
    for kind, make in KINDS.items():
        for share in (0.005, 0.01, 0.05, 0.3):
            if share * MOST[kind] < MARGIN * 0.999 and kind != "0/1":
                continue
            margin = min(MARGIN, share)  # of 0.5 % of the items no more than half a point can be lost
            cells = []
            for n in (10, 20, 30, 100, 300, 1406, 3000):
                rng = np.random.default_rng(n + round(1000 * share))
                found = [
                    compared("ndcg_at_10", *means(*make(rng, n, share, margin))) for _ in range(gates)
                ]  # fmt: skip
                cells.append(_rates(found, margin))
            yield f"| {kind}, {100 * share:g} % change | {' | '.join(cells)} |"
    cells = []
    for n in (10, 20, 30, 100):
        rng = np.random.default_rng(n)
        found = [compared("v_measure", *means(*splits(rng, n, 1.0, MARGIN), "v_measure")) for _ in range(gates)]
        cells.append(_rates(found, MARGIN))
    yield f"| V-measure, all change | {' | '.join(cells)} |"
    for kind in ("Spearman", "AP", "Pearson of segments"):
        for share in (0.01, 0.05, 0.3):
            rng = np.random.default_rng(1)
            metric, parent, child = correlated(kind, rng, 100_000, share)
            margin = -compared(metric, parent, child).delta
            cells = []
            for n in (30, 100, 300, 1406):
                found = [compared(*correlated(kind, rng, n, share)) for _ in range(gates)]
                cells.append(_rates(found, margin))
            yield f"| {kind}, {100 * share:g} % change, {100 * margin:.1f} points | | | {' | '.join(cells)} | |"


def _rates(found: list[Difference], margin: float) -> str:
    now = np.mean([d.lower is not None and not d.weak and d.lower > -margin for d in found])
    by_t = np.mean([d.lower_by_t is not None and d.lower_by_t > -margin for d in found])
    return f"{100 * now:.1f} / {100 * by_t:.0f}"


def macro(gates: int) -> Iterator[str]:
    """OK of a true loss of the margin of the mean: half a point in every task."""
    yield f"OK of a mean that truly lost its margin (0.5 points), % of {gates} gates: now / by t alone"
    for kind, share in (("0/1", 0.005), ("0/1", 0.01), ("0/1", 0.05), ("nDCG", 0.05), ("tenths", 0.3)):
        for tasks in (2, 10, 56):
            cells = []
            for n in (30, 100, 300) if tasks == 56 else (30, 100, 300, 1406):
                rng = np.random.default_rng(n + tasks)
                found = [
                    stats.mean(compared("ndcg_at_10", *means(*KINDS[kind](rng, n, share, 0.005))) for _ in range(tasks))
                    for _ in range(gates)
                ]
                cells.append(_rates(found, 0.005))
            yield f"| {kind}, {100 * share:g} % change, {tasks} tasks | {' | '.join(cells)} |"


def power(gates: int) -> Iterator[str]:
    """OK, REGRESSED and IMPROVED of two models that are equally good."""
    yield f"Equally good models, margin 1, % of {gates} gates: OK now / by t alone; REGRESSED, IMPROVED"
    for kind in ("0/1", "nDCG", "tenths"):
        for share in (0.01, 0.05, 0.3):
            cells = []
            for n in (300, 3000):
                rng = np.random.default_rng(n)
                found, said = [], []
                for k in range(gates):
                    before, after = KINDS[kind](rng, n, share, 0.0)
                    difference = compared("ndcg_at_10", *means(before, after))
                    found.append(difference)
                    said.append(judge(gate([task(0, difference, after - before, k)]), Thresholds()).verdict)
                rates = [100 * float(np.mean([s == v for s in said])) for v in (OK, REGRESSED, IMPROVED)]
                by_t = 100 * np.mean([d.lower_by_t is not None and d.lower_by_t > -MARGIN for d in found])
                cells.append(f"{rates[0]:.0f} / {by_t:.0f}; {rates[1]:.1f}, {rates[2]:.1f}")
            yield f"| {kind}, {100 * share:g} % change | {' | '.join(cells)} |"


def task(k: int, difference: Difference, d: Numbers, seed: int, *, flipped: bool = True) -> TaskComparison:
    """A task as `compare` makes it; p by t where that is as good."""
    loss = stats.p_of_t(difference)
    chance = randomise._sign_flip(d, str(seed), randomise.RESAMPLES) if flipped else Chance(loss, 1 - loss)
    wins, lost = int((d > 0).sum()), int((d < 0).sum())
    return TaskComparison(
        f"t{k}", "Retrieval", "ndcg_at_10", "query", 0.5, 0.5 + difference.delta, difference, chance,
        n=len(d), wins=wins, ties=len(d) - wins - lost, losses=lost,
    )  # fmt: skip


def gate(tasks: list[TaskComparison]) -> Comparison:
    """The comparison that `compare` makes of tasks."""
    mean = stats.mean([t.difference for t in tasks if t.difference is not None])
    chance = tasks[0].chance if len(tasks) == 1 else stats.chance_of_mean(mean)
    return Comparison("a", "b", tasks, macro=mean, macro_chance=chance)


def detectable(gates: int) -> Iterator[str]:
    """REGRESSED of the loss that another gate of the same kind prints."""
    yield f"REGRESSED of the loss that is printed as found four times in five, % of {gates} gates; one task has lost it"
    for n, sd in ((100, 0.05), (300, 0.15), (1406, 0.05)):
        cells = []
        for tasks in (1, 3, 10, 56):
            rng = np.random.default_rng(n + tasks)
            hits, printed = 0, []

            def made(loss: float, k: int, seed: int, *, flipped: bool) -> TaskComparison:
                before = np.full(n, 0.5)  # noqa: B023  # of this cell
                after = before - loss + sd * rng.standard_t(8, n) * math.sqrt(6 / 8)  # noqa: B023
                found = compared("ndcg_at_10", *means(before, after))
                return task(k, found, after - before, seed, flipped=flipped)

            for seed in range(gates):
                others = [made(0.0, k, seed, flipped=False) for k in range(tasks - 1)]
                plain = judge(gate([made(0.0, tasks, seed, flipped=False), *others]), Thresholds()).tasks[0]
                printed.append(plain.minimum_detectable or 0.0)
                lost = judge(gate([made(printed[-1], tasks, seed, flipped=True), *others]), Thresholds())
                hits += lost.tasks[0].verdict == REGRESSED
            cells.append(f"{100 * hits / len(printed):.0f} ({100 * np.median(printed):.1f})")
        yield f"| {n} items, s.d. {100 * sd:g} points | {' | '.join(cells)} |"


def coverage(gates: int) -> Iterator[str]:
    """95 % intervals of scores."""
    yield f"95 % intervals that hold the true score, % of {gates} scores"
    for name, make, truth in _scores():
        cells = []
        for n in (30, 100, 300):
            rng = np.random.default_rng(n)
            held = []
            for _ in range(gates):
                metric, items, value = make(rng, n)
                found = spread.spread(metric, items, value, seed_text="", keep=False)
                held.append(found.low is not None and found.high is not None and found.low <= truth <= found.high)
            cells.append(f"{100 * np.mean(held):.1f}")
        yield f"| {name} | {' | '.join(cells)} |"


def _scores() -> Iterator[tuple[str, Callable[[Rng, int], tuple[str, Any, float]], float]]:
    def mean(draw: Callable[[Rng, int], Numbers]) -> Callable[[Rng, int], tuple[str, Any, float]]:
        def make(rng: Rng, n: int) -> tuple[str, Any, float]:
            values = draw(rng, n)
            return "accuracy", {"id": [f"{k:04}" for k in range(n)], "value": values}, float(np.mean(values))

        return make

    for p in (0.5, 0.8, 0.9, 0.95, 0.98):
        yield f"accuracy {p}, items 0 or 1", mean(lambda rng, n, p=p: (rng.random(n) < p).astype(float)), p
    for p in (0.5, 0.9, 0.95, 0.98):
        yield (
            f"accuracy {p}, items means of 10 draws",
            mean(lambda rng, n, p=p: rng.binomial(10, rng.beta(3 * p, 3 * (1 - p), n)) / 10.0),
            p,
        )
    yield "nDCG, one relevant document", mean(lambda rng, n: rng.choice(GAINS, n)), float(np.mean(GAINS))
    yield (
        "nDCG near 1",
        mean(lambda rng, n: np.where(rng.random(n) < 0.85, 1.0, rng.choice(GAINS, n))),
        0.85 + 0.15 * float(np.mean(GAINS)),
    )
    yield "recall, means of 4", mean(lambda rng, n: rng.binomial(4, 0.93, n) / 4), 0.93
    yield "Rouge-L", mean(lambda rng, n: rng.beta(0.6, 1.4, n)), 0.3
    yield "V-measure of splits", mean(lambda rng, n: rng.beta(45, 55, n)), 0.45
    for kind in ("Spearman", "AP", "Pearson of segments"):

        def make(rng: Rng, n: int, kind: str = kind) -> tuple[str, Any, float]:
            metric, parent, _ = correlated(kind, rng, n, 0.0)
            items = {name: column.tolist() for name, column in parent.items()}
            items["id"] = [f"{k:05}" for k in range(len(items["id"]))]
            items["segment"] = [f"{s:05}" for s in items["segment"]]
            return metric, items, _value(metric, parent)

        metric, many, _ = correlated(kind, np.random.default_rng(0), 400_000, 0.0)
        yield f"{kind}, true {_value(metric, many):.2f}", make, _value(metric, many)
    for gain in (1.0, 2.5):

        def positive(rng: Rng, n: int, gain: float = gain) -> tuple[str, Any, float]:
            gold = rng.permutation(n) < 0.3 * n
            cosine = gain * gold + rng.normal(size=n)
            items = {"id": [f"{k:05}" for k in range(n)], "gold": gold.astype(int).tolist(), "cosine": cosine.tolist()}
            return "cosine_ap", items, average_precision(items["gold"], cosine)

        truth = positive(np.random.default_rng(0), 400_000)[2]
        yield f"AP of 3 positives in 10, true {truth:.2f}", positive, truth


def _value(metric: str, items: dict[str, Any]) -> float:
    if metric == "cosine_ap":
        return float(average_precision(items["gold"], items["cosine"]))
    if metric == "pearson":
        return float(np.corrcoef(items["gold"], items["value"])[0, 1])
    return float(np.corrcoef(rankdata(items["gold"]), rankdata(items["cosine"]))[0, 1])


def spearman(gates: int) -> Iterator[str]:
    """The standard error of a difference of two rankings that share half of their errors."""
    yield f"Spearman, two systems, {10 * gates} gates: s.d. of differences, mean standard error, points"
    for n in (30, 100, 300):
        rng = np.random.default_rng(n)
        found = []
        for _ in range(10 * gates):
            gold, shared = rng.normal(size=(2, n))
            sides = (0.8 * gold + 0.42 * shared + 0.42 * rng.normal(size=n) for _ in range(2))
            parent, child = ({"id": np.arange(n), "gold": gold, "cosine": side} for side in sides)
            found.append(compared("cosine_spearman", parent, child))
        sd, se = np.std([d.delta for d in found]), np.mean([d.se or 0.0 for d in found])
        held = np.mean([(d.low or 0.0) <= 0 <= (d.high or 0.0) for d in found])
        yield f"| {n} | {100 * sd:.2f} | {100 * se:.2f} | {100 * (se / sd - 1):+.0f} % | {100 * held:.1f} |"


PARTS = {"ok": ok, "macro": macro, "power": power, "detectable": detectable, "coverage": coverage, "spearman": spearman}


def main() -> None:
    """Simulate, and print a table a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gates", type=int, default=400, help="of each cell")
    parser.add_argument("--part", choices=PARTS, action="append", help="repeatable; by default all")
    options = parser.parse_args()
    for part in options.part or PARTS:
        for line in PARTS[part](options.gates):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
