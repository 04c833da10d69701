"""onnx-int8: ONNX Runtime's own dynamic quantization of the transformer (`onnx_graph.py` has what stays outside).

Weights are int8 with a scale for each output channel; activations are uint8 with one scale for a whole tensor, measured
at run time. That scale covers all tokens of a batch, so a text's vector would depend on its batch-mates: each text runs
alone. Weights use 7 of their 8 bits (`reduce_range`): the full range overflows in the 16-bit sums of processors with
AVX2 but no VNNI, and the same model would have other vectors there. Embedding tables are int8 with a scale for each
row, products of two activations are float32.

Measured with MiniLM on 500 texts: overlap with float32's top-10 lists, and speed relative to ONNX Runtime's float32
(AVX2, one thread). As here 0.92 at 1.5; with all 8 bits 0.92 at 1.55; uint8 weights 0.93 at 1.3; one scale for each
matrix 0.82; one scale for the whole embedding table 0.917.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.forms.base import Options, Sizes
from instructor_eval.models.forms.onnx_graph import (
    HIDDEN,
    IDS,
    MASK,
    Floats,
    Graph,
    Integers,
    Run,
    exported,
    load_graph,
    products_with_weights,
    round_embeddings,
    save_graph,
    written_bytes,
)
from instructor_eval.models.packed import Packed

_INT8_PRODUCTS = ("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul")
_ERRORS_ONLY = 3


def build(checkpoint: Checkpoint, device: torch.device, options: Options) -> OnnxHidden:  # the registry says CPU
    """Build the transformer as an ONNX Runtime session with torch's number of threads.

    Raises:
        UserError: it cannot be loaded or exported.
    """
    with exported(checkpoint, options) as graph:
        graph.check(_runner(_session(graph.file)))
        return OnnxHidden(graph, quantize(graph.file))


def quantize(file: Path) -> Path:
    """Write the quantized graph beside the float32 one."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    made = file.with_name("int8.onnx")
    with _quiet():
        quantize_dynamic(
            file,
            made,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
            extra_options={"MatMulConstBOnly": True},
        )
    model = load_graph(made)
    round_embeddings(model)
    save_graph(model, made)
    return made


class OnnxHidden:
    """A session on a quantized graph.

    Args:
        graph: The float32 graph.
        file: The quantized graph.
    """

    align = 0
    alone = True

    def __init__(self, graph: Graph, file: Path) -> None:
        optimised = file.with_name("optimised.onnx")
        self._run = _runner(_session(file, optimised))
        self._wanted, self._written = graph.products, written_bytes(file)
        model = load_graph(optimised, weights=False)
        self._kinds = Counter(node.op_type for node in model.graph.node)
        self._left = len(products_with_weights(model))
        self._resident = sum(_bytes(t) for t in model.graph.initializer)
        self._tables = _int8_lookups(model)

    def __call__(self, batch: Packed) -> Tensor:
        """Return the last hidden states [tokens, width], each row computed alone."""
        rows = [
            row
            for segment in batch.segments
            for row in batch.ids[segment.start : segment.end].view(segment.rows, 1, segment.width).numpy()
        ]
        return torch.cat([torch.from_numpy(self._run(row, np.ones_like(row))[0]) for row in rows])

    def sizes(self) -> Sizes:
        """Return the bytes of the optimised graph's constants (the session has one copy of them) and of the file."""
        return Sizes(resident=self._resident, file=self._written)

    def proof(self) -> str:
        """Return one line about the integer products in the optimised graph that the session runs.

        Raises:
            RuntimeError: a product with a weight is not an integer one.
        """
        kinds = {kind: self._kinds[kind] for kind in _INT8_PRODUCTS if self._kinds[kind]}
        found = sum(kinds.values())
        if self._left or found != self._wanted or not found:
            raise RuntimeError(f"ONNX Runtime runs {found} of {self._wanted} products with weights in int8")
        named = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
        embeddings = "int8" if self._tables else "float32"
        return f"{found} of {self._wanted} products with weights in int8 ({named}), embeddings in {embeddings}"


def _session(file: Path, optimised: Path | None = None) -> Any:
    """Open a session on a graph, and write the graph that it really runs to `optimised`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _ERRORS_ONLY
    if optimised:
        options.optimized_model_filepath = str(optimised)
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", optimised.name + ".data"
        )
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _runner(session: Any) -> Run:
    """Return a function that runs a session; a transformer may have no input for the mask."""
    names = {i.name for i in session.get_inputs()}

    def run(ids: Integers, mask: Integers) -> Floats:
        try:
            hidden: Floats = session.run([HIDDEN], {k: v for k, v in ((IDS, ids), (MASK, mask)) if k in names})[0]
        except Exception as e:  # its exceptions have no common type
            if "allocate" in str(e):
                raise MemoryError(str(e)[:300]) from e
            raise
        return hidden

    return run


def _int8_lookups(model: Any) -> int:
    from onnx import TensorProto

    int8 = {t.name for t in model.graph.initializer if t.data_type == TensorProto.INT8}
    return sum(node.op_type == "Gather" and node.input[0] in int8 for node in model.graph.node)


def _bytes(tensor: Any) -> int:
    from onnx import helper

    return int(np.prod(tensor.dims, dtype=np.int64)) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the root logger, which the quantizer sets up and logs advice to."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
