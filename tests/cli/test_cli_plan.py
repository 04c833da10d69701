"""`evaluate plan` from the command line: the table, formats, errors, and that it leaves no trace."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny

from instructor_eval.cache.vectors import VectorCache
from instructor_eval.run import rates

Run = Callable[..., Any]
DEMO = ("--task", "DemoSTS", "--task", "DemoBillboard", "--device", "cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    return tiny.build_plain(folder / "minute"), tiny.build_plain(folder / "other", seed=3)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "PASS_SECONDS", 0.02)


def listing(*folders: Path) -> dict[str, tuple[int, bytes]]:
    files = [p for folder in folders for p in folder.rglob("*")]
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in files}


def cells(line: str) -> list[str]:
    return [cell for cell in line.split("  ") if cell.strip()]


def test_the_table_says_what_it_will_take(cli: Run, models: tuple[Path, Path]) -> None:
    done = cli("plan", "--model", models[0], *DEMO)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    [head] = [line for line in lines if line.startswith("task")]
    assert [c.strip() for c in cells(head)] == [
        *("task", "texts", "unique", "cached", "shared", "to compute", "tokens", "time", "detectable")
    ]
    rows = {line.split()[0]: line.split() for line in lines if line.startswith(("Demo", "total"))}
    assert rows["DemoSTS"][1:6] == ["386", "386", "0", "0", "386"]
    assert rows["DemoBillboard"][1:6] == ["350", "350", "0", "0", "350"]
    assert rows["total"][1:5] == ["736", "736", "0", "736"]
    assert rows["total"][-1] in ("s", "min", "h")
    assert "time: of encoding on cpu" in done.out
    assert "not estimated: downloads, loading, scoring" in done.out
    assert "detectable: not known" in done.out
    assert "nan" not in done.out.lower()


def test_it_leaves_no_trace(cli: Run, models: tuple[Path, Path], tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    assert cli("plan", "--model", models[0], *DEMO, "--cache", "c", "--results", "r").code == 0
    assert set(tmp_path.rglob("*")) == before
    run = ("--model", models[0], *DEMO, "--cache", "c", "--results", "r")
    assert cli(*run, "--limit", "9").code == 0
    listed = listing(tmp_path)
    assert cli("plan", *run).code == 0
    assert listing(tmp_path) == listed
    cache = VectorCache(tmp_path / "c", warn=lambda line: pytest.fail(line))
    cache.write(_space(), [b"k" * 16], _vectors())  # a run is going on in the same folder
    names = set(tmp_path.rglob("*"))
    assert cli("plan", *run).code == 0
    assert set(tmp_path.rglob("*")) == names
    cache.close()


def _space() -> Any:
    from instructor_eval.cache.vectors import Space

    return Space("f" * 16, "org/model", "main", "fp32", 4)


def _vectors() -> Any:
    import numpy as np

    return np.ones((1, 4), dtype=np.float32)


def test_other_results_say_what_can_be_detected(cli: Run, models: tuple[Path, Path]) -> None:
    one, other = models
    plan = ("plan", "--model", one, *DEMO, "--instructions", "none", "--no-calibration")
    assert cli("--model", one, *DEMO).code == 0
    alone = cli(*plan).out
    assert "≤" in alone
    assert "done" in alone
    assert cli("--model", other, *DEMO).code == 0
    both = cli(*plan)
    assert "≤" not in both.out
    assert "if the candidate differs from the baseline as" in both.out
    known = json.loads(cli(*plan, "--format", "json").out)
    sts, billboard = (row["detectable"] for row in known["tasks"])
    assert 0.01 < known["total"]["detectable"] < min(sts, billboard) < 0.5


def test_a_baseline_is_what_differences_are_taken_from(cli: Run, models: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = models
    assert cli("--model", one, *DEMO, "--results", "base").code == 0
    plan = ("plan", "--model", other, *DEMO, "--no-calibration", "--baseline", "base")
    done = cli(*plan)
    assert done.code == 0, done.err
    assert "≤: from one system's items" in done.out
    assert "no items" in cli("plan", "--model", other, *DEMO, "--baseline", "published:hkunlp/instructor-large").error
    assert "nosuch" in cli("plan", "--model", other, *DEMO, "--baseline", "nosuch").error


def test_csv_and_json_are_for_programs(cli: Run, models: tuple[Path, Path]) -> None:
    plan = ("plan", "--model", models[0], *DEMO, "--no-calibration", "--variant", "fp32,fp32+int8")
    done = cli(*plan, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [(r["task"], r["variant"]) for r in rows] == [
        (task, variant) for variant in ("fp32", "fp32+int8") for task in ("DemoSTS", "DemoBillboard")
    ]
    known = json.loads(cli(*plan, "--format", "json").out)
    assert [str(r["tokens"]) for r in known["tasks"]] == [r["tokens"] for r in rows]
    assert known["schema_version"] == 1
    assert known["total"]["seconds_low"] is None
    assert "family plain" in done.err, "what is said stands beside what is read by programs"


def test_a_task_without_data_fails_and_the_others_are_counted(cli: Run, models: tuple[Path, Path]) -> None:
    done = cli("plan", "--model", models[0], "--task", "DemoSTS", "--task", "mscoco", "--no-calibration")
    assert done.code == 2
    assert "mscoco would fail: data set" in done.err
    assert "Traceback" not in done.err
    assert "DemoSTS" in done.out
    assert cli("plan", "--model", models[0], "--task", "mscoco", "--no-calibration").error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "DemoSTS"), "no --model given"),
        (("--model", "minilm"), "no --task, --benchmark, --type or --domain given"),
        (("--model", "minilm", "--task", "DemoST"), "did you mean DemoSTS"),
        (("--model", "./nowhere", "--task", "DemoSTS"), "no model folder"),
        (("--model", "minilm", "--task", "DemoSTS", "--variant", "int3"), "int3"),
        (("--model", "minilm", "--task", "DemoSTS", "--format", "latex"), "--format"),
        (("--model", "minilm", "--task", "DemoSTS", "--device", "cuda:9"), "cuda:9"),
    ],
)
def test_errors_are_one_line(cli: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in cli("plan", *arguments).error


def test_an_unreadable_cache_is_one_warning(cli: Run, models: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "vectors.v1.sqlite3").write_bytes(b"no database" * 1000)
    done = cli("plan", "--model", models[0], *DEMO, "--no-calibration", "--cache", "c")
    assert done.code == 0
    [line] = done.err.splitlines()
    assert "cannot be read" in line
    assert "736" in done.out


def test_quiet_prints_the_table_only(cli: Run, models: tuple[Path, Path]) -> None:
    done = cli("plan", "--model", models[0], *DEMO, "--quiet")
    assert done.out.startswith("task")
    assert done.out.splitlines()[-1].startswith("total")
    assert done.err == ""
