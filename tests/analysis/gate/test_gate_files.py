"""The files that a gate leaves behind, with names that would break each of the formats."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from made_outcomes import GITHUB, HOSTILE, SCHEMA, hostile, judgement, mixed, outcome, task, verdict

from instructor_eval.analysis.compare.compare import Comparison
from instructor_eval.analysis.format import SENTENCE
from instructor_eval.analysis.gate.drift import Drift, TaskDrift, VectorDrift
from instructor_eval.analysis.gate.files import (
    FILES,
    JOB_SUMMARY,
    annotation,
    append_summary,
    as_json,
    junit,
    prepare,
    report_url,
    write,
)
from instructor_eval.analysis.gate.limits import DriftLimits, Thresholds
from instructor_eval.analysis.gate.markdown import summary
from instructor_eval.analysis.gate.outcome import Outcome, Part, Plain, cut, of_drift, of_speed, repeat_command
from instructor_eval.analysis.gate.quality import (
    IMPROVED,
    INCONCLUSIVE,
    MACRO,
    NOT_COMPARABLE,
    OK,
    REGRESSED,
    Judgement,
    judge,
)
from instructor_eval.analysis.gate.speed import Speed
from instructor_eval.analysis.gate.text import render_text
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.core.errors import UserError
from instructor_eval.results.checksums import json_bytes

# --- the whole


def test_the_worst_gate_decides_and_comes_first() -> None:
    good = judgement(verdict("A", OK, 0.0), verdict("B", OK, 0.001), macro=OK)
    bad = Plain("drift", REGRESSED, "largest 1 - cosine 0.3", parts=[Part("vectors", REGRESSED, "0.3")])
    both = outcome(good, plain=[bad])
    assert (both.verdict, both.exit_code, both.verdicts) == (REGRESSED, 1, {"quality": OK, "drift": REGRESSED})
    assert both.headline == "REGRESSED: drift: largest 1 - cosine 0.3"
    assert outcome(good).headline == "OK: macro mean -1.00 points [-2.00, +0.10], margin 0.50; 2 tasks: 2 OK"
    assert mixed().headline == (
        "REGRESSED: ArguAna -7.00 points [-8.70, -5.30], margin 1.00, p <0.001; "
        "6 tasks: 2 REGRESSED, 1 NOT COMPARABLE, 1 INCONCLUSIVE, 1 IMPROVED, 1 OK"
    )


@pytest.mark.parametrize(
    ("kind", "strict", "code"),
    [(OK, True, 0), (IMPROVED, True, 0), (REGRESSED, False, 1), (INCONCLUSIVE, False, 0), (INCONCLUSIVE, True, 3),
     (NOT_COMPARABLE, False, 4)],
)  # fmt: skip
def test_exit_codes(kind: str, strict: bool, code: int) -> None:
    assert outcome(judgement(verdict(kind=kind)), fail_on_inconclusive=strict).exit_code == code


def test_nothing_compared_never_passes() -> None:
    empty = Judgement(NOT_COMPARABLE, None, [], Comparison("b", "c", []))
    for found in (Outcome(), outcome(empty)):
        assert found.exit_code == 4
        assert found.headline.startswith("NOT COMPARABLE: ")
        root = ET.fromstring(junit(found))
        SCHEMA.validate(root)
        assert (root.get("tests"), root.get("errors")) == ("1", "1")
        assert "NOT COMPARABLE" in summary(found)
        assert "NOT COMPARABLE" in render_text(found)


def test_two_baselines_have_different_names() -> None:
    found = outcome(judgement(verdict(kind=OK), name="last"), judgement(verdict(kind=REGRESSED), name="pinned"))
    assert (found.verdict, found.exit_code) == (REGRESSED, 1)
    assert found.headline.endswith("(against pinned in results)")
    suites = ET.fromstring(junit(found))
    assert [(s.get("name"), s.get("failures")) for s in suites] == [("quality", "0"), ("quality-2", "1")]
    assert [q["baseline"]["label"] for q in as_json(found)["quality"]] == ["last", "pinned"]


def test_two_drift_gates_have_different_names() -> None:
    drifts = [
        Plain("drift", v, "found", name, "c", [Part("vectors", v, "x")]) for v, name in ((OK, "a"), (REGRESSED, "b"))
    ]
    found = Outcome(plain=drifts)
    assert found.headline == "REGRESSED: drift: found (against b)"
    root = ET.fromstring(junit(found))
    SCHEMA.validate(root)
    assert [(s.get("name"), s.get("failures")) for s in root] == [("drift", "0"), ("drift-2", "1")]
    assert [d["verdict"] for d in as_json(found)["drift"]] == [OK, REGRESSED]
    for text in (summary(found), render_text(found)):
        assert "drift: found (against a)" in text.replace("\\", "")


def test_drift_and_speed_fit_the_common_shape() -> None:
    tasks = [
        TaskDrift("SciFact", OK, "exact", 0.6, 0.6, 0.0),
        TaskDrift("STS12", REGRESSED, "the score changed", notes=("n",)),
    ]
    drift = Drift(
        REGRESSED, "b", "c", DriftLimits(), VectorDrift(OK, "64 vectors are the same"), tasks, ("torch 1 -> 2",)
    )
    plain = of_drift(drift)
    assert (plain.gate, plain.verdict, plain.line) == ("drift", REGRESSED, "STS12: the score changed")
    assert [p.name for p in plain.parts] == ["vectors", "SciFact", "STS12"]
    assert plain.notes == ["other than before: torch 1 -> 2", "STS12: n"]
    fast = of_speed(Speed(OK, "b", "c", 1.1, (2.0,) * 5, (1.0,) * 5, 64, 900, "cpu", {"cores": 2}))
    assert fast.line.startswith("2.00 times as fast as the baseline [2.00-2.00]")
    found = Outcome(plain=[plain, fast])
    raw = json.loads(json_bytes(as_json(found)))
    assert raw["speed"][0]["details"]["ratio"] == 2.0
    assert raw["drift"][0]["details"]["tasks"][1]["message"] == "the score changed"
    SCHEMA.validate(ET.fromstring(junit(found)))
    assert "✗ REGRESSED  STS12" in render_text(found)
    assert "| ✅ OK | time | 2.00 times as fast" in summary(found)


def test_the_command_repeats_one_task() -> None:
    assert repeat_command(verdict()) == ["evaluate", "--model", "m", "--variant", "int8", "--task", "SciFact"]
    assert repeat_command(verdict(repeat=())) == []
    assert (
        repeat_command(verdict(kind=OK))
        == as_json(outcome(judgement(verdict(kind=OK))))["quality"][0]["tasks"][0]["repeat"]
    )


def test_cut_names_stay_different() -> None:
    one, two = cut("x" * 200 + "a", 50), cut("x" * 200 + "b", 50)
    assert one != two
    assert len(one) == len(two) == 50
    assert cut("short", 50) == "short"


# --- gate.json


def test_gate_json_has_everything(tmp_path: Path) -> None:
    [file, *_] = write(tmp_path / "new" / "folder", mixed())
    raw = json.loads(file.read_bytes())
    assert (raw["schema_version"], raw["verdict"], raw["exit_code"]) == (1, REGRESSED, 1)
    assert raw["command"] == ["evaluate", "gate", "--baseline", "a b"]
    assert raw["thresholds"] == Thresholds().as_json()
    [quality] = raw["quality"]
    assert quality["candidate"] == {"label": "c@int8", "source": "runs/2"}
    assert quality["macro"]["name"] == MACRO
    assert quality["macro"]["p"] == 0.03
    assert quality["types"]["Retrieval"]["delta"] == -0.01
    assert [t["verdict"] for t in quality["tasks"]] == [
        REGRESSED, REGRESSED, NOT_COMPARABLE, INCONCLUSIVE, IMPROVED, OK,
    ]  # fmt: skip
    found = next(t for t in quality["tasks"] if t["name"] == "SciFact")
    assert found["difference"] == {
        "delta": -0.059, "low": -0.059 - 0.017, "high": -0.059 + 0.017, "lower": -0.059 - 0.014,
        "upper": -0.059 + 0.014, "se": 0.0085, "df": 299.0, "n": 300, "method": "t", "weak": False,
    }  # fmt: skip
    expected = {
        "p": 0.0001, "p_gain": 1.0, "p_adjusted": 0.0004, "p_adjusted_gain": 1.0, "p_t": 0.00005, "margin": 0.01,
        "minimum_detectable": 0.021, "needed": 512, "items": 300, "wins": 41, "ties": 160, "losses": 99, "changed": 140,
        "baseline": 0.645, "message": "why SciFact", "unit": "query", "resamples": 9999,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert len(found["lost"]) == 20
    assert found["lost"][0] == {"id": "q0", "baseline": 0.9, "candidate": 0.1, "delta": -0.8}
    gone = next(t for t in quality["tasks"] if t["name"] == "C gone")
    assert (gone["difference"], gone["p"], gone["not_comparable"]) == (None, None, "other data")


def test_numbers_without_a_value_are_null() -> None:
    row = verdict(kind=OK)
    odd = dataclasses.replace(row, difference=Difference(float("nan"), df=float("inf")))
    plain = Plain("drift", OK, "all well", "b", "c", [Part("vectors", OK, "same")], ["a note"], {"texts": 64})
    raw = as_json(outcome(judgement(odd), plain=[plain]))
    assert raw["drift"] == [
        {
            "verdict": OK,
            "baseline": {"label": "b"},
            "candidate": {"label": "c"},
            "line": "all well",
            "parts": [{"name": "vectors", "verdict": OK, "message": "same"}],
            "notes": ["a note"],
            "details": {"texts": 64},
        }
    ]
    assert raw["speed"] == []
    text = json_bytes(raw).decode()
    assert json.loads(text, parse_constant=pytest.fail)["quality"][0]["tasks"][0]["difference"]["df"] is None


def test_same_outcome_same_bytes_and_no_leftovers(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", mixed()), write(tmp_path / "b", mixed())
    assert tuple(p.name for p in first) == FILES
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(FILES)


def test_files_of_an_earlier_gate_are_deleted(tmp_path: Path) -> None:
    write(tmp_path, mixed())
    (tmp_path / "mine.txt").write_text("stays")
    prepare(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("make", [prepare, lambda folder: write(folder, mixed())])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, make) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match=r"cannot write the gate's files to .*file.*: choose another folder with --output"
    ):
        make(tmp_path / "file")


# --- junit.xml


def test_junit_is_valid_and_says_what_dashboards_count() -> None:
    root = ET.fromstring(junit(mixed()))
    SCHEMA.validate(root)
    [suite] = root
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "7", "failures": "2", "errors": "1", "skipped": "2"}
    by_name = {c.get("name"): c for c in suite.iter("testcase")}
    assert next(iter(by_name)) == MACRO
    kinds = {name: [e.tag for e in case if e.tag != "system-out"] for name, case in by_name.items()}
    assert kinds == {
        MACRO: ["skipped"], "ArguAna": ["failure"], "SciFact": ["failure"], "C gone": ["error"], "B open": ["skipped"],
        "D up": [], "A ok": [],
    }  # fmt: skip
    failure = by_name["SciFact"].find("failure")
    assert failure is not None
    assert failure.attrib == {"message": "why SciFact", "type": REGRESSED}
    assert "difference -5.90 [-7.60, -4.20], p <0.001, margin 1.00" in (failure.text or "")
    assert "- q0 (90.00, 10.00)" in (failure.text or "")
    assert SENTENCE in (failure.text or "")
    skipped = by_name["B open"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "why B open"


def test_the_schema_refuses_what_is_not_junit() -> None:
    for wrong in (b"<testsuites><testcase name='a'/></testsuites>", b"<testsuite name='a'/>", b"<report/>"):
        assert not SCHEMA.is_valid(ET.fromstring(wrong))


@pytest.mark.parametrize("kind", [REGRESSED, INCONCLUSIVE, NOT_COMPARABLE, OK])
def test_hostile_names_make_valid_xml(kind: str) -> None:
    content = junit(hostile(kind))
    root = ET.fromstring(content)
    SCHEMA.validate(root)
    names = [c.get("name") for c in root.iter("testcase")]
    assert len(names) == 2 * len(HOSTILE) + 1
    assert {"]]>", "<script>alert(1)</script>"} <= set(names)
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", content)
    assert "<script>" not in content.decode()


# --- the terminal


def test_the_terminal_reads_from_the_top() -> None:
    lines = render_text(mixed(), [Path("out/gate.json")]).splitlines()
    assert lines[0] == mixed().headline
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("verdict")) :]
    assert table[2].split()[:4] == ["?", "INCONCLUSIVE", "macro", "mean"]
    assert re.fullmatch(r"✗ REGRESSED +SciFact +64.50 +58.60 +-5.90 \[-7.60, -4.20\] +<0.001 +1.00", table[4].rstrip())
    whole = "\n".join(lines)
    assert "  C gone: why C gone" in whole
    assert "lost most: q0, q1, q2" in whole
    assert "  run it again: evaluate --model m --variant int8 --task ArguAna" in whole
    assert " ".join(whole.split()).count(SENTENCE) == 1
    assert lines[-1] == "written: out/gate.json"


def test_the_terminal_is_120_columns_wide() -> None:
    rows = [verdict(f"{'x' * 60}{i}", kind, repeat=()) for i, kind in enumerate([REGRESSED, OK, NOT_COMPARABLE])]
    text = render_text(outcome(judgement(*rows, macro=NOT_COMPARABLE)))
    assert max(len(line) for line in text.splitlines()[1:]) <= 120


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_breaks_no_line_but_the_command(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = render_text(mixed(), [Path("out/gate.json"), Path("out/junit.xml")]).splitlines()
    assert max(len(line) for line in lines if "run it again" not in line) <= width
    tables = [line for line in lines if line.startswith("verdict")]
    assert len(tables) == {60: 3, 80: 2, 120: 1}[width]
    assert all(line.split()[1] == "task" for line in tables)


@pytest.mark.parametrize("kind", [REGRESSED, NOT_COMPARABLE, OK])
def test_names_neither_drive_the_terminal_nor_the_runner(kind: str) -> None:
    text = render_text(hostile(kind))
    assert all(line.isprintable() for line in text.split("\n"))
    assert not [line for line in text.split("\n") if line.lstrip().startswith("::")]
    assert "##[" not in text


# --- the CI system


def test_one_annotation_escaped() -> None:
    found = outcome(judgement(dataclasses.replace(verdict(kind=NOT_COMPARABLE), message="50 %: a,b\r\n::error::x")))
    assert annotation(found, GITHUB) == (
        "::error title=evaluate gate%3A NOT COMPARABLE::SciFact (50 %25: a,b ::error::x)"
    )
    assert annotation(hostile(), GITHUB).count("\n") == 0
    assert annotation(outcome(judgement(verdict(kind=INCONCLUSIVE))), GITHUB).startswith("::warning title=")
    assert annotation(outcome(judgement(verdict(kind=OK))), GITHUB) is None
    assert annotation(found, {}) is None


def test_the_jobs_summary_is_added_to(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    file.write_text("# before\n")
    assert append_summary(mixed(), {"GITHUB_STEP_SUMMARY": str(file)}) is None
    assert file.read_text() == f"# before\n\n{summary(mixed())}\n"
    assert append_summary(mixed(), {}) is None


@pytest.mark.parametrize("spare", [0, -1])
def test_the_jobs_summary_is_never_overfull(tmp_path: Path, spare: int) -> None:
    file = tmp_path / "summary"
    there = JOB_SUMMARY - len(f"\n{summary(mixed())}\n".encode()) - spare
    file.write_bytes(b"x" * there)
    note = append_summary(mixed(), {"GITHUB_STEP_SUMMARY": str(file)})
    if spare < 0:
        assert file.stat().st_size == there
        assert note == f"the job's summary has no room left ({there:,} bytes): nothing was added, see summary.md"
    else:
        assert note is None
        assert file.stat().st_size == JOB_SUMMARY


@pytest.mark.parametrize("name", [".", "none/there", "nul\0"])
def test_a_summary_that_cannot_be_written_costs_no_verdict(tmp_path: Path, name: str) -> None:
    note = append_summary(mixed(), {"GITHUB_STEP_SUMMARY": f"{tmp_path}/{name}"})
    assert note is not None
    assert "see summary.md" in note
    assert note.isprintable()


def test_the_report_is_where_it_was_said_or_the_run() -> None:
    run = "https://github.com/me/model/actions/runs/42"
    assert report_url(None, GITHUB) == run
    assert report_url("http://x.example/r?a=b", GITHUB) == "http://x.example/r?a=b"
    assert report_url(None, {}) is None
    assert report_url(None, GITHUB | {"GITHUB_REPOSITORY": "a b"}) is None
    found = outcome(judgement(verdict()), report=run)
    assert f"[Report](<{run}>)" in summary(found)
    assert as_json(found)["report"] == run
    assert f"report: {run}" in render_text(found)


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "file:///etc/passwd", "x.example", "", "http://", "http://a b", "http://a>b", "http://[x"],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"--report .*: not an address"):
        report_url(url, {})


# --- with the real judge


def test_a_judged_comparison_goes_through_every_output(tmp_path: Path) -> None:
    tasks = [task("SciFact"), task("ArguAna", 0.0, not_comparable="other data", difference=None, chance=None)]
    found = judge(Comparison("b", "c", tasks), Thresholds())
    result = outcome(found)
    write(tmp_path, result)
    raw = json.loads((tmp_path / "gate.json").read_bytes())
    assert [t["verdict"] for t in raw["quality"][0]["tasks"]] == [REGRESSED, NOT_COMPARABLE]
    assert raw["headline"].startswith("REGRESSED: SciFact -5.90 points [-7.60, -4.20], margin 1.00")
    SCHEMA.validate(str(tmp_path / "junit.xml"))
    assert "other data" in render_text(result)
