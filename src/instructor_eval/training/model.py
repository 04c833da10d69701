"""The model in training: transformers' encoder, our pooling, Dense; with gradients, and as an encoder of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as recomputed

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Vectors
from instructor_eval.models.batches import DEFAULT_BATCH_TOKENS
from instructor_eval.models.checkpoint import Checkpoint, hidden_size
from instructor_eval.models.folder.files import UNUSED_WEIGHTS, module_weights
from instructor_eval.models.folder.weights import read_tensors
from instructor_eval.models.forms.float import load_transformer
from instructor_eval.models.inputs import OwnInputs
from instructor_eval.models.network import pool
from instructor_eval.training.inputs import Collator


class TrainedModel(nn.Module):
    """An encoder in training.

    Args:
        checkpoint: The checkpoint that it begins with, under the rule that it will be read with.
        dense_dim: Begin a Dense layer to so many values, where it has none.
        recompute: Compute each group of texts twice, and hold the activations of one at a time (as GradCache does).
    """

    def __init__(self, checkpoint: Checkpoint, *, dense_dim: int | None = None, recompute: bool = False) -> None:
        super().__init__()
        self.start, self.recompute = checkpoint, recompute
        self.transformer = load_transformer(checkpoint, torch.float32, trust_remote_code=False)
        self.transformer.requires_grad_(requires_grad=True)
        for name, parameter in self.transformer.named_parameters():
            parameter.requires_grad = not name.startswith(UNUSED_WEIGHTS)
        self.head = nn.ModuleList(
            _dense(d.dim_in, d.dim_out, activation=d.activation, bias=d.bias) for d in checkpoint.dense
        )
        if dense_dim and not self.head:
            self.head.append(_dense(hidden_size(checkpoint.config), dense_dim, activation="Identity", bias=False))
        self.load(checkpoint.transformer, [d.folder for d in checkpoint.dense])
        pad = checkpoint.config.get("pad_token_id")
        self.pad_id = pad if isinstance(pad, int) and pad > 0 else 0
        self.inputs = OwnInputs(checkpoint)

    def load(self, transformer: Path, dense: Sequence[Path]) -> None:
        """Load the weights of a checkpoint of this model; the transformer's where they are others than at the start."""
        if transformer != self.start.transformer:
            found = load_file(transformer / "model.safetensors")
            missing = [name for name, _ in self.transformer.named_parameters() if name not in found]
            if missing:  # of tied weights one alone is a parameter
                raise UserError(f"{transformer}: it lacks {missing[0]}: it is no checkpoint of this model")
            self.transformer.load_state_dict(found, strict=False)
        for layer, folder in zip(self.head, dense, strict=False):
            assert isinstance(layer, nn.Sequential)
            layer[0].load_state_dict(_tensors(module_weights(folder)))

    def collator(self, device: str, *, most: int | None = None, without_instructions: bool = False) -> Collator:
        """Return what makes batches for this model.

        Args:
            device: Kind of the device that computes them: a GPU wants large groups, a CPU small ones.
            most: Texts of a group.
            without_instructions: Leave every instruction out.
        """
        budget = DEFAULT_BATCH_TOKENS.get(device, 2048)
        return Collator(
            self.inputs, pad_id=self.pad_id, budget=budget, most=most, without_instructions=without_instructions
        )

    def forward(self, groups: Sequence[dict[str, Tensor]], places: Tensor) -> Tensor:
        """Return the vectors of all texts of a batch, not scaled: float32 [texts, dim]."""
        found = []
        for group in groups:
            args = (group["ids"], group["mask"], group["pooled"])
            if self.recompute and torch.is_grad_enabled():
                found.append(recomputed(self._vectors, *args, use_reentrant=False))
            else:
                found.append(self._vectors(*args))
        return torch.cat(found)[places]

    def _vectors(self, ids: Tensor, mask: Tensor, pooled: Tensor) -> Tensor:
        hidden = self.transformer(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        vectors = pool(hidden, pooled, self.start.pooling)
        for layer in self.head:
            vectors = layer(vectors)
        return vectors

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Return vectors of length 1, as the saved checkpoint would: float32 [texts, dim]."""
        was_training = self.training
        self.eval()
        try:
            device = next(self.parameters()).device
            groups, places = self.collator(device.type).groups([(instruction, text) for text in texts])
            moved = [{name: tensor.to(device) for name, tensor in group.items()} for group in groups]
            vectors: Vectors = functional.normalize(self(moved, places.to(device)).float(), dim=1).cpu().numpy()
        finally:
            self.train(was_training)
        return vectors

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Any = None, **_options: Any) -> None:
        """Recompute layers, as transformers' `--gradient_checkpointing` asks of a model."""
        self.transformer.gradient_checkpointing_enable(gradient_checkpointing_kwargs)

    def digest(self) -> str:
        """Return a hash of all weights, 16 hex digits."""
        found = xxhash.xxh3_64()
        for tensor in self.state_dict().values():
            found.update(np.ascontiguousarray(tensor.detach().cpu().float().numpy()).data)
        return found.hexdigest()

    def check_finite(self) -> None:
        """Check that all weights are numbers.

        Raises:
            UserError: one is not.
        """
        for name, parameter in self.named_parameters():
            if not torch.isfinite(parameter).all():
                raise UserError(f"weights of {name} are no numbers any more")


def _dense(dim_in: int, dim_out: int, *, activation: str, bias: bool) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim_in, dim_out, bias=bias), getattr(nn, activation)())


def _tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, without the prefix that sentence-transformers gives a Dense layer's."""
    return {
        name.removeprefix("linear."): torch.from_numpy(np.array(value, dtype=np.float32))
        for name, value in read_tensors(path).items()
    }
