"""`evaluate measure`: what it prints, and how it ends."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

from instructor_eval.cli import measure as cli_measure
from instructor_eval.core.errors import UserError
from instructor_eval.models import variant
from instructor_eval.models.variant import Form
from instructor_eval.results.costs import Cold, CostStore
from instructor_eval.run import costs as measure_module

COLD = Cold(3.0, 2.0, 0.54, 400_000_000, 500_000_000, 1_600_000_000)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_plain(tmp_path_factory.mktemp("models") / "tiny")


Measure = Callable[..., tuple[int, str, str]]


@pytest.fixture
def measure(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Measure]:
    """`measure("--variant", ...)`: exit code, output, errors. No process is started: test_cost_process.py does that."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measure_module, "cold_start", lambda _checkpoint, **_: COLD)

    def run(*arguments: str) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser(exit_on_error=False)
        cli_measure.add_options(parser)
        given = ["--model", str(model), "--device", "cpu", "--offline", "--texts", "8", *arguments]
        capsys.readouterr()
        code = cli_measure.run(parser.parse_args(given))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.slow
def test_steps_table_and_what_was_measured(measure: Measure, model: Path) -> None:
    code, out, err = measure("--variant", "fp32,bf16")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"model {model} (local) on cpu"
    assert [line.strip() for line in lines[1:10]] == [
        "fp32: loading", "fp32: one pass to warm up (8 texts)", "bf16: loading", "bf16: one pass to warm up (8 texts)",
        "round 1 of 3: fp32, bf16", "round 2 of 3: bf16, fp32", "round 3 of 3: fp32, bf16",
        "fp32: cold start and memory, in a process of its own",
        "bf16: cold start and memory, in a process of its own",
    ]  # fmt: skip
    assert lines[10] == ""
    for column in ("variant", "file MB", "resident MB", "peak MB", "cold start s", "texts/s", "tokens/s",
                   "times faster", "times smaller"):  # fmt: skip
        assert column in lines[11]
    assert "index" not in lines[11]
    assert lines[13].startswith("fp32 ")
    assert " 1,600 " in lines[13]
    assert " 5.5 " in lines[13]
    assert " 1.00 [1.00-1.00] " in lines[13]
    assert lines[13].endswith(" 1.00")
    assert lines[14].startswith("bf16 ")
    assert lines[14].endswith(" 2.00")
    assert lines[15] == ""
    assert lines[16].startswith("8 made-up texts (")
    assert " tokens), 3 rounds in turn after a warm-up, on cpu (" in lines[16]
    assert lines[16].endswith(f"; filed in {Path('results/costs')}")
    assert lines[17] == (
        "times faster than fp32: median of the rounds [least-greatest]; peak: the whole process, 400 MB of it before "
        "the model; cold start: new process to first vector, files in the system's cache; MB: 10^6 bytes"
    )
    assert all(line.startswith("note: times of ") for line in lines[18:])  # it depends on what else is running


@pytest.mark.slow
def test_a_second_time_it_prints_what_it_has(measure: Measure) -> None:
    first = measure("--variant", "bf16")[1].splitlines()
    code, out, _ = measure("--variant", "bf16")
    assert code == 0
    lines = out.splitlines()
    assert [line.partition(":")[0].strip() for line in lines[1:3]] == ["fp32", "bf16"]
    assert all(line.endswith(" UTC, reused") for line in lines[1:3])
    assert lines[3:] == first[10:]
    assert "round 1 of 1: fp32" in measure("--rounds", "1", "--again")[1]


@pytest.mark.slow
def test_embeddings_are_columns_of_the_same_form(measure: Measure) -> None:
    code, out, _ = measure("--variant", "bf16+binary@16,bf16", "--variant", "fp32+int8", "--rounds", "1")
    assert code == 0
    assert "index MB per million texts" in out
    rows = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line.startswith(("fp32", "bf16"))}
    assert rows == {"fp32": "128", "bf16+binary@16": "2", "bf16": "128", "fp32+int8": "32"}
    assert {c.form for c in CostStore(Path("results")).all()} == {"fp32", "bf16"}


@pytest.mark.slow
def test_formats_for_programs_are_alone_on_the_output(measure: Measure, model: Path) -> None:
    code, out, err = measure("--variant", "bf16+int8", "--rounds", "1", "--format", "json")
    assert code == 0
    assert "fp32: loading" in err
    rows = json.loads(out)
    assert [(r["model"], r["variant"], r["form"], r["bytes_per_vector"]) for r in rows] == [
        (str(model), "fp32", "fp32", 128), (str(model), "bf16+int8", "bf16", 32)
    ]  # fmt: skip
    assert rows[0]["cold_start_seconds"] == 5.54
    assert rows[1]["peak_memory_bytes"] == 1_600_000_000
    assert rows[1]["texts_per_second"] > 0
    assert rows[1]["baseline"] == "fp32"
    again = measure("--variant", "bf16+int8", "--format", "csv")
    table = list(csv.DictReader(io.StringIO(again[1])))
    assert [r["identity"] for r in table] == [r["identity"] for r in rows]
    assert set(table[0]) == set(rows[0])
    code, out, err = measure("--variant", "bf16", "--format", "md")
    assert out.startswith("| variant ")
    assert "made-up texts" in out
    assert "reused" in err


def test_the_folder_is_the_one_given(measure: Measure, tmp_path: Path) -> None:
    assert measure("--rounds", "1", "--results", str(tmp_path / "else"))[0] == 0
    assert [c.form for c in CostStore(tmp_path / "else").all()] == ["fp32"]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "fp23"], "unknown variant 'fp23': did you mean fp32"),
        (["--variant", "fp32+bin"], "unknown embedding 'bin'"),
        (["--variant", "fp32@64"], "vectors of .* have 32 values: give @32 or fewer"),
        (["--device", "nowhere"], "unknown device 'nowhere'"),
        (["--variant", "fp8"], "variant fp8 does not run on cpu: it needs a GPU"),
        (["--model", "./nothing"], "no model folder at './nothing'"),
        (["--results", "a-file"], "cannot write results to a-file"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(
    measure: Measure, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    Path("a-file").write_text("")
    monkeypatch.setattr(measure_module, "_time_forms", lambda *_: pytest.fail("measured"))
    with pytest.raises(UserError, match=message):
        measure(*arguments)


def test_numbers_are_whole_and_at_least_one(measure: Measure) -> None:
    for flag in ("--rounds", "--texts", "--batch-tokens"):
        with pytest.raises(argparse.ArgumentError, match="is not a whole number of at least 1"):
            measure(flag, "0")


@pytest.mark.parametrize("given", [",,bf16", "bf16,", "", " , "])
def test_a_list_has_no_empty_part(measure: Measure, given: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="has an empty part: write fp32,int8"):
        measure("--variant", given)


def test_auto_is_what_suits_the_device(measure: Measure) -> None:
    assert measure("--variant", "auto", "--rounds", "1")[0] == 0
    assert [c.form for c in CostStore(Path("results")).all()] == ["fp32"]
    assert [str(v) for v in cli_measure.parse_variants(["auto", "int8", "bf16"], auto="bf16")] == [
        "fp32", "bf16", "int8"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_form_that_fails_is_said_and_the_others_are_printed(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(variant.FORMS, "broken", Form("broken", "", "tests.no_such_module:build"))
    code, out, err = measure("--variant", "broken,bf16", "--rounds", "1")
    assert code == 2
    [line] = err.splitlines()
    assert line.startswith("evaluate: variant broken of ")
    assert "\nbf16 " in out
    assert "\nbroken " not in out


def test_without_a_cold_start_its_cells_are_empty(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any, **__: Any) -> Cold:
        raise UserError("variant fp32, in a process of its own, was killed")

    monkeypatch.setattr(measure_module, "cold_start", killed)
    code, out, err = measure("--rounds", "1")
    assert code == 2
    assert err == "evaluate: variant fp32, in a process of its own, was killed\n"
    [row] = [line for line in out.splitlines() if line.startswith("fp32 ")]
    assert "5.5" not in row.split()
    assert "the whole process, much of it before the model" in out


def test_on_a_gpu_the_peak_is_the_gpus(measure: Measure) -> None:
    measure("--rounds", "1")
    [cost] = CostStore(Path("results")).all()
    gpu = dataclasses.replace(cost, device="cuda", machine={**cost.machine, "gpu": "a GPU"})
    said = cli_measure.closing([cost, dataclasses.replace(cost, texts=9)], "costs")
    assert said.startswith("8 to 9 made-up texts")
    said = cli_measure.closing([gpu], "costs")
    assert "on cuda (a GPU, " in said
    assert "peak: what torch allocated on the GPU" in said


def test_times_that_vary_are_not_passed_off_as_good(measure: Measure) -> None:
    measure("--rounds", "1")
    [cost] = CostStore(Path("results")).all()
    steady = dataclasses.replace(cost, seconds=(1.0, 1.2), baseline_seconds=(2.0, 2.2))
    busy = dataclasses.replace(cost, form="bf16", seconds=(1.0, 1.3), baseline_seconds=(2.0, 2.6))
    assert "note" not in cli_measure.closing([steady], "costs")
    assert cli_measure.closing([steady, busy], "costs").splitlines()[2] == (
        "note: times of bf16 vary from round to round: --again when the machine is not busy"
    )


def test_without_the_extra_it_says_how_to_get_it(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"measuring a model needs torch, .*: pip install 'instructor-eval\[run\]'"):
        measure()
