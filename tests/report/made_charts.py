"""Charts of made-up boards."""

from __future__ import annotations

import re
from typing import Any

from made_boards import Made
from made_scores import score_of

from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Row
from instructor_eval.report.chart import Chart, Dot, charts
from instructor_eval.report.lines import MODEL, Line, lines
from instructor_eval.results.score import Score


def add(made: Made, model: str, task: str = "SciFact", variant: str = "fp32", **fields: Any) -> Score:
    identity = f"{model}-{variant}-{task}-{fields.get('instructions', '')}"
    fingerprint = f"{model}{variant}{'.' * 16}"[:16]
    return made.add(variant, task, model=model, identity=identity, fingerprint=fingerprint, **fields)


def drawn(made: Made, **fields: Any) -> dict[str, Chart]:
    board = made.board(**fields)
    return {c.key: c for c in charts(board, lines(board, Evidence(fields.get("items", made.items))))}


def dots(found: Chart) -> dict[str, Dot]:
    return {d.name: d for d in found.dots}


def line_of(**cost: Any) -> Line:
    score = score_of(
        identity="i", status="ok", task="SciFact", benchmark="mteb", type="Retrieval", metric="ndcg_at_10", score=0.5,
        model={"name": "org/a", "family": "plain", "fingerprint": "f", "variant": "fp32"}, instructions={"set": "x"},
        cost=cost,
    )  # fmt: skip
    return Line(Row("org/a", "paper", "measured", tasks={"SciFact": 0.5}, scores={"SciFact": score}), "a", 0, MODEL)


def points(path: str) -> list[tuple[float, float]]:
    assert re.fullmatch(r"M[\d. ]+(L[\d. ]+)*", path), path
    return [tuple(map(float, point.split())) for point in path[1:].split("L")]
