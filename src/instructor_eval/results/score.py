"""A score as it is filed: frozen records, checked when a file is read (`reading.py`) and relied on from there.

What a file may hold stands in the annotations, which `docs/schemas/score.json` is made of. None is unknown, or does not
apply to the task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from instructor_eval.core.values import Items
from instructor_eval.models.variant import variant_label
from instructor_eval.tasks.protocol import relevant

SCHEMA_VERSION = 2
UNSTARTED = "unstarted-"
"""Begins the fingerprint of a model that could not be had."""
DATA_NOTE = "data: "
"""Begins a score's notes about its data."""

_LARGEST = 10**18
Name: TypeAlias = Annotated[str, Meta(max_length=10_000)]
Count: TypeAlias = Annotated[int, Meta(ge=0, lt=_LARGEST)]
Number: TypeAlias = Annotated[float, Meta(gt=-_LARGEST, lt=_LARGEST)]
Size: TypeAlias = Annotated[int, Meta(gt=0, lt=_LARGEST)]
"""Bytes."""
Positive: TypeAlias = Annotated[float, Meta(gt=1 / _LARGEST, lt=_LARGEST)]
Probe: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\.[0-9a-f]{16}$")]


@dataclass(frozen=True)
class Model:
    """The model that embedded, or what stands in its place."""

    name: Name
    family: Name
    """instructor | prefix | plain"""
    fingerprint: Name
    """Hash of everything that changes a vector."""
    variant: Name
    revision: Name = ""
    family_rule: Name = ""
    base_fingerprint: Name = ""
    """That of the same model as fp32; empty where it is not known."""
    dim: Count = 0
    """Values of a vector; 0: not known, or there are none."""
    max_length: Count = 0
    """Tokens; 0: without a limit, or not known."""


@dataclass(frozen=True)
class Instruction:
    """The literal instruction of a role, and the rule that it came from."""

    text: Name = ""
    rule: Name = ""


@dataclass(frozen=True)
class Instructions:
    """The instruction set, and what it comes to for each role."""

    set: Name
    roles: Mapping[str, Instruction] = field(default_factory=dict)

    @property
    def texts(self) -> dict[str, str]:
        """The literal instruction of each role."""
        return {role: given.text for role, given in self.roles.items()}


@dataclass(frozen=True)
class Data:
    """The data set, as its card names it, and what of it was really used."""

    id: Name | None = None
    revision: Name | None = None
    split: Name | None = None
    subset: Name | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    reading: Count | None = None
    """Of own data: the version of the code that reads it."""
    key: Name | None = None
    """The name of the content before it is read."""
    hash: Name | None = None
    """Of the texts and gold values really used."""


@dataclass(frozen=True)
class Reader:
    """Prompt retrieval: what answered the prompts, and how demonstrations were selected."""

    name: Name
    fingerprint: Name
    selection: Name = "similar"
    revision: Name | None = None
    dtype: Name | None = None
    url: Name | None = None
    model: Name | None = None


@dataclass(frozen=True)
class Search:
    """Retrieval through a vector store: its figures on the machine of the run."""

    backend: Name
    """The store, in its canonical text."""
    k: Count | None = None
    recall: Number | None = None
    """Share of the k exactly nearest documents that were found, mean over queries."""
    documents: Count | None = None
    build_seconds: Number | None = None
    """None where the index was there."""
    queries_per_second: Number | None = None
    """One after another."""
    index_bytes: Count | None = None
    library: Name | None = None
    index: Name | None = None
    server: Name | None = None
    exact_score: Number | None = None
    loss: Number | None = None
    """The score of exact search less the store's."""
    chunks: Count | None = None
    """Where documents were cut."""
    chunk_tokens: Count | None = None
    """Of all chunks, without instructions and special tokens."""


@dataclass(frozen=True)
class Calibration:
    """The ranges that vectors were rounded to int8 in, value by value."""

    texts: Count
    origin: Name
    role: Name
    instruction: Name
    low: tuple[Number, ...]
    high: tuple[Number, ...]
    clipped: Number
    """Share of values that lay outside."""


@dataclass(frozen=True)
class Embedding:
    """The precision of vectors in an index."""

    bytes_per_vector: Size
    precision: Name = "float32"
    dim: Count = 0
    drift: Number | None = None
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Prepare:
    """Seconds of a cold start, in its parts."""

    import_seconds: Number
    load_seconds: Number
    first_vector_seconds: Number


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds that half of some rounds took at most, 95 of 100, and 99."""

    p50: Positive
    p95: Positive
    p99: Positive
    rounds: Count = 0


@dataclass(frozen=True)
class CostFigures:
    """The size and speed of the model's numeric form on this machine (`results/costs.py`)."""

    identity: Name = ""
    form: Name = ""
    baseline: Name | None = None
    """The form that its ratios are relative to."""
    device: Name | None = None
    resident_bytes: Size | None = None
    file_bytes: Size | None = None
    size_ratio: Positive | None = None
    texts_per_second: Positive | None = None
    tokens_per_second: Positive | None = None
    pictures_per_second: Positive | None = None
    """Of a model of texts and pictures, which are opened and resized in that time."""
    speed_ratio: Positive | None = None
    speed_ratio_min: Positive | None = None
    speed_ratio_max: Positive | None = None
    texts: Count | None = None
    tokens: Count | None = None
    pictures: Count | None = None
    rounds: Count | None = None
    proof: Name = ""
    measured: Name = ""
    cold_start_seconds: Number | None = None
    """None, as the next four: not measured."""
    prepare: Prepare | None = None
    peak_memory_bytes: Count | None = None
    memory_before_load_bytes: Count | None = None
    memory_after_bytes: Count | None = None
    query_ms: Percentiles | None = None
    """One query, text in and vector out (`evaluate study latency`; for models of pictures always)."""


@dataclass(frozen=True)
class Counts:
    """Texts asked for, unique ones among them, those found in the cache, and tokens computed."""

    texts: Count = 0
    unique: Count = 0
    hits: Count = 0
    tokens: Count = 0


@dataclass(frozen=True)
class Timings:
    """Seconds: in all; of it encoding, and loading the model."""

    total: Number = 0.0
    encode: Number = 0.0
    load: Number = 0.0


@dataclass(frozen=True)
class Hardware:
    """The machine and the device that encoded."""

    device: Name = ""
    processor: Name = ""
    cores: Count | None = None
    system: Name = ""
    peak_memory_mb: Count | None = None
    gpu: Name | None = None
    peak_gpu_memory_mb: Count | None = None
    node: Name | None = None


@dataclass(frozen=True)
class Environment:
    """The libraries and hardware that a score was made with."""

    versions: Mapping[str, Name] = field(default_factory=dict)
    hardware: Hardware | None = None
    executor: Name | None = None
    workers: Count | None = None
    fresh: bool | None = None
    """True where this run computed every vector itself."""
    probe: Probe | None = None
    """The name of the probe of what computed (`results/probe.py`)."""


@dataclass(frozen=True)
class Interval:
    """The interval of a score, for other items of this kind; fractions of 1."""

    low: Number | None = None
    """None, as the next two: there is no interval."""
    high: Number | None = None
    se: Number | None = None
    """Standard error."""
    n: Count = 0
    """Units: queries, pairs, segments ..."""
    method: Name = ""
    """Where `se` is from, as in `analysis/statistics/spreads.py`."""
    weak: bool = False
    """True where it rests on too few units to be relied on."""
    df: Number | None = None
    """Degrees of freedom of `se`; None: infinitely many."""
    confidence: Number = 0.95


@dataclass(frozen=True)
class Shape:
    """A histogram of what units add to a score, and those at its ends; fractions of 1.

    A unit's part is its value where the score is a mean, else what it adds (`analysis/statistics/contributions.py`).
    """

    low: Number
    """Where the first bin starts: 0 where all values lie between 0 and 1."""
    high: Number
    counts: tuple[Count, ...]
    """Units in each of the equal bins from `low` to `high`."""
    median: Number
    worst: tuple[tuple[str, Number], ...]
    """Id and value, the lowest first; of equals the first by id."""
    best: tuple[tuple[str, Number], ...]
    is_mean: bool
    """True where the score is the mean of values that stand for themselves (not of what a correlation is made of)."""


@dataclass(frozen=True)
class Statistics:
    """Statistics of a score's items, computed when it is filed (`analysis/statistics/filed.py`)."""

    interval: Interval
    shape: Shape | None = None
    """None where no histogram can be made of the items."""
    further: Mapping[str, Interval] = field(default_factory=dict)
    """Of the figures beside the score that items tell: `fpr_at_95`, `threshold` ... (`metrics/separation.py`)."""
    replicates: Annotated[bytes, Meta(max_length=40_000)] = b""
    """The score of other draws of the items, less the score: float32, little-endian; base64 in the file."""


@dataclass(frozen=True)
class Score:
    """One result: (model, revision, variant, instruction set, task) with its evidence. Stored as one JSON file."""

    identity: Annotated[str, Meta(max_length=200, pattern="^[^/]*$")]
    """Hash of everything that changes the number; the same identity means the same result."""
    status: Name
    """ok | failed"""
    task: Name
    benchmark: Name
    type: Name
    model: Model
    instructions: Instructions
    metric: Name
    score: Number | None = None
    metrics: Mapping[str, Number | None] = field(default_factory=dict)
    n_items: Count = 0
    items_file: str | None = None
    data: Data = field(default_factory=Data)
    reader: Reader | None = None
    """Of prompt retrieval."""
    search: Search | None = None
    """None: exact, or no retrieval."""
    embedding: Embedding | None = None
    cost: CostFigures | None = None
    """None where it was not measured."""
    statistics: Statistics | None = None
    """None where the task failed, and in files of version 1."""
    notes: tuple[str, ...] = ()
    """Notes for whoever reads the score: the card's, then the warnings about its data (`DATA_NOTE`)."""
    protocol: Mapping[str, str] = field(default_factory=dict)
    protocol_version: Name = "1"
    """`protocol.PROTOCOL_VERSION` of the code that made it; files without it are of version 1"""
    metric_origin: Name = ""
    """The metric as the identity has it: of an installed package with the package's version."""
    seed: Count = 42
    limit: Count | None = None
    counts: Counts = field(default_factory=Counts)
    timings: Timings = field(default_factory=Timings)
    served: Mapping[str, Number] = field(default_factory=dict)
    """Of a served model: requests, retries among them, and as far as they are known tokens (as its server counts them)
    and usd; what the task's own texts took"""
    environment: Environment = field(default_factory=Environment)
    command: tuple[str, ...] = ()
    """The argument vector that made it: run it again to repeat the result."""
    created: Name = ""
    error: str | None = None
    schema_version: int = SCHEMA_VERSION
    items_sha256: str | None = None
    """Of the items file's bytes; None in files of earlier versions."""
    sums: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Short checksums of every field and of every column of the items (`results/checksums.py`)."""

    @property
    def store(self) -> str:
        """Return the vector store that retrieval went through; empty where there was none."""
        return self.search.backend if self.search else ""

    @property
    def answered_by(self) -> str | None:
        """Return the fingerprint of the reader; None where there was none."""
        return self.reader.fingerprint if self.reader else None

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
    variant = variant_label(score.model.variant, score.store)
    return score.model.name, score.model.fingerprint, variant, score.instructions.set


def is_made_with(score: Score, protocol: Mapping[str, str], limit: int | None) -> bool:
    """Return whether a score was made with this `--limit`, and with the protocol choices that concern its task."""
    return score.limit == limit and score.protocol == relevant(dict(protocol), score.type, score.task)
