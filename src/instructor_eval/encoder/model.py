"""The network: token ids in, vectors out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, BertModel, MT5EncoderModel, T5EncoderModel
from transformers.utils import logging as transformers_logging

from instructor_eval.encoder.checkpoint import Checkpoint, Dense, dense_file
from instructor_eval.encoder.compute import OutOfMemory
from instructor_eval.encoder.fast_bert import FastBert
from instructor_eval.encoder.fast_t5 import FastT5
from instructor_eval.encoder.packed import Ids, Packed, pack
from instructor_eval.encoder.weights import read_tensors
from instructor_eval.errors import UserError
from instructor_eval.types import Vectors

# A text encoder works without these; transformers fills them at random when a checkpoint leaves them out.
_UNUSED = ("pooler.", "decoder.", "lm_head.", "cls.")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_GPU_ALIGN = 8
_ALLOCATION_FAILED = ("not enough memory", "can't allocate memory")


class Pending:
    """Vectors on their way: on a GPU they are still being computed and copied."""

    def __init__(self, vectors: Tensor) -> None:
        self._done: torch.cuda.Event | None = None
        self._host = vectors
        if vectors.is_cuda:
            self._host = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
            self._host.copy_(vectors, non_blocking=True)
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call] # torch leaves it untyped
            self._done.record()

    def result(self) -> Vectors:
        """float32 [n, dim], once they are there."""
        if self._done is not None:
            self._done.synchronize()
        array: Vectors = self._host.numpy()
        return array


class Network:
    """A checkpoint on a device, in evaluation mode.

    T5 and BERT run by our own forward pass (`fast_t5`, `fast_bert`), everything else by transformers'. Pooling, Dense
    and normalisation are in float32 whatever the variant.

    Args:
        checkpoint: What to load; its `variant` is the numeric form of the transformer.
        device: cpu, cuda, cuda:1.
        trust_remote_code: Let the checkpoint run code of its own.
        compiled: Compile the forward pass: minutes at first, for long runs on a GPU.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str, *, trust_remote_code: bool = False, compiled: bool = False
    ) -> None:
        self.checkpoint = checkpoint
        self.device = torch.device(device)
        if self.device.type == "cpu":
            use_cores()
        transformer = _load_transformer(checkpoint, trust_remote_code=trust_remote_code)
        transformer.to(self.device).eval().requires_grad_(requires_grad=False)
        self.head = nn.ModuleList(_load_dense(d) for d in checkpoint.dense)
        self.head.to(self.device).eval().requires_grad_(requires_grad=False)
        self.pad_id = int(checkpoint.config.get("pad_token_id") or 0)
        fast = _fast(transformer, lay_out=not compiled)
        self._hidden: Any = fast or _Slow(transformer)
        # How rows are laid out: end to end, padded to one width, or that rounded up to what GPU kernels like.
        self._align = (_GPU_ALIGN if self.device.type == "cuda" else 0) if fast else 1
        if compiled:
            self._hidden = torch.compile(self._hidden.__call__, dynamic=True)

    @torch.inference_mode()
    def start(self, rows: Sequence[Ids], skip: int) -> Pending:
        """Begin to compute the vectors of one batch.

        Args:
            rows: Token ids of each text; those of one length side by side.
            skip: How many leading positions pooling leaves out; fewer than any row has.

        Raises:
            OutOfMemory: the batch is too large for the device.
        """
        try:
            batch = pack(rows, self.device, pad_id=self.pad_id, align=self._align)
            vectors = self._pooled(self._hidden(batch), batch, skip)
            for layer in self.head:
                vectors = layer(vectors)
            if self.checkpoint.normalize:
                vectors = functional.normalize(vectors, dim=1)
            return Pending(vectors)
        except torch.OutOfMemoryError as e:
            raise OutOfMemory(str(e)) from e
        except MemoryError as e:
            raise OutOfMemory(str(e)) from e
        except RuntimeError as e:
            if any(words in str(e) for words in _ALLOCATION_FAILED):
                raise OutOfMemory(str(e)) from e
            raise

    def forward(self, rows: Sequence[Ids], skip: int) -> Vectors:
        """Vectors of one batch, float32 [len(rows), dim]."""
        return self.start(rows, skip).result()

    @torch.inference_mode()
    def token_vectors(self, row: Ids) -> Vectors:
        """Last hidden states of one text, float32 [tokens, width]."""
        hidden = self._hidden(pack([row], self.device, pad_id=self.pad_id, align=self._align))
        array: Vectors = hidden[: len(row)].float().cpu().numpy()
        return array

    def free(self) -> None:
        """Give memory back to the device after a batch did not fit."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _pooled(self, hidden: Tensor, batch: Packed, skip: int) -> Tensor:
        """One vector a row, float32 [rows, width]."""
        vectors = []
        for segment in batch.segments:
            part = hidden[segment.start : segment.end].view(segment.rows, segment.width, -1)
            mask = segment.attended
            if mask is not None and skip:
                mask = mask.clone()
                mask[:, :skip] = False
            vectors.append(pool(part[:, skip:] if mask is None else part, mask, self.checkpoint.pooling))
        return torch.cat(vectors)


def pool(hidden: Tensor, mask: Tensor | None, mode: str) -> Tensor:
    """One vector a row, float32: `hidden` [n, width, dim], `mask` bool [n, width], True where a position counts.

    No mask: all of them count.
    """
    if mode == "max":
        kept = hidden if mask is None else hidden.masked_fill(~mask.unsqueeze(-1), float("-inf"))
        return kept.max(dim=1).values.float()
    if mode == "mean":
        if mask is None:
            return hidden.mean(dim=1, dtype=torch.float32)
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(dim=1, dtype=torch.float32) / mask.sum(dim=1, keepdim=True)
    place = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)
    if mode == "cls" and mask is not None:
        place = mask.int().argmax(dim=1)
    elif mode == "lasttoken":
        place += hidden.shape[1] - 1
        if mask is not None:
            place -= mask.int().flip(1).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), place].float()


class _Slow:
    """A transformer that has no forward pass of ours, run by transformers on a padded batch."""

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def __call__(self, batch: Packed) -> Tensor:
        """Hidden states [tokens, width], padding included."""
        [segment] = batch.segments
        ids = batch.ids.view(segment.rows, segment.width)
        mask = torch.ones_like(ids) if segment.attended is None else segment.attended.long()
        hidden: Tensor = self.transformer(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden.flatten(0, 1)


def _fast(transformer: Any, *, lay_out: bool) -> FastT5 | FastBert | None:
    """Our own forward pass, for exactly the classes it was written for."""
    if type(transformer) in (T5EncoderModel, MT5EncoderModel) and FastT5.supports(transformer.config):
        return FastT5(transformer, lay_out=lay_out)
    if type(transformer) is BertModel and FastBert.supports(transformer.config):
        return FastBert(transformer, lay_out=lay_out)
    return None


def use_cores() -> None:
    """No more threads than this process may use: a container with two of 64 cores otherwise crawls."""
    if "OMP_NUM_THREADS" in os.environ:
        return
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = min(allowed, _cores_of_container() or allowed)
    if allowed < torch.get_num_threads():
        torch.set_num_threads(allowed)


def _cores_of_container(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """The processor share that cgroup v2 grants, rounded up; None if there is no bound."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _load_transformer(checkpoint: Checkpoint, *, trust_remote_code: bool) -> Any:
    loader = {"t5": T5EncoderModel, "mt5": MT5EncoderModel}.get(str(checkpoint.config.get("model_type")), AutoModel)
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        model, info = loader.from_pretrained(
            str(checkpoint.transformer),
            dtype=_DTYPES[checkpoint.variant.partition("+")[0]],
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except Exception as e:  # transformers raises many kinds for a checkpoint it cannot read
        if "trust_remote_code" in str(e):
            raise UserError(
                f"model {checkpoint.name} brings code of its own: read it, then run again with --trust-remote-code"
            ) from e
        raise UserError(f"model {checkpoint.name} cannot be loaded ({str(e)[:300]})") from e
    finally:
        transformers_logging.set_verbosity(level)
    missing = sorted(k for k in info["missing_keys"] if not k.startswith(_UNUSED))
    wrong = sorted(str(k[0]) for k in info.get("mismatched_keys", ()))
    if missing or wrong:
        what = f"lacks {missing[0]}" if missing else f"has another shape of {wrong[0]}"
        raise UserError(
            f"model {checkpoint.name} {what} ({len(missing) + len(wrong)} such weights): this is not a whole checkpoint"
        )
    return model


def _load_dense(dense: Dense) -> nn.Module:
    tensors = read_tensors(dense_file(dense.folder))
    linear = nn.Linear(dense.dim_in, dense.dim_out, bias=dense.bias)
    state = {k.removeprefix("linear."): torch.from_numpy(np.array(v, dtype=np.float32)) for k, v in tensors.items()}
    try:
        linear.load_state_dict(state)
    except RuntimeError as e:
        raise UserError(f"{dense_file(dense.folder)} does not fit its config.json ({str(e)[:200]})") from e
    activation: nn.Module = getattr(nn, dense.activation)()
    return nn.Sequential(linear, activation)
