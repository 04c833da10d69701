"""The Markdown that a gate leaves behind: rows, escapes, and the limits of those who show it."""

from __future__ import annotations

import dataclasses
import re

import pytest
from made_outcomes import HOSTILE, hostile, judgement, many, mixed, outcome, verdict

from instructor_eval.analysis.format import SENTENCE
from instructor_eval.analysis.gate.files import (
    JOB_SUMMARY,
)
from instructor_eval.analysis.gate.markdown import COMMENT, SUMMARY, Size, cell, summary
from instructor_eval.analysis.gate.outcome import Outcome, Part, Plain
from instructor_eval.analysis.gate.quality import (
    INCONCLUSIVE,
    MACRO,
    NOT_COMPARABLE,
    OK,
    REGRESSED,
)
from instructor_eval.analysis.gate.text import render_text
from instructor_eval.analysis.statistics.matching import Moved
from instructor_eval.core.escapes import markdown

# --- summary.md


def rows_of(markdown: str) -> list[list[str]]:
    """The cells of every row of its tables."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[c.strip() for c in re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]] for line in lines]


def test_the_summary_leads_with_the_verdict_and_what_regressed() -> None:
    text = summary(mixed())
    assert text.startswith("## ❌ REGRESSED: ArguAna -7.00 points")
    names = [cells[1] for cells in rows_of(text) if len(cells) == 8][2:]
    assert names == [MACRO, "ArguAna", "SciFact", "C gone", "B open", "D up", "A ok"]
    assert "| ❌ REGRESSED | SciFact | 64.50 | 58.60 | -5.90 [-7.60, -4.20] | &lt;0.001 | 1.00 | why SciFact |" in text
    assert "99 of 300 queries lost, 41 gained, 160 are the same." in text
    assert "| q0 | 90.00 | 10.00 | -80.00 |" in text
    assert "```\nevaluate --model m --variant int8 --task SciFact\n```" in text
    assert text.rstrip().endswith(SENTENCE)


@pytest.mark.parametrize("kind", [REGRESSED, NOT_COMPARABLE, OK])
def test_hostile_names_stay_cells(kind: str) -> None:
    text = summary(hostile(kind))
    assert {len(cells) for cells in rows_of(text)} <= {3, 4, 8}
    outside = re.sub(r"(?ms)^(`{3,})$.*?^\1$", "", text)
    assert "<" not in outside.replace("[Report](<", "")
    assert not re.search(r"(?<!\\)[`*~$]|(?<!\\)!\[|@someone|[^\\]://x", outside.replace("(<https://x.example/r>)", ""))
    assert "\x1b" not in text
    assert "\x00" not in text


def test_escaped_text_is_literal() -> None:
    assert markdown("a|b <i> [x](y) *z* & `c`") == r"a\|b &lt;i&gt; \[x\](y) \*z\* &amp; \`c\`"
    assert markdown("org/m@int8 @you") == "org/m@int8 @\u2060you"
    assert markdown("a\\|b") == "a\\\\\\|b"


@pytest.mark.parametrize("kind", [OK, REGRESSED, INCONCLUSIVE, NOT_COMPARABLE])
@pytest.mark.parametrize("size", [SUMMARY, COMMENT])
def test_the_first_hundred_rows_of_500_are_shown(kind: str, size: Size) -> None:
    text = summary(many(500, kind), size)
    assert text.startswith("## ")
    assert text.rstrip().endswith(SENTENCE)
    assert sum(cells[0].endswith(kind) for cells in rows_of(text) if len(cells) == 8) == 100
    assert f"\n... and 401 more rows, all {kind}: see gate.json\n" in text
    lost = re.search(r"\n... and the items of (\d+) more tasks: see gate.json\n", text)
    assert (lost[1] if lost else None) == (str(500 - size.sections) if kind == REGRESSED else None)


def test_no_loss_is_hidden_behind_rows_of_another_baseline() -> None:
    good = judgement(*[verdict(f"good {i}", OK, 0.0) for i in range(300)], macro=OK, name="last")
    bad = [verdict(f"bad {i}", REGRESSED, -0.05) for i in range(30)]
    drift = Plain("drift", INCONCLUSIVE, "open", parts=[Part(f"part {i}", INCONCLUSIVE, "x") for i in range(30)])
    text = summary(outcome(good, judgement(*bad, macro=REGRESSED, name="pinned"), plain=[drift]))
    rows = [cells for cells in rows_of(text) if len(cells) in (3, 8) and cells[0] and ":--" not in cells[1]]
    assert len(rows) == 100
    assert [cells[1] for cells in rows[:31]] == [MACRO, *(f"bad {i}" for i in sorted(range(30), key=str))]
    assert sum(cells[1].startswith("part ") for cells in rows) == 30
    assert "... and 262 more rows, all OK: see gate.json" in text


def test_what_passed_is_counted_not_listed() -> None:
    bad = [verdict(f"bad {i}", INCONCLUSIVE) for i in range(7)]
    found = outcome(judgement(*[verdict(f"good {i}", OK, 0.0) for i in range(480)], *bad, macro=OK))
    assert "... and 388 more rows, all OK: see gate.json" in summary(found)
    text = render_text(found)
    assert "and 448 more rows, all OK" in text
    assert all(f"bad {i}" in text and f"bad {i}" in summary(found) for i in range(7))


WORST = ["&", "`", "@.", "#1", "😀", "\x00", "://www.", "_ *"]
"""The texts that grow most when they are escaped, or take most bytes."""


def worst(name: str) -> Outcome:
    """More of everything than is shown, each text as long as it may be."""
    long = name * 5000
    moved = tuple(Moved(long, 1e17, -1e17, -2e17) for _ in range(40))
    row = verdict(long, lost=moved, baseline=1e17, candidate=-1e17, notes=(long,), repeat=("evaluate", name * 990))
    huge = dataclasses.replace(row.difference, delta=-1e17, low=-1e17, high=-1e17)
    row = dataclasses.replace(row, message=long, margin=1e17, difference=huge)
    found = judgement(*[row] * 150, macro=REGRESSED, name=long)
    comparison = dataclasses.replace(found.comparison, candidate=long, left_out=[long] * 90)
    plain = Plain("drift", REGRESSED, long, long, long, [Part(long, REGRESSED, long)] * 150, [long] * 90)
    return outcome(*[dataclasses.replace(found, comparison=comparison)] * 15, plain=[plain] * 15,
                   report=f"https://{'x' * 1900}")  # fmt: skip


def largest(size: Size) -> int:
    """Characters of a file at most: a hundred rows, ten gates, ten notes, so many sections."""
    line, row = size.line + 30, 20 + size.name + size.why + 4 * 12 + 40 + 8 * 3
    gate = 2 * size.name + size.line + 60 + 130 + 100  # who against whom, the head, how many more
    item = size.name + 3 * 12 + 4 * 3
    section = size.name + 40 + 150 + 100 + size.items * item + 20 + 3 * size.command  # a fence may be as long
    return line + 10 * line + 40 + 2020 + 10 * gate + 100 * row + 10 * (size.why + 3) + size.sections * section + 300


def test_githubs_limits_hold_by_arithmetic() -> None:
    assert 4 * largest(SUMMARY) <= JOB_SUMMARY == 2**20  # bytes, of which a character takes four at most
    assert largest(COMMENT) <= 65_536


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
@pytest.mark.parametrize("size", [SUMMARY, COMMENT])
def test_the_worst_names_stay_inside_the_arithmetic(name: str, size: Size) -> None:
    text = summary(worst(name), size)
    assert largest(size) / 4 < len(text) <= largest(size)
    assert text.rstrip().endswith(SENTENCE)
    assert "- ... and 20 more gates: see gate.json" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", [*WORST, *HOSTILE, "&" * 59 + "x", "q" * 61])
@pytest.mark.parametrize("most", [12, 60, 300])
def test_a_cell_is_never_longer_than_its_room(name: str, most: int) -> None:
    for text in (name, name * 40, name * 5000):
        assert len(cell(text, most)) <= most
        if len(markdown(text)) <= most:
            assert cell(text, most) == markdown(text)
