"""A score as it is filed, and what groups scores into rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from instructor_eval.core.values import Items
from instructor_eval.models.variant import variant_label
from instructor_eval.tasks.protocol import relevant

UNSTARTED = "unstarted-"
"""Begins the fingerprint of a model that could not be had."""


DATA_NOTE = "data: "
"""Begins a score's notes about its data."""


@dataclass
class Score:
    """One result: (model, revision, variant, instruction set, task) with its evidence. Stored as one JSON file."""

    identity: str
    """Hash of everything that changes the number; the same identity means the same result."""
    status: str
    """ok | failed"""
    task: str
    benchmark: str
    type: str
    model: dict[str, Any]
    """name, revision, family, family_rule, fingerprint, base_fingerprint (of its fp32), variant, dim, max_length"""
    instructions: dict[str, Any]
    """set, and per role the literal text with the rule it came from"""
    metric: str
    score: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    n_items: int = 0
    items_file: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    """id, revision, split, subset and options as the card has them, key (what names the content beforehand), hash (of
    the texts and gold values really used)"""
    reader: dict[str, Any] = field(default_factory=dict)
    """Prompt retrieval: name and fingerprint of what answered, and how demonstrations were selected."""
    search: dict[str, Any] = field(default_factory=dict)
    """Retrieval through a vector store: backend (its canonical text), k, recall of the k exactly nearest documents,
    exact_score and loss, build_seconds (null where the index was there), queries_per_second (one after another),
    index_bytes, library; empty for exact search"""
    embedding: dict[str, Any] = field(default_factory=dict)
    """The vectors' precision, dim, bytes_per_vector, and for int8 the calibration"""
    cost: dict[str, Any] = field(default_factory=dict)
    """The variant's size and speed here (`run/costs.py`); empty where it was not measured"""
    notes: list[str] = field(default_factory=list)
    """Notes for whoever reads the score: the card's, then the warnings about its data (`DATA_NOTE`)."""
    protocol: dict[str, str] = field(default_factory=dict)
    protocol_version: str = "1"
    """`protocol.PROTOCOL_VERSION` of the code that made it; files without it are of version 1"""
    metric_origin: str = ""
    """the metric as the identity has it: of an installed package with the package's version."""
    seed: int = 42
    limit: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    """texts asked for, unique ones among them, hits (those found in the cache), tokens computed"""
    timings: dict[str, float] = field(default_factory=dict)
    """seconds: total; of it encode (without loading) and load (of the model)"""
    served: dict[str, float] = field(default_factory=dict)
    """Of a served model: requests, retries among them, and as far as they are known tokens (as its server counts them)
    and usd; what the task's own texts took"""
    environment: dict[str, Any] = field(default_factory=dict)
    """library versions and hardware; of a model, whether every vector was computed (`fresh`), and its probe's name"""
    command: list[str] = field(default_factory=list)
    """the argument vector that made it: run it again to repeat the result"""
    created: str = ""
    error: str | None = None
    schema_version: int = 1
    items_sha256: str | None = None
    """of the items file's bytes; None in files of earlier versions"""
    sums: dict[str, str] = field(default_factory=dict, compare=False)
    """short checksums of every field and of every column of the items (`results/checksums.py`)"""

    @property
    def data_warnings(self) -> list[str]:
        """Return the warnings about its data."""
        return [note.removeprefix(DATA_NOTE) for note in self.notes if note.startswith(DATA_NOTE)]


ReadItems: TypeAlias = Callable[[Score], Items]
"""Reads the items of a stored score; a `UserError` where they are missing or not whole."""


Key: TypeAlias = tuple[str, str, str, str]
"""The key of a row: the model's name, its fingerprint, its variant and the instruction set."""


def key_of(score: Score) -> Key:
    """The row that a stored score is part of; a store's search makes a row of its own, beside the variant's."""
    variant = variant_label(score.model["variant"], str(score.search.get("backend", "")))
    return score.model["name"], score.model["fingerprint"], variant, score.instructions["set"]


def is_made_with(score: Score, protocol: Mapping[str, str], limit: int | None) -> bool:
    """Return whether a score was made with this `--limit`, and with the protocol choices that concern its task."""
    return score.limit == limit and score.protocol == relevant(dict(protocol), score.type, score.task)
