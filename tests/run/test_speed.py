"""The speed gate: turns, the interval of the median, verdicts, models found by what names them. No real time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from clocks import Clock
from made_scores import edited

from instructor_eval.analysis.gate.quality import IMPROVED, INCONCLUSIVE, OK, REGRESSED
from instructor_eval.analysis.gate.speed import decide, interval
from instructor_eval.core.errors import UserError
from instructor_eval.core.sample_texts import INSTRUCTION
from instructor_eval.models.engine import Engine, Totals
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.results.score import Score
from instructor_eval.run import speed as speed_module
from instructor_eval.run.speed import How, by_name, by_score, compare_speed, race, split

MakeScore = Callable[..., Score]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A plain model and an INSTRUCTOR."""
    folder = tmp_path_factory.mktemp("models")
    return tiny.build_plain(folder / "plain"), tiny.build_instructor(folder / "instr", include_prompt_key=True)


class Fake:
    """Takes `each` seconds a text, times a factor for each pass from the third on: two find and warm up."""

    def __init__(self, clock: Clock, log: list[str], name: str, each: float, factors: Sequence[float] = ()) -> None:
        self.clock, self.log, self.name, self.each, self.factors = clock, log, name, each, factors
        self.totals = Totals()
        self.rounds = -1

    def encode(self, texts: Sequence[str], instruction: str) -> None:
        assert instruction == ""
        self.log.append(self.name)
        self.totals.tokens += 10 * len(texts)
        factor = self.factors[self.rounds % len(self.factors)] if self.factors and self.rounds >= 0 else 1.0
        self.rounds += 1
        self.clock.now += self.each * len(texts) * factor


def raced(candidate: Sequence[float], *, rounds: int = 5, slower: float = 1.10) -> tuple[Any, list[str]]:
    """A race of texts given beforehand: the candidate takes so many times the baseline's seconds, round by round."""
    clock, log = Clock(), []
    engines = {"baseline": Fake(clock, log, "b", 0.5), "candidate": Fake(clock, log, "c", 0.5, candidate)}
    how = How(device="cpu", rounds=rounds, texts=4, slower=slower)
    return race(engines, how, most=256, clock=clock), log


# Rounds


def test_both_take_turns_after_a_warm_up() -> None:
    found, log = raced([1.0])
    assert "".join(log) == "bc" + "bccbbccbbc"
    assert found.baseline_seconds == found.candidate_seconds == (2.0,) * 5
    assert (found.texts, found.tokens, found.rounds) == (4, 40, 5)
    assert found.verdict == OK
    assert found.ratio == 1.0


def test_how_many_texts_is_found_by_the_baseline() -> None:
    clock, log = Clock(), []
    engines = {"baseline": Fake(clock, log, "b", 0.1), "candidate": Fake(clock, log, "c", 9.0)}
    found = race(engines, How(rounds=1), most=256, clock=clock)
    assert found.texts == 20
    assert sorted(log[-2:]) == ["b", "c"]


def test_a_slow_machine_slows_both_sides() -> None:
    clock, log = Clock(), []
    weather = [1.0, 3.0, 9.0, 2.0, 1.0]
    engines = {
        "baseline": Fake(clock, log, "b", 0.5, weather),
        "candidate": Fake(clock, log, "c", 0.5, [1.05 * w for w in weather]),
    }
    found = race(engines, How(rounds=5, texts=4), most=9, clock=clock)
    assert found.verdict == OK
    assert found.ratios == pytest.approx([1 / 1.05] * 5)


# Verdicts


@pytest.mark.parametrize(
    ("candidate", "verdict", "rounds"),
    [
        ([1.0, 1.02, 0.97, 1.05, 1.09], OK, 5),
        ([1.10, 1.10, 1.10, 1.10, 1.10 - 1e-12], OK, 5),
        ([1.2, 1.3, 1.15, 1.25, 1.11], REGRESSED, 5),
        ([2.0, 3.0, 2.0, 2.5, 2.0], REGRESSED, 5),
        ([0.5, 0.6, 0.7, 0.8, 0.9], IMPROVED, 5),
        ([0.5, 0.6, 0.7, 0.8, 0.95], OK, 5),
        # One bad round fails no build: ten more tell.
        ([1.0, 1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], OK, 10),
        ([1.3, 1.3, 0.5, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3], REGRESSED, 10),
        # And where they straddle the limit all the way, nothing is decided.
        ([1.0, 1.2], INCONCLUSIVE, 15),
    ],
)
def test_verdicts(candidate: list[float], verdict: str, rounds: int) -> None:
    found, _ = raced(candidate)
    assert (found.verdict, found.rounds) == (verdict, rounds)
    low, high = found.interval
    assert low <= found.ratio <= high
    assert found.line.startswith(f"speed: {verdict}: {found.ratio:.2f} times as fast as the baseline [")


def test_the_limit_is_given() -> None:
    assert raced([1.3], slower=1.5)[0].verdict == OK
    assert raced([1.3], slower=1.2)[0].verdict == REGRESSED
    assert raced([0.8], slower=1.5)[0].verdict == OK


def test_the_mirror() -> None:
    for ratios in ([0.5, 0.6, 0.7], [0.95, 1.0, 1.05], [0.8, 1.0, 1.3]):
        mirrored = {REGRESSED: IMPROVED, IMPROVED: REGRESSED}
        other = decide([1 / r for r in ratios], 1.1)
        assert mirrored.get(decide(ratios, 1.1), OK) == (other if other in mirrored else OK)
    assert decide([float("inf")] * 5, 1.1) == IMPROVED


@pytest.mark.parametrize(
    ("n", "ends"), [(1, (1, 1)), (3, (1, 3)), (5, (1, 5)), (8, (1, 8)), (9, (2, 8)), (10, (2, 9)), (15, (4, 12))]
)
def test_the_interval_of_a_median(n: int, ends: tuple[int, int]) -> None:
    assert interval([float(v) for v in range(n, 0, -1)]) == ends


@pytest.mark.parametrize("n", [5, 6, 10, 15, 30])
def test_the_interval_holds_the_median_as_often_as_it_says(n: int) -> None:
    """Skewed noise, as of a busy machine; the true median is 1."""
    draws = np.exp(np.random.default_rng(n).exponential(size=(8000, n)) - np.log(2))
    ends = np.array([interval(row.tolist()) for row in draws])
    held = ((ends[:, 0] <= 1) & (ends[:, 1] >= 1)).mean()
    assert held > 1 - 1 / 16 - 0.01, held
    assert held < 0.995


# Real models


def test_models_of_other_instructions_are_compared(models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, set[str]] = {}
    encode = Engine.encode

    def recorded(self: Engine, texts: Sequence[str], instruction: str) -> Any:
        seen.setdefault(self.checkpoint.name, set()).add(instruction)
        assert self.cache is None
        return encode(self, texts, instruction)

    monkeypatch.setattr(Engine, "encode", recorded)
    one, two = (by_name(f"{folder}{tail}") for folder, tail in zip(models, ("@fp32+int8@8", "@bf16"), strict=True))
    lines: list[str] = []
    found = compare_speed(one, two, How(device="cpu", texts=8, rounds=2, slower=100.0), say=lines.append)
    assert list(seen.values()) == [{""}, {INSTRUCTION}]
    assert (found.verdict, found.rounds, found.texts) == (OK, 2, 8)
    assert (found.baseline, found.candidate) == (f"{models[0]}@fp32+int8@8", f"{models[1]}@bf16")
    assert min(found.baseline_seconds) > 0
    assert found.machine["usable"] >= 1
    [note] = found.notes
    assert "the form fp32 was timed" in note
    assert lines[0] == f"baseline {models[0]}@fp32+int8@8: loading"
    raw = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert raw["verdict"] == OK
    assert raw["ratio_low"] <= raw["ratio"] <= raw["ratio_high"]
    assert len(raw["ratios"]) == raw["rounds"] == 2


def test_the_same_model_twice_is_said(models: tuple[Path, Path]) -> None:
    one = by_name(str(models[0]))
    found = compare_speed(one, one, How(device="cpu", texts=2, rounds=1, slower=100.0))
    assert found.notes == ("both sides are the same model in the same form: what differs is noise",)


def test_what_does_not_run_is_one_line(models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    one = by_name(str(models[0]))
    with pytest.raises(UserError, match="variant fp8 does not run on cpu"):
        compare_speed(one, by_name(f"{models[0]}@fp8"), How(device="cpu"))

    def fails(self: Engine, *_: Any) -> Any:
        raise RuntimeError("no\nmemory")

    monkeypatch.setattr(Engine, "encode", fails)
    with pytest.raises(UserError, match=r"plain@fp32 cannot be timed: RuntimeError: no memory"):
        compare_speed(one, one, How(device="cpu"))


# Names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("minilm", ("minilm", "fp32")),
        ("minilm@int8", ("minilm", "int8")),
        ("minilm@int8@64", ("minilm", "int8@64")),
        ("org/name@main", ("org/name@main", "fp32")),
        ("org/name@main@bf16+binary@256", ("org/name@main", "bf16+binary@256")),
        ("org/name@", ("org/name@", "fp32")),
        ("a" * 5000, ("a" * 5000, "fp32")),
    ],
)
def test_a_name_is_taken_apart(text: str, expected: tuple[str, str]) -> None:
    assert split(text) == expected


def test_a_folder_may_be_called_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model@int8").mkdir()
    assert split("model@int8") == ("model@int8", "fp32")
    assert split("model@int8@bf16") == ("model@int8", "bf16")


def test_a_variant_that_the_model_has_not(models: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=r"vectors of .* have 32 values: give fewer"):
        by_name(f"{models[0]}@fp32@64")
    with pytest.raises(UserError, match="is no model"):
        by_name("no model")


def test_the_model_of_a_score(models: tuple[Path, Path], make_score: MakeScore, tmp_path: Path) -> None:
    for name in (str(models[0]), "minilm"):
        found = dataclasses.replace(locate(ModelSpec.parse(name), offline=True, known=[]), variant="int8@8")
        score = edited(make_score(), model=found.describe())
        again = by_score(score, offline=True)
        assert again.fingerprint == found.fingerprint
        assert again.variant == "int8@8"
    changed = edited(make_score(), model=by_name(str(models[0])).describe() | {"base_fingerprint": "0" * 16})
    with pytest.raises(UserError, match="is no longer what was scored"):
        by_score(changed, offline=True)
    gone = edited(make_score(), model=by_name(str(models[0])).describe() | {"name": str(tmp_path / "gone")})
    with pytest.raises(UserError, match=r"the speed gate loads the model of .*gone', and cannot: no model folder"):
        by_score(gone, offline=True)
    nothing = edited(
        make_score(), model={"name": "bm25 demonstrations", "revision": "", "fingerprint": "selection-bm25"}
    )
    with pytest.raises(UserError, match="is no model that can be loaded"):
        by_score(nothing, offline=True)


def test_the_family_that_was_given_is_given_again(models: tuple[Path, Path], make_score: MakeScore) -> None:
    score = edited(
        make_score(), model=locate(ModelSpec.parse(str(models[0])), offline=True, known=[], family="prefix").describe()
    )
    assert by_score(score, offline=True).family == "prefix"


def test_interruptions_pass_through() -> None:
    with pytest.raises(KeyboardInterrupt), speed_module._named(by_name("minilm")), contextlib.suppress(UserError):
        raise KeyboardInterrupt
