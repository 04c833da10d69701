"""The encoder as one task sees it: texts by role, instructions resolved, everything counted and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from instructor_eval.encoder.engine import Engine
from instructor_eval.errors import UserError
from instructor_eval.progress import Progress
from instructor_eval.types import Resolved, Vectors

_MODULUS = 1 << 256
CLUSTERING_LIMIT = 256


class BoundEncoder:
    """An `Engine` under one task's instructions.

    Args:
        engine: The model.
        instructions: Role -> instruction.
        protocol: The run's protocol choices; `empty_text` and `clustering_256` matter here.
        task: Name of the task, for its progress.
        is_clustering: Whether the 256-token rule of the paper's code applies to this task.
    """

    def __init__(
        self,
        engine: Engine,
        instructions: Mapping[str, Resolved],
        protocol: Mapping[str, str],
        *,
        task: str,
        is_clustering: bool = False,
    ) -> None:
        self.name = engine.checkpoint.name
        self._engine = engine
        self._instructions = instructions
        self._refuses_empty = protocol.get("empty_text") == "error"
        self._drops_over_limit = is_clustering and protocol.get("clustering_256") == "on"
        self._task = task
        self.progress = Progress(task)
        """How far it is; to be closed when the task ends."""
        self._hash = TextsHash()

    def encode(self, texts: Sequence[str], role: str, *, bare: bool = False) -> Vectors:
        """Embed `texts` under the instruction of `role` (none if `bare`): float32 [len(texts), dim].

        Raises:
            ModelOutputError: a vector is not usable.
            UserError: an empty text, where the protocol says that is an error.
        """
        texts = list(texts)
        self._record(texts, role)
        instruction = "" if bare else self._instructions[role].text
        if not (self._drops_over_limit and instruction):
            return self._engine.encode(texts, instruction, progress=self.progress)
        # The paper's code: a text that makes the input longer than 256 tokens is embedded without the instruction.
        lengths = np.array(self._engine.input_lengths(texts, instruction))
        vectors = np.empty((len(texts), self._engine.dim), dtype=np.float32)
        for mask, used in ((lengths <= CLUSTERING_LIMIT, instruction), (lengths > CLUSTERING_LIMIT, "")):
            at = np.flatnonzero(mask)
            if len(at):
                vectors[at] = self._engine.encode([texts[i] for i in at], used, progress=self.progress)
        return vectors

    def _record(self, texts: list[str], role: str) -> None:
        for text in texts:
            if self._refuses_empty and not text.strip():
                raise UserError(f"{self._task}: a {role} has no text: mend the data, or --protocol empty_text=encode")
        self._hash.add(texts, role)

    def texts_hash(self) -> str:
        """Hash of all texts encoded so far with their roles, whatever the order and chunks they came in."""
        return self._hash.hex()


class NoModel:
    """In an encoder's place where nothing is embedded: it takes note of the texts, and its vectors have no length."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.progress = Progress("")
        self._hash = TextsHash()

    def encode(self, texts: Sequence[str], role: str, *, bare: bool = False) -> Vectors:
        """float32 [len(texts), 0]."""
        self._hash.add(texts, role)
        return np.empty((len(texts), 0), dtype=np.float32)

    def texts_hash(self) -> str:
        """Hash of all texts seen so far; a model that embeds the same texts has the same."""
        return self._hash.hex()


class TextsHash:
    """Hash of texts with their roles, whatever the order and chunks they come in.

    The sum of the texts' SHA-256 values modulo 2^256: a guard against mistakes, not against an attacker.
    """

    def __init__(self) -> None:
        self._sum = 0

    def add(self, texts: Sequence[str], role: str) -> None:
        """Take note of texts."""
        for text in texts:
            digest = hashlib.sha256(f"{role}\0{text}".encode("utf-8", "surrogatepass")).digest()
            self._sum = (self._sum + int.from_bytes(digest, "little")) % _MODULUS

    def hex(self) -> str:
        """64 hex digits."""
        return f"{self._sum:064x}"
