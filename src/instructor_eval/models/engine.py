"""The encoder that tasks share: repeats removed, the cache asked, the rest computed, order restored."""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from instructor_eval.cache.vectors import Cache, Space, keys_of
from instructor_eval.core.environment import hardware
from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.pictures import Item, Picture, shown
from instructor_eval.core.progress import Progress, doing
from instructor_eval.core.values import Vectors
from instructor_eval.models.batches import Computation, Work
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.description import ModelDescription
from instructor_eval.models.device import pick_device
from instructor_eval.models.inputs import OwnInputs
from instructor_eval.models.missing import Missing
from instructor_eval.models.precision import round_to

if TYPE_CHECKING:
    from instructor_eval.models.library_network import SentenceNetwork
    from instructor_eval.models.network import Network

# Texts looked up at once. Vectors of one call are stored in blocks by length: each block should be read once.
_LOOK_UP = 262_144
_STREAMED = 16_384


@dataclass
class Totals:
    """Counts and times of an engine's work so far."""

    texts: int = 0
    """Texts given to `encode`."""
    unique: int = 0
    """Texts without repeats within a call."""
    hits: int = 0
    """Unique texts found in the cache."""
    tokens: int = 0
    """Tokens computed, without padding."""
    seconds: float = 0.0
    """Time spent in `encode` without loading the model."""
    load: float = 0.0
    """Time spent loading the model, torch included."""
    computed: int = 0
    """Texts computed in batches on this machine."""
    computing: float = 0.0
    """Time spent on these batches: tokenising, computing and storing."""
    pictures: int = 0
    """Pictures computed in batches on this machine."""
    picturing: float = 0.0
    """Time spent on these: opening, resizing, computing and storing."""


class BaseEngine(ABC):
    """An encoder around whatever computes: it removes repeats, asks the cache, stores what is new, restores the order.

    Args:
        model: The model in its numeric form.
        cache: The cache that vectors are read from and written to; None computes everything.
    """

    libraries: tuple[str, ...] = ()
    """Libraries that take part, beside those that every score names; a score files their versions."""

    def __init__(self, model: ModelDescription, cache: Cache | None) -> None:
        self.model = model
        self.fingerprint = model.fingerprint
        self.dim = model.dim
        self.cache = cache
        self.space = Space(
            model.cached_fingerprint,
            model.name,
            model.revision,
            model.form if model.stored == "float32" else f"{model.form}+{model.stored}",
            self.dim,
            model.stored,
        )
        self.totals = Totals()
        self.drift = 0.0
        """Largest shift of a vector by rounding, as a share of its length."""

    @property
    @abstractmethod
    def device(self) -> str:
        """The device in use, or the one that would be."""

    def environment(self) -> dict[str, Any]:
        """Return where vectors are computed, for the score file."""
        return {"hardware": hardware(self.device)}

    def uncached(self) -> Self:
        """Return an engine of the same model without a cache, with counts of its own."""
        other = copy.copy(self)
        other.cache, other.totals, other.drift = None, Totals(), 0.0
        return other

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return settings of the computation that are not in the fingerprint."""

    def scope(self, instruction: str, task: str, task_type: str, role: str) -> str:
        """Return what a role's vectors depend on beside the text: the instruction, but for some served models."""
        return instruction

    def used(self) -> dict[str, float]:
        """Return a served model's use so far: `requests`, `retries`, `tokens`, `usd`; empty for others."""
        return {}

    @abstractmethod
    def input_lengths(self, texts: Sequence[str], instruction: str) -> list[int]:
        """Return the number of tokens of each input, instruction and special tokens included, not truncated.

        Length rules of protocols compare with it.
        """

    def spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return where each token of each text stands, without instruction and special tokens, not truncated.

        Raises:
            UserError: the model's tokenizer is not here, or does not tell.
        """
        raise UserError(
            f"{self.model.name}: its tokenizer is not here, so that documents cannot be cut: leave --chunk out"
        )

    @abstractmethod
    def _compute(self, missing: Missing) -> None:
        """Compute what the cache does not have, and put it where it belongs (`_take`, `_store`)."""

    def encode(
        self, texts: Sequence[Item], instruction: str, *, progress: Progress | None = None, most: int | None = None
    ) -> Vectors:
        """Embed `texts` under `instruction`: float32 [len(texts), dim], in input order.

        Args:
            texts: Any strings; a model of texts and pictures takes pictures among them, under no instruction.
            instruction: Put before each text, exactly as it is.
            progress: Updated with every text.
            most: Texts in a batch at most, within the budget of tokens.

        Raises:
            ModelOutputError: pooling has nothing left for a text, or a vector is not finite, or all zero.
            UserError: the model cannot be loaded, one text alone does not fit the device's memory, or it is a picture
                and the model reads texts alone.
        """
        if not self.model.reads_pictures:
            refuse_pictures(texts, self.model.name)
        started, loading = time.perf_counter(), self.totals.load
        progress = progress or Progress("")
        unique = list(dict.fromkeys(texts))
        vectors = self._room(len(unique))
        head = len(instruction)
        progress.expect(len(unique), sum(map(len, unique)) + head * len(unique))
        missing: list[int] = []
        keys: list[bytes] = []
        for start in range(0, len(unique), _LOOK_UP):
            part = unique[start : start + _LOOK_UP]
            part_keys = keys_of(self.space.fingerprint, instruction, part) if self.cache else []
            hit = np.zeros(len(part), dtype=np.bool_)
            if self.cache:
                hit = self.cache.read(self.space, part_keys, vectors[start : start + len(part)])
                keys += [key for key, known in zip(part_keys, hit, strict=True) if not known]
                found = [head + len(t) for t, known in zip(part, hit, strict=True) if known]
                progress.found(len(found), sum(found))
            missing += (np.flatnonzero(~hit) + start).tolist()
        if missing:
            wanted = [unique[i] for i in missing]
            self._compute(Missing(wanted, keys, instruction, vectors, missing, progress, most))
        self.totals.texts += len(texts)
        self.totals.unique += len(unique)
        self.totals.hits += len(unique) - len(missing)
        self.totals.seconds += time.perf_counter() - started - (self.totals.load - loading)
        if len(unique) == len(texts):
            return vectors
        place = {text: i for i, text in enumerate(unique)}
        return vectors[[place[t] for t in texts]]

    def stream(self, texts: Iterable[Item], instruction: str, *, window: int = _STREAMED) -> Iterator[Vectors]:
        """Embed any number of texts in bounded memory; yield arrays float32 [at most window, dim] in input order."""
        rest = iter(texts)
        while part := list(islice(rest, window)):
            yield self.encode(part, instruction)

    def _room(self, texts: int) -> Vectors:
        try:
            return np.empty((texts, self.dim), dtype=np.float32)
        except (MemoryError, ValueError) as e:
            raise UserError(
                f"model {self.model.name}: {texts:,} vectors of {self.dim:,} values need more memory than there is: "
                "take fewer texts, or check the dimensions in its configuration"
            ) from e

    def _take(self, missing: Missing, at: Sequence[int], found: Vectors, tokens: int) -> Vectors:
        """Check and round the vectors of some inputs, put them where they belong, and return them."""
        rows = self._rounded(self._checked(found, [missing.items[i] for i in at]))
        missing.place(at, rows)
        self.totals.tokens += tokens
        missing.advance(at, tokens)
        return rows

    def _store(self, missing: Missing, at: Sequence[int], rows: Vectors) -> None:
        """Write the vectors of some inputs to the cache."""
        if self.cache:
            self.cache.write(self.space, [missing.keys[i] for i in at], rows)

    def _checked(self, vectors: Vectors, texts: Sequence[Item]) -> Vectors:
        bad = ~np.isfinite(vectors).all(axis=1)
        kind = "a NaN or infinite"
        if not bad.any():
            bad, kind = ~vectors.any(axis=1), "an all-zero"
        if bad.any():
            raise ModelOutputError(
                f"model {self.model.name} gives {kind} vector for {shown(texts[int(bad.argmax())])}: "
                "no score can be computed; check the checkpoint"
            )
        return vectors

    def _rounded(self, vectors: Vectors) -> Vectors:
        """Round vectors as the cache does, so that a cold run and a warm run see the same."""
        if self.space.dtype == "float32":
            return vectors
        vectors, drift = round_to(vectors, self.space.dtype, model=self.model.name, instead="use --cache-dtype float32")
        self.drift = max(self.drift, drift)
        return vectors


class Engine(BaseEngine):
    """An engine that computes on this machine. It loads the network when the first text needs it.

    Args:
        checkpoint: The model, in its numeric form.
        device: auto, cpu, cuda, cuda:1.
        batch_tokens: Tokens in a batch, padding included; None: a default for the device.
        trust_remote_code: Let the checkpoint run code of its own.
        cache: The cache that vectors are read from and written to; None computes everything.
        compiled: Compile the forward pass.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "auto",
        batch_tokens: int | None = None,
        trust_remote_code: bool = False,
        cache: Cache | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__(checkpoint, cache)
        checkpoint.check_form(compiled=compiled)
        self.checkpoint = checkpoint
        self.batch_tokens = self._asked_batch_tokens = batch_tokens
        self._wanted_device = device
        self._trust_remote_code = trust_remote_code
        self._compiled = compiled
        self._network: Network | SentenceNetwork | None = None
        self._said = False
        if checkpoint.through:
            self.libraries = ("sentence-transformers", *(["peft"] if checkpoint.base else []))

    @property
    def network(self) -> Network | SentenceNetwork:
        """The loaded network."""
        if self._network is None:
            started = time.perf_counter()
            with doing(f"loading {self.model.name.rpartition('/')[2]}"):
                self._network = self._load(pick_device(self._wanted_device))
            self.totals.load += time.perf_counter() - started
        return self._network

    def _say_choice(self, say: Callable[[str], None]) -> None:
        """Print once what loading the network has chosen."""
        note = getattr(self.network, "note", "")
        if note and not self._said:
            self._said = True
            say(note)

    def _load(self, device: str) -> Network | SentenceNetwork:
        if self.checkpoint.through:
            from instructor_eval.models.library_network import SentenceNetwork

            return SentenceNetwork(self.checkpoint, device, trust_remote_code=self._trust_remote_code)
        from instructor_eval.models.network import Network  # the import of torch

        return Network(self.checkpoint, device, trust_remote_code=self._trust_remote_code, compiled=self._compiled)

    @cached_property
    def _own_inputs(self) -> OwnInputs:
        return OwnInputs(self.checkpoint)

    @property
    def inputs(self) -> OwnInputs | SentenceNetwork:
        """The converter of texts to rows of a batch: the tokenizer, or sentence-transformers with its modules."""
        if not self.checkpoint.through:
            return self._own_inputs
        return cast("SentenceNetwork", self.network)

    @property
    def device(self) -> str:
        """The device in use, or the one that would be."""
        return str(self._network.device) if self._network else pick_device(self._wanted_device)

    def environment(self) -> dict[str, Any]:
        """Return where and with what products vectors are computed, for the score file."""
        computed = {"computed": self._network.proof()} if self._network else {}
        return super().environment() | computed

    def options(self) -> dict[str, Any]:
        """Return settings of the computation that are not in the fingerprint."""
        return {"batch_tokens": self._asked_batch_tokens, "compiled": self._compiled}

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of a model computed here, truncating at the model's maximum."""
        return self._own_inputs.tokenizer

    def input_lengths(self, texts: Sequence[str], instruction: str) -> list[int]:
        """Return the number of tokens of each input, instruction and special tokens included, not truncated."""
        return self.inputs.lengths(texts, instruction)

    def spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return where each token of each text stands, as `BaseEngine.spans`."""
        return self._own_inputs.spans(texts)

    def token_vectors(self, text: str, instruction: str) -> Vectors:
        """Return the last hidden states of one input, instruction included: float32 [tokens, width]."""
        if self.checkpoint.through:
            return cast("SentenceNetwork", self.network).token_vectors(text, instruction)
        [ids] = self._own_inputs.rows([text], instruction)
        return cast("Network", self.network).token_vectors(ids)

    def _compute(self, missing: Missing) -> None:
        texts, instruction, progress = missing.items, missing.instruction, missing.progress
        skip = self.inputs.skip(instruction)

        def tokenise(at: Sequence[int]) -> Sequence[Sized]:
            return self._tokenise([texts[i] for i in at], instruction, skip)

        done, store = partial(self._take, missing), partial(self._store, missing)
        work = Work([len(t) for t in texts], tokenise, skip, done, store, missing.most)
        computation = Computation(self.network, self.batch_tokens, progress.note)
        self._say_choice(progress.note)
        progress.resume()  # the network is loaded now
        started = time.perf_counter()
        try:
            computation.run(work)
            self.totals.computed += len(texts)
            self.totals.computing += time.perf_counter() - started
        finally:
            self.batch_tokens = computation.budget  # a budget that memory has lowered stays for the next call

    def _tokenise(self, texts: list[str], instruction: str, skip: int) -> Sequence[Sized]:
        return self.inputs.rows(texts, instruction, skip)


def refuse_pictures(items: Iterable[Item], name: str) -> None:
    """Refuse pictures for a model that reads texts alone.

    Raises:
        UserError: there is one.
    """
    found = next((item for item in items if isinstance(item, Picture)), None)
    if found is not None:
        raise UserError(
            f"model {name} reads texts alone, and {found.name} is a picture: use a model of texts and pictures "
            "(--model hf-clip:FOLDER or open-clip:ARCHITECTURE/TAG)"
        )
