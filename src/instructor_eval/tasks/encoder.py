"""The encoder as one task sees it: texts and pictures by role, instructions resolved, everything counted and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.pictures import Item, Picture, item_bytes
from instructor_eval.core.progress import Progress
from instructor_eval.core.values import Vectors
from instructor_eval.models.engine import BaseEngine
from instructor_eval.models.precision import Precision, calibration_texts
from instructor_eval.models.served.asking import RefusedTextError
from instructor_eval.models.variant import FP32, Variant
from instructor_eval.search.chunks import ChunkSpec, cut
from instructor_eval.tasks.task import Resolved

_MODULUS = 1 << 256
CLUSTERING_LIMIT = 256


class BoundEncoder:
    """An engine under one task's instructions.

    Args:
        engine: The model.
        instructions: Role -> instruction.
        protocol: The protocol choices that concern the task; `empty_text` and `clustering_256` matter here.
        task: Name of the task, for its progress.
        variant: The precision of vectors; its form is the engine's.
        task_type: MTEB's name of the task's type; some served models depend on it.
        purpose: What texts are for that are neither queries nor documents; some served models depend on it.

    Raises:
        UserError: the variant has more dimensions than the model.
    """

    def __init__(
        self,
        engine: BaseEngine,
        instructions: Mapping[str, Resolved],
        protocol: Mapping[str, str],
        *,
        task: str,
        variant: Variant = FP32,
        task_type: str = "",
        purpose: str = "",
    ) -> None:
        self.name = engine.model.name
        self.variant = variant
        self._engine = engine
        self._instructions = instructions
        self._refuses_empty = protocol.get("empty_text") == "error"
        self._drops_over_limit = protocol.get("clustering_256") == "on"
        self._task, self._type, self._purpose = task, task_type, purpose
        self.progress = Progress(task)
        """Its progress; closed when the task ends."""
        self._hash = TextsHash()
        # The engine and its cache have full vectors only: all precisions share them.
        self._precision = Precision(variant, dim=engine.dim, normalize=engine.model.normalize, model=engine.model.name)
        self._documents = 0

    def instruction(self, role: str) -> str:
        """Return the literal instruction of a role."""
        return self._instructions[role].text

    def calibrate(self, texts: Iterable[Item], role: str) -> None:
        """Take every dimension's range from at most 10,000 of `texts`, if the variant needs ranges.

        They are embedded under the instruction of `role`, and not part of `texts_hash`. Only the first call counts.

        Raises:
            ModelOutputError: a vector is not usable.
            UserError: there is an empty text, and the protocol does not allow one.
        """
        if not self._precision.needs_calibration:
            return
        chosen = calibration_texts(texts)
        if chosen:
            self._refuse_empty(chosen, role)
            instruction = self._instructions[role].text
            self._precision.calibrate(self._full(chosen, instruction, role), role=role, instruction=instruction)

    def encode(self, texts: Sequence[Item], role: str, *, bare: bool = False) -> Vectors:
        """Embed `texts` under the instruction of `role` (none if `bare`): float32 [len(texts), dim].

        These are the values that an index of the variant's precision computes with. Without an earlier `calibrate`,
        int8 is calibrated on the first texts.

        Raises:
            ModelOutputError: a vector is not usable.
            UserError: there is an empty text, and the protocol does not allow one.
        """
        texts = list(texts)
        self._refuse_empty(texts, role)
        self._hash.add(texts, role)
        return self._vectors(texts, role, bare=bare)

    def chunks(self, documents: Sequence[str], spec: ChunkSpec) -> list[list[tuple[str, int]]]:
        """Return the chunks of each document, each with its number of tokens.

        It is the documents that are hashed: cut or not, it is the same data.

        Raises:
            UserError: there is an empty document that the protocol does not allow, or no tokenizer.
        """
        self._refuse_empty(documents, "document")
        self._hash.add(documents, "document")
        spans = self._engine.spans(documents)
        return [cut(text, tokens, spec) for text, tokens in zip(documents, spans, strict=True)]

    def encode_chunks(self, chunks: Sequence[str]) -> Vectors:
        """Embed chunks as the documents that they are of: float32 [len(chunks), dim].

        Raises:
            ModelOutputError: a vector is not usable.
        """
        return self._vectors([*chunks], "document", bare=False)

    def _vectors(self, texts: list[Item], role: str, *, bare: bool) -> Vectors:
        instruction = "" if bare else self._instructions[role].text
        try:
            vectors = self._full(texts, instruction, role)
        except RefusedTextError as e:
            raise e.placed(self._place(texts.index(e.text), len(texts), role)) from None
        self._documents += len(texts) if role == "document" else 0
        if not texts:
            return vectors[:, : self._precision.dim]
        if self._precision.needs_calibration:
            place = {text: i for i, text in enumerate(texts)}
            first = vectors[[place[text] for text in calibration_texts(texts)]]
            self._precision.calibrate(first, role=role, instruction=instruction, origin="first texts")
        return self._precision.apply(vectors, as_query=role == "query")

    def embedding(self) -> dict[str, Any]:
        """Return the precision of vectors for the score file, as `Precision.describe`."""
        return self._precision.describe()

    def _full(self, texts: list[Item], instruction: str, role: str) -> Vectors:
        """Return the model's own vectors."""
        if not (self._drops_over_limit and instruction):
            return self._engine.encode(texts, self._scope(instruction, role), progress=self.progress)
        # The paper's code: a text that makes the input longer than 256 tokens is embedded without the instruction.
        lengths = np.array(self._engine.input_lengths([str(text) for text in texts], instruction))
        vectors = np.empty((len(texts), self._engine.dim), dtype=np.float32)
        for mask, used in ((lengths <= CLUSTERING_LIMIT, instruction), (lengths > CLUSTERING_LIMIT, "")):
            at = np.flatnonzero(mask)
            if len(at):
                scope = self._scope(used, role)
                vectors[at] = self._engine.encode([texts[i] for i in at], scope, progress=self.progress)
        return vectors

    def _place(self, at: int, count: int, role: str) -> str:
        """Return the place of a text in the data, counted over the parts of a corpus."""
        if role == "document":
            return f"document {self._documents + at + 1:,}"
        return f"{role} {at + 1:,} of {count:,}"

    def _scope(self, instruction: str, role: str) -> str:
        purpose = role if role in ("query", "document") else self._purpose or role
        return self._engine.scope(instruction, self._task, self._type, purpose)

    def _refuse_empty(self, texts: Sequence[Item], role: str) -> None:
        if self._refuses_empty and not all(isinstance(text, Picture) or text.strip() for text in texts):
            step = "correct the data, or add --protocol empty_text=encode"
            raise UserError(f"{self._task}: a {role} has no text: {step}")

    def texts_hash(self) -> str:
        """Return a hash of all texts so far with their roles, the same for any order and chunks."""
        return self._hash.hex()


class NoModel:
    """An encoder that embeds nothing: it hashes texts, and its vectors have no values."""

    variant = FP32

    def __init__(self, name: str) -> None:
        self.name = name
        self.progress = Progress("")
        self._hash = TextsHash()

    def instruction(self, role: str) -> str:
        """Return an empty instruction."""
        return ""

    def calibrate(self, texts: Iterable[Item], role: str) -> None:
        """Do nothing."""

    def embedding(self) -> dict[str, Any]:
        """Return an empty description."""
        return {}

    def encode(self, texts: Sequence[Item], role: str, *, bare: bool = False) -> Vectors:
        """Hash the texts and return float32 [len(texts), 0]."""
        self._hash.add(texts, role)
        return np.empty((len(texts), 0), dtype=np.float32)

    def texts_hash(self) -> str:
        """Return a hash of all texts so far, the same as of a model that embeds them."""
        return self._hash.hex()


class TextsHash:
    """A hash of texts with their roles, the same for any order and chunks.

    The sum of the texts' SHA-256 values modulo 2^256: a guard against mistakes, not against an attacker.
    """

    def __init__(self) -> None:
        self._sum = 0

    def add(self, texts: Sequence[Item], role: str) -> None:
        """Add texts, and pictures by their content, to the hash."""
        head = f"{role}\0".encode("utf-8", "surrogatepass")
        for text in texts:
            digest = hashlib.sha256(head + item_bytes(text)).digest()
            self._sum = (self._sum + int.from_bytes(digest, "little")) % _MODULUS

    def hex(self) -> str:
        """Return the hash as 64 hex digits."""
        return f"{self._sum:064x}"
