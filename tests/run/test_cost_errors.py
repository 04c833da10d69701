"""Costs where something goes wrong: a form, a round, an interruption, a process. No time is asserted."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
from made_costs import COLD

from instructor_eval.core.errors import UserError
from instructor_eval.models import variant
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.variant import Form
from instructor_eval.results.costs import Cold, CostStore
from instructor_eval.run import cold_start as cold_start_module
from instructor_eval.run import costs as measure_module
from instructor_eval.run.costs import How, measure_run

QUICK = How(device="cpu", texts=8, cold=False)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def both(checkpoint: Checkpoint) -> list[Checkpoint]:
    return [checkpoint, dataclasses.replace(checkpoint, variant="bf16+int8@8")]


def broken(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    form = Form(**{"name": "broken", "what": "", "build": "tests.no_such_module:build"} | fields)
    monkeypatch.setitem(variant.FORMS, "broken", form)


@pytest.mark.slow
def test_a_form_that_fails_does_not_end_the_others(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    lines: list[str] = []
    forms = [dataclasses.replace(both[0], variant="broken"), *both]
    assert list(measure_run(forms, tmp_path, QUICK, warn=lines.append)) == ["fp32", "bf16"]
    [line] = lines
    assert line.startswith("variant broken of ")
    assert "cannot be measured: ModuleNotFoundError" in line


def failing(monkeypatch: pytest.MonkeyPatch, form: str, at: int, error: BaseException) -> None:
    """The engine of `form` raises at its call number `at`, counted from 1."""

    class Failing(Engine):
        calls = 0

        def encode(self, *arguments: Any, **options: Any) -> Any:
            self.calls += self.checkpoint.form == form
            if self.checkpoint.form == form and self.calls == at:
                raise error
            return super().encode(*arguments, **options)

    monkeypatch.setattr(measure_module, "Engine", Failing)


@pytest.mark.slow
def test_a_form_that_fails_in_a_round_is_left_out(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "bf16", 3, RuntimeError("[ONNXRuntimeError] : 6\nout of memory"))
    lines: list[str] = []
    forms = [*both, dataclasses.replace(both[0], variant="fp16")]
    costs = measure_run(forms, tmp_path, QUICK, warn=lines.append)
    assert list(costs) == ["fp32", "fp16"]
    assert costs["fp32"].seconds == costs["fp16"].baseline_seconds
    [line] = lines
    assert line.startswith(f"variant bf16 of {both[0].name} cannot be measured: RuntimeError: [ONNXRuntimeError] : 6 ")


@pytest.mark.slow
def test_a_baseline_whose_every_partner_fails_is_timed_alone(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "bf16", 2, RuntimeError("no"))
    lines: list[str] = []
    said: list[str] = []
    costs = measure_run(both, tmp_path, QUICK, say=said.append, warn=lines.append)
    assert list(costs) == ["fp32"]
    assert len(lines) == 1
    assert said[-1] == "round 3 of 3: fp32"


def test_a_baseline_that_fails_in_a_round_ends_it(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "fp32", 2, RuntimeError("no"))
    with pytest.raises(UserError, match=r"variant fp32 of .* cannot be measured: RuntimeError: no"):
        measure_run(both, tmp_path, QUICK)


def test_an_interruption_in_a_round_passes_through(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "bf16", 2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        measure_run(both, tmp_path, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("killed")])
def test_an_old_cold_start_stays_until_the_new_one_is_there(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    how, newer = dataclasses.replace(QUICK, cold=True), dataclasses.replace(COLD, load_seconds=9.0)
    monkeypatch.setattr(measure_module, "cold_start", lambda _checkpoint, **_: COLD)
    first = measure_run(both, tmp_path, how)

    def fails(_checkpoint: Checkpoint, **_: Any) -> Cold:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(measure_module, "cold_start", fails)
        with contextlib.suppress(KeyboardInterrupt):
            measure_run(both, tmp_path, how, again=True)
    filed = {c.form: c for c in CostStore(tmp_path).all()}
    assert {form: c.cold for form, c in filed.items()} == {"fp32": COLD, "bf16": COLD}
    assert filed["bf16"].seconds != first["bf16"].seconds
    monkeypatch.setattr(measure_module, "cold_start", lambda _checkpoint, **_: newer)
    assert {c.cold for c in measure_run(both, tmp_path, how, again=True).values()} == {newer}
    assert {c.cold for c in CostStore(tmp_path).all()} == {newer}


def test_without_the_baseline_there_is_nothing_to_compare(checkpoint: Checkpoint, tmp_path: Path) -> None:
    gone = dataclasses.replace(checkpoint, transformer=tmp_path / "gone")
    vars(gone)["fingerprint"] = vars(gone)["cached_fingerprint"] = "f" * 16
    with pytest.raises(UserError, match=r"variant fp32 .*cannot be measured"):
        measure_run([gone], tmp_path, QUICK)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"devices": ("cuda",)}, r"variant broken does not run on cpu: it needs a GPU"),
        ({"modules": ("no_such_module_x",), "extra": "onnx"}, r"pip install 'instructor-eval\[onnx\]'"),
    ],
)
def test_a_form_that_cannot_run_is_an_error_before_measuring(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], message: str
) -> None:
    broken(monkeypatch, **fields)
    with pytest.raises(UserError, match=message):
        measure_run([dataclasses.replace(both[0], variant="broken")], tmp_path, QUICK, say=pytest.fail)


@pytest.mark.slow
def test_interrupted_between_two_cold_starts_nothing_is_lost(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(checkpoint: Checkpoint, **_: Any) -> Cold:
        if checkpoint.form == "bf16":
            raise KeyboardInterrupt
        return COLD

    how = dataclasses.replace(QUICK, cold=True)
    monkeypatch.setattr(measure_module, "cold_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure_run(both, tmp_path, how)
    assert {c.form: c.cold for c in CostStore(tmp_path).all()} == {"fp32": COLD, "bf16": None}
    monkeypatch.setattr(measure_module, "_time_forms", lambda *_: pytest.fail("measured again"))
    monkeypatch.setattr(measure_module, "cold_start", lambda _checkpoint, **_: COLD)
    assert measure_run(both, tmp_path, how)["bf16"].cold == COLD
    assert {c.form: c.cold for c in CostStore(tmp_path).all()} == {"fp32": COLD, "bf16": COLD}


@pytest.mark.slow
def test_a_failing_process_costs_the_cold_start_only(
    both: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold_start_module, "_COMMAND", [sys.executable, "-c", "raise MemoryError('not enough')"])
    lines: list[str] = []
    costs = measure_run(both, tmp_path, dataclasses.replace(QUICK, cold=True), warn=lines.append)
    assert [c.cold for c in costs.values()] == [None, None]
    assert len(lines) == 2
    assert lines[1].startswith(f"variant bf16 of {both[0].name}, in a process of its own, failed: MemoryError: not en")
