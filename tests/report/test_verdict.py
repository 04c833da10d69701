"""A gate's files read back for the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import made_results
import pytest
from made_pages import points, with_ends
from made_scores import edited

from instructor_eval.analysis.format import SENTENCE
from instructor_eval.analysis.gate.drift import Drift, TaskDrift, VectorDrift
from instructor_eval.analysis.gate.files import write
from instructor_eval.analysis.gate.limits import DriftLimits
from instructor_eval.analysis.gate.outcome import Outcome, of_drift, of_speed
from instructor_eval.analysis.gate.quality import OK, REGRESSED
from instructor_eval.analysis.gate.speed import Speed
from instructor_eval.cli.main import main
from instructor_eval.core.errors import UserError
from instructor_eval.report.verdict import Verdict, read_verdict
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

TASKS = {task: made_results.TASKS[task] for task in ("SciFact", "STS12", "RTE")}
COLUMNS = {"SciFact": 2, "STS12": 5, "RTE": 6}
Raw = dict[str, Any]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, make_score: Callable[..., Score]) -> Path:
    """int8 lost on SciFact; of bf16 one task is of other data."""
    root = tmp_path_factory.mktemp("results")
    made_results.file(root, make_score, tasks=TASKS, n=120)
    worse = made_results.lowered(0.4, 0.3, only="SciFact")
    made_results.file(root, make_score, tasks=TASKS, n=120, variant="int8", change=worse)
    store = made_results.file(root, make_score, tasks=TASKS, n=120, variant="bf16")
    other = next(s for s in Store(root).scores() if s.model.variant == "bf16" and s.task == "RTE")
    items = store.items(other)
    store.write(edited(other, data={"hash": "of another release"}), items)
    return root


@pytest.fixture(scope="module")
def gate(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`gate("int8", ...)`: the gate.json that the command line leaves."""

    def run(variant: str, *flags: str) -> Path:
        folder = tmp_path_factory.mktemp("gate")
        sides = ["--baseline", "minilm@fp32", "--candidate", f"minilm@{variant}"]
        assert main(["gate", "--results", str(results), *sides, "--output", str(folder), *flags]) in (0, 1, 4)
        return folder / "gate.json"

    return run


@pytest.fixture(scope="module")
def regressed(gate: Callable[..., Path]) -> Path:
    return gate("int8")


@pytest.fixture
def raw(regressed: Path) -> Raw:
    return json.loads(regressed.read_bytes())


def read(raw: object, folder: Path) -> Verdict:
    path = folder / "gate.json"
    path.write_bytes(raw if isinstance(raw, bytes) else json.dumps(raw).encode())
    return read_verdict(path, COLUMNS)


@contextmanager
def one_line(folder: Path, *words: str) -> Iterator[None]:
    """The error that names the file and the next step, in one line."""
    with pytest.raises(UserError) as e:
        yield
    message = str(e.value)
    assert message.startswith(f"{folder / 'gate.json'}: ")
    assert message.endswith("run `evaluate gate` again, or leave it out with --no-gate")
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


# What a gate said


def test_verdict_headline_and_command(regressed: Path, raw: Raw) -> None:
    found = read_verdict(regressed, COLUMNS)
    assert found.verdict == REGRESSED
    assert f"{REGRESSED}: {found.headline}" == raw["headline"]
    assert found.command == raw["command"]
    assert found.command[:2] == ["evaluate", "gate"]
    assert found.sentence == f"{SENTENCE} {raw['quality'][0]['adjustment']['sentence']}"
    assert (found.lines, found.notes) == ([], [])


def test_every_tasks_numbers(regressed: Path, raw: Raw) -> None:
    [shown] = read_verdict(regressed, COLUMNS).judged
    [quality] = raw["quality"]
    assert (shown.candidate, shown.baseline) == (quality["candidate"]["label"], quality["baseline"]["label"])
    rows = {row.name: row for row in shown.rows}
    assert len(rows) == len(shown.rows) == 4
    for task in quality["tasks"]:
        row, d = rows[task["name"]], task["difference"]
        assert row.delta == with_ends(d["delta"], d["low"], d["high"])
        assert (row.baseline, row.candidate) == (f"{100 * task['baseline']:.2f}", f"{100 * task['candidate']:.2f}")
        assert (row.word, row.column) == (task["verdict"], COLUMNS[task["name"]])
        p = "<0.001" if task["p_adjusted"] < 0.001 else f"{task['p_adjusted']:.3f}"
        assert row.note == f"p {p}, margin {100 * task['margin']:.2f}"
    assert rows["SciFact"].word == REGRESSED
    assert rows["SciFact"].verdict == "worse"


def test_the_macro_mean_stands_first(regressed: Path, raw: Raw) -> None:
    [shown] = read_verdict(regressed, COLUMNS).judged
    macro = raw["quality"][0]["macro"]
    d = macro["difference"]
    assert shown.rows[0].name == f"mean of {d['n']} tasks" == "mean of 3 tasks"
    assert shown.rows[0].delta == with_ends(d["delta"], d["low"], d["high"])
    assert (shown.rows[0].word, shown.rows[0].column) == (macro["verdict"], None)
    deltas = [float(row.delta.split()[0]) for row in shown.rows[1:]]
    assert deltas == sorted(deltas)


def test_tasks_that_are_not_on_the_page_have_no_column(regressed: Path) -> None:
    [shown] = read_verdict(regressed, {"SciFact": 2}).judged
    assert {row.name: row.column for row in shown.rows[1:]} == {"SciFact": 2, "STS12": None, "RTE": None}


def test_not_comparable_tasks_are_listed(gate: Callable[..., Path]) -> None:
    path = gate("bf16")
    tasks = json.loads(path.read_bytes())["quality"][0]["tasks"]
    [message] = [t["message"] for t in tasks if t["verdict"] == "NOT COMPARABLE"]
    found = read_verdict(path, COLUMNS)
    assert found.verdict == "NOT COMPARABLE"
    [shown] = found.judged
    assert {row.name for row in shown.rows} >= {"SciFact", "STS12"}
    assert "RTE" not in {row.name for row in shown.rows}
    assert shown.left_out == [f"RTE: {message}"]
    assert "other data" in message


def test_what_one_side_alone_has_is_a_note(raw: Raw, tmp_path: Path) -> None:
    raw["quality"][0]["left_out"] = ["ArguAna", "FEVER"]
    assert read(raw, tmp_path).notes == ["left out, only on one side: ArguAna, FEVER"]


def test_two_baselines_are_two_tables(raw: Raw, tmp_path: Path) -> None:
    pinned = json.loads(json.dumps(raw["quality"][0]))
    pinned["baseline"]["label"] = "pinned"
    raw["quality"].append(pinned)
    assert [shown.baseline for shown in read(raw, tmp_path).judged] == [
        raw["quality"][0]["baseline"]["label"],
        "pinned",
    ]


def test_one_task_alone_has_no_mean(gate: Callable[..., Path]) -> None:
    [shown] = read_verdict(gate("int8", "--task", "SciFact"), COLUMNS).judged
    assert [row.name for row in shown.rows] == ["SciFact"]


def test_drift_and_speed_gates(tmp_path: Path) -> None:
    tasks = [TaskDrift("SciFact", OK, "exact", 0.6, 0.6, 0.0), TaskDrift("STS12", REGRESSED, "changed", notes=("n",))]
    vectors = VectorDrift(OK, "64 vectors are the same")
    drift = Drift(REGRESSED, "b", "c", DriftLimits(), vectors, tasks, ("torch 1 -> 2",))
    fast = Speed(OK, "b", "c", 1.1, (2.0,) * 5, (1.0,) * 5, 64, 900, "cpu", {"cores": 2})
    outcome = Outcome(plain=[of_drift(drift), of_speed(fast)], command=("evaluate", "gate", "--gate", "drift"))
    [path, *_] = write(tmp_path, outcome)
    found = read_verdict(path, COLUMNS)
    assert (found.verdict, found.headline) == (REGRESSED, "drift: STS12: changed")
    assert found.lines == [(REGRESSED, "drift gate"), (OK, "speed gate")]
    assert found.notes[:3] == [
        "vectors: OK: 64 vectors are the same",
        "SciFact: OK: exact",
        "STS12: REGRESSED: changed",
    ]
    assert found.notes[3].startswith("time: OK: 2.00 times as fast as the baseline")
    assert found.notes[4:6] == ["other than before: torch 1 -> 2", "STS12: n"]
    assert (found.judged, found.sentence) == ([], "")
    assert found.command == ["evaluate", "gate", "--gate", "drift"]


def test_a_gate_that_compared_nothing(tmp_path: Path) -> None:
    [path, *_] = write(tmp_path, Outcome())
    found = read_verdict(path, COLUMNS)
    assert (found.verdict, found.headline) == ("NOT COMPARABLE", "no gate ran")
    assert (found.judged, found.lines, found.notes) == ([], [], [])


def test_notes_are_not_without_end(raw: Raw, tmp_path: Path) -> None:
    parts = [{"name": f"t{i}", "verdict": OK, "message": "exact"} for i in range(500)]
    raw["drift"] = [{"parts": parts, "notes": []}]
    assert len(read(raw, tmp_path).notes) < 50


def test_a_difference_without_an_interval(raw: Raw, tmp_path: Path) -> None:
    task = raw["quality"][0]["tasks"][0]
    task["difference"] |= {"low": None, "high": None}
    task["p_adjusted"] = None
    row = next(row for row in read(raw, tmp_path).judged[0].rows if row.name == task["name"])
    assert row.delta == points(task["difference"]["delta"])
    assert (row.low, row.high, row.note) == (None, None, f"margin {100 * task['margin']:.2f}")


# What is no gate.json; of one edited in every place see tests/hostile


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not readable"),
        (b"\xff\xfe{}", "not readable"),
        (b"[" * 200_000, "not readable"),
        (b"[]", "schema version None is not 1"),
        (b'{"schema_version": "1"}', "schema version '1' is not 1"),
        (b'{"schema_version": 2}', "schema version 2 is not 1"),
    ],
)
def test_another_file(content: bytes, words: str, tmp_path: Path) -> None:
    with one_line(tmp_path, words):
        read(content, tmp_path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with one_line(tmp_path, "no such file or directory"):
        read_verdict(tmp_path / "gate.json", COLUMNS)
    (tmp_path / "gate.json").mkdir()
    with one_line(tmp_path, "a folder"):
        read_verdict(tmp_path / "gate.json", COLUMNS)


def test_a_file_cut_short(regressed: Path, tmp_path: Path) -> None:
    with one_line(tmp_path, "not readable"):
        read(regressed.read_bytes()[:-400], tmp_path)


def test_a_missing_key_is_named(raw: Raw, tmp_path: Path) -> None:
    quality = ("quality", 0)
    places: list[tuple[Any, ...]] = [
        *((key,) for key in ("verdict", "headline", "gates", "quality", "command")),
        *((*quality, key) for key in ("tasks", "macro", "left_out", "sentence", "candidate", "baseline")),
        *((*quality, "tasks", 0, key) for key in ("name", "verdict", "baseline", "difference", "margin", "p_adjusted")),
        *((*quality, "tasks", 0, "difference", key) for key in ("delta", "low", "high", "n")),
    ]
    for place in places:
        changed = json.loads(json.dumps(raw))
        node = changed
        for key in place[:-1]:
            node = node[key]
        del node[place[-1]]
        with one_line(tmp_path, "not a whole gate.json", place[-1]):
            read(changed, tmp_path)
    changed = json.loads(json.dumps(raw))
    changed["quality"][0]["tasks"][0]["difference"] = None  # of a task without one the message is shown
    del changed["quality"][0]["tasks"][0]["message"]
    with one_line(tmp_path, "not a whole gate.json", "message"):
        read(changed, tmp_path)


def test_unknown_verdicts(raw: Raw, tmp_path: Path) -> None:
    with one_line(tmp_path, "not a whole gate.json", "unknown verdict 'FINE'"):
        read(raw | {"verdict": "FINE"}, tmp_path)
    raw["quality"][0]["tasks"][1]["verdict"] = "FINE"
    with one_line(tmp_path, "not a whole gate.json", "unknown verdict"):
        read(raw, tmp_path)


@pytest.mark.parametrize("value", [float("nan"), "x", True, [], 10**400], ids=lambda v: str(v)[:4])
@pytest.mark.parametrize("place", ["delta", "baseline"])
def test_what_is_no_number_where_one_belongs(raw: Raw, tmp_path: Path, place: str, value: object) -> None:
    task = raw["quality"][0]["tasks"][0]
    (task["difference"] if place == "delta" else task)[place] = value
    with one_line(tmp_path, "not readable (a number of 401 digits)" if value == 10**400 else "not a whole gate.json"):
        read(raw, tmp_path)
