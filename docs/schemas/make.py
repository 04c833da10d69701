"""Write the JSON schemas beside this file, from the records that parse the same files; editors read them.

python docs/schemas/make.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from instructor_eval.analysis.gate.limits import ThresholdsFile
from instructor_eval.results.reading import OPTIONAL
from instructor_eval.results.score import Score
from instructor_eval.tasks.card_file import CardsFile, shape_of
from instructor_eval.tasks.instructions import InstructionsFile
from instructor_eval.tasks.types import TYPES

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by the name of their file."""
    return {
        "card.json": _cards(),
        "score.json": _score(),
        "instructions.json": _whole(InstructionsFile, "Instructions for `--instructions FILE`"),
        "thresholds.json": _whole(ThresholdsFile, "Limits for `evaluate gate --thresholds FILE`"),
    }


def _whole(shape: Any, title: str) -> dict[str, Any]:
    return {"$schema": _DRAFT, "title": title, **msgspec.json.schema(shape)}


def _score() -> dict[str, Any]:
    """Return the schema of a score's file, in which a record that does not apply is empty."""
    found = _whole(Score, "A score of a results folder")
    for name in OPTIONAL:
        found["$defs"]["Score"]["properties"][name]["anyOf"].append({"type": "object", "maxProperties": 0})
    return found


def _cards() -> dict[str, Any]:
    """Return the schema of a file with one card, or with several under `tasks`."""
    (several, *each), parts = msgspec.json.schema_components(
        [CardsFile, *map(shape_of, TYPES)], ref_template="#/$defs/{name}"
    )
    parts["CardsFile"]["properties"]["tasks"]["items"] = {"anyOf": each}
    return {
        "$schema": _DRAFT,
        "title": "Task cards",
        "if": {"required": ["tasks"]},
        "then": several,
        "else": {"anyOf": each},
        "$defs": parts,
    }


def main() -> None:
    """Write every schema."""
    for name, schema in schemas().items():
        (Path(__file__).parent / name).write_text(json.dumps(schema) + "\n")


if __name__ == "__main__":
    main()
