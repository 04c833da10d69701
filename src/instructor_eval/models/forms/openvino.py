"""openvino-int8: the transformer in OpenVINO, weights in int8 (`onnx_graph.py` has what stays outside).

Weights are int8 with a scale for each output channel, embedding tables with a scale for each row. They are rounded here
and put into the graph; OpenVINO stores them unchanged and multiplies in float32.

Its "dynamic quantization" of activations is off: it runs only on processors with VNNI, and one model would have other
vectors on each kind of machine. For the same reason products are in float32 even if the processor has bfloat16.
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
    """Build the transformer with OpenVINO's CPU plugin, with torch's number of threads.

    Raises:
        UserError: it cannot be loaded or exported.
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
        file: The quantized graph.
    """

    align = 0
    alone = False

    def __init__(self, graph: Graph, file: Path) -> None:
        compiled = _compiled(file)
        self._run = _runner(compiled)
        self._wanted, self._written = graph.products, written_bytes(file)
        self._nodes = [(_layer(node), node) for node in compiled.get_runtime_model().get_ordered_ops()]

    def __call__(self, batch: Packed) -> Tensor:
        """Return the last hidden states [tokens, width], the rows of one length at a time."""
        hidden = []
        for segment in batch.segments:
            ids = batch.ids[segment.start : segment.end].view(segment.rows, segment.width).numpy()
            hidden.append(torch.from_numpy(self._run(ids, np.ones_like(ids))).flatten(0, 1))
        return torch.cat(hidden)

    def sizes(self) -> Sizes:
        """Return the bytes of the constants that OpenVINO runs with, and of the file."""
        constants = [node.output(0) for layer, node in self._nodes if layer == "Const"]
        # A constant without a type is the placeholder of a missing input.
        resident = sum(
            int(np.prod(list(c.get_shape()), dtype=np.int64)) * c.get_element_type().size
            for c in constants
            if c.get_element_type().is_static()
        )
        return Sizes(resident=resident, file=self._written)

    def proof(self) -> str:
        """Return one line about the products with int8 weights in the graph that OpenVINO runs.

        Raises:
            RuntimeError: a product has a weight that is not int8.
        """
        weights = [_type(node, 1) for layer, node in self._nodes if layer == "FullyConnected"]
        found = weights.count("i8")
        if found != self._wanted or len(weights) != found or not found:
            raise RuntimeError(f"OpenVINO runs {found} of {self._wanted} products with int8 weights")
        tables = sum(layer == "Gather" and _type(node, 0) == "i8" for layer, node in self._nodes)
        embeddings = "int8" if tables else "float32"
        return f"{found} of {self._wanted} products with int8 weights, in float32; embeddings in {embeddings}"


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry.

    The import alone would write an id to `~/intel` and report to Intel without asking. OpenVINO uses a stub if the
    telemetry package is missing; so the package is hidden during the import.
    """
    there = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # makes its import fail
    try:
        import openvino
    finally:
        del sys.modules[_TELEMETRY]
        if there:
            sys.modules[_TELEMETRY] = there
    return openvino


def _compiled(file: Path) -> Any:
    """Compile a graph for the CPU, with the same numbers on every processor."""
    core = import_openvino().Core()
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # or two processes would share the same cores
        "EXECUTION_MODE_HINT": "ACCURACY",
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
    }
    return core.compile_model(core.read_model(str(file)), "CPU", settings)


def _runner(compiled: Any) -> Run:
    """Return a function that runs a compiled model; a transformer may have no input for the mask."""
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
