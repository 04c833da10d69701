"""openvino-int8: the transformer in OpenVINO, weights in int8 (`onnx_graph.py` says what stays outside).

Each weight is int8 with a scale for each output channel, each row of the table of embeddings with a scale of its own.
We round them ourselves and put them into the graph; OpenVINO keeps them as they are and multiplies in float32.

Its "dynamic quantization" of activations is off: it runs on processors with VNNI alone, and one model would have other
vectors on each kind of machine. For the same reason products are in float32 where the processor has bfloat16.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.forms.base import Options, Sizes
from instructor_eval.models.forms.onnx_graph import (
    IDS,
    MASK,
    Floats,
    Graph,
    Integers,
    Run,
    exported,
    load_graph,
    products_with_weights,
    replace_nodes,
    round_embeddings,
    round_symmetric,
    save_graph,
    written_bytes,
)
from instructor_eval.models.packed import Packed

_TELEMETRY = "openvino_telemetry"
_NO_MEMORY = ("bad_alloc", "allocate")


def build(checkpoint: Checkpoint, device: torch.device, options: Options) -> OpenvinoHidden:
    """The transformer compiled by OpenVINO's CPU plugin, for as many threads as torch uses.

    Raises:
        UserError: it cannot be loaded or exported, or compiling was asked for.
    """
    with exported(checkpoint, options) as graph:
        graph.check(_runner(_compiled(graph.file)))
        return OpenvinoHidden(graph, quantize(graph.file))


def quantize(file: Path) -> Path:
    """Write a graph with rounded weights beside the float32 one."""
    from onnx import helper, numpy_helper

    made, model = file.with_name("int8.onnx"), load_graph(file)
    tensors = {t.name: t for t in model.graph.initializer}
    rounded: dict[str, Any] = {}
    for node, weight, axis in products_with_weights(model):
        name = weight.name
        if name not in rounded:
            values, scales = round_symmetric(numpy_helper.to_array(weight), axis=axis)
            for suffix, array in (("_int8", values), ("_scale", scales.reshape(-1))):
                tensors[name + suffix] = numpy_helper.from_array(array, name + suffix)
            inputs, outputs = [name + "_int8", name + "_scale"], [name + "_float"]
            rounded[name] = helper.make_node("DequantizeLinear", inputs, outputs, axis=axis)
        node.input[1] = name + "_float"
    replace_nodes(model, [*rounded.values(), *model.graph.node], tensors)
    round_embeddings(model)
    save_graph(model, made)
    return made


class OpenvinoHidden:
    """A compiled model with int8 weights.

    Args:
        graph: The float32 graph.
        file: What was made of it.
    """

    align = 0
    alone = False

    def __init__(self, graph: Graph, file: Path) -> None:
        compiled = _compiled(file)
        self._run = _runner(compiled)
        self._wanted, self._written = graph.products, written_bytes(file)
        self._nodes = [(_layer(node), node) for node in compiled.get_runtime_model().get_ordered_ops()]

    def __call__(self, batch: Packed) -> Tensor:
        """Last hidden states [tokens, width], the rows of one length at a time."""
        hidden = []
        for segment in batch.segments:
            ids = batch.ids[segment.start : segment.end].view(segment.rows, segment.width).numpy()
            hidden.append(torch.from_numpy(self._run(ids, np.ones_like(ids))).flatten(0, 1))
        return torch.cat(hidden)

    def sizes(self) -> Sizes:
        """In memory: the constants of the graph that OpenVINO runs."""
        constants = [node.output(0) for layer, node in self._nodes if layer == "Const"]
        # A constant without a type stands for an input that is not given.
        resident = sum(
            int(np.prod(list(c.get_shape()), dtype=np.int64)) * c.get_element_type().size
            for c in constants
            if c.get_element_type().is_static()
        )
        return Sizes(resident=resident, file=self._written)

    def proof(self) -> str:
        """How many products with weights read int8 ones in the graph that OpenVINO runs.

        Raises:
            RuntimeError: not all of them.
        """
        weights = [_type(node, 1) for layer, node in self._nodes if layer == "FullyConnected"]
        found = weights.count("i8")
        if found != self._wanted or len(weights) != found or not found:
            raise RuntimeError(f"OpenVINO runs {found} of {self._wanted} products with int8 weights")
        tables = sum(layer == "Gather" and _type(node, 0) == "i8" for layer, node in self._nodes)
        embeddings = "int8" if tables else "float32"
        return f"{found} of {self._wanted} products with int8 weights, in float32; embeddings in {embeddings}"


def import_openvino() -> Any:
    """OpenVINO without its telemetry.

    Its import alone would write an id to `~/intel` and report to Intel without asking. Where the package that does so
    is missing, OpenVINO itself puts a stub in its place; so it is missing while OpenVINO is imported.
    """
    there = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # Python's own sign that a module is not to be found
    try:
        import openvino
    finally:
        del sys.modules[_TELEMETRY]
        if there:
            sys.modules[_TELEMETRY] = there
    return openvino


def _compiled(file: Path) -> Any:
    """A graph for the CPU, its numbers the same on every processor."""
    core = import_openvino().Core()
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # two processes would be tied to the same cores
        "EXECUTION_MODE_HINT": "ACCURACY",
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
    }
    return core.compile_model(core.read_model(str(file)), "CPU", settings)


def _runner(compiled: Any) -> Run:
    """Call a compiled model with ids and mask; a transformer may have no use for the mask."""
    names = {name for i in compiled.inputs for name in i.get_names()}
    request = compiled.create_infer_request()

    def run(ids: Integers, mask: Integers) -> Floats:
        try:
            outputs = request.infer({k: v for k, v in ((IDS, ids), (MASK, mask)) if k in names}, share_inputs=True)
        except RuntimeError as e:
            if any(words in str(e) for words in _NO_MEMORY):
                raise MemoryError(str(e)[:300]) from e
            raise
        hidden: Floats = outputs[0]
        return hidden

    return run


def _layer(node: Any) -> str:
    info = node.get_rt_info()
    return str(info["layerType"].astype(str)) if "layerType" in info else ""


def _type(node: Any, place: int) -> str:
    return str(node.input(place).get_element_type().get_type_name())
