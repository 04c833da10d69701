"""A checkpoint computed by sentence-transformers, with this package's cache, checks, instructions and batches.

A batch has texts of one length: nothing is padded, so no vector depends on its batch-mates even if a model or a module
of sentence-transformers would let it (absolute positions with padding on the left, convolutions).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.values import Vectors
from instructor_eval.models.forms.base import Sizes
from instructor_eval.models.forms.float import DTYPES
from instructor_eval.models.library_model import PAIR, errors_in_one_line, open_folder
from instructor_eval.models.pending import Pending, memory_errors, use_cores
from instructor_eval.models.pooling import INSTRUCTOR, POOLED, input_string, whole_characters

if TYPE_CHECKING:
    from instructor_eval.models.checkpoint import Checkpoint

_TOKENISED = 64
"""Texts tokenised together; all are padded to the longest."""
_SHORT, _LONG = "the city", f"{PAIR[0]} {PAIR[1]} {PAIR[0]}"
# How far a vector may move with its batch-mates, as a share of its length: no more than rounding moves it.
_MOVED = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 1e-2}


@dataclass(frozen=True)
class Text:
    """A text to embed, with its tokens counted after truncation."""

    string: str
    instruction: str
    tokens: int

    def __len__(self) -> int:
        return self.tokens


class SentenceNetwork:
    """A folder loaded by sentence-transformers, on a device, in evaluation mode.

    Args:
        checkpoint: The checkpoint; its `form` is the type of its numbers.
        device: cpu, cuda, cuda:1.
        trust_remote_code: Let the checkpoint run code of its own.
    """

    same_length = True
    """True if all texts of a batch must have equally many tokens."""

    def __init__(self, checkpoint: Checkpoint, device: str, *, trust_remote_code: bool = False) -> None:
        checkpoint.check_form()
        self.checkpoint = checkpoint
        self.device = torch.device(device)
        if self.device.type == "cpu":
            use_cores()
        self._lock = threading.RLock()  # a fast tokenizer serves one thread at a time
        with errors_in_one_line(checkpoint.name, "cannot be loaded by sentence-transformers"):
            dtype = DTYPES[checkpoint.form]
            model = open_folder(checkpoint.folder, device, dtype, trust_remote_code=trust_remote_code)
            self._model = model.to(dtype).eval().requires_grad_(requires_grad=False)
        self._set_pooling()
        self.most: int | None = None
        """Texts in a batch at most."""
        with errors_in_one_line(checkpoint.name, "cannot be computed by sentence-transformers"):
            self._try()

    def _set_pooling(self) -> None:
        """Leave the instruction out of pooling if the family says so and the folder does not.

        Raises:
            UserError: there is no Pooling module that could.
        """
        poolings = [m for m in self._model.modules() if hasattr(m, "include_prompt")]
        rule = self.checkpoint.prompt_rule
        if rule == POOLED:
            return
        if (
            not poolings
            or not hasattr(self._model[0], "tokenizer")
            or "text" not in getattr(self._model, "modalities", ["text"])
        ):
            raise UserError(
                f"model {self.checkpoint.name}: family instructor leaves the instruction out of pooling, and it has no "
                "Pooling: use --family prefix or plain"
            )
        for pooling in poolings:
            pooling.include_prompt = False

    def _try(self) -> None:
        """Compute some texts alone and beside others; if batch-mates change a vector, each text gets its own batch.

        Raises:
            UserError: padding on the left changes its vectors, or their length is not the one in its files.
        """
        first, second, short, long = self.rows([*PAIR, _SHORT, _LONG], "")
        alone = self._vectors([first], 0)
        self._check_width(alone)
        if len(first) != len(second) or self._moved(alone, self._vectors([first, second], 0)):
            self.most = 1
        side = getattr(getattr(self._model, "tokenizer", None), "padding_side", "right")
        if side == "left" and self._moved(self._vectors([short], 0), self._vectors([short, long], 0)):
            raise UserError(
                f"model {self.checkpoint.name}: tokenizer_config.json: padding_side left: sentence-transformers gives "
                "a text another vector beside a longer one, so no score could be repeated: set padding_side to right"
            )

    def _moved(self, alone: Tensor, together: Tensor) -> bool:
        apart, length = (together[0] - alone[0]).norm(), alone[0].norm()
        return not bool(apart <= _MOVED[self.checkpoint.form] * length)

    def _check_width(self, vectors: Tensor) -> None:
        found = vectors.shape[-1]
        if vectors.dim() != 2 or found != self.checkpoint.dim:
            raise UserError(
                f"model {self.checkpoint.name}: sentence-transformers gives vectors of {found} values, and its modules "
                f"name {self.checkpoint.dim}: correct the dimensions in their configuration"
            )

    def proof(self) -> str:
        """Return one line about the types of its numbers in memory."""
        kinds = sorted({str(p.dtype).removeprefix("torch.") for p in self._model.parameters() if p.is_floating_point()})
        return f"sentence-transformers, {' and '.join(kinds) or 'no weights'}"

    def sizes(self) -> Sizes:
        """Return the bytes of all weights."""
        held = {t.untyped_storage().data_ptr(): t for t in (*self._model.parameters(), *self._model.buffers())}
        size = sum(t.nelement() * t.element_size() for t in held.values())
        return Sizes(size, size)

    def skip(self, instruction: str) -> int:
        """Return how many leading positions INSTRUCTOR's pooling leaves out; otherwise sentence-transformers counts."""
        if self.checkpoint.prompt_rule != INSTRUCTOR or not instruction.strip():
            return 0
        with self._lock, errors_in_one_line(self.checkpoint.name, "cannot tokenise its instruction"):
            features = self._model.preprocess([instruction.strip()])
            ids = features["input_ids"][0]
            tokenizer = self._model.tokenizer
            closed = int(ids[-1]) in getattr(tokenizer, "all_special_ids", ())
        k = len(ids) - closed
        return k if k > 1 else 0

    def rows(self, texts: Sequence[str], instruction: str, skip: int = 0) -> list[Text]:
        """Return the texts of a batch, with their tokens counted."""
        rule = self.checkpoint.prompt_rule
        if rule == INSTRUCTOR:
            strings, prompt = [input_string(instruction, t, rule=rule) for t in texts], ""
        else:
            strings, prompt = list(texts), whole_characters(instruction)
        strings = [whole_characters(s) for s in strings]
        found: list[Text] = []
        with self._lock, errors_in_one_line(self.checkpoint.name, "cannot tokenise a text"):
            for start in range(0, len(strings), _TOKENISED):
                part = strings[start : start + _TOKENISED]
                counts = _counts(self._model.preprocess(part, prompt=prompt or None), len(part))
                found += [Text(s, prompt, n) for s, n in zip(part, counts, strict=True)]
        for text, row in zip(texts, found, strict=True):
            if rule == INSTRUCTOR and skip >= len(row):
                raise ModelOutputError(
                    f"model {self.checkpoint.name}: nothing is left to pool of the text {text[:60]!r} under the "
                    f"instruction {instruction[:60]!r}: their tokens merge; end the instruction with a space"
                )
        return found

    def lengths(self, texts: Sequence[str], instruction: str) -> list[int]:
        """Return the number of tokens of each input, not truncated if the tokenizer allows it."""
        tokenizer = getattr(self._model[0], "tokenizer", None)
        if not callable(tokenizer):
            return [len(row) for row in self.rows(texts, instruction)]
        rule = self.checkpoint.prompt_rule
        strings = [whole_characters(input_string(instruction, t, rule=rule)) for t in texts]
        with self._lock, errors_in_one_line(self.checkpoint.name, "cannot tokenise a text"):
            return [len(ids) for ids in tokenizer(strings, truncation=False, padding=False, verbose=False)["input_ids"]]

    @torch.inference_mode()
    def start(self, rows: Sequence[Text], skip: int) -> Pending:
        """Start to compute the vectors of one batch.

        Raises:
            OutOfMemory: the batch is too large for the device.
            UserError: sentence-transformers fails on it.
        """
        with memory_errors():
            return Pending(self._vectors(rows, skip))

    def forward(self, rows: Sequence[Text], skip: int) -> Vectors:
        """Return the vectors of one batch, float32 [len(rows), dim]."""
        return self.start(rows, skip).result()

    @torch.inference_mode()
    def _vectors(self, rows: Sequence[Text], skip: int) -> Tensor:
        from sentence_transformers.util import batch_to_device, truncate_embeddings

        with errors_in_one_line(self.checkpoint.name, "cannot be computed by sentence-transformers"):
            with self._lock:
                features = self._model.preprocess([r.string for r in rows], prompt=rows[0].instruction or None)
            if self.checkpoint.prompt_rule == INSTRUCTOR:
                features["prompt_length"] = skip
            features = batch_to_device(features, self.device)
            vectors: Tensor = self._model(features)["sentence_embedding"]
            if self.checkpoint.truncate_dim is not None:
                vectors = truncate_embeddings(vectors, self.checkpoint.truncate_dim)
            if vectors.is_sparse:
                vectors = vectors.to_dense()
            return vectors.float()

    @torch.inference_mode()
    def token_vectors(self, text: str, instruction: str) -> Vectors:
        """Return the last hidden states of one text, float32 [tokens, width].

        Raises:
            UserError: its modules give none.
        """
        [row] = self.rows([text], instruction)
        with self._lock, errors_in_one_line(self.checkpoint.name, "gives no token_embeddings"):
            [found] = self._model.encode(
                [row.string], prompt=row.instruction, output_value="token_embeddings", show_progress_bar=False
            )
            array: Vectors = found.float().cpu().numpy()
            return array

    def free(self) -> None:
        """Give memory back to the device after a batch did not fit."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _counts(features: dict[str, Any], texts: int) -> list[int]:
    """Count the tokens of each text in sentence-transformers' features."""
    if "attention_mask" in features:
        return [int(n) for n in features["attention_mask"].sum(dim=1)]
    if "offsets" in features:  # texts end to end, as StaticEmbedding lays them
        ends = [*features["offsets"].tolist()[1:], len(features["input_ids"])]
        return [int(end - start) for start, end in zip(features["offsets"].tolist(), ends, strict=True)]
    return [1] * texts
