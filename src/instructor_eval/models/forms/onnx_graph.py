"""A transformer as an ONNX graph, `input_ids` and `attention_mask` to `last_hidden_state`, for runtimes outside torch.

The graph is the transformer alone. The instruction's mask, pooling, Dense and normalisation stay outside, in float32
(`models/network.py`), so that two forms differ in the transformer's arithmetic alone. Token types are the model's
default, zero. Before a graph is used it is compared with its transformer: exporters follow one run of Python code, and
a value that they take for a constant is silently wrong in all other runs.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from instructor_eval.core.errors import UserError
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.forms.base import Options
from instructor_eval.models.forms.float import load_transformer

IDS, MASK, HIDDEN = "input_ids", "attention_mask", "last_hidden_state"
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Run = Callable[[Integers, Integers], Floats]
"""A loaded graph as a function: ids and mask, both [rows, width], to hidden states [rows, width, dim]."""
_OPSET = 17  # the first with LayerNormalization
_TRACED, _PROBED = (5, 8), (3, 40)
"""Lengths of the two rows that the exporter runs, and of the two that the check runs."""
_SAME = 1e-3
"""Allowed difference, as a share of the largest hidden state; a wrong graph is off by tenths."""
_RANDOM = {"Dropout", "Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
_SAME_IDS = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_LARGE = 1024
"""Bytes from which a tensor is written beside the graph: a graph cannot exceed 2 GiB."""


@dataclass(frozen=True)
class Graph:
    """An exported transformer in float32."""

    file: Path
    products: int
    """The number of its matrix products with a weight; a layer that runs twice counts twice."""
    ids: Integers
    mask: Integers
    expected: Floats
    """The transformer's own output for these ids."""
    model: str

    def check(self, run: Run) -> None:
        """Compare the graph, as a runtime runs it, with the transformer.

        Raises:
            UserError: it gives other hidden states.
        """
        real = self.mask.astype(bool)
        expected = self.expected[real]
        off = float(np.abs(run(self.ids, self.mask)[real] - expected).max() / np.abs(expected).max())
        if not off <= _SAME:
            raise UserError(
                f"model {self.model}: its ONNX graph gives other hidden states than the model (off by {off:.2g} of the "
                "largest): use --variant int8"
            )


@contextmanager
def exported(checkpoint: Checkpoint, options: Options) -> Iterator[Graph]:
    """Export the checkpoint's transformer to a graph in a temporary folder, and remove it after the block.

    The folder is as large as the float32 weights.

    Args:
        checkpoint: The checkpoint.
        options: Options of the form.

    Raises:
        UserError: the transformer cannot be loaded, or cannot be exported.
    """
    transformer = load_transformer(checkpoint, torch.float32, trust_remote_code=options.trust_remote_code)
    with tempfile.TemporaryDirectory(prefix="instructor-eval-", ignore_cleanup_errors=True) as folder:
        try:
            graph = _export(transformer, checkpoint, Path(folder) / "model.onnx")
        except Exception as e:  # from the model's own code, the exporter or the disk
            why = " ".join(f"{type(e).__name__}: {e}".split())[:300]
            raise UserError(f"model {checkpoint.name} cannot be exported to ONNX ({why}): use --variant int8") from e
        del transformer  # the runtime needs the memory
        yield graph


def load_graph(file: Path, *, weights: bool = True) -> Any:
    """Load an ONNX model; the tensors beside it only with `weights`."""
    import onnx

    return onnx.load(str(file), load_external_data=weights)


def save_graph(model: Any, file: Path) -> None:
    """Write a model, its large tensors in one file beside it."""
    import onnx

    data = file.name + ".data"
    (file.parent / data).unlink(missing_ok=True)  # onnx would append to it
    onnx.save(model, str(file), save_as_external_data=True, location=data, size_threshold=_LARGE)


def written_bytes(file: Path) -> int:
    """Return the bytes of a graph and of the files of tensors beside it."""
    return sum(f.stat().st_size for f in file.parent.glob(file.name + "*"))


def products_with_weights(model: Any) -> list[tuple[Any, Any, int]]:
    """List (node, weight, axis of its outputs) of each matrix product with a weight that depends on the ids.

    Products of constants alone, as of DeBERTa's table of positions, are left out: any runtime computes them once.
    """
    tensors, decided = {t.name: t for t in model.graph.initializer}, {IDS, MASK}
    found = []
    for node in model.graph.node:
        if decided.isdisjoint(node.input):
            continue
        decided.update(node.output)
        weight = tensors.get(node.input[1]) if node.op_type in ("MatMul", "Gemm") else None
        if weight is not None and len(weight.dims) == 2:
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            found.append((node, weight, 0 if transposed else 1))
    return found


def round_embeddings(model: Any) -> int:
    """Store the embedding tables of token ids as int8, with a scale for each row; return their number.

    A row is looked up first and scaled then, so that no runtime converts the whole table to float32.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes, tables = [], {t.name: t for t in model.graph.initializer}
    ids, rounded = {IDS}, 0
    for node in model.graph.node:
        if node.op_type in _SAME_IDS and node.input[0] in ids:
            ids.add(node.output[0])
        is_lookup = node.op_type == "Gather" and node.input[1] in ids and node.input[0] in tables
        if not is_lookup:
            nodes.append(node)
            continue
        (table, places), [out] = node.input, node.output
        if table + "_int8" not in tables:
            values, scales = round_symmetric(numpy_helper.to_array(tables[table]), axis=0)
            for suffix, array in (("_int8", values), ("_scale", scales)):
                tables[table + suffix] = numpy_helper.from_array(array, table + suffix)
        nodes += [
            helper.make_node("Gather", [table + "_int8", places], [out + "_int8"], axis=0),
            helper.make_node("Gather", [table + "_scale", places], [out + "_scale"], axis=0),
            helper.make_node("Cast", [out + "_int8"], [out + "_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [out + "_float", out + "_scale"], [out]),
        ]
        rounded += 1
    replace_nodes(model, nodes, tables)
    return rounded


def replace_nodes(model: Any, nodes: list[Any], tensors: dict[str, Any]) -> None:
    """Replace a graph's nodes, and its tensors by those that the nodes use, also in branches and loops."""
    used: set[str] = set()
    todo = list(nodes)
    while todo:
        node = todo.pop()
        used.update(node.input)
        todo += [inner for attribute in node.attribute for inner in attribute.g.node]
    needed = [t for name, t in tensors.items() if name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(needed)


def round_symmetric(weight: Floats, *, axis: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Round to int8 values -127 to 127; return them and the scale of each index of `axis`, ready to multiply."""
    scale = np.abs(weight).max(axis=1 - axis, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)


class _LastHidden(nn.Module):
    """The two inputs and the one output of a graph."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden: Tensor = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden


@torch.inference_mode()
def _export(transformer: Any, checkpoint: Checkpoint, file: Path) -> Graph:
    # Outside evaluation mode the exporter would leave dropout on, and the transformer in training mode.
    network = _LastHidden(transformer).eval()
    names = (IDS, MASK, HIDDEN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # among others that this exporter is deprecated
        torch.onnx.export(
            network,
            _sample(transformer.config, checkpoint, _TRACED),
            str(file),
            dynamo=False,  # the new exporter cannot follow T5
            opset_version=_OPSET,
            input_names=names[:2],
            output_names=names[2:],
            dynamic_axes={name: {0: "rows", 1: "width"} for name in names},
        )
    model = load_graph(file, weights=False)
    _name_directly(model, file)
    random = sorted({node.op_type for node in model.graph.node} & _RANDOM)
    if random or any(m.training for m in network.modules()):
        raise RuntimeError(f"not in evaluation mode ({', '.join(random) or 'a layer'})")
    ids, mask = _sample(transformer.config, checkpoint, _PROBED)
    expected = network(ids, mask).numpy()
    return Graph(file, len(products_with_weights(model)), ids.numpy(), mask.numpy(), expected, checkpoint.name)


def _name_directly(model: Any, file: Path) -> None:
    """Remove each `Identity` between a tensor and its use: quantizers do not find a weight behind one.

    The exporter adds one before a tensor's second use, or the use of another tensor with the same values.
    """
    import onnx

    tensors = {t.name: t for t in model.graph.initializer}
    names: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type == "Identity" and (source := names.get(node.input[0], node.input[0])) in tensors:
            names[node.output[0]] = source
    if names:
        nodes = [n for n in model.graph.node if n.output[0] not in names]
        for node in nodes:
            node.input[:] = [names.get(name, name) for name in node.input]
        replace_nodes(model, nodes, tensors)
        onnx.save(model, str(file))  # tensors beside it stay where they are


def _sample(config: Any, checkpoint: Checkpoint, lengths: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return ids and mask [2, width] of two rows, the first padded: an exporter may drop a mask of ones."""
    short, long = (min(n, checkpoint.max_length) for n in lengths)
    pad = int(checkpoint.config.get("pad_token_id") or 0)
    mask = (torch.arange(long) < torch.tensor([[short], [long]])).long()
    ids = torch.arange(2 * long).view(2, long) % (int(config.vocab_size) - 2) + 2
    return torch.where(mask.bool(), ids, torch.tensor(pad)), mask
