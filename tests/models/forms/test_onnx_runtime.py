"""onnx-int8 against a session that is made by hand, and the export that it shares with openvino-int8."""

import logging
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from checkpoints import largest, one_line
from onnx import TensorProto, checker, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformer_kinds import (
    CPU,
    KINDS,
    PRODUCTS,
    checkpoint_of,
    drawn,
    hidden_of,
    padded,
    rounded_rows,
    theirs,
)

from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.forms import onnx_graph, onnx_runtime
from instructor_eval.models.forms.base import Options
from instructor_eval.models.network import Network

pytestmark = pytest.mark.forms

SENTENCES = [
    "A heron stands at the edge of the pond.",
    "a bird waits in shallow water",
    "How do I get the fee on my last transfer back?",
    "The bridge was closed for repairs until the end of March, and traffic went by the old road along the river.",
    "Enzymes speed up reactions by lowering the energy that they need.",
    "yes",
]


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def bert(tmp_path: Path) -> Checkpoint:
    return checkpoint_of("BERT", tmp_path / "model", "onnx-int8")[0]


@pytest.fixture(scope="module")
def minilm() -> Checkpoint:
    return replace(locate(ModelSpec.parse("minilm"), offline=True, known=[]), variant="onnx-int8")


def built(checkpoint: Checkpoint) -> onnx_runtime.OnnxHidden:
    return onnx_runtime.build(checkpoint, CPU, Options())


@pytest.mark.parametrize("kind", KINDS)
def test_the_float_graph_is_the_transformer(tmp_path: Path, kind: str) -> None:
    checkpoint, transformer = checkpoint_of(kind, tmp_path / "model", "onnx-int8")
    with onnx_graph.exported(checkpoint, Options()) as graph:
        session = onnxruntime.InferenceSession(str(graph.file), providers=["CPUExecutionProvider"])
        assert graph.products == PRODUCTS[kind]
    ids, mask = padded(rows := drawn())
    [hidden] = session.run(None, {"input_ids": ids, "attention_mask": mask})
    assert np.abs(hidden).max() > 0.5
    for row, ours in zip(rows, hidden, strict=True):
        assert largest(ours[: len(row)], theirs(transformer, row)) < 1e-4


class ByHand(torch.nn.Module):
    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.inner = transformer

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.inner(input_ids=ids, attention_mask=mask)[0]


def session_by_hand(transformer: Any, folder: Path) -> onnxruntime.InferenceSession:
    table = transformer.get_input_embeddings().weight
    table.copy_(rounded_rows(table))
    folder.mkdir()
    axes = {0: "n", 1: "length"}
    ids = torch.tensor([[5, 6, 7], [8, 9, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            ByHand(transformer).eval(),
            (ids, (ids > 0).long()),
            str(folder / "float.onnx"),
            dynamo=False,
            input_names=["ids", "mask"],
            output_names=["hidden"],
            dynamic_axes={"ids": axes, "mask": axes, "hidden": axes},
        )
    quantize_dynamic(
        folder / "float.onnx",
        folder / "int8.onnx",
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    return onnxruntime.InferenceSession(str(folder / "int8.onnx"), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("kind", ["T5", "T5 with gated GELU", "BERT"])
def test_hidden_states_are_those_of_a_session_made_by_hand(tmp_path: Path, kind: str) -> None:
    checkpoint, transformer = checkpoint_of(kind, tmp_path / "model", "onnx-int8")
    rows = drawn()
    exact = [theirs(transformer, row) for row in rows]
    session = session_by_hand(transformer, tmp_path / "by hand")
    for row, ours, full in zip(rows, hidden_of(built(checkpoint), rows), exact, strict=True):
        ids = row[None].astype(np.int64)
        [hidden] = session.run(None, {"ids": ids, "mask": np.ones_like(ids)})
        assert largest(ours, hidden[0]) < 1e-5
        assert largest(ours, full) > 1e-3, "it is float32 that ran"


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_integer_and_rows_independent(tmp_path: Path, kind: str) -> None:
    form = built(checkpoint_of(kind, tmp_path / "model", "onnx-int8")[0])
    assert f"{PRODUCTS[kind]} of {PRODUCTS[kind]} products with weights in int8 (" in form.proof()
    assert form.proof().endswith("embeddings in int8")
    rows = drawn()
    together = hidden_of(form, rows)
    for row, hidden in zip(rows, together, strict=True):
        assert np.array_equal(hidden, hidden_of(form, [row])[0])
    assert form.alone


@pytest.mark.parametrize("kind", ["instructor", "plain"])
def test_a_text_has_one_vector(request: pytest.FixtureRequest, kind: str) -> None:
    full: Engine = request.getfixturevalue(kind)
    ours = Engine(replace(full.checkpoint, variant="onnx-int8"), device="cpu")
    vectors = ours.encode(SENTENCES, "Represent the sentence: ")
    for text, vector in zip(SENTENCES, vectors, strict=True):
        assert np.array_equal(ours.encode([text], "Represent the sentence: ")[0], vector)
    assert largest(vectors, full.encode(SENTENCES, "Represent the sentence: ")) > 1e-4
    assert "12 of 12" in ours.network.proof()


def test_no_proof_of_a_float_graph(monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    monkeypatch.setattr(onnx_runtime, "quantize", lambda file: file)
    with pytest.raises(RuntimeError, match="0 of 12 products"):
        Network(bert, "cpu")


def test_no_proof_if_one_product_is_left_in_floats(monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    def all_but_one(source: Path, made: Path, **settings: Any) -> None:
        first = next(n.name for n in onnx_graph.load_graph(source).graph.node if n.op_type == "MatMul")
        quantize_dynamic(source, made, nodes_to_exclude=[first], **settings)

    monkeypatch.setattr(onnxruntime.quantization, "quantize_dynamic", all_but_one)
    with pytest.raises(RuntimeError, match="11 of 12 products"):
        built(bert).proof()


def test_minilm_is_near_its_float_form(minilm: Checkpoint) -> None:
    int8, full = Network(minilm, "cpu"), Engine(replace(minilm, variant="fp32"), device="cpu")
    ours = [int8.forward([np.array(full.tokenizer.encode(s).ids, dtype=np.int32)], 0)[0] for s in SENTENCES]
    cosines = (np.stack(ours) * full.encode(SENTENCES, "")).sum(1)
    assert 0.99 < cosines[:-1].min() < 0.9999
    assert cosines[-1] > 0.97  # a single word
    weights = 30522 * 384 + 6 * (4 * 384 * 384 + 2 * 384 * 1536)
    sizes = int8.sizes()
    assert weights < sizes.resident < 1.06 * weights
    assert weights < sizes.file < 1.08 * weights
    assert "36 of 36" in int8.proof()


def test_the_same_numbers_again_and_with_more_threads(bert: Checkpoint) -> None:
    rows, threads = drawn(), torch.get_num_threads()
    once = hidden_of(built(bert), rows)
    torch.set_num_threads(2)
    try:
        again = hidden_of(built(bert), rows)
    finally:
        torch.set_num_threads(threads)
    assert all(map(np.array_equal, once, again))


def test_a_session_has_as_many_threads_as_torch(monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    asked = []
    session = onnxruntime.InferenceSession

    def noted(file: str, options: Any, **rest: Any) -> Any:
        asked.append((options.intra_op_num_threads, options.inter_op_num_threads))
        return session(file, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", noted)
    built(bert)
    assert set(asked) == {(torch.get_num_threads(), 1)}


def test_nothing_is_said_and_nothing_left_behind(
    tmp_path: Path, bert: Checkpoint, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    disabled, handlers = logging.root.manager.disable, list(logging.root.handlers)
    built(bert)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert (logging.root.manager.disable, logging.root.handlers) == (disabled, handlers)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_what_cannot_be_exported_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    def fails(*_arguments: object, **_settings: object) -> None:
        raise RuntimeError("operator aten::odd\n  is not supported\n" + 1000 * "x")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with one_line("acme/tiny", "aten::odd is not supported", "--variant int8"):
        built(bert)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_graph_in_training_mode_is_refused(monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    monkeypatch.setattr(onnx_graph._LastHidden, "eval", lambda self: self.train())
    with one_line("acme/tiny", "not in evaluation mode"):
        built(bert)


def test_a_graph_with_dropout_is_refused(monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    forward = onnx_graph._LastHidden.forward

    def dropping(self: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return forward(self, input_ids, attention_mask) * torch.rand_like(attention_mask.float())[..., None]

    monkeypatch.setattr(onnx_graph._LastHidden, "forward", dropping)
    with one_line("acme/tiny", "not in evaluation mode", "RandomUniformLike"):
        built(bert)


def test_a_graph_that_follows_one_run_alone_is_refused(monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    forward = onnx_graph._LastHidden.forward

    def depends(self: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = forward(self, input_ids, attention_mask)
        return hidden * 1.01 if int(input_ids.shape[1]) > 20 else hidden

    monkeypatch.setattr(onnx_graph._LastHidden, "forward", depends)
    with one_line("acme/tiny", "other hidden states", "off by 0.0099"):
        built(bert)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_graph_that_gives_something_else_is_refused(bert: Checkpoint, value: float) -> None:
    with onnx_graph.exported(bert, Options()) as graph:
        graph.check(lambda *_: graph.expected)
        with one_line("acme/tiny", "other hidden states", "--variant int8"):
            graph.check(lambda *_: np.full_like(graph.expected, value))


class Failed(Exception):
    """As ONNX Runtime's own are: no RuntimeError."""


@pytest.mark.parametrize(("said", "kind"), [("Failed to allocate memory for 8 bytes", MemoryError), ("Odd", Failed)])
def test_memory_that_does_not_suffice(said: str, kind: type[Exception]) -> None:
    class Session:
        def get_inputs(self) -> list[Any]:
            return []

        def run(self, *_arguments: object) -> None:
            raise Failed(said)

    with pytest.raises(kind, match=said):
        onnx_runtime._runner(Session())(*padded(drawn([3])))


def test_weights_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    """As the exporter leaves them where a graph would be over 2 GiB."""
    expected = hidden_of(built(bert), drawn())
    export = torch.onnx.export

    def beside(network: Any, arguments: Any, file: str, **settings: Any) -> None:
        export(network, arguments, file, **settings)
        onnx_graph.save_graph(onnx_graph.load_graph(Path(file)), Path(file))
        assert Path(file + ".data").stat().st_size > Path(file).stat().st_size

    monkeypatch.setattr(torch.onnx, "export", beside)
    assert all(map(np.array_equal, hidden_of(built(bert), drawn()), expected))


def test_rounding_keeps_the_largest_value_and_zero_rows() -> None:
    weight = np.array([[0.5, -2.0, 1.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    values, scale = onnx_graph.round_symmetric(weight, axis=0)
    assert values.tolist() == [[32, -127, 64], [0, 0, 0]]
    assert scale.shape == (2, 1)
    assert (values * scale)[0, 1] == -2
    values, scale = onnx_graph.round_symmetric(weight.T.copy(), axis=1)
    assert values.tolist() == [[32, 0], [-127, 0], [64, 0]]
    assert scale.shape == (1, 2)


def test_a_tensor_that_a_branch_uses_stays() -> None:
    def graph(name: str, nodes: list[Any], inputs: list[Any], tensors: list[Any]) -> Any:
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])
        return helper.make_graph(nodes, name, inputs, [out], tensors)

    condition = helper.make_tensor_value_info("condition", TensorProto.BOOL, [])
    branches = {
        f"{kind}_branch": graph(kind, [helper.make_node("Identity", [name], [kind])], [], [])
        for kind, name in (("then", "a"), ("else", "b"))
    }
    node = helper.make_node("If", ["condition"], ["out"], **branches)
    tensors = [numpy_helper.from_array(np.ones(2, dtype=np.float32), name) for name in "abc"]
    model = helper.make_model(graph("out", [node], [condition], tensors))
    onnx_graph.replace_nodes(model, list(model.graph.node), {t.name: t for t in tensors})
    assert [t.name for t in model.graph.initializer] == ["a", "b"]
    checker.check_model(model)
