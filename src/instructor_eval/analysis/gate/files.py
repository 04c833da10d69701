"""Files of a gate: gate.json for programs, junit.xml for dashboards, Markdown for people, a line for GitHub.

The files hold no time of day: the same results, thresholds and command give the same bytes. GitHub Actions is known by
its variables; elsewhere nothing is added for it, and files and exit code say everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from instructor_eval.analysis.gate.markdown import COMMENT, summary
from instructor_eval.analysis.gate.outcome import (
    NOTHING,
    Outcome,
    Part,
    Plain,
    cells,
    cut,
    ordered,
    repeat_command,
    score,
    suite_names,
)
from instructor_eval.analysis.gate.quality import INCONCLUSIVE, NOT_COMPARABLE, REGRESSED, Judgement, TaskVerdict
from instructor_eval.analysis.gate.reasons import Adjustment
from instructor_eval.analysis.statistics.estimates import Chance, Difference
from instructor_eval.core.environment import VERSION
from instructor_eval.core.errors import UserError, one_line, printable, reason
from instructor_eval.core.whole_files import atomic_write, check_writable
from instructor_eval.results.checksums import json_bytes

SCHEMA_VERSION = 1
FILES = ("gate.json", "junit.xml", "summary.md", "comment.md")
JOB_SUMMARY = 1024 * 1024
"""Bytes of a step's summary that GitHub takes."""
_ELEMENTS = {REGRESSED: "failure", NOT_COMPARABLE: "error", INCONCLUSIVE: "skipped"}
_NAME, _TEXT = 250, 2000
_COUNTS = (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
_LEVELS = {REGRESSED: "error", NOT_COMPARABLE: "error", INCONCLUSIVE: "warning"}
_ANNOTATION, _TITLE, _URL = 1000, 100, 2000


def prepare(folder: Path) -> None:
    """Delete what an earlier gate left in the folder: no one may take that for this one's. It is made by `write`.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        check_writable(folder)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as e:
        raise _not_written(folder, e) from e


def write(folder: Path, outcome: Outcome) -> list[Path]:
    """Write all files, each whole or not at all.

    Returns:
        Their paths, gate.json first.

    Raises:
        UserError: the folder cannot be written.
    """
    contents = {
        "gate.json": json_bytes(as_json(outcome)),
        "junit.xml": junit(outcome),
        "summary.md": summary(outcome).encode("utf-8", "replace"),
        "comment.md": summary(outcome, COMMENT).encode("utf-8", "replace"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            atomic_write(folder / name, lambda f, content=content: f.write(content))
    except OSError as e:
        raise _not_written(folder, e) from e
    return [folder / name for name in contents]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return everything that was decided, and why; scores, differences and margins are fractions of 1.

    The thresholds are in the units of their file.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": outcome.verdict,
        "exit_code": outcome.exit_code,
        "headline": outcome.headline,
        "gates": outcome.verdicts,
        "quality": [_quality(j) for j in outcome.judgements],
        **{gate: [_plain(p) for p in outcome.plain if p.gate == gate] for gate in ("drift", "speed")},
        "thresholds": outcome.thresholds.as_json(),
        "fail_on_inconclusive": outcome.fail_on_inconclusive,
        "version": VERSION,
        "command": list(outcome.command),
        "report": outcome.report,
    }


def _quality(judgement: Judgement) -> dict[str, Any]:
    comparison = judgement.comparison
    return {
        "verdict": judgement.verdict,
        "baseline": {"label": comparison.baseline, "source": comparison.baseline_source},
        "candidate": {"label": comparison.candidate, "source": comparison.candidate_source},
        "macro": _verdict(judgement.macro, comparison.macro_chance) if judgement.macro else None,
        "types": {kind: _difference(difference) for kind, difference in comparison.types.items()},
        "adjustment": _adjustment(judgement.adjustment),
        "tasks": [_task(row) for row in ordered(judgement) if row is not judgement.macro],
        "left_out": list(comparison.left_out),
        "sentence": judgement.sentence,
    }


def _adjustment(found: Adjustment) -> dict[str, Any]:
    """Return what `p_adjusted` is adjusted for."""
    return {
        "method": "holm" if found.tasks > 1 else "none",
        "alpha": found.alpha,
        "tasks": found.tasks,
        "task_weight": 1.0,
        "mean_weight": found.mean_weight,
        "sentence": found.sentence,
    }


def _plain(found: Plain) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "baseline": {"label": found.baseline},
        "candidate": {"label": found.candidate},
        "line": found.line,
        "parts": [asdict(p) for p in found.parts],
        "notes": list(found.notes),
        "details": dict(found.raw),
    }


def _task(row: TaskVerdict) -> dict[str, Any]:
    task = row.comparison
    if task is None:
        return _verdict(row, None)
    return {
        **_verdict(row, task.chance),
        "type": task.type,
        "metric": task.metric,
        "unit": task.unit,
        "baseline": task.baseline,
        "candidate": task.candidate,
        "p_t": task.p_t,
        "items": task.n,
        "wins": task.wins,
        "ties": task.ties,
        "losses": task.losses,
        "changed": task.changed,
        "lost": [asdict(m) for m in task.lost],
        "gained": [asdict(m) for m in task.gained],
        "not_comparable": task.not_comparable,
        "notes": list(task.notes),
        "command": list(task.command),
        "repeat": repeat_command(row),
    }


def _verdict(row: TaskVerdict, chance: Chance | None) -> dict[str, Any]:
    """Return what a task and the mean have in common."""
    return {
        "name": row.name,
        "verdict": row.verdict,
        "message": row.message,
        "margin": row.margin,
        "difference": _difference(row.difference) if row.difference else None,
        "p": chance.loss if chance else None,
        "p_gain": chance.gain if chance else None,
        "p_method": chance.method if chance else None,
        "p_exact": chance.exact if chance else None,
        "resamples": chance.resamples if chance else None,
        "p_adjusted": row.p_adjusted,
        "p_adjusted_gain": row.p_adjusted_gain,
        "minimum_detectable": row.minimum_detectable,
        "needed": row.needed,
        "same_model": row.same_model,
    }


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "delta": found.delta,
        "low": found.low,
        "high": found.high,
        "lower": found.lower,
        "upper": found.upper,
        "se": found.se,
        "df": found.df,
        "n": found.n,
        "method": found.method,
        "weak": found.weak,
    }


def _not_written(folder: Path, e: OSError) -> UserError:
    return UserError(f"cannot write the gate's files to {folder}: {reason(e)}: choose another folder with --output")


# junit.xml


def junit(outcome: Outcome) -> bytes:
    """Return the XML file's bytes, UTF-8."""
    root = ET.Element("testsuites", name="instructor-eval gate")
    names = suite_names([*(j.gate for j in outcome.judgements), *(p.gate for p in outcome.plain)])
    for judgement, name in zip(outcome.judgements, names, strict=False):
        _quality_suite(root, judgement, name)
    for plain, name in zip(outcome.plain, names[len(outcome.judgements) :], strict=True):
        suite = _suite(root, name, {"baseline": plain.baseline, "candidate": plain.candidate})
        for part in plain.parts or (Part(plain.gate, plain.verdict, plain.line),):
            _case(suite, name, part.name, part.verdict, part.message, plain.notes)
    if not len(root):  # an empty file would count as passed
        _case(_suite(root, "gate", {}), "gate", "gate", outcome.verdict, outcome.headline, ())
    for suite in root:
        _count(suite, suite.iter("testcase"), _COUNTS)
    _count(root, root.iter("testcase"), _COUNTS[:2])
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _quality_suite(root: ET.Element, judgement: Judgement, name: str) -> None:
    comparison = judgement.comparison
    about = {
        "baseline": comparison.baseline,
        "baseline source": comparison.baseline_source,
        "candidate": comparison.candidate,
        "candidate source": comparison.candidate_source,
    }
    suite = _suite(root, name, about)
    for row in ordered(judgement):
        _case(suite, name, row.name, row.verdict, row.message, _figures(row, judgement))
    if not judgement.tasks:
        _case(suite, name, "tasks", judgement.verdict, NOTHING, ())


def _suite(root: ET.Element, name: str, about: dict[str, str]) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=_legal(name, _NAME))
    properties = ET.SubElement(suite, "properties")
    for key, value in {"instructor-eval": VERSION, **about}.items():
        ET.SubElement(properties, "property", name=key, value=_legal(value, _TEXT))
    return suite


def _case(suite: ET.Element, gate: str, name: str, verdict: str, message: str, details: Sequence[str]) -> None:
    case = ET.SubElement(suite, "testcase", name=_legal(name, _NAME), classname=f"gate.{_legal(gate, _NAME)}")
    if verdict in _ELEMENTS:
        found = ET.SubElement(case, _ELEMENTS[verdict], message=_legal(message, _TEXT), type=verdict)
        found.text = "\n".join(_legal(line, _TEXT) for line in details)
    elif details:
        lines = (f"{verdict}: {message}", details[0])
        ET.SubElement(case, "system-out").text = "\n".join(_legal(line, _TEXT) for line in lines)


def _figures(row: TaskVerdict, judgement: Judgement) -> list[str]:
    """Return the numbers; of a regressed task its items too, and what the test says."""
    baseline, candidate, difference, p, margin = cells(row)
    scores = f"baseline {baseline}, candidate {candidate}, " if baseline and candidate else ""
    p_name = judgement.adjustment.p_name
    lines = [f"{scores}difference {difference or '-'}, {p_name} {p or '-'}, margin {margin} (points)"]
    if row.verdict != REGRESSED:
        return lines
    if row.comparison is not None and row.comparison.lost:
        lines.append("items that lost most (baseline, candidate):")
        lines += [f"- {cut(m.id, _NAME)} ({score(m.baseline)}, {score(m.candidate)})" for m in row.comparison.lost]
    return [*lines, judgement.adjustment.sentence, judgement.sentence]


def _count(element: ET.Element, cases: Iterable[ET.Element], kinds: Sequence[tuple[str, str]]) -> None:
    found = list(cases)
    element.set("tests", str(len(found)))
    for attribute, tag in kinds:
        element.set(attribute, str(sum(case.find(tag) is not None for case in found)))


def _legal(text: str, most: int) -> str:
    """Return `text` on one line and without what XML cannot hold: every such character is unprintable."""
    return printable(cut(text, most))


# GitHub


def report_url(given: str | None, env: Mapping[str, str]) -> str | None:
    """Return where a report can be seen: `--report`, else the page of this run of GitHub Actions, else nowhere.

    Raises:
        UserError: `given` is not an http or https address.
    """
    if given is not None:
        if not _is_address(given):
            raise UserError(
                f"--report {cut(given, 100)}: not an address: give one that begins with https:// or http://"
            )
        return given
    parts = [env.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    url = f"{parts[0].rstrip('/')}/{parts[1]}/actions/runs/{parts[2]}"
    return url if all(parts) and env.get("GITHUB_ACTIONS") and _is_address(url) else None


def annotation(outcome: Outcome, env: Mapping[str, str]) -> str | None:
    """Return the one line that GitHub shows at the top of a run; None elsewhere, and where all is well.

    Only ten are shown a step, so there is one, for the whole.
    """
    level = _LEVELS.get(outcome.verdict)
    if not env.get("GITHUB_ACTIONS") or level is None:
        return None
    title = f"evaluate gate: {outcome.verdict}"
    said = cut(outcome.headline.removeprefix(f"{outcome.verdict}: "), _ANNOTATION)
    return f"::{level} title={_escaped(cut(title, _TITLE), value=True)}::{_escaped(said, value=False)}"


def warning(text: str, env: Mapping[str, str]) -> list[str]:
    """Return an annotation, on GitHub, for a gate that passes without having tested; else nothing."""
    if not env.get("GITHUB_ACTIONS"):
        return []
    return [f"::warning title={_escaped('evaluate gate: not tested', value=True)}::{_escaped(text, value=False)}"]


def append_summary(outcome: Outcome, env: Mapping[str, str]) -> str | None:
    """Append the Markdown to the file that GITHUB_STEP_SUMMARY names, if it does and there is room.

    Returns:
        None, or one line that says why nothing was added: a summary is not worth the verdict.
    """
    name = env.get("GITHUB_STEP_SUMMARY", "")
    if not name:
        return None
    path = Path(name)
    try:
        there = path.stat().st_size if path.exists() else 0
        added = f"{chr(10) if there else ''}{summary(outcome)}\n".encode("utf-8", "replace")
        if there + len(added) > JOB_SUMMARY:
            return f"the job's summary has no room left ({there:,} bytes): nothing was added, see summary.md"
        # Of a FIFO that nobody reads this is an error; it does not wait.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o644), "ab") as f:
            f.write(added)
    except (OSError, ValueError) as e:
        cause = getattr(e, "strerror", None) or str(e)
        return one_line(f"the job's summary {path} cannot be written ({cause.lower()}): see summary.md")
    return None


def _is_address(url: str) -> bool:
    if len(url) > _URL or not url.isascii() or not url.isprintable() or any(c in ' <>"`\\' for c in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _escaped(text: str, *, value: bool) -> str:
    """Return a workflow command's text; the value of a property may not hold `:` and `,` either."""
    escapes = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *([(":", "%3A"), (",", "%2C")] if value else [])]
    for character, escape in escapes:
        text = text.replace(character, escape)
    return text
