"""The files that a CI user copies: they parse, their commands parse, and the script does what docs/ci.md says."""

import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from instructor_eval.analysis.gate.limits import read_thresholds
from instructor_eval.cli import main as command_line
from instructor_eval.core.errors import UserError

DOCS = Path(__file__).resolve().parents[1] / "docs"
WORKFLOW, SCRIPT, TEXT = DOCS / "ci" / "gate.yml", DOCS / "ci" / "gate.sh", DOCS / "ci.md"
VALUES = {
    "MODEL": "./checkpoint", "VARIANT": "fp32", "RESULTS": "results", "BASELINE": "main", "OUTPUT": "gate",
    "BASELINES": "results/baselines", "run": "results/runs/x.json", "GATE_FLAGS": "--fail-on-inconclusive",
}  # fmt: skip


def commands(text: str) -> list[list[str]]:
    """The `evaluate ...` lines of a script or document, as words; variables have made-up values."""
    whole = re.sub(r"\\\n\s*", "", text)
    lines = re.findall(r"^ *(evaluate (?!gate`).*)$", whole, re.MULTILINE)
    found = []
    for line in lines:
        line = line.partition("||")[0].replace('"$@"', "--offline --task SciFact")
        found.append(shlex.split(re.sub(r"\$(\w+)", lambda m: VALUES[m[1]], line)))
    return found


def parse(words: list[str]) -> None:
    """Give a command's words to the parser that will read them; an error is raised as UserError."""
    assert words[0] == "evaluate"
    if words[1] in command_line.COMMANDS:
        command_line.parser_of(words[1])[0].parse_args(words[2:])
    else:
        options = command_line.root_parser().parse_args(words[1:])
        assert options.model
        assert options.task


def workflow() -> dict[str, Any]:
    found = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def steps() -> list[dict[str, Any]]:
    [job] = workflow()["jobs"].values()
    return list(job["steps"])


@pytest.mark.parametrize(("file", "least"), [(WORKFLOW, 3), (SCRIPT, 3), (TEXT, 8)], ids=lambda v: str(v)[-7:])
def test_every_command_parses(file: Path, least: int) -> None:
    found = commands(file.read_text(encoding="utf-8"))
    assert len(found) >= least
    assert {"gate"} <= {words[1] for words in found}
    for words in found:
        parse(words)


def test_the_parser_of_this_test_refuses_a_wrong_flag() -> None:
    with pytest.raises(UserError, match="--no-such-flag"):
        parse(["evaluate", "gate", "--candidate", "x", "--no-such-flag"])


def test_the_workflow_runs_gates_and_uploads_in_this_order() -> None:
    assert workflow()[True] == {"pull_request": None, "workflow_dispatch": None}  # YAML 1.1 reads `on` as true
    names = [step.get("uses", step.get("run", "")).partition("@")[0] for step in steps()]
    order = ["actions/checkout", "actions/setup-python", "pip install", "actions/cache/restore", "evaluate --model",
             "actions/cache/save", "evaluate gate", "--self-test", "evaluate report",
             "actions/upload-artifact"]  # fmt: skip
    assert len(names) == len(order)
    assert all(part in name for part, name in zip(order, names, strict=True)), names


def test_what_must_happen_after_a_failure_happens_always() -> None:
    by_name = {step["uses"].partition("@")[0]: step for step in steps() if "uses" in step}
    upload, save = by_name["actions/upload-artifact"], by_name["actions/cache/save"]
    assert upload["if"] == save["if"] == "always()"
    gate = next(step["run"] for step in steps() if step.get("name") == "Gate")
    [words] = commands(gate)
    assert words[words.index("--output") + 1] == upload["with"]["path"]
    page = next(step for step in steps() if step.get("name") == "Page")
    assert page["if"] == "always()"
    assert page["continue-on-error"] is True  # the gate decides, not its picture
    assert f"-o {upload['with']['path']}/report.html" in page["run"]


def test_the_caches_key_is_new_in_every_run_and_names_no_model() -> None:
    by_name = {step["uses"].partition("@")[0]: step["with"] for step in steps() if "with" in step and "uses" in step}
    restore, save = by_name["actions/cache/restore"], by_name["actions/cache/save"]
    assert restore["key"] == save["key"]
    assert restore["path"] == save["path"]
    assert "github.run_id" in restore["key"]
    assert restore["key"].startswith(restore["restore-keys"])
    assert "MODEL" not in restore["key"]
    assert "~/.cache/instructor-eval" in restore["path"].split()


def test_the_version_named_is_that_of_the_newest_release() -> None:
    newest = yaml.safe_load((DOCS.parent / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    for file in (WORKFLOW, TEXT):
        assert set(re.findall(r"instructor-eval\[run\]==([0-9.]+[0-9])", file.read_text())) == {newest}


def test_the_documented_thresholds_are_read(tmp_path: Path) -> None:
    block = re.search(r"```yaml file=thresholds.yaml\n(.*?)```", TEXT.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    (tmp_path / "thresholds.yaml").write_text(block[1])
    found = read_thresholds(tmp_path / "thresholds.yaml")
    found.check_patterns(["SciFact", "STSBenchmark"])
    assert (found.margin("SciFact"), found.margin("STSBenchmark"), found.margin("ArguAna")) == (0.02, 0.008, 0.01)


def test_the_other_ci_systems_snippet_is_yaml() -> None:
    text = TEXT.read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    [job] = yaml.safe_load(block).values()
    assert job["artifacts"]["when"] == "always"
    assert any("gate.sh" in line for line in job["script"])


# The script, with a stand-in for `evaluate` and for real

Script = Callable[..., "subprocess.CompletedProcess[str]"]
STAND_IN = """#!/bin/sh
echo "$*" >> calls
case "$*" in
  gate*--self-test*) exit "$SELF_TEST" ;;
  gate*) exit "$GATE" ;;
  *) mkdir -p results/runs; touch results/runs/2026-01-01T000000Z-a.json results/runs/2026-01-02T000000Z-b.json
     exit "$RUN" ;;
esac
"""
REAL = f'#!/bin/sh\nexec "{sys.executable}" -m instructor_eval.cli.main "$@"\n'


@pytest.fixture
def gate_sh(tmp_path: Path, bare_environment: Callable[[Path], dict[str, str]]) -> Script:
    """`gate_sh("--limit", "50", evaluate=REAL, VARIANT="fp32@16")`: the script, run in a folder of its own."""

    def run(*arguments: str, evaluate: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = tmp_path / "bin" / "evaluate"
        command.parent.mkdir(exist_ok=True)
        command.write_text(evaluate)
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        env = bare_environment(tmp_path) | {
            "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
            "INSTRUCTOR_EVAL_CACHE": str(tmp_path / "cache"),
        }
        return subprocess.run(
            ["sh", str(SCRIPT), *arguments],
            cwd=tmp_path, env=env | variables, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    ("run", "gate", "self_test", "code", "calls"),
    [
        (0, 0, 1, 0, 3), (0, 1, 1, 1, 2), (0, 2, 1, 2, 2), (0, 3, 1, 3, 2), (0, 4, 1, 4, 2),
        (2, 0, 1, 2, 1), (130, 0, 1, 130, 1),
        (0, 0, 2, 2, 3), (0, 0, 4, 2, 3),  # the gate passes everything: it guards nothing
        (0, 0, 0, 0, 3),  # nothing to test against yet: --allow-no-baseline
    ],
)  # fmt: skip
def test_the_scripts_exit_code_is_the_gates(
    gate_sh: Script, tmp_path: Path, run: int, gate: int, self_test: int, code: int, calls: int
) -> None:
    done = gate_sh(evaluate=STAND_IN, RUN=str(run), GATE=str(gate), SELF_TEST=str(self_test))
    assert done.returncode == code, done.stderr
    assert len((tmp_path / "calls").read_text().splitlines()) == calls
    assert ("self-test of the gate ended with" in done.stderr) == (calls == 3 and self_test > 1)


def test_the_script_asks_for_what_it_is_given(gate_sh: Script, tmp_path: Path) -> None:
    gate_sh(
        "--offline", "--hub", "my mirror", evaluate=STAND_IN, RUN="0", GATE="0", SELF_TEST="1", MODEL="./my model",
        TASKS="STS12 ./mine.yaml", BASELINE="other", OUTPUT="out", GATE_FLAGS="--thresholds t.yaml",
    )  # fmt: skip
    common = (
        "--baseline baseline:other --baselines results/baselines --candidate results/runs/2026-01-02T000000Z-b.json"
    )
    assert (tmp_path / "calls").read_text().splitlines() == [
        "--model ./my model --variant fp32 --offline --hub my mirror --task STS12 --task ./mine.yaml --cost off "
        "--results results",
        f"gate {common} --output out --thresholds t.yaml",
        f"gate {common} --self-test --thresholds t.yaml",
    ]


@pytest.mark.slow
def test_the_script_for_real_from_the_first_run_to_a_regression(
    gate_sh: Script, cli: Callable[..., Any], tmp_path: Path
) -> None:
    """On the embedded model and task: no baseline yet, the same again, and vectors cut to 16 values."""
    run = ("--model", "minilm", "--task", "DemoSTS", "--offline", "--cost", "off", "--device", "cpu")
    assert cli(*run, "--variant", "fp32,fp32@16").code == 0  # so that each run of the script keeps what is there

    def script(**variables: str) -> subprocess.CompletedProcess[str]:
        return gate_sh("--offline", evaluate=REAL, MODEL="minilm", TASKS="DemoSTS", **variables)

    first = script(GATE_FLAGS="--allow-no-baseline")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "nothing was tested" in first.stdout
    assert cli("baseline", "set", "minilm@fp32", "--name", "main").code == 0

    same = script()
    assert same.returncode == 0, same.stdout + same.stderr
    assert "OK: DemoSTS" in same.stdout
    assert "self-test passed" in same.stdout
    assert {p.name for p in (tmp_path / "gate").iterdir()} == {"gate.json", "junit.xml", "summary.md", "comment.md"}

    worse = script(VARIANT="fp32@16")
    assert worse.returncode == 1, worse.stdout + worse.stderr
    assert "REGRESSED: DemoSTS" in worse.stdout
    assert "self-test" not in worse.stdout
    assert "REGRESSED" in (tmp_path / "gate" / "summary.md").read_text()


def test_the_script_is_plain_shell() -> None:
    """No bash needed: the first line says sh, and sh takes it."""
    assert SCRIPT.read_text().startswith("#!/bin/sh\n")
    assert os.access(SCRIPT, os.X_OK)
    assert subprocess.run(["sh", "-n", str(SCRIPT)], check=False).returncode == 0
    assert not re.search(r"\[\[|<\(|\bfunction\b|\blocal\b|\$'", SCRIPT.read_text())
