"""Parquet without pyarrow: every value is pyarrow's, and damage is one line."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_items import METRICS, whole_items

from instructor_eval.analysis.compare.compact import compact, to_parquet
from instructor_eval.results import items_files, parquet
from instructor_eval.results.parquet import Bounds

pytest.importorskip("backports.zstd", reason="backports.zstd comes with an installation since it is a dependency")

BOUNDS = Bounds(2**29, 30_000_000)


def written(table: Any, **how: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), out, **({"compression": "zstd"} | how))
    return out.getvalue()


def theirs(content: bytes) -> dict[str, list[Any]]:
    return dict(pq.ParquetFile(pa.BufferReader(content)).read().to_pydict())


@pytest.mark.parametrize("metric", METRICS)
def test_items_are_read_as_pyarrow_reads_them(metric: str) -> None:
    items = whole_items(metric, 1)
    for content in (items_files.pack(items)[0], to_parquet(compact(metric, items))):
        assert parquet.read(content, BOUNDS) == items_files.unpack(content)
        assert parquet.read(content, BOUNDS, without=("id",)) == items_files.unpack(content, without=("id",))


texts = st.one_of(st.none(), st.text(max_size=8))
whole = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
real = st.one_of(st.none(), st.floats(allow_nan=False))
columns = st.sampled_from([texts, whole, real, st.one_of(st.none(), st.booleans())])


@given(data=st.data())
def test_any_columns_and_lists_of_them(data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 30))
    found = {}
    for name in "abc":
        values = data.draw(columns)
        for _ in range(data.draw(st.integers(0, 2))):
            values = st.one_of(st.none(), st.lists(values, max_size=3))
        found[name] = data.draw(st.lists(values, min_size=rows, max_size=rows))
    content = written(found, row_group_size=data.draw(st.integers(1, 40)), data_page_size=64)
    assert parquet.read(content, BOUNDS) == theirs(content)


@pytest.mark.parametrize("kind", ["int32", "int64", "uint32", "float", "double", "string", "binary", "bool"])
@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BINARY_PACKED", "DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT", None])
@pytest.mark.parametrize("n", [1, 2, 33, 1000])
def test_every_encoding(kind: str, encoding: str | None, n: int) -> None:
    draw = np.random.default_rng(n)
    values: list[Any] = draw.integers(0, 2**31 if kind != "int32" else 2**20, n).tolist()
    if kind in ("float", "double"):
        values = np.float32(draw.normal(size=n)).tolist()
    elif kind in ("string", "binary"):
        values = [f"doc-{v % 50}" if kind == "string" else f"doc-{v}".encode() for v in values]
    elif kind == "bool":
        values = [bool(v % 2) for v in values]
    type_ = getattr(pa, {"float": "float32", "double": "float64", "bool": "bool_"}.get(kind, kind))()
    table = pa.table({"a": pa.array(values, type_)})
    how = {"use_dictionary": encoding is None} | ({"column_encoding": {"a": encoding}} if encoding else {})
    try:
        content = written(table, **how)
    except (OSError, pa.ArrowNotImplementedError):
        return  # pyarrow has no such pair
    assert parquet.read(content, BOUNDS) == theirs(content) == {"a": values}


@pytest.mark.parametrize(
    ("table", "how", "why"),
    [
        ({"a": [1]}, {"compression": "snappy"}, "packed in a way"),
        ({"a": pa.array([1], pa.timestamp("s"))}, {}, "a is of a kind that pyarrow alone reads"),
        ({"a": pa.array([1], pa.date32())}, {}, "a is of a kind"),
        ({"a": [{"b": 1, "c": 2}]}, {}, "a is no column of values or lists"),
        ({"a": [1]}, {"data_page_version": "2.0"}, "pages that pyarrow alone reads"),
        ({"a": [[[[[[1]]]]]]}, {}, "nested too deeply"),
    ],
)
def test_what_is_not_read_is_named(table: Any, how: dict[str, Any], why: str) -> None:
    with pytest.raises(OSError, match=why):
        parquet.read(written(table, **how), BOUNDS)


def test_no_more_than_fits() -> None:
    content = written({"a": [0.5] * 100_000})
    assert len(content) < 2000
    with pytest.raises(OSError, match="larger than items ever are"):
        parquet.read(content, Bounds(2**29, 50_000))
    wide = written({"a": ["x" * 10_000_000]}, use_dictionary=False)
    with pytest.raises(OSError, match="larger than items ever are"):
        parquet.read(wide, Bounds(2**20, 1000))


def test_a_damaged_file_is_an_error_or_other_values_and_nothing_else() -> None:
    draw = random.Random(0)
    items = whole_items("ndcg_at_10", 1, 20)
    contents = [items_files.pack(items)[0], to_parquet(compact("ndcg_at_10", items))]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(1500):
        content = bytearray(draw.choice(contents))
        for _ in range(draw.randint(1, 3)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        cut = bytes(content[: draw.randrange(len(content))]) if draw.random() < 0.1 else bytes(content)
        try:
            found = parquet.read(cut, BOUNDS)
        except OSError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
            assert len({len(column) for column in found.values()}) <= 1
    assert min(outcomes.values()) > 20


def test_many_packed_values() -> None:
    values = [bool(n % 3) for n in range(200_000)]
    content = written({"a": values}, data_page_size=2**24, write_batch_size=200_000)
    assert parquet.read(content, BOUNDS) == {"a": values}


def test_without_pyarrow_items_are_read_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    content = items_files.pack({"id": ["a"], "x": [1.5]})[0]
    monkeypatch.setattr(items_files, "missing", lambda _names: ["pyarrow"])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert items_files.unpack(content, without=("id",)) == {"x": [1.5]}
