"""LanceDB's tables of pictures, searched by text and by picture, as exact search over `load_encoder`'s vectors."""

import io
import json
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector
from PIL import Image

from instructor_eval import load_encoder
from instructor_eval.core.errors import UserError
from instructor_eval.core.paths import shipped
from instructor_eval.models import lancedb as ours

DEMO = shipped("tasks") / "demo" / "pictures"
QUESTIONS = ["two red circles", "a star at the top", "four black squares"]


def function(models: Path, **more: Any) -> Any:
    return get_registry().get(ours.ALIAS).create(name=f"hf-clip:{models / 'clip'}", source="image", **more)


def exact(vectors: np.ndarray, query: np.ndarray, k: int) -> tuple[list[int], np.ndarray]:
    vectors, query = (
        v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (vectors.astype(float), query.astype(float))
    )
    distances = np.square(vectors - query).sum(axis=1)
    order = np.argsort(distances, kind="stable")[:k]
    return order.tolist(), distances[order]


@pytest.mark.parametrize("kind", ["path", "address", "bytes"])
def test_texts_and_pictures_find_what_exact_search_finds(models: Path, tmp_path: Path, kind: str) -> None:
    paths = sorted(DEMO.glob("*.png"))[:60]
    made = function(models, query_instruction="a drawing of {}")
    column: Any = bytes if kind == "bytes" else str

    class Row(LanceModel):
        id: int
        image: column = made.SourceField()
        vector: Vector(made.ndims()) = made.VectorField()

    given = {"path": str, "address": Path.as_uri, "bytes": Path.read_bytes}[kind]
    table = lancedb.connect(tmp_path / "db").create_table("pictures", schema=Row)
    table.add([{"id": i, "image": given(path)} for i, path in enumerate(paths)])
    table = lancedb.connect(tmp_path / "db").open_table("pictures")  # as another process would
    encoder = load_encoder(f"hf-clip:{models / 'clip'}", device="cpu")
    vectors = encoder.encode(paths)
    stored = table.to_arrow().sort_by("id")["vector"].to_pylist()
    assert np.abs(np.array(stored) - vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).max() < 1e-6
    queries: list[tuple[Any, np.ndarray]] = [(q, encoder.encode(q, "a drawing of {}")) for q in QUESTIONS]
    queries += [(Image.open(path), encoder.encode(path)) for path in sorted(DEMO.glob("*.png"))[100:103]]
    for query, vector in queries:
        found = table.search(query).limit(5).to_list()
        _, distances = exact(vectors, vector, 5)
        assert np.abs(np.array([row["_distance"] for row in found]) - distances).max() < 1e-5
    [first] = table.search(Image.open(paths[7])).limit(1).to_list()
    assert (first["id"], first["_distance"]) == (7, pytest.approx(0, abs=1e-5))


def test_what_is_no_picture_here_is_one_line(models: Path, tmp_path: Path) -> None:
    made = function(models)
    (tmp_path / "a.png").write_text("a text")
    for value, line in {
        "https://example.com/a.png": "picture 1 of 1 is at 'https://example.com/a.png', not on this machine",
        "file://other/a.png": "not on this machine",
        "s3://bucket/a.png": "not on this machine",
        str(tmp_path / "a.png"): "is no picture of a known format",
        str(tmp_path / "b.png"): "cannot be read",
        b"": "is no picture of a known format",
        None: r"is missing \(null\)",
        3: "is of type int",
    }.items():
        with pytest.raises(UserError, match=line) as e:
            made.compute_source_embeddings([value])
        assert "\n" not in str(e.value)
    text = get_registry().get(ours.ALIAS).create(name="minilm")
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "PNG")
    with pytest.raises(UserError, match="reads texts alone, and the query is a picture"):
        text.compute_query_embeddings(buffer.getvalue())
    with pytest.raises(UserError, match="source: Input should be 'text' or 'image'"):
        get_registry().get(ours.ALIAS).create(name="minilm", source="sound")


def test_a_table_keeps_the_folder_and_the_fingerprint(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models)
    made = get_registry().get(ours.ALIAS).create(name="hf-clip:clip", source="image")
    stored = made.safe_model_dump()
    assert stored["name"] == f"hf-clip:{models / 'clip'}"
    assert stored["source"] == "image"
    assert stored["fingerprint"] == load_encoder("hf-clip:clip", device="cpu").fingerprint
    json.dumps(stored)
