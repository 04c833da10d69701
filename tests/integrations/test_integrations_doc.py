"""The part of docs/integrations.md about results: its commands and lines of Python run in order, as they stand."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml
from made_up import MIRRORS

import instructor_eval as ie

DOC = Path(__file__).parents[2] / "docs" / "integrations.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_run(cli: Any, tmp_path: Path) -> None:
    model = tiny.build_instructor(tmp_path / "tiny", include_prompt_key=True)
    MIRRORS["SciFact"](tmp_path / "hub")
    os.environ["INSTRUCTOR_EVAL_HUB"] = str(tmp_path / "hub")
    names: dict[str, Any] = {}
    said: dict[str, str] = {}
    blocks = BLOCK.findall(DOC.read_text(encoding="utf-8"))
    assert [kind for kind, _ in blocks] == ["sh", "python", "sh", "python", "sh", "sh", "python"]
    for kind, text in blocks:
        example = text.replace("hkunlp/instructor-base", str(model))
        if kind == "python":
            exec(example, names)
            continue
        for line in example.splitlines():
            program, *words = shlex.split(line)
            assert program == "evaluate"
            done = cli(*words)
            assert done.code == 0, done.err
            said[words[0]] = done.out
    score = ie.load_results("results")["SciFact"].score
    measured = {str(measure): value for measure, value in names["measured"].items()}
    for name, figure in (("nDCG@10", "ndcg_at_10"), ("AP@1000", "map_at_1000"), ("R@100", "recall_at_100")):
        assert measured[name] == pytest.approx(score.metrics[figure], abs=1e-5)
    assert measured["RR@10"] == pytest.approx(score.metrics["mrr_at_10"], abs=1e-5)
    assert names["frame"]["local/tiny"].tolist() == pytest.approx([score.score], abs=1e-9)
    assert "local/tiny: 1 score imported" in said["import"]
    assert "of a colleague, 2 December)" in said["leaderboard"]
    card = yaml.safe_load(Path("model-index.yaml").read_text())
    assert card["model-index"][0]["results"][0]["metrics"][0]["value"] == pytest.approx(100 * score.score)
    assert f"| {100 * score.score:.2f}" in names["text"].replace("|  ", "| ").replace("|  ", "| ").replace("|  ", "| ")
    for text in score.instructions.texts.values():
        assert f'`"{text}"`' in names["text"]
