"""The whole contract on one page: what a task, an encoder, an outcome and a score are.

The way of the data: a `Card` says what a task is; an adapter reads its texts by role and hands them to an `Encoder`;
scorers turn vectors into an `Outcome` (items, and a score computed from them); the store files it as a `Score`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:  # reading commands need no numpy
    import numpy as np
    import numpy.typing as npt

    from instructor_eval.readers.answers import AnswerCache
    from instructor_eval.readers.types import Reader
    from instructor_eval.search.spec import SearchSpec
    from instructor_eval.variants import Variant

    Vectors: TypeAlias = npt.NDArray[np.float32]
else:
    Vectors = Any
Items = dict[str, list[Any]]
"""Per-item evidence, by column; every column has one value an item, and there is always a column `id`."""

ROLES = ("query", "document", "text", "reference", "hypothesis", "example")
FAMILIES = ("instructor", "prefix", "plain")
UNSTARTED = "unstarted-"
"""Begins the fingerprint of a model that could not be had."""
DATA_NOTE = "data: "
"""Begins a score's notes about its data."""


@dataclass(frozen=True)
class Template:
    """What fills the unified instruction "Represent the <domain> <text type> for <objective>: " (paper, 2.3)."""

    domain: str = ""
    roles: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Role -> (text type, objective); an empty objective leaves the "for ..." out."""

    def instruction(self, role: str) -> str:
        """The template's instruction for `role`, ending in a colon and a blank as the authors' do."""
        text_type, objective = self.roles[role]
        what = " ".join(part for part in (self.domain, text_type) if part)
        goal = f" for {objective}" if objective else ""
        return f"Represent the {what}{goal}: "


@dataclass(frozen=True)
class Card:
    """One task: a data set with its protocol. Cards are read from YAML by `cards.py`."""

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
    template: Template = Template()
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


@dataclass(frozen=True)
class Resolved:
    """An instruction as used, and where it came from."""

    text: str
    rule: str


class Encoder(Protocol):
    """A model: texts and an instruction in, vectors out. Adapters see it through a `TaskEncoder` only."""

    fingerprint: str
    """Short hash of everything that changes a vector."""
    dim: int

    def encode(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Embed `texts` under `instruction`: float32 [len(texts), dim], in input order.

        Rows do not depend on their batch-mates (to 1e-5).

        Raises:
            ModelOutputError: a vector is not finite, or all zero.
        """
        ...


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
    """What vectors were kept as: precision, dim, bytes_per_vector, and for int8 the calibration"""
    cost: dict[str, Any] = field(default_factory=dict)
    """What the variant takes and how fast it is here (`costs/measure.py`); empty where it was not measured"""
    notes: list[str] = field(default_factory=list)
    """What a reader of the score must know: the card's notes, then the warnings about its data (`DATA_NOTE`)."""
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
    """short checksums of every field and of every column of the items (`checksums.py`)"""

    @property
    def data_warnings(self) -> list[str]:
        """What was found in its data."""
        return [note.removeprefix(DATA_NOTE) for note in self.notes if note.startswith(DATA_NOTE)]


ReadItems: TypeAlias = Callable[[Score], Items]
"""Reads the items of a stored score; a `UserError` where they are missing or not whole."""
