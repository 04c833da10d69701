"""Tiny checkpoints of many kinds of transformers, and rows of ids, for the forms that run outside torch."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from checkpoints import read
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertModel,
    MPNetConfig,
    MPNetModel,
    MT5Config,
    MT5EncoderModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5EncoderModel,
)

from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.forms.base import Hidden
from instructor_eval.models.packed import Ids, pack

CPU = torch.device("cpu")
LENGTHS = [70, 33, 33, 9, 5, 5, 1]
PIECES = len(tiny.word_pieces())
T5 = {"vocab_size": PIECES, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
BERT["vocab_size"] = PIECES
KINDS: dict[str, Callable[[], nn.Module]] = {
    "T5": lambda: T5EncoderModel(T5Config(**T5)),
    "T5 with gated GELU": lambda: MT5EncoderModel(MT5Config(**T5, feed_forward_proj="gated-gelu")),
    "BERT": lambda: BertModel(BertConfig(**BERT)),
    "RoBERTa": lambda: RobertaModel(RobertaConfig(**BERT, pad_token_id=1)),
    "MPNet": lambda: MPNetModel(MPNetConfig(**BERT, pad_token_id=1)),
    "ALBERT": lambda: AlbertModel(AlbertConfig(**BERT, embedding_size=16)),  # one layer, run twice
}
PRODUCTS = {"T5": 12, "T5 with gated GELU": 14, "BERT": 12, "RoBERTa": 12, "MPNet": 12, "ALBERT": 13}


def checkpoint_of(kind: str, folder: Path, form: str) -> tuple[Checkpoint, Any]:
    """A checkpoint in `folder`, as that form, and the transformer that is in it."""
    torch.manual_seed(11)
    made = KINDS[kind]().eval().requires_grad_(requires_grad=False)
    for name, weight in made.named_parameters():
        if weight.dim() > 1:
            weight.normal_(0, 1.0 if "embed" in name or "shared" in name else 0.2)
        else:
            weight.add_(torch.randn_like(weight) * 0.1)
    tiny.build_plain(folder)
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    made.save_pretrained(folder)
    return replace(read(folder), variant=form), made


def drawn(lengths: list[int] = LENGTHS) -> list[Ids]:
    """Rows of ids of these lengths."""
    random = np.random.RandomState(3)
    return [random.randint(2, PIECES, n).astype(np.int32) for n in lengths]


@torch.inference_mode()
def hidden_of(form: Hidden, rows: list[Ids]) -> list[np.ndarray]:
    """The hidden states that a form gives for each of these rows, put in as one batch."""
    assert form.align == 0
    return [h.numpy() for h in form(pack(rows, CPU)).split([len(r) for r in rows])]


@torch.inference_mode()
def theirs(transformer: Any, row: Ids) -> np.ndarray:
    """The hidden states that transformers' own module gives for one row."""
    ids = torch.from_numpy(row).long()[None]
    return transformer(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].numpy()


def rounded_rows(weight: torch.Tensor) -> torch.Tensor:
    """127 steps on either side of zero for each row, rounded in torch."""
    scale = weight.abs().amax(1, keepdim=True) / 127
    return torch.round(weight / scale).clamp(-127, 127) * scale


def padded(rows: list[Ids]) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask [rows, width]."""
    mask = np.array([[i < len(row) for i in range(max(map(len, rows)))] for row in rows]).astype(np.int64)
    ids = np.zeros_like(mask)
    for place, row in zip(ids, rows, strict=True):
        place[: len(row)] = row
    return ids, mask
