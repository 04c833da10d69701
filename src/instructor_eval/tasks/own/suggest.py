"""The card that a folder or a file of data would need, found from its files' names and columns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import is_folder
from instructor_eval.tasks.rows import SUFFIXES, find_file, read_rows

_LONGEST = 60
_BY_COLUMNS = (
    ({"query", "positive", "negative"}, "Reranking"),
    ({"sentences", "labels"}, "Clustering"),
    ({"sentence1", "sentence2", "score"}, "STS"),
    ({"sentence1", "sentence2", "label"}, "PairClassification"),
)
_SHOWN = "docs/adding-a-task.md has one"
_KNOWN = "corpus, queries and qrels; or a table whose columns are of a task type (docs/adding-a-task.md)"


def is_data(text: str) -> bool:
    """Return whether a text given as a task is a folder, or a file of rows."""
    path = Path(text)
    return bool(text) and (is_folder(path) or (path.suffix in SUFFIXES and path.is_file()))


def suggest(path: Path) -> dict[str, Any]:
    """Return a card for the data at `path`, as its YAML would be read; `data` is that folder, or the file's.

    Raises:
        UserError: the data are of no kind that is known, or a file cannot be read.
    """
    folder = path if is_folder(path) else path.parent
    stem = "test" if folder == path else path.stem
    type_, split = _type_of(path, folder, stem)
    whole = path.resolve()
    named = folder.resolve().name if stem == "test" else whole.stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", named).strip("-")[:_LONGEST] or "own"
    card: dict[str, Any] = {"name": name, "type": type_, "data": str(folder.resolve())}
    return card | ({"split": split} if split != "test" else {})


def as_yaml(card: dict[str, Any]) -> str:
    """Return a card as the text of its file."""
    return yaml.safe_dump(card, sort_keys=False, allow_unicode=True)


def _type_of(path: Path, folder: Path, stem: str) -> tuple[str, str]:
    """Return task type and split."""
    if folder == path:
        names = {file.stem for file in folder.iterdir() if file.suffix in SUFFIXES}
        if {"corpus", "queries"} <= names:
            return "Retrieval", _judged(folder)
        if any(name.endswith("_references") for name in names):
            return "TextEvaluation", stem
        if "pool" in names:
            raise UserError(f"{path}: a pool is PromptRetrieval's, whose card says what is asked: {_SHOWN}")
    columns = _columns(path if folder != path else find_file(folder, stem))
    for wanted, type_ in _BY_COLUMNS:
        if wanted <= columns:
            return type_, stem
    if {"text", "label"} <= columns:
        learned = folder == path and any((folder / f"train{suffix}").exists() for suffix in SUFFIXES)
        return "Classification" if learned else "Clustering", stem
    raise UserError(f"{path}: no task's data: its columns are {', '.join(sorted(columns))[:200]}; known are {_KNOWN}")


def _judged(folder: Path) -> str:
    """Return the split whose judgements are there: test, else the only one."""
    splits = sorted({p.stem for p in (folder / "qrels").glob("*") if p.suffix in SUFFIXES})
    if "test" in splits or len(splits) != 1:
        return "test"  # where it is missing, reading the data says so
    return splits[0]


def _columns(file: Path) -> set[str]:
    for _, row in read_rows(file):
        return {name.strip().lower() for name in row}  # reading the data says which name is meant
    raise UserError(f"{file}: it is empty")
