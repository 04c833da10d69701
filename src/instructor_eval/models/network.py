"""The network: token ids in, vectors out."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import as_user_error
from instructor_eval.core.values import Vectors
from instructor_eval.models.checkpoint import Checkpoint, Dense
from instructor_eval.models.folder.files import module_weights
from instructor_eval.models.folder.weights import read_tensors
from instructor_eval.models.forms.base import Hidden, Options, Sizes
from instructor_eval.models.packed import Ids, Packed, pack
from instructor_eval.models.pending import Pending, memory_errors, use_cores
from instructor_eval.models.variant import form


class Network:
    """A checkpoint on a device, in evaluation mode.

    Its transformer runs in the checkpoint's numeric form (`forms/`), T5 and BERT by the forward passes of this package
    if the form allows it. Pooling, Dense and normalisation are in float32 in every form.

    Args:
        checkpoint: The checkpoint; its `form` is the numeric form of the transformer.
        device: cpu, cuda, cuda:1.
        trust_remote_code: Let the checkpoint run code of its own.
        compiled: Compile the forward pass: minutes at first, for long runs on a GPU.
    """

    same_length = False
    """True if all texts of a batch must have equally many tokens."""

    def __init__(
        self, checkpoint: Checkpoint, device: str, *, trust_remote_code: bool = False, compiled: bool = False
    ) -> None:
        self.checkpoint = checkpoint
        self.device = torch.device(device)
        if self.device.type == "cpu":
            use_cores()
        options = Options(trust_remote_code=trust_remote_code, compiled=compiled)
        hidden = _builder(checkpoint.form, compiled=compiled)(checkpoint, self.device, options)
        self.head = nn.ModuleList(_load_dense(d) for d in checkpoint.dense)
        self.head.to(self.device).eval().requires_grad_(requires_grad=False)
        pad = checkpoint.config.get("pad_token_id")
        self.pad_id = pad if isinstance(pad, int) and pad > 0 else 0
        self._proof = hidden.proof()  # raises, before anything is computed, if it is another form
        self.note: str = getattr(hidden, "note", "")
        """A line for the user about what loading has chosen, or empty."""
        self._sizes = _with_head(hidden.sizes(), self.head)
        self.most = 1 if hidden.alone else None
        """Texts in a batch at most."""
        self._hidden: Hidden = hidden
        self._align = hidden.align
        if not compiled:
            self._try()

    def _try(self) -> None:
        """Compute a first text, to see early that its configuration allows no computation.

        Raises:
            UserError: it cannot be computed.
        """
        step = "check its config.json, or use another checkpoint"
        with as_user_error(f"model {self.checkpoint.name} cannot be computed", step), torch.inference_mode():
            batch = pack([np.zeros(4, dtype=np.int32)], self.device, pad_id=self.pad_id, align=self._align)
            self._hidden(batch)

    def proof(self) -> str:
        """Return one line about the numeric form in use, read off the loaded network."""
        return self._proof

    def sizes(self) -> Sizes:
        """Return the bytes of all weights."""
        return self._sizes

    @torch.inference_mode()
    def start(self, rows: Sequence[Ids], skip: int) -> Pending:
        """Start to compute the vectors of one batch.

        Args:
            rows: Token ids of each text; texts of one length side by side.
            skip: How many leading positions pooling leaves out; fewer than any row has.

        Raises:
            OutOfMemory: the batch is too large for the device.
        """
        with memory_errors(), self._known_tokens():
            batch = pack(rows, self.device, pad_id=self.pad_id, align=self._align)
            vectors = self._pooled(self._hidden(batch), batch, skip)
            for layer in self.head:
                vectors = layer(vectors)
            if self.checkpoint.normalizes:
                vectors = functional.normalize(vectors, dim=1)
            return Pending(vectors[:, : self.checkpoint.dim].contiguous())

    @contextlib.contextmanager
    def _known_tokens(self) -> Iterator[None]:
        """Raise an error that names the checkpoint if its tokenizer knows more tokens than its weights."""
        try:
            yield
        except IndexError as e:
            raise UserError(
                f"model {self.checkpoint.name}: a token's id lies beyond its embeddings ({e}): tokenizer and weights "
                "do not belong together"
            ) from e

    def forward(self, rows: Sequence[Ids], skip: int) -> Vectors:
        """Return the vectors of one batch, float32 [len(rows), dim]."""
        return self.start(rows, skip).result()

    @torch.inference_mode()
    def token_vectors(self, row: Ids) -> Vectors:
        """Return the last hidden states of one text, float32 [tokens, width]."""
        hidden = self._hidden(pack([row], self.device, pad_id=self.pad_id, align=self._align))
        array: Vectors = hidden[: len(row)].float().cpu().numpy()
        return array

    def free(self) -> None:
        """Give memory back to the device after a batch did not fit."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _pooled(self, hidden: Tensor, batch: Packed, skip: int) -> Tensor:
        """Pool each row to one vector, float32 [rows, width]."""
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
    """Pool each row of `hidden` [n, width, dim] to one vector: float32 [n, dim].

    `mask` is bool [n, width], True where a position counts; None: all count.
    """
    if mode == "max":
        counted = hidden if mask is None else hidden.masked_fill(~mask.unsqueeze(-1), float("-inf"))
        return counted.max(dim=1).values.float()
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


def _builder(name: str, *, compiled: bool) -> Callable[[Checkpoint, torch.device, Options], Hidden]:
    """Import the function that builds a form, the registry's `module:function`.

    Raises:
        UserError: the form cannot be compiled.
    """
    if compiled and not form(name).compiles:
        raise UserError(f"--compile does not go with variant {name}: leave one of them out")
    module, _, function = form(name).build.partition(":")
    found: Callable[[Checkpoint, torch.device, Options], Hidden] = getattr(importlib.import_module(module), function)
    return found


def _with_head(sizes: Sizes, head: nn.Module) -> Sizes:
    dense = sum(p.nelement() * p.element_size() for p in head.parameters())
    return Sizes(sizes.resident + dense, sizes.file + dense)


def _load_dense(dense: Dense) -> nn.Module:
    tensors = read_tensors(module_weights(dense.folder))
    linear = nn.Linear(dense.dim_in, dense.dim_out, bias=dense.bias)
    state = {k.removeprefix("linear."): torch.from_numpy(np.array(v, dtype=np.float32)) for k, v in tensors.items()}
    linear.load_state_dict(state)
    activation: nn.Module = getattr(nn, dense.activation)()
    return nn.Sequential(linear, activation)
