"""The encoder that tasks share: repeats removed, sorted by true length, batched by tokens, checked, order restored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from instructor_eval.encoder import text_rules
from instructor_eval.encoder.batching import token_batches
from instructor_eval.encoder.checkpoint import Checkpoint
from instructor_eval.errors import ModelOutputError, UserError
from instructor_eval.progress import Progress
from instructor_eval.types import Vectors

if TYPE_CHECKING:
    from instructor_eval.encoder.model import Network

# Small batches stay in a CPU's cache and beat large ones (1.29x against 0.94x of sentence-transformers at 2,048 and
# 8,192 tokens, T5-base shape, two cores); a GPU wants to be filled.
DEFAULT_BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}
_CHUNK = 20_000


class Engine:
    """A model ready to encode. The network is loaded when the first text needs it."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "auto",
        batch_tokens: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.checkpoint = checkpoint
        self.fingerprint = checkpoint.fingerprint
        self.dim = checkpoint.dim
        self._wanted_device = device
        self._batch_tokens = batch_tokens
        self._trust_remote_code = trust_remote_code
        self._network: Network | None = None
        self._tokenizer: Any = None
        self.tokens = 0
        """Tokens encoded so far."""
        self.unique = 0
        """Texts encoded so far, repeats within a call not counted."""
        self.seconds = 0.0
        """Time spent in `encode` so far."""

    @property
    def network(self) -> Network:
        """The loaded network."""
        if self._network is None:
            from instructor_eval.encoder.model import Network  # the import of torch

            device = pick_device(self._wanted_device)
            self._network = Network(self.checkpoint, device, trust_remote_code=self._trust_remote_code)
        return self._network

    @property
    def device(self) -> str:
        """The device in use, or the one that would be."""
        return str(self._network.device) if self._network else pick_device(self._wanted_device)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, truncating at the model's maximum."""
        if self._tokenizer is None:
            self._tokenizer = self.checkpoint.tokenizer
            self._tokenizer.enable_truncation(self.checkpoint.max_length)
        return self._tokenizer

    def encode(self, texts: Sequence[str], instruction: str, *, label: str = "") -> Vectors:
        """Embed `texts` under `instruction`: float32 [len(texts), dim], in input order.

        Raises:
            ModelOutputError: pooling has nothing left for a text, or a vector is not finite, or all zero.
        """
        started = time.perf_counter()
        unique = list(dict.fromkeys(texts))
        vectors = np.empty((len(unique), self.dim), dtype=np.float32)
        if unique:
            skip = text_rules.skipped_positions(self.tokenizer, self._cased(instruction)) if self._skips else 0
            with Progress(len(unique), label or self.checkpoint.name) as progress:
                for start in range(0, len(unique), _CHUNK):
                    part = unique[start : start + _CHUNK]
                    self._encode_chunk(part, instruction, skip, vectors[start : start + len(part)], progress)
        self.unique += len(unique)
        self.seconds += time.perf_counter() - started
        if len(unique) == len(texts):
            return vectors
        place = {text: i for i, text in enumerate(unique)}
        return vectors[[place[t] for t in texts]]

    @property
    def _skips(self) -> bool:
        return self.checkpoint.skips_instruction

    def input_lengths(self, texts: Sequence[str], instruction: str) -> list[int]:
        """The number of tokens of each input as the model reads it, instruction and special tokens included.

        Not truncated: this is what length rules of protocols compare with.
        """
        from instructor_eval.encoder.checkpoint import read_tokenizer

        whole = read_tokenizer(self.checkpoint.transformer, self.checkpoint.name)
        return [len(ids) for ids in text_rules.encode_ids(whole, self._strings(texts, instruction))]

    def _strings(self, texts: Sequence[str], instruction: str) -> list[str]:
        return [self._cased(text_rules.input_string(instruction, t, skips_instruction=self._skips)) for t in texts]

    def _cased(self, string: str) -> str:
        return string.lower() if self.checkpoint.lowercase else string

    def _encode_chunk(self, texts: list[str], instruction: str, skip: int, out: Vectors, progress: Progress) -> None:
        rows = text_rules.encode_ids(self.tokenizer, self._strings(texts, instruction))
        for text, row in zip(texts, rows, strict=True):
            if not row:
                raise ModelOutputError(
                    f"model {self.checkpoint.name}: its tokenizer finds no token in the text {text[:60]!r}: "
                    "there is nothing to embed"
                )
            if skip >= len(row):
                raise ModelOutputError(
                    f"model {self.checkpoint.name}: nothing is left to pool of the text {text[:60]!r} under the "
                    f"instruction {instruction[:60]!r}: their tokens merge; end the instruction with a blank"
                )
        network = self.network
        budget = self._batch_tokens or DEFAULT_BATCH_TOKENS.get(network.device.type, 2048)
        for batch in token_batches([len(r) for r in rows], budget):
            vectors = network.forward([rows[i] for i in batch], [skip] * len(batch))
            self._check(vectors, [texts[i] for i in batch])
            out[batch] = vectors
            tokens = sum(len(rows[i]) for i in batch)
            self.tokens += tokens
            progress.advance(len(batch), tokens)

    def _check(self, vectors: Vectors, texts: list[str]) -> None:
        bad = ~np.isfinite(vectors).all(axis=1)
        kind = "a NaN or infinite"
        if not bad.any():
            bad, kind = ~vectors.any(axis=1), "an all-zero"
        if bad.any():
            text = texts[int(bad.argmax())]
            raise ModelOutputError(
                f"model {self.checkpoint.name} gives {kind} vector for the text {text[:60]!r}: "
                "no score can be computed; check the checkpoint"
            )


def pick_device(wanted: str) -> str:
    """`auto` means the first GPU where there is one.

    Raises:
        UserError: a device that this machine or this build of torch does not have.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as e:
        raise UserError(f"unknown device '{wanted}': give auto, cpu, cuda or cuda:1") from e
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device '{wanted}' is not here ({torch.cuda.device_count()} GPUs): use --device cpu or auto")
    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError) as e:  # torch knows the kind, but this build or machine has none
        raise UserError(f"device '{wanted}' cannot be used here ({str(e)[:200]}): use --device cpu or auto") from e
    return wanted
