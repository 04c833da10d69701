"""A task: its card, the encoder and settings of a run, and its outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from instructor_eval.core.values import Items, Template, Vectors

if TYPE_CHECKING:
    from instructor_eval.core.pictures import Item
    from instructor_eval.models.variant import Variant
    from instructor_eval.readers.answers import AnswerCache
    from instructor_eval.readers.contract import Reader
    from instructor_eval.search.chunks import ChunkSpec
    from instructor_eval.search.spec import SearchSpec


Role = Literal["query", "document", "text", "reference", "hypothesis", "example"]
OTHER = "other"
"""The domain of cards that say none."""


@dataclass(frozen=True)
class Card:
    """One task: a data set with its protocol. Cards are read from YAML by `tasks/cards.py`."""

    name: str
    benchmark: str
    type: str
    metric: str
    split: str = "test"
    subset: str = "default"
    data_id: str | None = None
    data_revision: str | None = None
    data_mirror: str | None = None
    """The data's id in a local mirror, if it is not `data_id`."""
    folder: Path | None = None
    """The data's folder, for the user's own tasks and the demo; None for tasks located by `data_id`."""
    domain: str = ""
    """Its subject: medical, news, ...; empty: not said."""
    show_texts: bool = False
    """True where the card says that the data's licence lets its texts stand in a page (`report --texts`)."""
    template: Template = field(default_factory=Template)
    template_is_default: bool = False
    """True if the card has no template, and its type's general wording is used."""
    instructions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Role -> {model id | family | "default": instruction}; other roles have no instruction of their own."""
    parts: tuple[str, ...] = ()
    part_of: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""
    file: Path | None = None

    @property
    def domain_name(self) -> str:
        """Return the domain that the task is chosen and grouped by."""
        return self.domain or OTHER

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose texts this task embeds."""
        return tuple(self.template.roles)


class TaskEncoder(Protocol):
    """The model as an adapter sees it, under one task's instructions. No tokenizer, no device, no cache."""

    name: str
    """The model's name, for libraries that need one."""
    variant: Variant
    """The precision of its vectors: some need another search than by cosine."""

    def instruction(self, role: str) -> str:
        """Return the literal instruction under which texts of a role are embedded."""
        ...

    def calibrate(self, texts: Iterable[Item], role: str) -> None:
        """Calibrate int8 on the texts that will be searched, before the first `encode`.

        Only the first call counts. Without a call, the texts of the first `encode` are used. Other variants do not read
        `texts` at all.
        """
        ...

    def encode(self, texts: Sequence[Item], role: str, *, bare: bool = False) -> Vectors:
        """Embed `texts` under the instruction of `role` (none if `bare`): float32 [len(texts), dim], in input order.

        Pictures may be among them, under no instruction, where the model reads pictures.
        """
        ...


class ChunkEncoder(TaskEncoder, Protocol):
    """An encoder that can cut documents too: its model's tokenizer is here."""

    def chunks(self, documents: Sequence[str], spec: ChunkSpec) -> list[list[tuple[str, int]]]:
        """Return the chunks of each document, each with its number of tokens."""
        ...

    def encode_chunks(self, chunks: Sequence[str]) -> Vectors:
        """Embed chunks as documents: float32 [len(chunks), dim]."""
        ...


@dataclass(frozen=True)
class Outcome:
    """A score and its items: `score == metrics.compute(metric, items)` holds exactly."""

    metric: str
    score: float
    items: Items
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Further figures of the same evaluation, for information."""
    gold_hash: str = ""
    """Hash of the gold values with their item ids."""
    search: Mapping[str, Any] = field(default_factory=dict)
    """Retrieval through a vector store: the figures for `Score.search`."""
    warnings: tuple[str, ...] = ()
    """Warnings for the data's owner, a line each."""


@dataclass(frozen=True)
class Selection:
    """The choice of demonstrations in prompt retrieval: `similar`, `bm25`, or `random` with a seed."""

    kind: str = "similar"
    seed: int = 0

    @property
    def name(self) -> str:
        """Its text on the command line."""
        return f"random:{self.seed}" if self.seed else self.kind

    @property
    def embeds(self) -> bool:
        """True if a model takes part."""
        return self.kind == "similar"


SIMILAR = Selection()


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run, the same for every task."""

    protocol: Mapping[str, str]
    seed: int = 42
    limit: int | None = None
    hub: Path | None = None
    offline: bool = False
    strict: bool = False
    """A warning about the data is an error."""
    selection: Selection = SIMILAR
    """Prompt retrieval: the choice of demonstrations."""
    reader: Reader | None = None
    """Prompt retrieval: the reader that answers the prompts; None: `nearest`."""
    answers: AnswerCache | None = None
    """Prompt retrieval: the cache of a reader's answers."""
    search: SearchSpec | None = None
    """Retrieval: the search for documents; None: exact."""
    rankings: bool = False
    """Retrieval and reranking: file all that was found and judged with the items, not the first ten alone."""
    texts_only: bool = False
    """A dry run: pass every text to the encoder and score nothing. The outcome is 0 without items (prompt retrieval:
    with the items that a reader would answer)."""


@dataclass(frozen=True)
class Resolved:
    """An instruction as used, and the rule that chose it."""

    text: str
    rule: str
