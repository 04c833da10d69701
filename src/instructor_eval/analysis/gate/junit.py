"""A gate's outcome as JUnit XML, in the form that Jenkins, GitLab and most dashboards read.

One suite a gate (and baseline), one case a task and the mean: REGRESSED is a failure, NOT COMPARABLE an error,
INCONCLUSIVE skipped with its message, OK and IMPROVED pass. No times of day: the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from instructor_eval.analysis.gate.outcome import NOTHING, Outcome, Part, cells, cut, ordered, score, suite_names
from instructor_eval.analysis.gate.quality import INCONCLUSIVE, NOT_COMPARABLE, REGRESSED, Judgement, TaskVerdict
from instructor_eval.core.environment import VERSION
from instructor_eval.core.errors import printable

_ELEMENTS = {REGRESSED: "failure", NOT_COMPARABLE: "error", INCONCLUSIVE: "skipped"}
_NAME, _TEXT = 250, 2000
_COUNTS = (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))


def junit(outcome: Outcome) -> bytes:
    """The XML file's bytes, UTF-8."""
    root = ET.Element("testsuites", name="instructor-eval gate")
    names = suite_names([*(j.gate for j in outcome.judgements), *(p.gate for p in outcome.plain)])
    for judgement, name in zip(outcome.judgements, names, strict=False):
        _quality(root, judgement, name)
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


def _quality(root: ET.Element, judgement: Judgement, name: str) -> None:
    comparison = judgement.comparison
    about = {
        "baseline": comparison.baseline,
        "baseline source": comparison.baseline_source,
        "candidate": comparison.candidate,
        "candidate source": comparison.candidate_source,
    }
    suite = _suite(root, name, about)
    for row in ordered(judgement):
        _case(suite, name, row.name, row.verdict, row.message, _details(row, judgement))
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


def _details(row: TaskVerdict, judgement: Judgement) -> list[str]:
    """The numbers; of a regressed task the items too, and what holds for them."""
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
    """`text` on one line and without what XML cannot hold: every such character is unprintable."""
    return printable(cut(text, most))
