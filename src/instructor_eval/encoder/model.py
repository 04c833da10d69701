"""The network: token ids in, vectors out. The only module that imports torch at its top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, MT5EncoderModel, T5EncoderModel
from transformers.utils import logging as transformers_logging

from instructor_eval.encoder.checkpoint import Checkpoint, Dense, dense_file
from instructor_eval.encoder.weights import read_tensors
from instructor_eval.errors import UserError
from instructor_eval.types import Vectors

# A text encoder works without these; transformers fills them at random when a checkpoint leaves them out.
_UNUSED = ("pooler.", "decoder.", "lm_head.", "cls.")


class Network:
    """A checkpoint on a device, in evaluation mode, float32."""

    def __init__(self, checkpoint: Checkpoint, device: str, *, trust_remote_code: bool = False) -> None:
        self.checkpoint = checkpoint
        self.device = torch.device(device)
        self.transformer = _load_transformer(checkpoint, trust_remote_code=trust_remote_code)
        self.head = nn.ModuleList(_load_dense(d) for d in checkpoint.dense)
        self.transformer.to(self.device).eval().requires_grad_(requires_grad=False)
        self.head.to(self.device).eval().requires_grad_(requires_grad=False)
        self.pad_id = int(checkpoint.config.get("pad_token_id") or 0)

    @torch.inference_mode()
    def forward(self, rows: Sequence[list[int]], skips: Sequence[int]) -> Vectors:
        """Vectors of one batch.

        Args:
            rows: Token ids of each text.
            skips: How many leading positions pooling leaves out, per row; fewer than the row has.

        Returns:
            float32 [len(rows), dim]
        """
        width = max(len(r) for r in rows)
        ids = np.full((len(rows), width), self.pad_id, dtype=np.int64)
        attended = np.zeros((len(rows), width), dtype=np.int64)
        pooled = np.zeros((len(rows), width), dtype=np.float32)
        for i, (row, skip) in enumerate(zip(rows, skips, strict=True)):
            ids[i, : len(row)] = row
            attended[i, : len(row)] = 1
            pooled[i, skip : len(row)] = 1.0
        hidden = self.transformer(
            input_ids=torch.from_numpy(ids).to(self.device),
            attention_mask=torch.from_numpy(attended).to(self.device),
        ).last_hidden_state
        vectors = pool(hidden, torch.from_numpy(pooled).to(self.device), self.checkpoint.pooling)
        for layer in self.head:
            vectors = layer(vectors)
        if self.checkpoint.normalize:
            vectors = nn.functional.normalize(vectors, dim=1)
        return vectors.float().cpu().numpy()


def pool(hidden: Tensor, mask: Tensor, mode: str) -> Tensor:
    """One vector a row: `hidden` [n, width, dim], `mask` [n, width] with 1 where a position counts."""
    if mode == "cls":
        first = mask.argmax(dim=1)
        return hidden[torch.arange(len(hidden), device=hidden.device), first]
    if mode == "lasttoken":
        last = mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)
        return hidden[torch.arange(len(hidden), device=hidden.device), last]
    if mode == "max":
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).max(dim=1).values
    weights = mask.unsqueeze(-1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def _load_transformer(checkpoint: Checkpoint, *, trust_remote_code: bool) -> Any:
    loader = {"t5": T5EncoderModel, "mt5": MT5EncoderModel}.get(str(checkpoint.config.get("model_type")), AutoModel)
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        model, info = loader.from_pretrained(
            str(checkpoint.transformer),
            dtype=torch.float32,
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
