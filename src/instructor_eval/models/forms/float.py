"""The forms in plain floating point, fp32, bf16 and fp16; and loading a transformer, the first step of all forms."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.libraries import quiet_transformers
from instructor_eval.core.outside import as_user_error
from instructor_eval.models.bert import FastBert
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.folder.files import UNUSED_WEIGHTS
from instructor_eval.models.forms.base import Options, Sizes
from instructor_eval.models.forms.stored import NETWORKS, StoredEncoder, read_encoder
from instructor_eval.models.packed import LAID_OUT, PLAIN, Arithmetic, Packed
from instructor_eval.models.t5 import FastT5

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_GPU_ALIGN = 8


def build(checkpoint: Checkpoint, device: torch.device, options: Options) -> FloatHidden:
    """Build the network in fp32, bf16 or fp16."""
    dtype = DTYPES[checkpoint.form]
    transformer = load_encoder(checkpoint, dtype, trust_remote_code=options.trust_remote_code).to(device)
    network = fast_network(transformer, PLAIN if options.compiled else LAID_OUT) or PaddedNetwork(transformer)
    return FloatHidden(network, checkpoint, device, compiled=options.compiled)


class FloatHidden:
    """A network of floats, from this package or from transformers.

    Args:
        network: The network.
        checkpoint: Its checkpoint.
        device: Its device.
        compiled: Compile its forward pass.
    """

    alone = False

    def __init__(
        self,
        network: FastT5 | FastBert | PaddedNetwork,
        checkpoint: Checkpoint,
        device: torch.device,
        *,
        compiled: bool,
    ) -> None:
        self.network = network
        self.align = alignment(network, device)
        self._model, self._dtype = checkpoint.name, DTYPES[checkpoint.form]
        self._tensors = tensors_of(network)
        self._run: Any = torch.compile(network.__call__, dynamic=True) if compiled else network

    def __call__(self, batch: Packed) -> Tensor:
        """Return the last hidden states [tokens, width].

        Raises:
            ModelOutputError: they leave the range of float16.
        """
        hidden: Tensor = self._run(batch)
        if self._dtype == torch.float16 and not torch.isfinite(hidden).all():
            self.network(batch, watch=partial(refuse_overflow, self._model))
        return hidden

    def sizes(self) -> Sizes:
        """Return the bytes of the weights; a file of this form has the same size."""
        size = total_bytes(self._tensors)
        return Sizes(resident=size, file=size)

    def proof(self) -> str:
        """Return one line about the type of every weight.

        Raises:
            RuntimeError: one is of another type.
        """
        others = {t.dtype for t in self._tensors if t.is_floating_point()} - {self._dtype}
        if others or not self._tensors:
            raise RuntimeError(
                f"model {self._model} holds weights of {others or 'no type'} and not {self._dtype} alone"
            )
        return f"{len(self._tensors)} tensors, all {str(self._dtype).removeprefix('torch.')}"


def refuse_overflow(model: str, where: str, x: Tensor) -> None:
    """Raise an error that names this part of a network if its numbers are not finite.

    Raises:
        ModelOutputError: they are not.
    """
    if not torch.isfinite(x).all():
        raise ModelOutputError(
            f"model {model} leaves the range of float16 (65,504) in {where}: no score in fp16; "
            "use --variant bf16 or fp32"
        )


class PaddedNetwork:
    """A transformer without a fast forward pass: transformers runs it on a padded batch."""

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def __call__(self, batch: Packed, watch: Any = None) -> Tensor:
        """Return hidden states [tokens, width], padding included; `watch` sees the output of each layer."""
        [segment] = batch.segments
        ids = batch.ids.view(segment.rows, segment.width)
        mask = torch.ones_like(ids) if segment.attended is None else segment.attended.long()
        hooks = []
        if watch:
            for name, module in self.transformer.named_modules():
                if not list(module.children()):  # the layers at the bottom run in the order of the computation
                    hooks.append(module.register_forward_hook(partial(_show, watch, f"the layer {name}")))
        try:
            hidden: Tensor = self.transformer(input_ids=ids, attention_mask=mask).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return hidden.flatten(0, 1)


def _show(watch: Any, name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
    if isinstance(output, Tensor) and output.is_floating_point():
        watch(name, output)


def fast_network(transformer: Any, arithmetic: Arithmetic) -> FastT5 | FastBert | None:
    """Return the fast forward pass for exactly the classes it was written for; None for others."""
    if isinstance(transformer, StoredEncoder):
        return NETWORKS[transformer.kind](transformer, arithmetic)
    from transformers import BertModel, MT5EncoderModel, T5EncoderModel  # loaded already, by one of them or by others

    if type(transformer) in (T5EncoderModel, MT5EncoderModel) and FastT5.supports(transformer.config):
        return FastT5(transformer, arithmetic)
    if type(transformer) is BertModel and FastBert.supports(transformer.config):
        return FastBert(transformer, arithmetic)
    return None


def alignment(network: FastT5 | FastBert | PaddedNetwork, device: torch.device) -> int:
    """Return the layout of rows: end to end, padded to one width, or to a width that suits GPU kernels."""
    if isinstance(network, PaddedNetwork):
        return 1
    return _GPU_ALIGN if device.type == "cuda" else 0


def tensors_of(thing: Any) -> list[Tensor]:
    """Return every tensor in an object of this package or a torch module; shared storage once."""
    found: dict[int, Tensor] = {}
    seen: set[int] = set()
    todo = [thing]
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            found[id(value) if value.is_mkldnn else value.untyped_storage().data_ptr()] = value
        else:
            todo += _parts(value)
    return list(found.values())


def _parts(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, nn.Module):
        held = [h for module in value.modules() for h in vars(module).values() if _is_ours(h)]
        return [*value.parameters(), *value.buffers(), *held]
    return list(vars(value).values()) if _is_ours(value) else []


def _is_ours(value: Any) -> bool:
    return type(value).__module__.startswith("instructor_eval.") and hasattr(value, "__dict__")


def total_bytes(tensors: list[Tensor]) -> int:
    """Return the bytes of tensors."""
    return sum(t.nelement() * t.element_size() for t in tensors)


def load_encoder(checkpoint: Checkpoint, dtype: torch.dtype, *, trust_remote_code: bool) -> Any:
    """Return the checkpoint's weights for `fast_network`, or else its transformer (`load_transformer`).

    Raises:
        UserError: it cannot be read, or lacks weights.
    """
    found = read_encoder(checkpoint, dtype)
    if found is not None:
        return found
    return load_transformer(checkpoint, dtype, trust_remote_code=trust_remote_code)


def load_transformer(checkpoint: Checkpoint, dtype: torch.dtype, *, trust_remote_code: bool) -> Any:
    """Load the checkpoint's transformer with transformers, on the CPU, in evaluation mode, without gradients.

    Raises:
        UserError: it cannot be read, or lacks weights.
    """
    from transformers import AutoModel, MT5EncoderModel, T5EncoderModel  # 3.5 s

    loader = {"t5": T5EncoderModel, "mt5": MT5EncoderModel}.get(str(checkpoint.config.get("model_type")), AutoModel)
    failure = as_user_error(f"model {checkpoint.name} cannot be loaded", "check the checkpoint, or use another one")
    try:
        with quiet_transformers(), failure:  # transformers raises many types for a checkpoint it cannot read
            model, info = loader.from_pretrained(
                str(checkpoint.transformer),
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
    except UserError as e:
        if "trust_remote_code" in str(e):
            raise UserError(
                f"model {checkpoint.name} brings code of its own: read it, then run again with --trust-remote-code"
            ) from e
        raise
    missing = sorted(k for k in info["missing_keys"] if not k.startswith(UNUSED_WEIGHTS))
    wrong = sorted(str(k[0]) for k in info.get("mismatched_keys", ()))
    if missing or wrong:
        what = f"lacks {missing[0]}" if missing else f"has another shape of {wrong[0]}"
        raise UserError(
            f"model {checkpoint.name} {what} ({len(missing) + len(wrong)} such weights): this is not a whole checkpoint"
        )
    model.to(dtype)  # some classes leave a part in float32
    return model.eval().requires_grad_(requires_grad=False)
