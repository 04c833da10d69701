from __future__ import annotations

import dataclasses
import math

import pytest

from instructor_eval.comparing import stats
from instructor_eval.comparing.compare import Comparison, TaskComparison
from instructor_eval.comparing.stats import Chance, Difference
from instructor_eval.gates import quality
from instructor_eval.gates.quality import IMPROVED, INCONCLUSIVE, MACRO, NOT_COMPARABLE, OK, REGRESSED, judge
from instructor_eval.gates.thresholds import Thresholds

N = 400


def difference(delta: float, se: float, n: int = N, *, weak: bool = False) -> Difference:
    return stats._interval(delta, se, n - 1, n, "t", weak)


def task(name: str, delta: float, se: float, *, n: int = N, weak: bool = False, p: float | None = None,
         unit: str = "query", changed: int = 100) -> TaskComparison:  # fmt: skip
    """As `compare` would make it; p from t, or as given (that nothing is lost)."""
    found = difference(delta, se, n, weak=weak)
    loss = p if p is not None else stats.p_of_t(found)
    return TaskComparison(
        name, "Retrieval", "ndcg_at_10", unit, 0.5, 0.5 + delta, found, Chance(loss, 1 - loss if changed else 1.0),
        n=n, wins=changed // 2, losses=changed - changed // 2,
    )  # fmt: skip


def bare(name: str, why: str) -> TaskComparison:
    return TaskComparison(name, "STS", "cosine_spearman", "pair", 0.5, None, not_comparable=why)


def comparison(*tasks: TaskComparison) -> Comparison:
    found = [t.difference for t in tasks if t.difference is not None]
    macro = stats.mean(found) if found else None
    chance = None if macro is None else tasks[0].chance if len(found) == 1 else stats.chance_of_mean(macro)
    return Comparison("a", "b", list(tasks), macro=macro, macro_chance=chance)


# One task: margin 1 point


@pytest.mark.parametrize(
    ("delta", "se", "options", "verdict"),
    [
        (-0.030, 0.005, {}, REGRESSED),  # significant and beyond the margin
        (-0.008, 0.0005, {}, OK),  # significant, but within the margin, and more is excluded
        (-0.008, 0.003, {}, INCONCLUSIVE),  # significant, within the margin, more is not excluded
        (-0.030, 0.030, {}, INCONCLUSIVE),  # beyond the margin, not significant
        (0.000, 0.003, {}, OK),
        (0.000, 0.010, {}, INCONCLUSIVE),
        (0.030, 0.005, {}, IMPROVED),
        (0.008, 0.001, {}, OK),  # a gain within the margin is no improvement
        (0.030, 0.030, {}, INCONCLUSIVE),
        (0.050, 0.030, {}, OK),  # p of a gain 0.048 with t, 0.05 given: not significant, but no loss
        (-0.010, 0.0001, {}, REGRESSED),  # the margin itself is too much
        (-0.00999, 0.00001, {"p": 0.2}, INCONCLUSIVE),
        (-0.030, 0.005, {"weak": True, "p": 0.125, "n": 3}, INCONCLUSIVE),  # three splits: p is never below 1/8
        (0.050, 0.001, {"weak": True, "p": 0.875, "n": 3}, INCONCLUSIVE),  # nor can its interval exclude a loss
        (0.000, 0.000, {"changed": 0, "p": 1.0}, OK),
        (0.000, 0.000, {"changed": 0, "p": 1.0, "weak": True, "n": 3}, OK),  # unchanged items need no interval
    ],
)
def test_one_task(delta: float, se: float, options: dict[str, float], verdict: str) -> None:
    if (delta, se) == (0.05, 0.03):
        options = {"p": 0.95}
    found = judge(comparison(task("A", delta, se, **options)), Thresholds())
    [only] = found.tasks
    assert (only.verdict, found.verdict, found.macro) == (verdict, verdict, None)
    assert only.message
    assert "\n" not in only.message
    assert only.margin == 0.01
    assert (only.needed is not None) <= (verdict == INCONCLUSIVE)


def test_the_one_sided_bound_decides_ok() -> None:
    """Just inside and just outside of the margin."""
    se = 0.004
    half = -stats._interval(0.0, se, N - 1, N, "t", False).lower
    for delta, verdict in ((half - 0.01 + 1e-6, OK), (half - 0.01 - 1e-6, INCONCLUSIVE)):
        assert judge(comparison(task("A", delta, se)), Thresholds()).verdict == verdict


def test_a_margin_of_its_own() -> None:
    thresholds = Thresholds(tasks=(("A", 0.05), ("B*", 0.02)))
    found = judge(comparison(*(task(name, -0.03, 0.005) for name in ("A", "B1", "C"))), thresholds)
    assert [(v.verdict, v.margin) for v in found.tasks] == [(OK, 0.05), (REGRESSED, 0.02), (REGRESSED, 0.01)]
    assert found.macro is not None
    assert found.macro.margin == 0.005


def test_the_level_of_the_tests() -> None:
    given = comparison(task("A", -0.03, 0.012))
    assert stats.p_of_t(given.tasks[0].difference) == pytest.approx(0.0065, abs=1e-3)
    assert judge(given, Thresholds()).verdict == REGRESSED
    assert judge(given, Thresholds(alpha=0.001)).verdict == INCONCLUSIVE


# What is said


def test_what_an_inconclusive_one_says() -> None:
    [found] = judge(comparison(task("A", -0.002, 0.012)), Thresholds()).tasks
    assert found.minimum_detectable == pytest.approx(2.4865 * 0.012, abs=1e-5)
    # At so many items the one-sided bound is at the margin.
    assert found.needed is not None
    assert -0.002 - stats.Z_95 * 0.012 * math.sqrt(N / found.needed) == pytest.approx(-0.01, abs=1e-4)
    assert found.message == (
        "a loss of 1.00 points or more is not excluded; with these items a loss of 2.98 points would be found four "
        f"times in five; about {found.needed:,} queries would settle it if the difference stayed"
    )


def test_what_a_loss_that_is_not_significant_says() -> None:
    [found] = judge(comparison(task("A", -0.03, 0.03)), Thresholds()).tasks
    assert found.message.startswith("lost 3.00 points, but other items may show none; with these items")
    assert found.needed is not None
    assert 0.03 / (0.03 * math.sqrt(N / found.needed)) == pytest.approx(stats.Z_95, abs=0.01)


def test_few_splits_are_inconclusive_and_say_so() -> None:
    [found] = judge(comparison(task("A", -0.04, 0.01, n=3, weak=True, p=0.125, unit="split")), Thresholds()).tasks
    assert found.verdict == INCONCLUSIVE
    assert found.message.startswith("too few items to rely on the interval (3 splits); lost 4.00 points, but")


def test_no_interval_at_all() -> None:
    one = dataclasses.replace(task("A", -0.04, 0.01, n=1, p=0.5), difference=Difference(-0.04, n=1))
    [found] = judge(comparison(one), Thresholds()).tasks
    assert (found.verdict, found.minimum_detectable, found.needed) == (INCONCLUSIVE, None, None)
    assert found.message == "no interval: too few items to say anything"


@pytest.mark.parametrize(
    ("delta", "se", "message"),
    [
        (-0.03, 0.005, "lost 3.00 points, margin 1.00 points, adjusted p < 0.001"),
        (0.03, 0.015, "gained 3.00 points, adjusted p 0.023"),
        (0.0, 0.003, "a loss of 1.00 points or more is excluded (95 % lower bound -0.49)"),
    ],
)
def test_what_the_others_say(delta: float, se: float, message: str) -> None:
    [found] = judge(comparison(task("A", delta, se)), Thresholds()).tasks
    assert found.message == message


# Several tasks and their mean


def test_the_mean_leads() -> None:
    """Four tasks that lose too little, each alone, to be shown; together they do."""
    found = judge(comparison(*(task(f"T{k}", -0.009, 0.005) for k in range(4))), Thresholds())
    assert [v.verdict for v in found.tasks] == [INCONCLUSIVE] * 4
    assert found.macro is not None
    assert (found.macro.name, found.macro.verdict, found.verdict) == (MACRO, REGRESSED, REGRESSED)
    assert found.all == [found.macro, *found.tasks]


def test_one_regressed_task_fails_the_whole() -> None:
    fine = [task(f"T{k}", 0.005, 0.002) for k in range(9)]
    found = judge(comparison(*fine, task("bad", -0.03, 0.004)), Thresholds())
    assert found.macro is not None
    assert (found.macro.verdict, found.tasks[-1].verdict, found.verdict) == (OK, REGRESSED, REGRESSED)


def test_an_inconclusive_task_does_not_where_the_mean_is_fine() -> None:
    found = judge(comparison(*(task(f"T{k}", 0.0, 0.001) for k in range(9)), task("open", 0.0, 0.01)), Thresholds())
    assert found.macro is not None
    assert (found.tasks[-1].verdict, found.macro.verdict, found.verdict) == (INCONCLUSIVE, OK, OK)


@pytest.mark.parametrize("delta", [0.02, 0.0])
def test_a_task_that_cannot_be_compared_is_never_a_silent_pass(delta: float) -> None:
    found = judge(comparison(task("A", delta, 0.002), bare("B", "other data"), task("C", delta, 0.002)), Thresholds())
    assert [v.verdict for v in found.tasks][1] == NOT_COMPARABLE
    assert found.tasks[1].message == "other data"
    assert found.verdict == NOT_COMPARABLE


def test_a_loss_goes_before_what_cannot_be_compared() -> None:
    found = judge(comparison(task("A", -0.05, 0.002), bare("B", "other data")), Thresholds())
    assert (found.verdict, found.macro) == (REGRESSED, None)


def test_nothing_to_compare_is_not_comparable() -> None:
    assert judge(comparison(), Thresholds()).verdict == NOT_COMPARABLE
    assert judge(comparison(bare("A", "other data")), Thresholds()).verdict == NOT_COMPARABLE


def test_published_scores_are_not_comparable() -> None:
    note = "published scores have no items: no interval"
    published = [
        TaskComparison(name, "STS", "cosine_spearman", "pair", 0.8, 0.7, Difference(-0.1), notes=(note,))
        for name in ("A", "B")
    ]
    found = judge(comparison(*published), Thresholds())
    assert [(v.verdict, v.message) for v in found.tasks] == [(NOT_COMPARABLE, note)] * 2
    assert (found.verdict, found.macro) == (NOT_COMPARABLE, None)


def test_many_tasks_are_tested_at_once() -> None:
    """One p of 0.01 in ten is no evidence; the mean has half of alpha, the tasks share the rest."""
    given = comparison(task("A", -0.03, 0.013, p=0.01), *(task(f"T{k}", 0.004, 0.002, p=0.9) for k in range(9)))
    found = judge(given, Thresholds())
    assert found.macro is not None
    assert found.tasks[0].p_adjusted == pytest.approx(0.2)
    assert found.tasks[0].verdict == INCONCLUSIVE
    losses = [t.chance.loss for t in given.tasks if t.chance] + [given.macro_chance.loss]
    adjusted = stats.holm(losses, [1.0] * 10 + [10.0])
    assert [v.p_adjusted for v in [*found.tasks, found.macro]] == adjusted
    assert judge(comparison(given.tasks[0]), Thresholds()).tasks[0].verdict == REGRESSED  # alone it is


def test_everything_unchanged_is_ok() -> None:
    found = judge(comparison(*(task(f"T{k}", 0.0, 0.0, changed=0, p=1.0) for k in range(3))), Thresholds())
    assert {v.verdict for v in found.all} == {OK}
    assert found.macro is not None
    assert (found.macro.p_adjusted, found.verdict) == (1.0, OK)


def test_turned_round_a_loss_is_a_gain() -> None:
    given = [(-0.03, 0.005), (0.03, 0.005), (0.0, 0.002)]
    there = judge(comparison(*(task(f"T{k}", d, se) for k, (d, se) in enumerate(given))), Thresholds())
    back = judge(comparison(*(task(f"T{k}", -d, se) for k, (d, se) in enumerate(given))), Thresholds())
    assert [v.verdict for v in there.tasks] == [REGRESSED, IMPROVED, OK]
    assert [v.verdict for v in back.tasks] == [IMPROVED, REGRESSED, OK]
    assert [v.p_adjusted for v in there.tasks] == pytest.approx([v.p_adjusted_gain for v in back.tasks])


# Words and codes


def test_the_worst_of_several_gates() -> None:
    assert quality.worst([OK, IMPROVED]) == IMPROVED
    assert quality.worst([OK, INCONCLUSIVE, REGRESSED, NOT_COMPARABLE]) == REGRESSED
    assert quality.worst([]) == NOT_COMPARABLE
    assert [quality.EXIT_CODES[v] for v in (OK, IMPROVED, REGRESSED, INCONCLUSIVE, NOT_COMPARABLE)] == [0, 0, 1, 3, 4]


@pytest.mark.parametrize(
    ("unit", "n", "text"),
    [("query", 1, "query"), ("query", 2, "queries"), ("test item", 3, "test items"), ("", 2, "items")],
)
def test_plurals(unit: str, n: int, text: str) -> None:
    assert quality.plural(unit, n) == text


def test_numbers_as_they_are_printed() -> None:
    assert (quality.points(-0.0123), quality.signed(-0.0123), quality.signed(0.02)) == ("1.23 points", "-1.23", "+2.00")
    assert (quality.p_text(0.00099), quality.p_text(0.0234)) == ("< 0.001", "0.023")
