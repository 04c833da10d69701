from __future__ import annotations

import dataclasses
import math

import pytest
from scipy.stats import norm, t

from instructor_eval.analysis.compare.compare import Comparison, TaskComparison
from instructor_eval.analysis.compare.likeness import UNKNOWN, Likeness
from instructor_eval.analysis.gate import quality, reasons
from instructor_eval.analysis.gate.limits import Margins, Thresholds
from instructor_eval.analysis.gate.quality import IMPROVED, INCONCLUSIVE, MACRO, NOT_COMPARABLE, OK, REGRESSED, judge
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics import randomise
from instructor_eval.analysis.statistics.estimates import Chance, Difference

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
        (0.000, 0.000, {"changed": 0, "p": 1.0, "weak": True, "n": 3}, INCONCLUSIVE),  # three prove nothing
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
    thresholds = Thresholds(Margins(tasks={"A": 5.0, "B*": 2.0}))
    found = judge(comparison(*(task(name, -0.03, 0.005) for name in ("A", "B1", "C"))), thresholds)
    assert [(v.verdict, v.margin) for v in found.tasks] == [(OK, 0.05), (REGRESSED, 0.02), (REGRESSED, 0.01)]
    assert found.macro.margin == 0.005


def test_the_level_of_the_tests() -> None:
    given = comparison(task("A", -0.03, 0.012))
    assert stats.p_of_t(given.tasks[0].difference) == pytest.approx(0.0065, abs=1e-3)
    assert judge(given, Thresholds()).verdict == REGRESSED
    assert judge(given, Thresholds(alpha=0.001)).verdict == INCONCLUSIVE


# What is said


def test_what_an_inconclusive_one_says() -> None:
    [found] = judge(comparison(task("A", -0.002, 0.012)), Thresholds()).tasks
    critical = float(t.ppf(0.95, N - 1)) * 0.012  # more than the margin
    assert found.minimum_detectable == pytest.approx(critical + float(norm.ppf(0.8)) * 0.012, rel=1e-3)
    # At so many items the one-sided bound is at the margin.
    assert -0.002 - stats.Z_95 * 0.012 * math.sqrt(N / found.needed) == pytest.approx(-0.01, abs=1e-4)
    assert found.message == (
        "a loss of 1.00 points or more is not excluded (95 % lower bound -2.18); with these items a true loss of 2.99 "
        f"points would be REGRESSED four times in five; about {found.needed:,} queries would settle it if the "
        "difference stayed"
    )


def test_what_a_loss_that_is_not_significant_says() -> None:
    [found] = judge(comparison(task("A", -0.03, 0.03)), Thresholds()).tasks
    assert found.message.startswith(
        "lost 3.00 points, but other items may show none (p is 0.159, not below 0.05); with"
    )
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
        (-0.03, 0.005, "lost 3.00 points, margin 1.00 points, p < 0.001"),
        (0.03, 0.015, "gained 3.00 points, p 0.023"),
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
    assert (found.macro.name, found.macro.verdict, found.verdict) == (MACRO, REGRESSED, REGRESSED)


def test_one_regressed_task_fails_the_whole() -> None:
    fine = [task(f"T{k}", 0.005, 0.002) for k in range(9)]
    found = judge(comparison(*fine, task("bad", -0.03, 0.004)), Thresholds())
    assert (found.macro.verdict, found.tasks[-1].verdict, found.verdict) == (OK, REGRESSED, REGRESSED)


def test_an_inconclusive_task_does_not_where_the_mean_is_fine() -> None:
    found = judge(comparison(*(task(f"T{k}", 0.0, 0.001) for k in range(9)), task("open", 0.0, 0.01)), Thresholds())
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
    assert found.tasks[0].p_adjusted == pytest.approx(0.2)
    assert found.tasks[0].verdict == INCONCLUSIVE
    assert found.tasks[0].message.startswith(
        "lost 3.00 points, and p alone is 0.010, but adjusted for 10 tasks and their mean it is 0.200, not below 0.05; "
    )
    losses = [t.chance.loss for t in given.tasks if t.chance] + [given.macro_chance.loss]
    adjusted = stats.holm(losses, [1.0] * 10 + [10.0])
    assert [v.p_adjusted for v in [*found.tasks, found.macro]] == adjusted
    assert judge(comparison(given.tasks[0]), Thresholds()).tasks[0].verdict == REGRESSED  # alone it is


def test_everything_unchanged_is_ok() -> None:
    found = judge(comparison(*(task(f"T{k}", 0.0, 0.0, changed=0, p=1.0) for k in range(3))), Thresholds())
    assert {v.verdict for v in [found.macro, *found.tasks]} == {OK}
    assert (found.macro.p_adjusted, found.verdict) == (1.0, OK)


def test_turned_round_a_loss_is_a_gain() -> None:
    given = [(-0.03, 0.005), (0.03, 0.005), (0.0, 0.002)]
    there = judge(comparison(*(task(f"T{k}", d, se) for k, (d, se) in enumerate(given))), Thresholds())
    back = judge(comparison(*(task(f"T{k}", -d, se) for k, (d, se) in enumerate(given))), Thresholds())
    assert [v.verdict for v in there.tasks] == [REGRESSED, IMPROVED, OK]
    assert [v.verdict for v in back.tasks] == [IMPROVED, REGRESSED, OK]
    assert [v.p_adjusted for v in there.tasks] == pytest.approx([v.p_adjusted_gain for v in back.tasks])


# What an OK rests on


def counted(
    before: list[float], after: list[float], *, likeness: Likeness = UNKNOWN, name: str = "A"
) -> TaskComparison:
    """A task as `compare` makes it of these values."""
    sides = ({"id": list(range(len(v))), "ndcg_at_10": v} for v in (after, before))
    child, parent = sides
    found = stats.paired("ndcg_at_10", child, parent, seed_text="")
    wins, losses = (sum(s * (a - b) > 0 for a, b in zip(after, before, strict=True)) for s in (1, -1))
    n = len(before)
    chance = randomise.chance("ndcg_at_10", child, parent, seed_text="")
    return TaskComparison(
        name, "Retrieval", "ndcg_at_10", "query", 0.5, 0.5 + found.delta, found, chance,
        n=n, wins=wins, ties=n - wins - losses, losses=losses, likeness=likeness,
    )  # fmt: skip


@pytest.mark.parametrize(("n", "verdict"), [(30, INCONCLUSIVE), (298, INCONCLUSIVE), (301, OK)])
def test_unchanged_items_prove_the_rule_of_three_and_no_more(n: int, verdict: str) -> None:
    """(1 - 0.01)^n is 0.05 at 298.07."""
    [found] = judge(comparison(counted([1.0] * n, [1.0] * n)), Thresholds()).tasks
    assert found.verdict == verdict
    if n == 30:
        assert found.message == (
            "none of 30 queries changed, but others that are seldom met may lose much: a loss of 1.00 points or more "
            "is not excluded (95 % lower bound -9.50); whether its vectors are the baseline's is not known: run both "
            "with --no-cache, which files a probe; about 300 queries would settle it if the difference stayed"
        )
    elif verdict == OK:
        assert found.message.startswith("no query changed, and a loss of 1.00 points or more is excluded (95 % lower")


@pytest.mark.parametrize(
    ("likeness", "verdict", "words"),
    [
        (Likeness(same_model=True), OK, "the same model: fingerprint, instructions and search are the baseline's"),
        (Likeness(cosine=3e-8, texts=32), OK, "the same model elsewhere: its vectors are the baseline's (largest 1 - "
         "cosine 3e-08 of 32 probe texts, within 0.0001), and no item changed"),
        (Likeness(cosine=2e-3, texts=32), INCONCLUSIVE,
         "it is another model: its vectors are off the baseline's by up to 0.002"),
    ],
)  # fmt: skip
def test_the_same_model_needs_no_statistics(likeness: Likeness, verdict: str, words: str) -> None:
    values = [0.2, 1.0, 0.5] * 4
    found = judge(comparison(counted(values, values, likeness=likeness)), Thresholds())
    assert found.verdict == verdict
    assert words in found.tasks[0].message
    assert found.tasks[0].same_model == (verdict == OK)
    both = judge(comparison(*(counted(values, values, likeness=likeness, name=n) for n in "AB")), Thresholds())
    assert (both.verdict, both.macro.same_model) == (verdict, verdict == OK)


def test_a_model_whose_items_changed_is_judged_by_them() -> None:
    before = [1.0] * 40
    [found] = judge(comparison(counted(before, [0.0] * 8 + [1.0] * 32, likeness=Likeness(True))), Thresholds()).tasks
    assert (found.verdict, found.same_model) == (REGRESSED, False)


def test_in_a_mean_nothing_is_feared_of_the_same_vectors() -> None:
    many = [1.0] * 3000
    sides = (counted(many, many, name="many"), counted([1.0] * 5, [1.0] * 5, name="few"))
    found = judge(comparison(*sides), Thresholds())
    assert found.macro.verdict == INCONCLUSIVE  # a fifth of the few may be lost, unseen
    known = dataclasses.replace(sides[1], likeness=Likeness(same_model=True))
    found = judge(comparison(sides[0], known), Thresholds())
    assert (found.macro.verdict, found.macro.same_model) == (OK, False)


# Why it is open, beside an interval that excludes 0


def test_a_loss_that_is_less_than_the_margin() -> None:
    [found] = judge(comparison(task("A", -0.008, 0.003)), Thresholds()).tasks
    assert found.difference.high < 0
    assert found.message.startswith(
        "a loss is shown, of 0.80 points, less than the margin, but a loss of 1.00 points or"
    )


def test_a_loss_of_too_few_items_for_a_small_p() -> None:
    """All four that changed lost: p is 1/16, and t, which takes the shape for granted, excludes 0."""
    before = [1.0] * 40
    [found] = judge(comparison(counted(before, [0.5, 0.5, 0.5, 0.5, *before[4:]])), Thresholds()).tasks
    assert found.difference.high < 0
    assert found.message.startswith(
        "lost 5.00 points, and the interval excludes 0, but p is 0.062, not below 0.05, as it is counted over the 4"
    )


def test_a_gain_beside_which_much_may_be_lost() -> None:
    before = [0.5] * 40
    [found] = judge(comparison(counted(before, [0.6] * 4 + before[4:])), Thresholds()).tasks
    assert found.verdict == INCONCLUSIVE
    assert found.message.startswith(
        "4 of 40 queries changed, but others that are seldom met may lose much: a loss of 1"
    )


@pytest.mark.parametrize(("tasks", "level"), [(1, 0.05), (3, 0.05 / 6), (10, 0.05 / 20)])
def test_the_detectable_loss_is_that_of_the_verdict(tasks: int, level: float) -> None:
    """Of a task among others, and of the mean; the margin counts where it is more than what is significant."""
    found = judge(comparison(*(task(f"T{k}", 0.0, 0.01) for k in range(tasks))), Thresholds())
    drawn = math.ceil(level * 10_000) - 1  # one more than may be as large, of 9,999
    critical = float(t.ppf(1 - (drawn - 1 / 3) / 9_999, N - 1)) * 0.01
    assert found.tasks[0].minimum_detectable == pytest.approx(critical + float(norm.ppf(0.8)) * 0.01)
    small = judge(comparison(*(task(f"T{k}", 0.0, 0.001) for k in range(tasks))), Thresholds())
    assert small.tasks[0].minimum_detectable == pytest.approx(0.01 + float(norm.ppf(0.8)) * 0.001)
    assert (found.macro is None) == (tasks == 1)
    if found.macro is not None:
        se, df = found.macro.difference.se or 0, found.macro.difference.df
        expected = max(0.005, float(t.ppf(0.975, df)) * se) + float(norm.ppf(0.8)) * se
        assert found.macro.minimum_detectable == pytest.approx(expected)


def test_where_no_p_can_be_small_enough_no_loss_is_found() -> None:
    """Five splits: 1/32 is the least p, and three tasks and their mean want less than 1/120."""
    given = [task(f"T{k}", -0.03, 0.02, n=5, p=0.2, unit="split", changed=5) for k in range(3)]
    found = judge(comparison(*given), Thresholds()).tasks[0]
    assert found.minimum_detectable is None
    assert "with so few items no loss could be REGRESSED" in found.message
    assert judge(comparison(given[0]), Thresholds()).tasks[0].minimum_detectable is not None


def test_what_p_is_adjusted_for_is_said() -> None:
    one = judge(comparison(task("A", 0.0, 0.01)), Thresholds())
    assert one.adjustment.sentence == "p: one-sided, that nothing is lost; of one test, so not adjusted."
    ten = judge(comparison(*(task(f"T{k}", 0.0, 0.01) for k in range(10))), Thresholds())
    assert ten.adjustment.sentence == (
        "p: one-sided, that nothing is lost; adjusted for 10 tasks and their mean by Holm's method, weight 10 for the "
        "mean and 1 for each task, so that half of 0.05 is the mean's."
    )


# Words and codes


def test_the_worst_of_several_gates() -> None:
    assert quality.worst([OK, IMPROVED]) == IMPROVED
    assert quality.worst([OK, INCONCLUSIVE, REGRESSED, NOT_COMPARABLE]) == REGRESSED
    assert quality.worst([]) == NOT_COMPARABLE
    assert [quality.EXIT_CODES[v] for v in (OK, IMPROVED, REGRESSED, INCONCLUSIVE, NOT_COMPARABLE)] == [0, 0, 1, 3, 4]


def test_numbers_as_they_are_printed() -> None:
    assert (reasons.points(-0.0123), reasons.signed(-0.0123), reasons.signed(0.02)) == ("1.23 points", "-1.23", "+2.00")
    assert (reasons.p_text(0.00099), reasons.p_text(0.0234)) == ("< 0.001", "0.023")
