"""The JSON schemas for editors say what the parser says."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import instructor_eval as ie
from instructor_eval.core.errors import UserError
from instructor_eval.tasks.cards import read_cards

DOCS = Path(__file__).parent.parent / "docs" / "schemas"
SHIPPED = sorted((Path(__file__).parent.parent / "tasks").rglob("*.yaml"))
GOOD = {"name": "mine", "type": "Classification", "data": "folder"}
CHANGES: list[dict[str, Any]] = [
    {"type": "Retreival"},
    {"metrik": "accuracy"},
    {"data": {"place": "x"}},
    {"split": 2024},
    {"template": {"query": "question"}},
    {"template": {"text": ["a", "b", "c"]}},
    {"instructions": {"text": 3}},
    {"options": {"n_experiments": 0}},
    {"options": {"columns": {"body": "text"}}},
    {"notes": "one"},
    {"type": "PromptRetrieval", "options": {}},
    {"type": "PromptRetrieval", "options": {"input": "x", "centre": "all"}},
]


def schema(name: str) -> Any:
    return json.loads((DOCS / name).read_text())


@functools.cache
def checker(name: str) -> Any:
    """Make what checks a document; that the schema is one itself is checked once, for this takes longest."""
    made = schema(name)
    kind = jsonschema.validators.validator_for(made)
    kind.check_schema(made)
    return kind(made)


def test_the_files_are_those_of_the_records() -> None:
    spec = importlib.util.spec_from_file_location("make", DOCS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert {file.name for file in DOCS.glob("*.json")} == set(made.schemas())
    for name, expected in made.schemas().items():
        assert schema(name) == json.loads(json.dumps(expected)), "python docs/schemas/make.py"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_cards_fit_and_name_their_schema(file: Path) -> None:
    checker("card.json").validate(_as_json(yaml.safe_load(file.read_text())))
    first = file.read_text().split("\n", 1)[0]
    assert (file.parent / first.partition("$schema=")[2]).resolve() == DOCS / "card.json"


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_the_parser_refuses_the_schema_refuses(change: dict[str, Any], tmp_path: Path) -> None:
    checker("card.json").validate(GOOD)
    card = GOOD | change
    with pytest.raises(jsonschema.ValidationError):
        checker("card.json").validate(card)
    file = tmp_path / "card.yaml"
    file.write_text(yaml.safe_dump(card))
    with pytest.raises(UserError):
        read_cards(file)


def test_thresholds_and_instructions() -> None:
    checker("thresholds.json").validate({"margins": {"tasks": {"STS*": 2}}, "alpha": 0.01})
    with pytest.raises(jsonschema.ValidationError):
        checker("thresholds.json").validate({"margin": {}})
    checker("instructions.json").validate({"STS12": "Represent: ", "default": {"query": "a", "*": "b"}})
    with pytest.raises(jsonschema.ValidationError):
        checker("instructions.json").validate({"STS12": {"querry": "a"}})


def test_every_score_of_a_run_fits(tmp_path: Path) -> None:
    ie.evaluate(lambda texts: [[len(t), 1.0] for t in texts], "DemoSTS", results=tmp_path, name="lengths", cost="off")
    [file] = tmp_path.rglob("scores/**/*.json")
    score = json.loads(file.read_text())
    checker("score.json").validate(score)
    with pytest.raises(jsonschema.ValidationError):
        checker("score.json").validate(score | {"counts": {"texts": -1}})


def _as_json(value: Any) -> Any:
    """Return a YAML value as an editor's checker sees it: every key is a text."""
    if isinstance(value, dict):
        return {str(key): _as_json(v) for key, v in value.items()}
    return [_as_json(v) for v in value] if isinstance(value, list) else value
