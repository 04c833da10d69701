from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from instructor_eval.analysis.statistics.difference import paired
from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.files import InstructionStudy
from instructor_eval.analysis.study.instructions import CONTROL, PAPER, Candidate, Gain, TaskStudy, choose, split
from instructor_eval.analysis.study.text import format_instructions, gain_text
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items

METRIC = "ndcg_at_10"


def made(seed: int, *, n: int = 120, candidates: int = 40, noise: float = 0.1, gains: dict[int, float] | None = None,
         controls: frozenset[int] = frozenset()) -> list[tuple[Candidate, Items]]:  # fmt: skip
    """Queries whose values differ between candidates by noise, and by a planted gain."""
    random = np.random.default_rng(seed)
    common, found = random.uniform(0.3, 0.7, n), []
    for i in range(candidates):
        values = common + random.normal((gains or {}).get(i, 0.0), noise, n)
        items = {"id": [f"q{k}" for k in range(n)], METRIC: values.tolist(), "relevant": [1] * n}
        source = PAPER if i == 0 else CONTROL if i in controls else "pattern"
        found.append((Candidate(PAPER if i == 0 else f"c{i}", source, {"query": f"text {i}: "}), items))
    return found


def test_the_truly_best_is_found_and_its_gain_is_the_planted_one() -> None:
    for seed in range(20):
        found = choose("SciFact", METRIC, made(seed, gains={7: 0.08}), seed=seed)
        assert found.winner == "c7"
        assert found.gain.low is not None and found.gain.high is not None
        assert found.gain.verdict == "better"
        assert found.gain.low < 0.13 and found.gain.high > 0.03


def test_where_nothing_matters_the_held_out_half_shows_no_gain_and_the_choosing_half_does() -> None:
    held_out = choosing = 0
    gains, of_choosing = [], []
    for seed in range(100):
        found = choose("SciFact", METRIC, made(seed), seed=seed)
        held_out += found.gain.verdict == "better"
        choosing += found.gain_choosing.verdict == "better"
        gains.append(found.gain.delta)
        of_choosing.append(found.gain_choosing.delta)
    assert held_out <= 5
    assert choosing >= 25
    assert np.mean(of_choosing) > 0.02  # of nothing
    assert abs(np.mean(gains)) < 0.005  # no bias: one standard error is 0.0018


def test_figures_are_those_of_the_halves() -> None:
    every = made(3, candidates=5, controls=frozenset({4}), gains={4: 0.2})
    found = choose("SciFact", METRIC, every, seed=9)
    halves = split([f"q{k}" for k in range(120)], "SciFact", 9)
    assert [len(half) for half in halves] == [found.n_choosing, found.n_held_out] == [60, 60]
    by_half = [
        [{name: [v for v, i in zip(column, items["id"], strict=True) if i in half] for name, column in items.items()}
         for half in halves] for _, items in every
    ]  # fmt: skip
    for i, one in enumerate(found.tried):
        assert one.choosing == pytest.approx(np.mean(by_half[i][0][METRIC]), abs=1e-5)
        assert one.score == pytest.approx(np.mean(every[i][1][METRIC]), abs=1e-5)
        if i:
            difference = np.array(by_half[i][1][METRIC]) - np.array(by_half[0][1][METRIC])
            low, high = scipy_stats.ttest_1samp(difference, 0).confidence_interval()
            # Rounded to five places, as mteb's scores are.
            assert (one.gain.low, one.gain.high) == pytest.approx((low, high), abs=2e-5)
            assert one.gain.delta == paired(METRIC, by_half[i][1], by_half[0][1], seed_text="x").delta
    able = [one.score for one in found.tried[:4]]
    assert found.winner != "c4", "a control cannot win"
    assert (found.sensitivity.least, found.sensitivity.most) == (min(able), max(able))
    assert found.sensitivity.sd == pytest.approx(np.std(able))


def test_equal_candidates_leave_the_papers() -> None:
    every = made(0, candidates=4, noise=0.0)
    found = choose("SciFact", METRIC, every)
    assert found.winner == PAPER
    assert found.gain.delta == 0


def test_units_of_a_cluster_stay_together() -> None:
    items = {"id": [str(i) for i in range(180)], "segment": [f"s{i // 3}" for i in range(180)],
             "gold": list(np.linspace(0, 1, 180)), "value": list(np.linspace(0, 1, 180) ** 2)}  # fmt: skip
    found = choose("DemoBillboard", "pearson", [(Candidate(PAPER, PAPER, {}), items)] * 2)
    assert (found.n_choosing, found.n_held_out) == (30, 30)


def test_too_few_are_not_split_unless_forced() -> None:
    few = made(0, n=30, candidates=2)
    with pytest.raises(UserError, match=r"SciFact: queries to split in two: 30, too few to choose honestly.*--force"):
        choose("SciFact", METRIC, few)
    assert choose("SciFact", METRIC, few, force=True).n_held_out == 15


def study() -> InstructionStudy:
    found: TaskStudy = choose("SciFact", METRIC, made(1, candidates=6, gains={2: 0.3}, controls=frozenset({5})))
    return InstructionStudy("org/model", "fp32", 0, (found,))


def test_what_is_filed_is_read_again(tmp_path: Path) -> None:
    path = files.write(tmp_path, "instructions", "org/model", study())
    assert files.read(tmp_path, "instructions", InstructionStudy) == [study()]
    assert files.read(tmp_path, "chunks", InstructionStudy) == []
    path.write_text(path.read_text().replace('"winner"', '"winer"'))
    with pytest.raises(UserError, match=r"not a whole study .*run the study again"):
        files.read(tmp_path, "instructions", InstructionStudy)
    path.write_text("[]")
    with pytest.raises(UserError, match="not a whole study"):
        files.read(tmp_path, "instructions", InstructionStudy)


def test_two_studies_at_once_are_refused(tmp_path: Path) -> None:
    with files.alone(tmp_path), pytest.raises(UserError, match="another study is running"), files.alone(tmp_path):
        pass
    with files.alone(tmp_path):
        pass


def test_a_damaged_lock_is_not_taken_for_another_study(tmp_path: Path) -> None:
    lock = tmp_path / files.FOLDER / ".lock"
    lock.parent.mkdir()
    lock.write_text("no database")
    with (
        pytest.raises(UserError, match=r"\.lock: .*not a database: delete it while no study runs"),
        files.alone(tmp_path),
    ):
        pass
    lock.unlink()
    with files.alone(tmp_path):
        pass


def test_the_text_says_who_won_and_by_how_much() -> None:
    text = format_instructions(study(), "table")
    assert "c2 ← winner" in text
    assert "Winner c2 (query: 'text 2: '): +" in text
    assert "it is better" in text
    assert "Sensitivity" in text and "Control: the best of 1 other tasks' instructions (c5)" in text
    assert format_instructions(study(), "md").startswith("## SciFact: org/model (fp32)\n\n| candidate")


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        (Gain(-0.00004, -0.00001, 0.00004), "+0.00 [+0.00, +0.00]"),  # no minus before nothing
        (Gain(-0.00004), "+0.00"),
        (Gain(-0.0031, -0.0052, 0.00104), "-0.31 [-0.52, +0.10]"),
    ],
)
def test_what_is_rounded_to_nothing_has_no_minus(gain: Gain, expected: str) -> None:
    assert gain_text(gain) == expected
