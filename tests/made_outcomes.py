"""Made-up outcomes of gates, with names that would break each of the formats they are written in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import xmlschema

from instructor_eval.analysis.compare.compare import Comparison, TaskComparison
from instructor_eval.analysis.gate.outcome import Outcome, Part, Plain
from instructor_eval.analysis.gate.quality import (
    IMPROVED,
    INCONCLUSIVE,
    MACRO,
    NOT_COMPARABLE,
    OK,
    REGRESSED,
    Judgement,
    TaskVerdict,
)
from instructor_eval.analysis.statistics.estimates import Chance, Difference
from instructor_eval.analysis.statistics.matching import Moved

SCHEMA = xmlschema.XMLSchema10(str(Path(__file__).parent / "golden" / "junit.xsd"))
HOSTILE = [
    "]]>",
    "nul\x00 bell\x07 esc\x1b[31m",
    "<script>alert(1)</script>",
    "a|b\\|c",
    "two\nlines\r\n::error::no",
    "::set-output name=x::y",
    "##[error]no",
    "--><img src=http://x.example/y.png>",
    "[link](javascript:x) ![i](http://x.example)",
    "``` `code` ~~~",
    "\ud800 \uffff \u202e rtl",
    "&amp; \" ' %0A @someone #1 $x$",
    "x" * 5000,
    "日" * 3000,
    "",
]
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "me/model",
    "GITHUB_RUN_ID": "42",
}


def task(name: str = "SciFact", delta: float = -0.059, *, items: int = 20, **fields: object) -> TaskComparison:
    lost = tuple(Moved(f"q{i}", 0.9, 0.1 + i / 100, -0.8 + i / 100) for i in range(items))
    base = TaskComparison(
        name, "Retrieval", "ndcg_at_10", "query", 0.645, 0.645 + delta,
        Difference(delta, delta - 0.017, delta + 0.017, 0.0085, 300, "t", False, delta - 0.014, delta + 0.014, 299.0),
        Chance(0.0001, 1.0, 9999, False, "sign-flip"), 0.00005, 300, 41, 160, 99, lost, lost[:2],
        command=("evaluate", "--model", "m", "--task", "SciFact", "--task=ArguAna", "--variant", "int8"),
        repeat=("evaluate", "--model", "m", "--variant", "int8", "--task", name),
    )  # fmt: skip
    return dataclasses.replace(base, **fields)


def verdict(name: str = "SciFact", kind: str = REGRESSED, delta: float = -0.059, **fields: object) -> TaskVerdict:
    found = task(name, delta, **fields)
    if kind == NOT_COMPARABLE:
        found = dataclasses.replace(found, difference=None, chance=None, not_comparable="other data")
    values = () if kind == NOT_COMPARABLE else (0.0004, 1.0, 0.021, 512)
    return TaskVerdict(name, kind, f"why {name}", 0.01, found, found.difference, *values)


def judgement(
    *rows: TaskVerdict, overall: str | None = None, macro: str | None = None, name: str = "b@fp32"
) -> Judgement:
    tasks = [r.comparison for r in rows if r.comparison]
    mean = Difference(-0.01, -0.02, 0.001, 0.005, len(rows), "welch", False, -0.018, -0.001, 9.0)
    comparison = Comparison(name, "c@int8", tasks, {"Retrieval": mean}, mean, Chance(0.03, 0.97), "results", "runs/2")
    whole = TaskVerdict(MACRO, macro, "why macro", 0.005, None, mean, 0.03, 1.0, 0.0125) if macro else None
    return Judgement(overall or (macro or rows[0].verdict), whole, list(rows), comparison)


def outcome(*judgements: Judgement, **fields: object) -> Outcome:
    return Outcome(judgements, command=("evaluate", "gate", "--baseline", "a b"), **fields)


def hostile(kind: str = REGRESSED) -> Outcome:
    rows = []
    for i, name in enumerate(HOSTILE):
        moved = tuple(Moved(bad, 0.9, 0.1, -0.8) for bad in HOSTILE)
        row = verdict(name, kind, -0.05 - i / 1000, lost=moved, repeat=("evaluate", "--model", name))
        rows.append(dataclasses.replace(row, message=f"why {name}"))
    parts = [Part(name, kind, f"found {name}") for name in HOSTILE]
    found = judgement(*rows, macro=kind, name=HOSTILE[2])
    return outcome(
        found,
        plain=[Plain("drift", kind, HOSTILE[4], HOSTILE[2], HOSTILE[3], parts, HOSTILE)],
        report="https://x.example/r",
    )


def mixed() -> Outcome:
    rows = [
        verdict("A ok", OK, 0.001),
        verdict("B open", INCONCLUSIVE, -0.004),
        verdict("C gone", NOT_COMPARABLE),
        verdict("D up", IMPROVED, 0.03),
        verdict("SciFact", REGRESSED),
        verdict("ArguAna", REGRESSED, -0.07),
    ]
    return outcome(judgement(*rows, overall=REGRESSED, macro=INCONCLUSIVE))


def many(n: int, kind: str, name: str = "task {}") -> Outcome:
    rows = [verdict(name.format(i), kind, -0.05) for i in range(n)]
    return outcome(judgement(*rows, macro=kind))
