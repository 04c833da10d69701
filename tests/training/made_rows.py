"""Training rows made up for the tests: two kinds of pairs under instructions, with hard negatives."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

WORDS = [
    "time",
    "data",
    "river",
    "model",
    "city",
    "protein",
    "question",
    "storm",
    "water",
    "fire",
    "earth",
    "sky",
    "moon",
    "star",
    "day",
    "night",
    "cat",
    "dog",
]
ASK, SAY = "Represent the question for finding a sentence; ", "Represent the sentence for finding a question: "


def rows(count: int = 64, *, tasks: int = 2, negatives: bool = True, seed: int = 0) -> list[dict[str, Any]]:
    """Rows in MEDI's form, one task after another, as its file has them."""
    draw = random.Random(seed)
    found = []
    for n in range(count):
        words = draw.sample(WORDS, 4)
        other = draw.sample(WORDS, 4)
        row: dict[str, Any] = {
            "query": [ASK, " ".join([*words[:2], "what"] * draw.randint(1, 3))],
            "pos": [SAY, " ".join(words) + "."],
            "task_id": n * tasks // count,
        }
        if negatives:
            row["neg"] = [SAY, " ".join(other) + "."]
        found.append(row)
    return found


def write(path: Path, value: list[dict[str, Any]], *, lines: bool = False) -> Path:
    """Write rows as an array, or a row a line."""
    text = "\n".join(map(json.dumps, value)) if lines else json.dumps(value)
    path.write_text(text + "\n" * lines, encoding="utf-8")
    return path
