from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.stats
from made_boards import Made

from instructor_eval.analysis.board.advice import Advice, advise
from instructor_eval.analysis.board.advice_text import basis, reasons, sentence
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Row

TASKS = ("SciFact", "ArguAna", "NFCorpus")


def cost(speed: float | None = 100.0, size: float | None = 400e6, device: str = "cpu") -> dict[str, Any]:
    return {"form": "fp32", "baseline": "fp32", "device": device, "texts_per_second": speed,
            "file_bytes": None if size is None else int(size)}  # fmt: skip


def add(made: Made, model: str, *, shift: float = 0.0, own: float = 0.05, tasks: tuple[str, ...] = TASKS, n: int = 400,
        seed: int = 0, variant: str = "fp32", like: str | None = None, **fields: Any) -> None:  # fmt: skip
    """A model whose items are those that all share, a shift, and noise of its own; a variant has its model's noise."""
    for task in tasks:
        common = np.random.default_rng(sum(map(ord, task))).random(n) * 0.5 + 0.25
        noise = np.random.default_rng((sum(map(ord, task + (like or model))), seed)).normal(size=n)
        values = common + shift + own * (noise - noise.mean())
        if variant != "fp32":
            rest = np.random.default_rng(sum(map(ord, task + variant))).normal(size=n)
            values = values + 0.01 * (rest - rest.mean())
        made.add(
            variant, task, model=model, n=n,
            identity=f"{model} {variant} {task} {fields.get('instructions', '')}",
            fingerprint=f"{sum(map(ord, model)):x}{variant}{'.' * 16}"[:16],
            items={"id": [f"q{i}" for i in range(n)], "ndcg_at_10": values.tolist()}, **fields,
        )  # fmt: skip


def advice_of(made: Made, *, items: bool = True) -> Advice:
    board = made.board(**({} if items else {"items": None}))
    found = advise(board, Evidence(made.items if items else None))
    assert found is not None
    return found


def labels(rows: Any) -> list[str]:
    return [(row.row if not isinstance(row, Row) else row).model for row in rows]


def test_nothing_measured_gives_no_advice(made: Made) -> None:
    assert advise(made.board(), Evidence(made.items)) is None


def test_the_faster_of_two_within_noise(made: Made) -> None:
    add(made, "org/large", shift=0.001, cost=cost(100, 400e6))
    add(made, "org/small", cost=cost(310, 100e6))
    found = advice_of(made)
    assert sentence(found) == "Take small: within noise of the best, 3.1x faster and 4.0x smaller."
    [best, pick] = reasons(found)
    assert [(r.what, r.more, [n.name for n in r.rows]) for r in (best, pick)] == [
        ("Highest score", 0, ["large"]),
        ("To take", 0, ["small"]),
    ]
    assert "310 texts a second, 100 MB" in pick.rows[0].text
    assert "mean of 3 tasks" in basis(found)


def test_noise_is_the_paired_t_interval_of_the_mean_of_tasks(made: Made) -> None:
    """Against SciPy: each task's paired t, their mean's standard error, Welch and Satterthwaite's freedom."""
    add(made, "org/large", shift=0.004, own=0.1, n=60)
    add(made, "org/small", own=0.1, n=60)
    found = advice_of(made)
    [near] = found.near
    tasks, others = (
        [made.items(row.scores[task])["ndcg_at_10"] for task in found.tasks] for row in (near.row, found.best.row)
    )
    variances = [np.var(np.subtract(a, b), ddof=1) / 60 for a, b in zip(tasks, others, strict=True)]
    se = np.sqrt(sum(variances)) / 3
    df = sum(variances) ** 2 / sum(v**2 / 59 for v in variances)
    half = scipy.stats.t.ppf(0.975, df) * se
    assert near.beside is not None
    assert near.beside.delta == pytest.approx(np.mean(tasks) - np.mean(others), abs=2e-5)  # nDCG is rounded
    assert near.beside.low == pytest.approx(near.beside.delta - half)
    assert near.beside.high == pytest.approx(near.beside.delta + half)


def test_what_is_worse_is_not_taken_however_fast(made: Made) -> None:
    add(made, "org/large", shift=0.02, cost=cost(100))
    add(made, "org/small", cost=cost(900, 10e6))
    found = advice_of(made)
    assert labels(found.worse) == ["org/small"]
    assert sentence(found) == "Take large: it scores higher than the other row, beyond noise."
    add(made, "org/tiny", cost=cost(2000, 5e6))
    assert sentence(advice_of(made)) == "Take large: it scores higher than both others, beyond noise."


def test_what_is_clearly_worse_needs_no_items(made: Made) -> None:
    add(made, "org/large", shift=0.3)
    add(made, "org/small")
    board = made.board()
    made.asked.clear()
    found = advise(board, Evidence(made.items))
    assert found is not None
    assert labels(found.worse) == ["org/small"]
    assert found.worse[0].beside is None
    assert made.asked == []


def test_a_large_loss_is_not_taken_for_noise(made: Made) -> None:
    """With few items a bad model is within noise too: it must score at most a point less here."""
    add(made, "org/large", shift=0.04, own=0.2, n=30, cost=cost(100))
    add(made, "org/small", own=0.2, n=30, cost=cost(900))
    found = advice_of(made)
    assert labels(found.near) == ["org/small"]
    assert sentence(found) == (
        "Take large: the highest score. small is 9.0x faster, and within noise of it, but scores 4.00 points less here."
    )


def test_what_could_be_lost_is_said(made: Made) -> None:
    add(made, "org/large", shift=0.005, own=0.2, n=60, cost=cost(100))
    add(made, "org/small", own=0.2, n=60, cost=cost(200))
    found = advice_of(made)
    low = found.pick.beside.low if found.pick.beside else None
    assert low is not None
    assert low < -0.01
    assert sentence(found) == (
        "Take small: within noise of the best, 2.0x faster; on other items it could lose up to "
        f"{-100 * low:.2f} points."
    )


ONE = "Take large: the highest score. 1 other row is within noise of it, and "


@pytest.mark.parametrize(
    ("small", "said"),
    [
        (cost(104, 380e6), f"{ONE}none is faster, or as fast and smaller."),
        (cost(50, 200e6), f"{ONE}none is faster, or as fast and smaller."),
        (cost(None, None), f"{ONE}their costs cannot be compared."),
        (cost(900, None, "cuda"), f"{ONE}their costs cannot be compared."),
        (cost(900, 200e6, "cuda"), "Take small: within noise of the best, 2.0x smaller."),
        (cost(200, 800e6), "Take small: within noise of the best, 2.0x faster (2.0x larger)."),
        (cost(102, 200e6), "Take small: within noise of the best, 2.0x smaller."),
    ],
)
def test_which_cost_counts(small: dict[str, Any], said: str, made: Made) -> None:
    add(made, "org/large", shift=0.0005, cost=cost(100, 400e6))
    add(made, "org/small", cost=small)
    assert sentence(advice_of(made)) == said


def test_of_those_as_fast_the_highest_score(made: Made) -> None:
    add(made, "org/large", shift=0.0010, cost=cost(100))
    add(made, "org/a", shift=0.0003, cost=cost(302))
    add(made, "org/b", shift=0.0006, cost=cost(300))
    assert sentence(advice_of(made)).startswith("Take b: within noise of the best, 3.0x faster")


def test_no_safe_variant(made: Made) -> None:
    add(made, "org/m", cost=cost())
    add(made, "org/m", variant="int8", like="org/m", shift=-0.02, cost=cost(200, 100e6))
    add(made, "org/m", variant="int4-weight", like="org/m", shift=-0.03, cost=cost(300, 50e6))
    found = advice_of(made)
    assert sentence(found) == ("No variant is safe yet: each loses, or could lose, more than 1.0 point. Keep fp32.")
    unsafe = reasons(found)[-1]
    assert unsafe.what == "Variants that are not safe yet"
    assert [n.name for n in unsafe.rows] == ["int8", "int4-weight"]
    assert unsafe.rows[0].text.startswith("-2.0")


def test_a_small_loss_that_is_shown_is_no_safe_variant_either(made: Made) -> None:
    add(made, "org/m", cost=cost())
    add(made, "org/m", variant="int8", like="org/m", shift=-0.003, cost=cost(200))
    assert sentence(advice_of(made)) == (
        "No variant is safe yet: each shows a loss, or could lose more than 1.0 point. Keep fp32."
    )


def test_a_safe_variant_is_taken(made: Made) -> None:
    add(made, "org/m", cost=cost() | {"speed_ratio": 1.0, "size_ratio": 1.0})
    for variant, ratio in (("int8", 2.0), ("bf16", 1.2)):
        given = cost(100 * ratio, 400e6 / 2 / ratio) | {"speed_ratio": ratio, "form": variant}
        add(made, "org/m", variant=variant, like="org/m", cost=given)
    assert sentence(advice_of(made)) == "Take int8: within noise of the best, 2.0x faster and 4.0x smaller."


def test_a_variant_of_another_model_must_be_safe_too(made: Made) -> None:
    add(made, "org/large", shift=0.0005, cost=cost(100))
    add(made, "org/m", cost=cost(120) | {"speed_ratio": 1.0})
    add(made, "org/m", variant="int8", like="org/m", shift=-0.004, cost=cost(400) | {"speed_ratio": 4.0})
    found = advice_of(made)
    assert labels(found.unsafe) == ["org/m (int8)"]
    assert sentence(found).startswith("Take m: within noise of the best, 1.2x faster")


def test_without_intervals_nothing_is_within_noise(made: Made) -> None:
    add(made, "org/large", shift=0.001, cost=cost(100))
    add(made, "org/small", cost=cost(900))
    found = advice_of(made, items=False)
    assert sentence(found) == (
        "Take large for now: the highest score. There are no intervals that can be relied on to say whether others are "
        "as good."
    )
    assert [r.what for r in reasons(found)] == ["Highest score", "Unclear beside the best"]


def test_without_intervals_no_variant_can_be_judged(made: Made) -> None:
    add(made, "org/m", cost=cost())
    add(made, "org/m", variant="int8", like="org/m", cost=cost(200))
    assert sentence(advice_of(made, items=False)) == (
        "No variant can be judged yet: there are no intervals. Keep fp32."
    )


def test_one_row_leaves_nothing_to_choose(made: Made) -> None:
    add(made, "org/m")
    said = sentence(advice_of(made))
    assert said == "Only m can be judged: run another model or variant on the same tasks to compare."


@pytest.mark.parametrize("rows", [4, 22, 50])
def test_of_many_rows_three_are_named_and_the_rest_counted(rows: int, made: Made) -> None:
    for n in range(rows):
        add(made, f"org/m{n:02d}", shift=0.00001 * n, tasks=("SciFact",), n=60, cost=cost(100 + 10 * n))
    found = advice_of(made)
    assert sentence(found).startswith("Take m")
    for reason in reasons(found):
        assert 1 <= len(reason.rows) <= 3
    counted = sum(len(reason.rows) + reason.more for reason in reasons(found))
    assert counted == rows
    assert len(reasons(found)) <= 6


def test_rows_without_some_of_the_tasks_are_left_out_and_counted(made: Made) -> None:
    add(made, "org/a", shift=0.001)
    add(made, "org/b")
    add(made, "org/c", shift=0.3, tasks=("SciFact",))
    found = advice_of(made)
    assert labels(found.incomplete) == ["org/c"]
    assert found.best.row.model == "org/a"
    assert [n.text for n in reasons(found)[-1].rows] == ["1 tasks"]
    assert list(found.tasks) == sorted(TASKS, key=made.board().tasks.index)


def test_a_variant_with_more_tasks_than_its_parent_hides_no_advice(made: Made) -> None:
    add(made, "org/m", tasks=TASKS[:1], cost=cost())
    add(made, "org/m", variant="int8", like="org/m", shift=-0.03, cost=cost(200))
    found = advice_of(made)
    assert list(found.tasks) == ["SciFact"]
    assert sentence(found).startswith("No variant is safe yet")


def test_variants_whose_parent_has_none_of_the_tasks_are_compared(made: Made) -> None:
    add(made, "org/m", tasks=("STS12",))
    add(made, "org/m", variant="int8", like="org/m", shift=-0.03)
    add(made, "org/m", variant="bf16", like="org/m")
    board = made.board()
    board = dataclasses.replace(board, tasks=[task for task in board.tasks if task != "STS12"])
    found = advise(board, Evidence(made.items))
    assert found is not None
    assert (found.best.row.variant, labels(found.worse)) == ("bf16", ["org/m (int8)"])


def test_where_lower_is_better_the_lowest_is_best(made: Made) -> None:
    add(made, "org/a", shift=0.05)
    add(made, "org/b")
    board = dataclasses.replace(made.board(), lower=True)
    found = advise(board, Evidence(made.items))
    assert found is not None
    assert (found.best.row.model, labels(found.worse)) == ("org/b", ["org/a"])


def test_instruction_sets_of_one_model_are_named_apart(made: Made) -> None:
    for n, own in enumerate(("paper", "none")):
        add(made, "org/m", shift=0.05 * n, instructions=own)
    assert sentence(advice_of(made)) == "Take m · none: it scores higher than the other row, beyond noise."
