"""A good results folder, and what is done to it: made once, written for each case, then one thing in it is changed."""

from __future__ import annotations

import dataclasses
import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import made_results
from made_scores import score_of

from instructor_eval.results.score import Score
from instructor_eval.tasks import protocol

TASKS = {task: made_results.TASKS[task] for task in ("SciFact", "STS12", "Banking77Classification")}
VARIANTS = ("fp32", "int8")
HUGE = "1" + "0" * 399
"""A number of 400 digits: no float holds it."""
ENDLESS = "9" * 4500
"""More digits than Python takes for a number."""
DEEP = "[" * 100_000 + "]" * 100_000
JUST_DEEP = "[" * 800 + "]" * 800
"""Python's own parser takes it; walking it would not end well."""
FIELDS = tuple(f.name for f in dataclasses.fields(Score))


def _score(task: str, value: float, **fields: Any) -> Score:
    kind = str(fields.pop("type"))
    model = {
        "name": fields.pop("model"), "revision": "main", "family": "plain", "fingerprint": fields.pop("fingerprint"),
        "variant": fields.pop("variant"),
    }  # fmt: skip
    given: dict[str, Any] = {
        "status": "ok", "benchmark": "mteb", "created": "2026-01-01T00:00:00+00:00",
        "protocol": protocol.relevant(protocol.parse([]), kind, task), "instructions": {"set": "paper", "roles": {}},
    }  # fmt: skip
    return score_of(task=task, score=value, type=kind, model=model, **given | fields)


@functools.cache
def _good() -> Mapping[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, variant in enumerate(VARIANTS):
            made_results.file(root, _score, tasks=TASKS, n=30, variant=variant, seed=1 + number)
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def results(folder: Path) -> Path:
    """Write the folder `results`: three tasks of one model in two forms."""
    root = folder / "results"
    for name, content in _good().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def score_file(root: Path, task: str = "SciFact", variant: str = "fp32") -> Path:
    """The file of one of its scores."""
    for path in sorted(root.glob(f"scores/*/*/{task}.*.json")):
        if json.loads(path.read_bytes())["model"]["variant"] == variant:
            return path
    raise LookupError(task)


def literal(text: str) -> str:
    """Mark a text that `change` writes as it is: numbers that no value of Python's is."""
    return f"@@{text}@@"


def change(path: Path, edit: Callable[[Any], None]) -> None:
    """Edit a score file as an earlier version, which knew no checksums, would have written it."""
    raw = json.loads(path.read_bytes())
    for name in ("sums", "checksum", "items_sha256"):
        raw.pop(name, None)
    edit(raw)
    text = json.dumps(raw, indent=1)
    while '"@@' in text:
        before, _, rest = text.partition('"@@')
        as_it_is, _, after = rest.partition('@@"')
        text = f"{before}{as_it_is}{after}"
    path.write_text(text)


def put(*place: Any, value: Any) -> Callable[[Any], None]:
    """An edit that puts a value at a place."""

    def edit(raw: Any) -> None:
        for key in place[:-1]:
            raw = raw[key]
        raw[place[-1]] = value

    return edit
