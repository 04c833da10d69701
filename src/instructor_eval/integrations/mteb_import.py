"""Read mteb's results folders: of its cache, its results repository, one model or one revision.

Every file is somebody else's: read with bounds, checked value by value, refused with a line; the others count.
mteb is not imported. Files of mteb 1.11 to 2 have one layout (`scores`: split -> a list of subsets); earlier ones have
another, and later ones may.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructor_eval import metrics
from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.outside import why
from instructor_eval.core.stored_files import files_below, is_folder, read_json
from instructor_eval.results.imported import Imported, ImportedScore
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.task import Card

_META = "model_meta.json"
_EXPERIMENTS = "experiments"
_VERSION = re.compile(r"(\d+)\.(\d+)\b")
_OLDEST, _NEWEST = (1, 11), 2
"""The versions of one layout: the first, and the last's major number."""


class _BadFile(ValueError):
    """A file that gives no score, with the reason."""


@dataclass
class Found:
    """The contents of a folder."""

    models: list[Imported] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """A line a file that was not taken."""
    unknown: list[str] = field(default_factory=list)
    """Tasks that have no card here."""
    other_data: list[str] = field(default_factory=list)
    """Tasks whose data had another revision than the card's."""


def read_folder(folder: Path, source: str) -> Found:
    """Read all results below a folder.

    Args:
        folder: The folder.
        source: What to call the place.

    Raises:
        UserError: there is no such folder, or no result of mteb's in it.
    """
    if not is_folder(folder):
        raise UserError(f"{folder}: there is no such folder: give one with mteb's results")
    found, cards = Found(), {name: card for name, card in shipped_cards().items() if card.benchmark == "mteb"}
    scores: dict[tuple[str, str, str], dict[str, ImportedScore]] = defaultdict(dict)
    about: dict[Path, tuple[str, str, str]] = {}
    seen = 0
    for path in files_below(folder, ".json"):
        if path.name == _META or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        seen += 1
        relative = path.relative_to(folder).as_posix()
        try:
            score = _score(_read(path), relative, cards, found)
            if score is None:
                continue
            if path.parent not in about:
                about[path.parent] = _model(path.parent)
            of_model = scores[about[path.parent]]
            if score.task in of_model:
                raise _BadFile(f"task {score.task} of this model is in {of_model[score.task].file} too")
            of_model[score.task] = score
        except _BadFile as e:
            found.skipped.append(one_line(f"{relative}: {e}"))
    if not seen:
        raise UserError(f"{folder}: no .json files in it: give a folder with mteb's results")
    found.models = [
        Imported(model, source, revision, experiment, scores=tuple(of_model.values()))
        for (model, revision, experiment), of_model in scores.items()
    ]
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = read_json(path)
    except (OSError, ValueError) as e:
        raise _BadFile(f"not readable as JSON ({why(e)})") from e
    if not isinstance(raw, dict):
        raise _BadFile("no result of mteb's: not an object")
    return raw


def _score(raw: Mapping[str, Any], relative: str, cards: Mapping[str, Card], found: Found) -> ImportedScore | None:
    """Return the score in a file; None of a task that has no card here.

    Raises:
        _BadFile: there is none.
    """
    version = raw.get("mteb_version")
    known = _VERSION.match(version) if isinstance(version, str) else None
    if "mteb_dataset_name" in raw or (known and (int(known[1]), int(known[2])) < _OLDEST):
        raise _BadFile(f"of mteb {_shown(version)}, whose files before 1.11 have another layout: let mteb convert it")
    if known and int(known[1]) > _NEWEST:
        raise _BadFile(f"of mteb {_shown(version)}, which may have another layout: known are 1.11 to {_NEWEST}")
    task, scores = raw.get("task_name"), raw.get("scores")
    if not isinstance(task, str) or not isinstance(scores, dict):
        raise _BadFile("no result of mteb's: it has no task_name and scores")
    if task not in cards:
        found.unknown.append(task)
        return None
    card = cards[task]
    subset = _subset(scores, card)
    value = _value(subset, card)
    revision = raw.get("dataset_revision")
    revision = revision[:200] if isinstance(revision, str) else ""
    if revision and revision != card.data_revision:
        found.other_data.append(task)
    return ImportedScore(
        task,
        value,
        card.metric,
        relative[-1000:],
        mteb_version=version[:100] if isinstance(version, str) else "",
        data_revision=revision,
        split=card.split,
        subset=card.subset,
    )


def _subset(scores: Mapping[str, Any], card: Card) -> Mapping[str, Any]:
    """Return the figures of the card's split and subset."""
    entries = scores.get(card.split)
    if not isinstance(entries, list):
        raise _BadFile(f"split {card.split} of {card.name} is missing")
    wanted = "default" if card.parts else card.subset
    of_subset = [entry for entry in entries if isinstance(entry, dict) and entry.get("hf_subset") == wanted]
    if len(of_subset) != 1:
        what = "missing" if not of_subset else f"there {len(of_subset)} times"
        raise _BadFile(f"subset {wanted} of {card.name}, split {card.split}, is {what}")
    return of_subset[0]


def _value(subset: Mapping[str, Any], card: Card) -> float:
    """Return the card's metric among a subset's figures, mteb's main score."""
    name = card.metric if card.parts else (metrics.get(card.metric).mteb or card.metric)
    value = subset.get(name, subset.get("main_score"))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _BadFile(f"the score of {card.name} is {_shown(value)}, not a number")
    if not -1 <= value <= 1:
        raise _BadFile(f"the score of {card.name} is {value:.6g}, not a fraction of 1")
    return float(value)


def _model(folder: Path) -> tuple[str, str, str]:
    """Return name, revision and experiment of the model whose results a folder holds: of its file, else by its path."""
    experiment = folder.name if folder.parent.name == _EXPERIMENTS else ""
    place = folder.parent.parent if experiment else folder
    name, revision = place.parent.name.replace("__", "/"), place.name
    path = folder / _META
    if path.exists():
        raw = _read(path)
        given = raw.get("name"), raw.get("revision")
        if isinstance(given[0], str) and given[0].strip():
            name = given[0].strip()
        revision = given[1] if isinstance(given[1], str) else revision
    if not name:
        raise _BadFile("nothing says which model it is of: neither model_meta.json nor a folder <model>/<revision>")
    return one_line(name)[:500], one_line(revision)[:200], one_line(experiment)[:200]


def _shown(value: object) -> str:
    return one_line(str(value))[:60]
