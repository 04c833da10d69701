"""LanceDB tables made with our embedding function, held against exact search over `load_encoder`'s vectors."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest
import tiny
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector
from lancedb_tables import QUERY, QUESTIONS, SOURCE, TEXTS, exact, function, table_of

from instructor_eval import load_encoder
from instructor_eval.core.errors import UserError
from instructor_eval.models import lancedb as ours

pytestmark = [pytest.mark.stores, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def instructor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_instructor(tmp_path_factory.mktemp("model") / "tiny", include_prompt_key=True)


def check_search(table: Any, question: str, distances: np.ndarray) -> None:
    """The seven nearest: their distances, and ids in an order that these allow."""
    rows = table.search(question).limit(7).to_list()
    assert np.abs([row["_distance"] for row in rows] - np.sort(distances)[:7]).max() < 1e-5
    assert len({row["id"] for row in rows}) == 7
    if len(np.unique(distances.round(5))) == len(distances):
        assert [row["id"] for row in rows] == np.argsort(distances)[:7].tolist()
    for row in rows:
        assert abs(row["_distance"] - distances[row["id"]]) < 1e-5
        assert row["text"] == TEXTS[row["id"]]


def check_against_exact_search(table: Any, model: Any, source: str, query: str) -> None:
    documents = model.encode(TEXTS, source, normalize_embeddings=True)
    stored = np.array(table.to_arrow().sort_by("id")["vector"].to_pylist())
    assert np.abs(stored - documents).max() < 1e-5
    for question in QUESTIONS:
        check_search(table, question, exact(documents, model.encode(question, query, normalize_embeddings=True)))


@pytest.mark.parametrize("variant", ["fp32", "int8", "fp32+float16@64", "int8+binary@256"])
def test_minilm_serves_what_is_evaluated(variant: str, tmp_path: Path) -> None:
    table = table_of(function(name="minilm", quantize=variant), tmp_path)
    check_against_exact_search(table, load_encoder("minilm", device="cpu", variant=variant), "", "")


def test_an_instructor_with_its_instructions(instructor: Path, tmp_path: Path) -> None:
    made = function(name=str(instructor), source_instruction=SOURCE, query_instruction=QUERY)
    model = load_encoder(instructor, device="cpu", variant="fp32")
    check_against_exact_search(table_of(made, tmp_path), model, SOURCE, QUERY)
    # The two instructions are not mixed up, and both matter.
    assert np.abs(made.compute_query_embeddings("the river")[0] - model.encode("the river", QUERY)).max() < 1e-5
    assert np.abs(model.encode("the river", SOURCE) - model.encode("the river", QUERY)).max() > 1e-3


def test_instructions_that_are_left_out(instructor: Path, tmp_path: Path) -> None:
    template = "Represent the query for retrieving supporting documents: "
    model = load_encoder(instructor, device="cpu", variant="fp32")
    check_against_exact_search(table_of(function(name=str(instructor)), tmp_path), model, SOURCE, template)
    prefix = tiny.build_plain(tmp_path / "e5", prompts={"query": "query: ", "passage": "passage: "})
    model = load_encoder(prefix, device="cpu", variant="fp32")
    check_against_exact_search(table_of(function(name=str(prefix)), tmp_path / "b"), model, "passage: ", "query: ")
    bare = function(name=str(instructor), source_instruction="").compute_source_embeddings("the river")[0]
    assert np.abs(bare - load_encoder(instructor, device="cpu").encode("the river")).max() < 1e-5


def test_without_normalising(tmp_path: Path) -> None:
    raw = tiny.build_plain(tmp_path / "raw")
    modules = json.loads((raw / "modules.json").read_text())
    (raw / "modules.json").write_text(json.dumps([m for m in modules if not m["type"].endswith("Normalize")]))
    vectors = load_encoder(raw, device="cpu").encode(TEXTS)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).min() > 0.01
    for wanted in (False, True):
        made = function(name=str(raw), normalize_embeddings=wanted).compute_source_embeddings(pa.array(TEXTS))
        expected = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if wanted else vectors
        assert np.abs(np.array(made) - expected).max() < 1e-5


def test_defaults_are_lancedbs_where_they_mean_the_same() -> None:
    own = get_registry().get("instructor")
    made = function()
    for setting in ("name", "device", "normalize_embeddings", "show_progress_bar"):
        assert getattr(made, setting) == own.model_fields[setting].default
    assert set(own.model_fields) <= set(ours.InstructorEvalEmbeddings.model_fields)
    assert made.quantize == function(quantize=False).quantize == function(quantize="False").quantize == "fp32"
    assert function(quantize=True).quantize == "int8"
    assert ours.InstructorEvalEmbeddings.sensitive_keys() == []


def one_line(call: Callable[[], Any], *words: str) -> None:
    with pytest.raises(UserError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sorce_instruction": "x"}, ["unknown setting 'sorce_instruction'", "did you mean source_instruction"]),
        ({"trust_remote_code": True}, ["unknown setting 'trust_remote_code'", "known are"]),
        ({"batch_size": 0}, ["batch_size", "found 0"]),
        ({"batch_size": float("nan")}, ["batch_size", "nan"]),
        ({"max_retries": -1}, ["max_retries", "-1"]),
        ({"normalize_embeddings": "maybe"}, ["normalize_embeddings", "maybe"]),
        ({"source_instruction": 3}, ["source_instruction", "found 3"]),
        ({"quantize": None}, ["quantize", "True, False or a variant", "None"]),
        ({"quantize": "int9"}, ["unknown variant 'int9'", "int8"]),
        ({"quantize": "fp32@0"}, ["'0' is not a number of dimensions"]),
        ({"quantize": "fp32+int8"}, ["fp32+int8", "whole corpus", "fp32+float16"]),
        ({"quantize": "int8+uint8@64"}, ["int8+uint8@64", "int8+float16"]),
        ({"quantize": "fp32+ubinary"}, ["no packed bits", "fp32+binary"]),
        ({"quantize": "fp32+binary-rescore"}, ["fp32+binary"]),
        ({"name": "../nowhere"}, ["no model folder at '../nowhere'"]),
        ({"name": ""}, ["is no model"]),
        ({"name": Path("x")}, ["name", "string"]),
        ({"family": "prefx"}, ["unknown family 'prefx'"]),
    ],
)
def test_settings_that_cannot_be_used(settings: dict[str, Any], words: list[str]) -> None:
    one_line(lambda: function(**settings), *words)


def test_models_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    one_line(lambda: function(name="acme/nowhere").ndims(), "acme/nowhere", "local")
    one_line(lambda: function(name="minilm", quantize="fp32@999").ndims(), "384 dimensions")
    one_line(lambda: function(name="minilm", device="abacus").compute_query_embeddings("x"), "unknown device 'abacus'")
    one_line(lambda: function(name="minilm", fingerprint="0" * 16).ndims(), "fingerprint", "0" * 16)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["the river", None], ["text 2 of 2 is missing"]),
        ([float("nan"), "the river"], ["text 1 of 2 is missing", "NaN"]),
        (pa.array(["the river", " \n"]), ["text 2 of 2 is empty"]),
        (pa.chunked_array([["the river"], [None]]), ["text 2 of 2 is missing"]),
        (pa.array([5]), ["of type int"]),
        ("", ["empty"]),
    ],
)
@pytest.mark.parametrize("retries", [0, 7])
def test_texts_that_are_none(texts: Any, words: list[str], retries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"waited {seconds} s for what cannot change"))
    made = function(name="minilm", max_retries=retries)
    one_line(lambda: made.compute_source_embeddings_with_retry(texts), *words)


def test_nothing_is_filed_of_rows_that_cannot_be_embedded(tmp_path: Path) -> None:
    table = table_of(function(name="minilm"), tmp_path, ["the river"])
    for text, words in ((None, "text 2 of 2 is missing"), ("", "text 2 of 2 is empty")):
        with pytest.raises(RuntimeError, match=words):  # LanceDB's, around our line
            table.add([{"id": 1, "text": "good"}, {"id": 2, "text": text}])
    assert table.count_rows() == 1
    one_line(lambda: table.search("  "), "the query is empty")
    assert function(name="minilm").compute_source_embeddings([]) == []


def test_columns_that_cannot_hold_the_vectors() -> None:
    made = function(name="minilm")

    def schema(kind: Any) -> type[LanceModel]:
        class Row(LanceModel):
            text: str = made.SourceField()
            vector: kind = made.VectorField()

        return Row

    one_line(lambda: schema(Vector(24)), "has 24 values", "gives 384")
    one_line(lambda: schema(Vector(24) | None), "has 24 values", "gives 384")
    one_line(lambda: schema(Vector(384, value_type=pa.uint8())), "uint8", "floats")
    for kind in (Vector(384), Vector(384) | None, list[float], Vector(384, value_type=pa.float64())):
        assert schema(kind).to_arrow_schema().field("vector").type.list_size == 384


def test_a_column_of_float16(tmp_path: Path) -> None:
    made = function(name="minilm", quantize="fp32+float16")

    class Row(LanceModel):
        text: str = made.SourceField()
        vector: Vector(384, value_type=pa.float16()) = made.VectorField()

    table = lancedb.connect(tmp_path).create_table("rows", schema=Row)
    table.add([{"text": text} for text in TEXTS])
    found = table.search("dough").limit(1).to_list()[0]
    # Normalising in float32 moves rounded values by less than float16 keeps.
    expected = load_encoder("minilm", device="cpu", variant="fp32+float16").encode(found["text"])
    assert np.abs(np.array(found["vector"]) - expected).max() < 1e-3
    assert found["text"].startswith("bread")


def test_unforeseen_errors_are_tried_again_as_often_as_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    for retries, works in ((2, True), (1, False), (0, False)):
        made, calls = function(name="minilm", max_retries=retries), [0]

        def flaky(texts: Any, calls: list[int] = calls) -> list[list[float]]:
            calls[0] += 1
            if calls[0] < 3:
                raise RuntimeError("the device is busy")
            return [[1.0]]

        object.__setattr__(made, "compute_source_embeddings", flaky)
        if works:
            assert made.compute_source_embeddings_with_retry(["x"]) == [[1.0]]
        else:
            with pytest.raises(Exception, match=r"busy|retries \(1\)"):
                made.compute_source_embeddings_with_retry(["x"])
        assert calls[0] == min(3, retries + 1)
    assert len(waits) == 3


def test_a_model_is_loaded_once_for_all_searches_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import instructor_eval.models.library as load

    loaded: list[str] = []
    original = load.load_encoder
    monkeypatch.setattr(load, "load_encoder", lambda name, **k: loaded.append(name) or original(name, **k))
    monkeypatch.setattr(ours, "_loaded", type(ours._loaded)())
    table = table_of(function(name="minilm"), tmp_path)
    expected = {q: [r["id"] for r in table.search(q).limit(5).to_list()] for q in QUESTIONS}
    wrong: list[object] = []

    def search(question: str) -> None:
        again = lancedb.connect(tmp_path).open_table("rows")
        for _ in range(5):
            if [r["id"] for r in again.search(question).limit(5).to_list()] != expected[question]:
                wrong.append(question)

    threads = [threading.Thread(target=search, args=(q,)) for q in QUESTIONS * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert loaded == ["minilm"]
    for dim in range(8, 8 + 2 * ours._MOST_LOADED):
        assert function(name="minilm", quantize=f"fp32@{dim}").ndims() == dim
    assert len(ours._loaded) == ours._MOST_LOADED
