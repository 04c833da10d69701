"""`docs/schemas/score.json` is the schema of what is written: `ACCEPT=1` makes it again."""

import json
import os
from pathlib import Path

from instructor_eval.results.score import schema

FILE = Path(__file__).parents[2] / "docs" / "schemas" / "score.json"


def test_the_schema_in_the_docs_is_current() -> None:
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("ACCEPT") == "1":
        FILE.write_text(text, encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == text


def test_it_names_what_a_score_must_have() -> None:
    score = schema()["$defs"]["Score"]
    assert {"identity", "status", "task", "model", "instructions", "metric"} <= set(score["required"])
    assert schema()["$defs"]["Counts"]["properties"]["texts"]["minimum"] == 0
