"""The page's section of studies."""

from __future__ import annotations

from pathlib import Path

from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.files import InstructionStudy
from instructor_eval.analysis.study.instructions import PAPER, Candidate, Gain, Sensitivity, TaskStudy, Tried
from instructor_eval.report.studies import sections_of


def test_a_dot_for_every_candidate_and_the_papers_at_zero(tmp_path: Path) -> None:
    gain = Gain(0.02, 0.01, 0.03, "better")
    tried = (
        Tried(Candidate(PAPER, PAPER, {"query": "a"}), 0.5, 0.5, Gain(0.0, 0.0, 0.0, "same")),
        Tried(Candidate("<b>mine</b>", "yours", {"query": "b"}), 0.52, 0.53, gain),
    )
    spread = Sensitivity(0.5, 0.51, 0.52, 0.01)
    task = TaskStudy("SciFact", "ndcg_at_10", "query", 150, 150, tried, "<b>mine</b>", gain, gain, spread)
    files.write(tmp_path, "instructions", "org/model", InstructionStudy("org/model", "fp32", 0, (task,)))
    [section] = sections_of(tmp_path)
    assert section.title == "Instructions: SciFact"
    rows = {row.name: row for row in section.drawn.rows}
    assert list(rows) == ["paper", "<b>mine</b> ← winner"]
    assert rows["paper"].at == section.drawn.zero
    mine = rows["<b>mine</b> ← winner"]
    assert mine.low is not None and mine.high is not None
    assert section.drawn.zero < mine.low < mine.at < mine.high
    assert mine.verdict == "better"
    assert any("it is better" in text for text in section.sentences)


def test_a_folder_without_studies_has_no_section(tmp_path: Path) -> None:
    assert sections_of(tmp_path) == []
