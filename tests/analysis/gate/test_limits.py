from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from instructor_eval.analysis.gate.limits import Thresholds, read_thresholds
from instructor_eval.core.errors import UserError

EXAMPLE = """\
margins:
  default: 1.0
  macro: 0.5
  tasks: {"SciFact": 2.0, "CQADupstack*": 1.5}
alpha: 0.05
drift: {cosine: 1.0e-4, top10: 0.01, score: 0.001}
speed: {slower: 1.10}
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "thresholds.yaml"
    file.write_text(text)
    return file


def error(tmp_path: Path, text: str) -> str:
    with pytest.raises(UserError) as e:
        read_thresholds(written(tmp_path, text))
    file, _, message = str(e.value).partition(": ")
    assert re.fullmatch(rf"{re.escape(str(tmp_path / 'thresholds.yaml'))}(, line [0-9]+)?", file)
    assert "\n" not in message
    return message


def test_the_example_is_the_defaults_and_two_tasks(tmp_path: Path) -> None:
    found, plain = read_thresholds(written(tmp_path, EXAMPLE)), Thresholds()
    assert (found.margins.default, found.macro, found.alpha) == (1.0, 0.005, 0.05)
    assert (found.alpha, found.drift, found.speed) == (plain.alpha, plain.drift, plain.speed)
    assert (found.margin("SciFact"), found.margin("CQADupstackEnglishRetrieval"), found.margin("ArguAna")) == (
        0.02,
        0.015,
        0.01,
    )
    found.check_patterns([])


@pytest.mark.parametrize("text", ["", "{}", "margins:", "margins: {tasks: }", "# nothing\n", "alpha: 0.05"])
def test_everything_may_be_missing(tmp_path: Path, text: str) -> None:
    found = read_thresholds(written(tmp_path, text))
    assert found == Thresholds(source=found.source)


def test_what_is_written_to_gate_json_reads_as_the_same_file(tmp_path: Path) -> None:
    text = EXAMPLE.replace("2.0", "0.7").replace("0.5\n", "0.35\n").replace("1.10", "1.3").replace("0.001", "0.002")
    first = read_thresholds(written(tmp_path, text))
    again = first.as_json()
    assert again.pop("source") == str(tmp_path / "thresholds.yaml")
    assert again["margins"]["tasks"] == {"SciFact": 0.7, "CQADupstack*": 1.5}  # no 0.7000000000000001
    assert read_thresholds(written(tmp_path, yaml.safe_dump(again, sort_keys=False))) == first
    assert again == yaml.safe_load(text)


def test_a_full_name_beats_patterns_then_the_first_pattern(tmp_path: Path) -> None:
    text = 'margins: {tasks: {"STS1?": 3, "STS*": 4, "STS12": 5, "a[b]": 6, "scifact": 7}}'
    found = read_thresholds(written(tmp_path, text))
    asked = {"STS12": 0.05, "STS13": 0.03, "STSBenchmark": 0.04, "a[b]": 0.06, "ab": 0.06, "SciFact": 0.01}
    assert {task: found.margin(task) for task in asked} == asked


def test_a_pattern_must_decide_a_task(tmp_path: Path) -> None:
    def check(tasks: str, *compared: str) -> str:
        with pytest.raises(UserError) as e:
            read_thresholds(written(tmp_path, f"margins: {{tasks: {tasks}}}")).check_patterns(compared)
        return str(e.value)

    assert "margins.tasks: 'scifact' matches no task: did you mean SciFact" in check("{scifact: 2}")
    assert "'Own*' matches no task: evaluate tasks lists" in check("{Own*: 2}", "own task")
    assert "'STS12*' decides no task, others above it" in check("{STS*: 2, STS12*: 3}")
    assert "'Arg*' decides no task, others above it or full names do" in check("{Arg*: 3, ArguAna: 2}")
    read_thresholds(written(tmp_path, "margins: {tasks: {Own*: 2, SciFact: 1}}")).check_patterns(["Own task"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("margin: {default: 1}", "margin: unknown key: did you mean margins?"),
        ("margins: {defualt: 1}", "margins.defualt: unknown key: did you mean default?"),
        ("drift: {zzz: 1}", "drift.zzz: unknown key: known are cosine, top10, score"),
        ("speed: {1: 1}", "speed.1: a key should be a text: put it in quotes"),
        ("[1, 2]", "expected a mapping, found list [1, 2]"),
        ("margins: 1.0", "margins: expected a mapping, found float 1.0"),
        ("margins: {tasks: [SciFact]}", "margins.tasks: expected a mapping, found list ['SciFact']"),
        ("margins: {default: yes}", "margins.default: expected a number, found bool True"),
        ("margins: {default: }", "margins.default: expected a number, found nothing"),
        ("margins: {default: '1.0'}", "margins.default: expected a number, found str '1.0': write 1.0 without quotes"),
        ("margins: {tasks: {SciFact: [1]}}", "margins.tasks.SciFact: expected a number, found list [1]"),
        ("margins: {tasks: {12: 1}}", "margins.tasks.12: a key should be a text: put it in quotes"),
        ("margins: {tasks: {on: 1}}", "margins.tasks.True: a key should be a text: put it in quotes"),
        ("margins: {tasks: {'': 1}}", "margins.tasks.'': expected 1 to 300 printable characters"),
        ('margins: {tasks: {"a\\nb": 1}}', "margins.tasks.'a\\nb': expected 1 to 300 printable characters"),
        ("margins: {default: 0}", "margins.default: 0 is not from 0.001 to 50 (points, score x 100)"),
        ("margins: {macro: -1}", "margins.macro: -1 is not from 0.001 to 50 (points, score x 100)"),
        ("margins: {default: .inf}", "margins.default: inf is not from 0.001 to 50 (points, score x 100)"),
        ("margins: {default: .nan}", "margins.default: nan is not from 0.001 to 50 (points, score x 100)"),
        (f"alpha: 1{'0' * 400}", "not readable as YAML (a number of 401 characters"),
        (f"alpha: 0x1{'0' * 300}", "alpha: a number of more than 70 digits is not from 1e-06 to 0.25"),
        (f"alpha: 0x1{'0' * 9000}", "not readable as YAML (a number of 9,003 characters"),
        ("alpha: 5", "alpha: 5 is not from 1e-06 to 0.25 (a level such as 0.05)"),
        ("drift: {cosine: 1e-4}", "cosine: expected a number, found str '1e-4': write 0.0001 without quotes"),
        ("drift: {cosine: 1e-6}", "found str '1e-6': write it with a decimal point and without quotes, as 1.0e-4"),
        ("drift: {cosine: -1.0e-9}", "drift.cosine: -1e-09 is not from 0 to 0.1 (1 - cosine)"),
        (
            "drift: {score: 0.1}",
            "drift.score: 0.1 is not from 0 to 0.02 (a fraction of 1: 0.001 is a tenth of a point",
        ),
        ("speed: {slower: 0.9}", "speed.slower: 0.9 is not from 1.001 to 100 (a ratio: 1.10 is 10 % slower)"),
        ("alpha: 0.05\nalpha: 0.1", "not readable as YAML (key 'alpha' is given twice"),
        ("!!python/object/apply:os.system [ls]", "not readable as YAML (could not determine a constructor"),
    ],
)
def test_errors_are_one_line_that_names_the_key(tmp_path: Path, text: str, said: str) -> None:
    assert said in error(tmp_path, text)


def test_drift_limits_may_be_zero(tmp_path: Path) -> None:
    limits = read_thresholds(written(tmp_path, "drift: {cosine: 0, top10: 0, score: 0}")).drift
    assert (limits.cosine, limits.top10, limits.score) == (0.0, 0.0, 0.0)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: no such thresholds: give the path"):
        read_thresholds(tmp_path / "none.yaml")
