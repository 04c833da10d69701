"""Published scores, with their sources: `results/reference/` (see the README there); and what may stand beside them.

They are of whole tasks, as mteb's or the authors' code scored them. A result of some items, of another protocol, or of
other data is a number of another thing: its difference from a published score is never shown.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from instructor_eval.core.paths import shipped
from instructor_eval.results.score import Score
from instructor_eval.tasks import types
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.protocol import CHOICES, PAPER, relevant

CATEGORIES = tuple(kind.category for kind in types.TYPES.values() if kind.category)
"""The nine columns of the paper's Table 2, whose mean is its "Avg. (70)"."""
*_, BILLBOARD, PROMPTED = CATEGORIES


@dataclass
class Published:
    """The published scores of one model, fractions of 1."""

    model: str
    tasks: dict[str, float] = field(default_factory=dict)
    categories: dict[str, float] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    kind: str = "published"
    """published | imported (`results/imported.py`)"""


@cache
def published() -> dict[str, Published]:
    """Every published model by name: task scores from MTEB's results, categories from the paper's Table 2."""
    folder = shipped("results/reference")
    found: dict[str, Published] = defaultdict(lambda: Published(""))
    with (folder / "mteb_published.csv").open(encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            entry = found[row["model"]]
            entry.model = row["model"]
            entry.tasks[row["task"]] = float(row["score"])
    for entry in found.values():
        entry.sources.append("embeddings-benchmark/results@2d8f542")
    with (folder / "paper_table2.csv").open(encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            entry = found[row["model"]]
            if entry.categories:
                continue  # v3 stands first in the file, and is preferred
            entry.model = row["model"]
            entry.categories = {c: float(row[c]) / 100 for c in CATEGORIES}
            entry.sources.append(f"arXiv:2212.09741{row['version']}, Table 2")
    return dict(found)


def why_not(score: Score) -> str | None:
    """Return what keeps a result from being compared with a published score of its task, or None."""
    card, data = shipped_cards().get(score.task), score.data
    if card is None:
        return "published scores are of the shipped tasks, this is another"
    if score.limit is not None:
        return f"published scores are of whole tasks, this result of --limit {score.limit}"
    other = _other_choices(score.protocol)
    if other:
        return f"published scores are of mteb's protocol or the paper's, this result of {', '.join(other)}"
    for name, usual in (("revision", card.data_revision), ("split", card.split), ("subset", card.subset)):
        used = getattr(data, name)
        if used not in (None, usual):  # a file of an earlier version does not say split and subset
            return f"published scores are of {name} {usual} of the data, this result of {used}"
    return None


def beside(entry: Published, protocol: Mapping[str, str], limit: int | None) -> Published:
    """Return what of a model's published scores may stand beside results of this protocol and `--limit`."""
    if limit is not None:
        return replace(entry, tasks={}, categories={})
    known = shipped_cards()
    other = {card.type for card in known.values() if _other_choices(relevant(dict(protocol), card.type, card.name))}
    tasks = {task: value for task, value in entry.tasks.items() if task not in known or known[task].type not in other}
    return replace(entry, tasks=tasks, categories={c: v for c, v in entry.categories.items() if c not in other})


def _other_choices(protocol: Mapping[str, str]) -> list[str]:
    """Return the choices that neither mteb nor the paper made; `empty_text` changes no number."""
    return [
        f"{name}={value}"
        for name, value in protocol.items()
        if name != "empty_text" and value not in (CHOICES[name][0] if name in CHOICES else None, PAPER.get(name))
    ]
