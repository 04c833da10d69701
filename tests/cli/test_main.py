from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny

import instructor_eval
from instructor_eval.cli import tasks as tasks_command
from instructor_eval.core import errors
from instructor_eval.tasks.cards import shipped_cards

Run = Callable[..., Any]
Environment = Callable[[Path], dict[str, str]]


def test_the_package_is_light_and_loads_its_names_on_demand() -> None:
    program = "import sys, instructor_eval; print(sorted(m for m in sys.modules if m in ('torch', 'numpy', 'yaml')))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
    assert (
        {"evaluate", "load_results", "load_encoder", "UserError"}
        < set(instructor_eval.__all__)
        == set(dir(instructor_eval))
    )
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = instructor_eval.nothing


# Help


def test_help_and_version(cli: Run) -> None:
    assert "--help-all" in cli("--help").out
    assert "--reader-dtype" not in cli("--help").out
    done = cli("--help-all")
    assert (done.code, done.err) == (0, "")
    for word in ("--model", "--task", "--instructions", "--protocol", "--limit", "--hub", "--selection", "--reader",
                 "--reader-dtype", "leaderboard", "exit codes"):  # fmt: skip
        assert word in done.out
    assert cli("--version").out == f"instructor-eval {instructor_eval.__version__}\n"


@pytest.mark.parametrize("command", ["demo", "tasks", "models", "leaderboard", "validate"])
def test_every_command_has_help(command: str, cli: Run) -> None:
    done = cli(command, "--help")
    assert done.code == 0
    assert done.out.startswith(f"usage: evaluate {command}")


def test_without_arguments_it_shows_its_help(cli: Run) -> None:
    done = cli()
    assert done.code == 2
    assert done.out.startswith("usage: evaluate")


# Errors

ERRORS = {
    "unknown command": (["taks"], "unknown command 'taks': did you mean tasks?"),
    "no such command": (["xyzzy"], "unknown command 'xyzzy': commands are demo, init, tasks,"),
    "unknown flag": (["--modle", "x"], "unrecognized arguments: --modle x: did you mean --model? (see evaluate"),
    "unknown flag of a command": (["tasks", "--foo"], "unrecognized arguments: --foo (see evaluate tasks --help)"),
    "no model": (["--task", "ArguAna"], "no --model given: name a hub id, a folder, or minilm"),
    "no task": (["--model", "minilm"], "no --task, --benchmark, --type or --domain given"),
    "flag without its value": (["--model"], "argument --model: expected one argument"),
    "unknown task": (["--model", "minilm", "--task", "ArguAn"], "unknown task 'ArguAn': did you mean ArguAna?"),
    "unknown benchmark": (["--model", "minilm", "--benchmark", "mtbe"], "unknown benchmark 'mtbe': did you mean mteb?"),
    "unknown protocol": (
        ["--model", "minilm", "--task", "DemoSTS", "--protocol", "pair_app=max"],
        "unknown protocol choice 'pair_app=max': did you mean pair_ap?",
    ),
    "unknown value": (
        ["--model", "minilm", "--task", "DemoSTS", "--protocol", "pair_ap=most"],
        "--protocol pair_ap=most: the values are max, cosine",
    ),
    "unknown set": (
        ["--model", "minilm", "--task", "DemoSTS", "--instructions", "papr"],
        "unknown instruction set 'papr': did you mean paper?",
    ),
    "unknown family": (["--model", "minilm", "--family", "bert"], "argument --family: invalid choice: 'bert'"),
    "limit of zero": (["--model", "m", "--limit", "0"], "argument --limit: '0' is not a whole number of at least 1"),
    "negative limit": (["--model", "m", "--limit", "-5"], "argument --limit: '-5' is not a whole number of at least 1"),
    "limit that is no number": (["--model", "m", "--limit", "ten"], "argument --limit: 'ten' is not a whole number"),
    "negative batch": (["--model", "m", "--batch-tokens", "-1"], "argument --batch-tokens: '-1' is not a whole"),
    "missing own card": (["--model", "minilm", "--task", "./my.yaml"], "my.yaml: no such card"),
    "tasks: unknown task": (["tasks", "ArguAn"], "unknown task 'ArguAn': did you mean ArguAna?"),
    "tasks: no such task": (["tasks", "xyzzy"], "unknown task 'xyzzy': `evaluate tasks` lists them"),
    "tasks: unknown benchmark": (["tasks", "--benchmark", "bilboard"], "unknown benchmark 'bilboard': did you mean"),
    "tasks: unknown type": (["tasks", "--type", "Cluster"], "unknown type 'Cluster': did you mean Clustering?"),
    "tasks: unknown domain": (["tasks", "--domain", "medicla"], "unknown domain 'medicla': did you mean medical?"),
    "tasks: unknown format": (["tasks", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
    "leaderboard: no folder": (["leaderboard"], "no results folder at results: run something first (`evaluate demo`)"),
    "leaderboard: folder is elsewhere": (["leaderboard", "--results", "x"], "no results folder at x"),
    "two at once": (["tasks", "ArguAna", "SciFact"], "unrecognized arguments: SciFact"),
    "command after a flag": (["--quiet", "tasks"], "unrecognized arguments: tasks"),
    "escapes in a name": (["tasks", "\x1b[31mx"], "unknown task '\ufffd[31mx'"),
    "a name of two lines": (["tasks", "a\nb"], "unknown task 'a b'"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_on_stderr(case: str, cli: Run) -> None:
    arguments, message = ERRORS[case]
    done = cli(*arguments)
    assert done.error.startswith(f"evaluate: {message}")
    assert done.out == ""


def test_debug_shows_the_traceback(cli_process: Run) -> None:
    done = cli_process("tasks", "ArguAn")
    assert done.error == "evaluate: unknown task 'ArguAn': did you mean ArguAna?"
    done = cli_process("tasks", "ArguAn", "--debug")
    assert done.code != 0
    assert "Traceback (most recent call last)" in done.err
    assert "UserError: unknown task 'ArguAn'" in done.err


def test_an_interrupt_has_its_own_exit_code(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks_command, "run", interrupted)
    done = cli("tasks")
    assert done.code == errors.EXIT_INTERRUPTED == 130
    assert done.err.splitlines() == [
        "evaluate: interrupted: finished results are filed, the same command goes on from there"
    ]
    with pytest.raises(KeyboardInterrupt):
        cli("tasks", "--debug")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [["tasks"], ["--help"], *(pytest.param(a, marks=pytest.mark.slow) for a in (["models"], ["tasks", "--help"]))],
    ids=" ".join,
)
def test_a_reader_that_has_gone_is_no_error(
    arguments: list[str], unbuffered: str, tmp_path: Path, bare_environment: Environment
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "instructor_eval.cli.main", *arguments],
            cwd=tmp_path,
            env=bare_environment(tmp_path) | {"PYTHONUNBUFFERED": unbuffered},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


# Validate


def test_validate_the_shipped_cards(cli: Run) -> None:
    done = cli("validate")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "98 good, 0 with errors"
    found = {r["task"]: r["verdict"] for r in json.loads(cli("validate", "--format", "json").out)}
    assert set(found) == set(shipped_cards())
    assert all(v.startswith("ok") for v in found.values())


def test_validate_own_cards(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("name: good\ntype: STS\ndata: sts\n")
    (tmp_path / "sts").mkdir()
    (tmp_path / "sts" / "test.tsv").write_text("sentence1\tsentence2\tscore\na b\ta c\t1\nd\te\t0\n")
    done = cli("validate", "good.yaml")
    assert done.code == 0
    assert "no instruction of its own: the unified template is used" in done.out
    broken = {
        "schema.yaml": ("name: a\ntype: STS\nmetrik: x\ndata: sts", "metrik: unknown key"),
        "data.yaml": ("name: b\ntype: STS\ndata: nowhere", "nowhere: no such folder"),
        "role.yaml": ("name: e\ntype: STS\ndata: sts\ninstructions: {text: {org/m: x}}", "no instruction for the role"),
    }
    for name, (text, _) in broken.items():
        (tmp_path / name).write_text(text)
    done = cli("validate", "good.yaml", *broken, "missing.yaml", "--format", "json")
    assert done.code == 2
    verdicts = {r["file"]: r["verdict"] for r in json.loads(done.out)}
    assert verdicts["good.yaml"].startswith("ok: ")
    for name, (_, message) in broken.items():
        assert verdicts[name].startswith("ERROR ")
        assert message in verdicts[name], name
    assert "no such card" in verdicts["missing.yaml"]
    assert cli("validate", "good.yaml", *broken).out.splitlines()[-1] == "1 good, 3 with errors"


# A run


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_plain(tmp_path_factory.mktemp("tiny") / "minute")


def test_run_then_read(cli_process: Run, checkpoint: Path, tmp_path: Path) -> None:
    done = cli_process("--model", checkpoint, "--task", "DemoSTS", "--device", "cpu")
    assert done.code == 0, done.err
    assert "1 run, 0 reused, 0 failed; results in results" in done.out
    [row] = json.loads(cli_process("leaderboard", "--format", "json", "--no-published").out)
    assert (row["rank"], row["instructions"], set(row["tasks"])) == (1, "none", {"DemoSTS"})
    assert cli_process("models").out.count(row["model"]) == 1


def test_an_unknown_model_is_one_line(cli_process: Run) -> None:
    done = cli_process("--model", "./no-such-folder", "--task", "DemoSTS")
    assert "no-such-folder" in done.error


def test_results_that_cannot_be_written(cli_process: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = cli_process("--model", "minilm", "--task", "DemoSTS", "--results", "file")
    assert "cannot write results to file" in done.error


def test_a_missing_run_extra_is_one_line_with_what_to_install(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from instructor_eval.run import options

    monkeypatch.setattr(options, "_NEEDED", ("json", "no_such_library"))
    line = "evaluate: running a model needs no_such_library: pip install 'instructor-eval[{}]'"
    assert cli("demo").error == cli("--model", "minilm", "--task", "DemoSTS").error == line.format("demo")
    assert cli("--model", "org/name", "--task", "DemoSTS").error == line.format("run")


def test_the_hubs_own_offline_variable_counts_as_offline(cli: Run) -> None:
    assert "--offline is set" in cli("--model", "acme/never-cached", "--task", "DemoSTS").error
