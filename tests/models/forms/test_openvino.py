"""openvino-int8 against transformers' own modules with weights rounded in torch."""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import TOLERANCE, largest
from torch import nn
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
from instructor_eval.models.forms import onnx_graph
from instructor_eval.models.forms import openvino as form_module
from instructor_eval.models.forms.base import Options
from instructor_eval.models.network import Network

pytestmark = pytest.mark.forms

SENTENCES = [
    "The kettle whistles before the water boils.",
    "a pot of water is heated on the stove",
    "My card was charged twice for one purchase.",
    "In cold blood is a phrase that biologists would rather use of lizards than of lawyers, and seldom use at all.",
    "no",
]
SINGLE = 1e-4


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def bert(tmp_path: Path) -> Checkpoint:
    return checkpoint_of("BERT", tmp_path / "model", "openvino-int8")[0]


def built(checkpoint: Checkpoint) -> form_module.OpenvinoHidden:
    return form_module.build(checkpoint, CPU, Options())


@pytest.mark.parametrize("kind", KINDS)
def test_the_float_graph_is_the_transformer(tmp_path: Path, kind: str) -> None:
    checkpoint, transformer = checkpoint_of(kind, tmp_path / "model", "openvino-int8")
    with onnx_graph.exported(checkpoint, Options()) as graph:
        run = form_module._runner(form_module._compiled(graph.file))
    ids, mask = padded(rows := drawn())
    hidden = run(ids, mask)
    assert np.abs(hidden).max() > 0.5
    for row, ours in zip(rows, hidden, strict=True):
        assert largest(ours[: len(row)], theirs(transformer, row)) < SINGLE


def round_weights(transformer: Any) -> None:
    table = transformer.get_input_embeddings().weight
    for weight in [table, *(m.weight for m in transformer.modules() if type(m) is nn.Linear)]:
        weight.copy_(rounded_rows(weight))


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_are_those_of_rounded_weights(tmp_path: Path, kind: str) -> None:
    checkpoint, transformer = checkpoint_of(kind, tmp_path / "model", "openvino-int8")
    form, rows = built(checkpoint), drawn()
    exact = [theirs(transformer, row) for row in rows]
    round_weights(transformer)
    ours = hidden_of(form, rows)
    for row, hidden, full in zip(rows, ours, exact, strict=True):
        assert largest(hidden, theirs(transformer, row)) < SINGLE
        assert largest(hidden, full) > 10 * SINGLE, "it is float32 that ran"
        assert largest(hidden, hidden_of(form, [row])[0]) < TOLERANCE
    count = PRODUCTS[kind]
    assert form.proof() == f"{count} of {count} products with int8 weights, in float32; embeddings in int8"


@pytest.mark.parametrize("kind", ["instructor", "plain"])
def test_a_text_has_one_vector(request: pytest.FixtureRequest, kind: str) -> None:
    full: Engine = request.getfixturevalue(kind)
    ours = Engine(replace(full.checkpoint, variant="openvino-int8"), device="cpu")
    vectors = ours.encode(SENTENCES, "Represent the sentence: ")
    for text, vector in zip(SENTENCES, vectors, strict=True):
        assert largest(ours.encode([text], "Represent the sentence: ")[0], vector) < TOLERANCE
    assert largest(vectors, full.encode(SENTENCES, "Represent the sentence: ")) > SINGLE
    assert "12 of 12" in ours.network.proof()


def test_no_proof_of_a_float_graph(monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    monkeypatch.setattr(form_module, "quantize", lambda file: file)
    with pytest.raises(RuntimeError, match="0 of 12 products"):
        Network(bert, "cpu")


def test_no_proof_if_one_product_is_left_in_floats(monkeypatch: pytest.MonkeyPatch, bert: Checkpoint) -> None:
    monkeypatch.setattr(form_module, "products_with_weights", lambda m: onnx_graph.products_with_weights(m)[1:])
    with pytest.raises(RuntimeError, match="11 of 12 products"):
        built(bert).proof()


def test_minilm_is_near_its_float_form() -> None:
    minilm = replace(locate(ModelSpec.parse("minilm"), offline=True, known=[]), variant="openvino-int8")
    int8, full = Network(minilm, "cpu"), Engine(replace(minilm, variant="fp32"), device="cpu")
    ours = [int8.forward([np.array(full.tokenizer.encode(s).ids, dtype=np.int32)], 0)[0] for s in SENTENCES]
    cosines = (np.stack(ours) * full.encode(SENTENCES, "")).sum(1)
    assert 0.999 < cosines[:-1].min() < 0.99999
    assert cosines[-1] > 0.995  # a single word
    weights = 30522 * 384 + 6 * (4 * 384 * 384 + 2 * 384 * 1536)
    sizes = int8.sizes()
    assert weights < sizes.resident < 1.06 * weights
    assert weights < sizes.file < 1.08 * weights
    assert "36 of 36" in int8.proof()


def test_the_settings_hold_on_every_processor(bert: Checkpoint) -> None:
    with onnx_graph.exported(bert, Options()) as graph:
        compiled = form_module._compiled(graph.file)
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == form_module.import_openvino().Type.f32
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 0
    assert compiled.get_property("INFERENCE_NUM_THREADS") == torch.get_num_threads()
    assert compiled.get_property("NUM_STREAMS") == 1
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_the_same_numbers_again_and_nothing_is_said(
    tmp_path: Path, bert: Checkpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    form, rows = built(bert), drawn()
    once = hidden_of(form, rows)
    copies = [hidden.copy() for hidden in once]
    assert all(map(np.array_equal, hidden_of(form, rows), copies))
    assert all(map(np.array_equal, once, copies)), "a later batch has written over an earlier one"
    assert all(map(np.array_equal, hidden_of(built(bert), rows), copies))
    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_nothing_is_reported_to_anybody(bert: Checkpoint) -> None:
    built(bert)
    assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
    reporting = sys.modules["openvino.tools.ovc.telemetry_utils"].tm
    assert reporting.__name__ == "openvino.tools.ovc.telemetry_stub"


@pytest.mark.parametrize(("said", "kind"), [("std::bad_alloc", MemoryError), ("Odd", RuntimeError)])
def test_memory_that_does_not_suffice(said: str, kind: type[Exception]) -> None:
    class Compiled:
        inputs = ()

        def create_infer_request(self) -> Any:
            return self

        def infer(self, *_arguments: object, **_settings: object) -> None:
            raise RuntimeError(said)

    with pytest.raises(kind, match=said):
        form_module._runner(Compiled())(*padded(drawn([3])))
