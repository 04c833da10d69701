"""The costs of a variant: the sample, the turns, the arithmetic, the child process, the store. No time is asserted."""

from __future__ import annotations

import dataclasses
import hashlib
import weakref
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import tiny
from clocks import Clock
from made_costs import COLD, COST

from instructor_eval.core.sample_texts import INSTRUCTION, LONGEST, sample, words_of
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.engine import Engine, Totals
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.results.costs import Cold, CostStore
from instructor_eval.results.reading import known
from instructor_eval.run import costs as measure_module
from instructor_eval.run import samples
from instructor_eval.run.costs import How, forms_of, measure_run
from instructor_eval.run.samples import instruction_for
from instructor_eval.run.turns import PASS_SECONDS, fitting, take_turns

SAMPLE_HASH = "b83b43d3e58f0d37"
QUICK = How(device="cpu", texts=8, cold=False)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def both(checkpoint: Checkpoint) -> list[Checkpoint]:
    return [checkpoint, dataclasses.replace(checkpoint, variant="bf16+int8@8")]


class Fake:
    """Takes the seconds it is given, pass after pass, or a fixed time for each text."""

    def __init__(self, clock: Clock, log: list[str], name: str, *, passes: Sequence[float] = (), each: float = 0.0):
        self.clock, self.log, self.name, self.passes, self.each = clock, log, name, list(passes), each
        self.totals = Totals()

    def encode(self, texts: Sequence[str], instruction: str) -> None:
        assert instruction == "I: "
        self.log.append(self.name)
        self.clock.now += self.passes.pop(0) if self.passes else self.each * len(texts)


# The sample


def test_the_sample_is_the_same_for_ever() -> None:
    texts = sample(64)
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] == SAMPLE_HASH
    assert sample(16) == texts[:16]
    assert len(set(sample(4096))) == 4096


def test_lengths_are_mixed_and_every_prefix_has_the_same_mix() -> None:
    lengths = [words_of(i) for i in range(4096)]
    assert median(lengths) == 40
    assert 1 < min(lengths) < 5
    assert 200 < max(lengths) <= LONGEST
    whole = np.mean(lengths)
    for count in (16, 32, 52, 64, 128):
        assert abs(np.mean(lengths[:count]) / whole - 1) < 0.1, count
    assert all(len(text.split()) == words_of(i) + 1 for i, text in enumerate(sample(40)))


# Turns, medians and ratios


def test_forms_take_turns_and_each_round_begins_with_another() -> None:
    clock, log, rounds = Clock(), [], []
    engines = {name: Fake(clock, log, name, each=1.0) for name in "abc"}
    take_turns(engines, ["t"], "I: ", 4, clock=clock, announce=lambda number, order: rounds.append((number, *order)))
    assert log == list("abcbcacababc")
    assert rounds == [(1, *"abc"), (2, *"bca"), (3, *"cab"), (4, *"abc")]


def test_times_are_listed_by_round() -> None:
    clock = Clock()
    engines = {
        "fp32": Fake(clock, [], "fp32", passes=[4.0, 12.0, 5.0]),
        "int8": Fake(clock, [], "int8", passes=[2.0, 4.0, 5.0]),
    }
    seconds = take_turns(engines, ["t"] * 100, "I: ", 3, clock=clock)
    assert seconds == {"fp32": [4.0, 12.0, 5.0], "int8": [2.0, 4.0, 5.0]}


def test_rates_and_the_ratio_are_medians_over_rounds() -> None:
    assert COST.ratios == (2.0, 3.0, 1.0)
    assert COST.speed_ratio == 2.0  # and not 5 / 4, the ratio of the medians
    assert COST.texts_per_second == 25.0
    assert COST.tokens_per_second == 1250.0
    assert COST.size_ratio == 4.0
    assert COST.rounds == 3
    assert COST.unsteady
    assert not dataclasses.replace(COST, seconds=(2.0, 2.4), baseline_seconds=(4.0, 4.0)).unsteady
    assert dataclasses.replace(COST, seconds=(2.0, 2.4), baseline_seconds=(5.0, 4.0)).unsteady  # one side, one way each


def test_what_a_score_says() -> None:
    assert known(COST.for_score()) == {
        "identity": "0123456789abcdef", "form": "int8", "baseline": "fp32", "device": "cpu",
        "resident_bytes": 30_000_000, "file_bytes": 25_000_000, "size_ratio": 4.0,
        "texts_per_second": 25.0, "tokens_per_second": 1250.0,
        "speed_ratio": 2.0, "speed_ratio_min": 1.0, "speed_ratio_max": 3.0,
        "texts": 100, "tokens": 5000, "rounds": 3,
        "proof": "72 of 72 products in int8", "measured": "2026-01-01T00:00:00+00:00",
        "cold_start_seconds": 5.5,
        "prepare": {"import_seconds": 3.0, "load_seconds": 2.0, "first_vector_seconds": 0.5},
        "peak_memory_bytes": 600_000_000, "memory_before_load_bytes": 400_000_000,
        "memory_after_bytes": 500_000_000,
    }  # fmt: skip
    assert dataclasses.replace(COST, cold=None).for_score().peak_memory_bytes is None
    on_gpu = dataclasses.replace(COST, cold=dataclasses.replace(COLD, gpu_peak_bytes=7))
    assert on_gpu.for_score().peak_memory_bytes == 7


@pytest.mark.parametrize(
    ("rate", "most", "expected"), [(13.0, 256, 26), (1.0, 256, 8), (1e6, 256, 256), (1e6, 4, 4), (0.1, 4, 4)]
)
def test_a_pass_is_bounded(rate: float, most: int, expected: int) -> None:
    clock, log = Clock(), []
    assert fitting(Fake(clock, log, "x", each=1 / rate), "I: ", most, clock=clock) == expected
    assert clock.now < 3 * max(PASS_SECONDS, 8 / rate)


def test_one_slow_probe_does_not_shrink_the_sample() -> None:
    clock = Clock()
    engine = Fake(
        clock, [], "x", passes=[9.0, 1.5, 0.5]
    )  # loading, choosing kernels, and then 8 texts in half a second
    assert fitting(engine, "I: ", 256, clock=clock) == 32


def test_a_clock_that_stands_still_measures_the_whole_sample() -> None:
    assert fitting(Fake(Clock(), [], "x"), "I: ", 64, clock=lambda: 0.0) == 64


# One model


@pytest.mark.slow
def test_every_form_is_measured_and_filed(both: list[Checkpoint], tmp_path: Path) -> None:
    lines: list[str] = []
    costs = measure_run(both, tmp_path, QUICK, say=lines.append, warn=pytest.fail)
    assert list(costs) == ["fp32", "bf16"]
    fp32, bf16 = costs.values()
    assert fp32.ratios == (1.0, 1.0, 1.0)
    assert fp32.size_ratio == 1.0
    assert min(bf16.seconds) > 0
    assert bf16.baseline_seconds == fp32.seconds
    assert 1 < bf16.size_ratio <= 2
    assert bf16.resident_bytes < fp32.resident_bytes
    assert (bf16.texts, bf16.rounds, bf16.tokens) == (8, 3, fp32.tokens)
    assert bf16.tokens > 8 * 10
    assert "bfloat16" in bf16.proof
    assert bf16.fingerprint == dataclasses.replace(both[0], variant="bf16").fingerprint
    assert {c.form: c for c in CostStore(tmp_path).all()} == costs
    assert lines == [
        "fp32: loading", "fp32: one pass to warm up (8 texts)", "bf16: loading", "bf16: one pass to warm up (8 texts)",
        "round 1 of 3: fp32, bf16", "round 2 of 3: bf16, fp32", "round 3 of 3: fp32, bf16",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_second_run_measures_nothing(both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measure_run(both, tmp_path, QUICK)
    more = dataclasses.replace(QUICK, rounds=4)
    assert {c.rounds for c in measure_run(both, tmp_path, more).values()} == {4}
    with monkeypatch.context() as patch:
        patch.setattr(measure_module, "_time_forms", lambda *_: pytest.fail("measured again"))
        lines: list[str] = []
        reused = measure_run(both, tmp_path, QUICK, say=lines.append)  # fewer rounds than are there
        assert {c.rounds for c in reused.values()} == {4}
        assert [line.partition(":")[0] for line in lines] == ["fp32", "bf16"]
        assert all(line.endswith("UTC, reused") for line in lines)
    assert measure_run(both, tmp_path, QUICK, again=True)["bf16"].seconds != first["bf16"].seconds
    monkeypatch.setattr(measure_module, "machine", lambda _device: {"processor": "another"})
    assert measure_run(both, tmp_path, QUICK)["bf16"].machine == {"processor": "another"}
    assert len(list(CostStore(tmp_path).all())) == 4


@pytest.mark.slow
def test_a_form_measured_later_takes_turns_with_the_baseline(both: list[Checkpoint], tmp_path: Path) -> None:
    alone = measure_run(both[:1], tmp_path, QUICK)["fp32"]
    costs = measure_run(both, tmp_path, QUICK)
    assert costs["fp32"] == alone
    assert len(costs["bf16"].baseline_seconds) == 3
    assert costs["bf16"].baseline_seconds != alone.seconds


def test_how_many_texts_is_found_out(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(samples.COUNT, "cpu", 16)
    assert measure_run([checkpoint], tmp_path, How(device="cpu", cold=False))["fp32"].texts == 16


def test_plain_models_are_given_no_instruction(tmp_path: Path, checkpoint: Checkpoint) -> None:
    plain = locate(ModelSpec.parse(str(tiny.build_plain(tmp_path / "plain"))), offline=True, known=[])
    assert instruction_for(plain) == ""
    assert instruction_for(checkpoint) == INSTRUCTION


def live_networks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The forms whose engines are alive whenever another one has been made."""
    made: list[weakref.ref[Engine]] = []
    seen: list[tuple[str, ...]] = []

    def recorded(checkpoint: Checkpoint, **options: Any) -> Engine:
        engine = Engine(checkpoint, **options)
        made.append(weakref.ref(engine))
        seen.append(tuple(alive.checkpoint.form for ref in made if (alive := ref())))
        return engine

    monkeypatch.setattr(measure_module, "Engine", recorded)
    return seen


@pytest.mark.slow
def test_forms_are_timed_in_pairs_with_two_networks_at_most(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, lines = live_networks(monkeypatch), list[str]()
    filed: list[tuple[str, ...]] = []
    forms = [dataclasses.replace(checkpoint, variant=v) for v in ("fp32", "bf16", "int8", "fp16")]

    def say(line: str) -> None:
        lines.append(line)
        filed.append(tuple(c.form for c in CostStore(tmp_path).all()))

    costs = measure_run(forms, tmp_path, QUICK, say=say, warn=pytest.fail)
    assert seen == [("fp32",), ("fp32", "bf16"), ("fp32", "int8"), ("fp32", "fp16")]
    rounds = [line.partition(": ")[2] for line in lines if line.startswith("round ")]
    assert rounds == [f"{a}, {b}" for f in ("bf16", "int8", "fp16") for a, b in (("fp32", f), (f, "fp32"), ("fp32", f))]
    assert list(costs) == ["fp32", "bf16", "int8", "fp16"]
    assert costs["fp32"].seconds == costs["bf16"].baseline_seconds
    assert len({c.baseline_seconds for c in costs.values()}) == 3, "each pair has its own"
    assert filed[lines.index("int8: loading")] == ("bf16", "fp32"), "filed pair by pair"


@pytest.mark.slow
def test_no_network_is_in_memory_during_a_cold_start(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Engine]] = []

    def recorded(checkpoint: Checkpoint, **options: Any) -> Engine:
        engine = Engine(checkpoint, **options)
        made.append(weakref.ref(engine))
        return engine

    def started(_checkpoint: Checkpoint, **_: Any) -> Cold:
        assert len(made) == 2
        assert not any(ref() for ref in made)
        return COLD

    monkeypatch.setattr(measure_module, "Engine", recorded)
    monkeypatch.setattr(measure_module, "cold_start", started)
    measure_run(both, tmp_path, dataclasses.replace(QUICK, cold=True))


@pytest.mark.slow
def test_which_int8_kernel_runs_is_part_of_its_identity(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = [checkpoint, dataclasses.replace(checkpoint, variant="int8")]
    first = measure_run(forms, tmp_path, dataclasses.replace(QUICK, rounds=1))
    monkeypatch.setattr(measure_module, "compilers", lambda: [["another"]])
    second = measure_run(forms, tmp_path, dataclasses.replace(QUICK, rounds=1))
    assert second["fp32"] == first["fp32"]
    assert second["int8"].identity != first["int8"].identity


def test_forms_are_named_once_and_without_embeddings(checkpoint: Checkpoint) -> None:
    given = [dataclasses.replace(checkpoint, variant=v, stored="float16") for v in ("bf16+binary@8", "bf16", "fp16")]
    forms = forms_of(given)
    assert list(forms) == ["fp32", "bf16", "fp16"]
    assert [(c.variant, c.stored) for c in forms.values()] == [(f, "float32") for f in forms]
    assert forms_of([checkpoint])["fp32"] is checkpoint
