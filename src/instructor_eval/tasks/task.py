"""What a task is: its card, the encoder and the settings it is run with, and what it gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from instructor_eval.core.values import Items, Template, Vectors

if TYPE_CHECKING:
    from instructor_eval.models.variant import Variant
    from instructor_eval.readers.answers import AnswerCache
    from instructor_eval.readers.contract import Reader
    from instructor_eval.search.spec import SearchSpec


ROLES = ("query", "document", "text", "reference", "hypothesis", "example")


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
    """Where a local mirror has the data, if not under `data_id`."""
    folder: Path | None = None
    """The data's folder, for the user's own tasks and the demo; None for tasks located by `data_id`."""
    template: Template = field(default_factory=Template)
    template_is_default: bool = False
    """True where the card gives no template and its type's general wording stands in."""
    instructions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Role -> {model id | family | "default": instruction}; a role that is absent has none of its own."""
    parts: tuple[str, ...] = ()
    part_of: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""
    file: Path | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose texts this task embeds."""
        return tuple(self.template.roles)


class TaskEncoder(Protocol):
    """What an adapter is given: the model under one task's instructions. No tokenizer, no device, no cache."""

    name: str
    """The model's name, for those libraries that want one."""
    variant: Variant
    """What its vectors are kept as: a search may have to go another way than by cosine."""

    def instruction(self, role: str) -> str:
        """The literal instruction under which texts of a role are embedded."""
        ...

    def calibrate(self, texts: Iterable[str], role: str) -> None:
        """Say what will be searched, before the first `encode`: int8 takes every dimension's range from it.

        The first call counts. Where none comes, the texts of the first `encode` do. Other variants do not look at
        `texts` at all.
        """
        ...

    def encode(self, texts: Sequence[str], role: str, *, bare: bool = False) -> Vectors:
        """Embed `texts` under the instruction of `role` (none if `bare`): float32 [len(texts), dim], in input order."""
        ...


@dataclass(frozen=True)
class Outcome:
    """A score and the items it is computed from: `score == scorers.compute(metric, items)` holds exactly."""

    metric: str
    score: float
    items: Items
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Further figures of the same evaluation; informative."""
    gold_hash: str = ""
    """Hash of the gold values with their item ids."""
    search: Mapping[str, Any] = field(default_factory=dict)
    """Retrieval through a vector store: what `Score.search` says of it."""
    warnings: tuple[str, ...] = ()
    """What the data's owner must know of it, a line each."""


@runtime_checkable
class Adapter(Protocol):
    """How one benchmark's tasks are located, loaded and scored."""

    def data_key(self, card: Card, settings: RunSettings) -> str:
        """What names the data's exact content before it is loaded: a pinned revision, or a hash of local files."""
        ...

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        """Load the data, embed it, score it."""
        ...


@dataclass(frozen=True)
class Selection:
    """How demonstrations are chosen in prompt retrieval: `similar`, `bm25`, or `random` with a seed."""

    kind: str = "similar"
    seed: int = 0

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return f"random:{self.seed}" if self.seed else self.kind

    @property
    def embeds(self) -> bool:
        """Whether a model takes part."""
        return self.kind == "similar"


SIMILAR = Selection()


@dataclass(frozen=True)
class RunSettings:
    """What a run asks of every task."""

    protocol: Mapping[str, str]
    seed: int = 42
    limit: int | None = None
    hub: Path | None = None
    offline: bool = False
    strict: bool = False
    """Whether a warning about the data is an error."""
    selection: Selection = SIMILAR
    """Prompt retrieval: how demonstrations are chosen."""
    reader: Reader | None = None
    """Prompt retrieval: what answers the prompts; `nearest` where none is given."""
    answers: AnswerCache | None = None
    """Prompt retrieval: where a reader's answers are kept."""
    search: SearchSpec | None = None
    """Retrieval: what finds the documents; exact search where none is given."""
    texts_only: bool = False
    """A dry run: ask the encoder for every text, score nothing. The outcome is 0 of no items (for prompt retrieval:
    the items that a reader would be asked of)."""


@dataclass(frozen=True)
class Resolved:
    """An instruction as used, and where it came from."""

    text: str
    rule: str
