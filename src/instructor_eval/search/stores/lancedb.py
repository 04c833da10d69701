"""LanceDB, embedded: a table of vectors with an index, in a temporary folder or in the folder of `uri=`."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.paths import slug
from instructor_eval.core.values import Vectors
from instructor_eval.search.spec import SearchSpec
from instructor_eval.search.store import Guard, Label, folder_bytes, read_label

_BUILDING = {"num_partitions": 1, "num_sub_vectors": 1, "num_bits": 1, "m": 1, "ef_construction": 1}
_SEARCH = {"nprobes": 1, "refine_factor": 1, "ef": 1}
_CLASSES = {
    "IVF_PQ": "IvfPq",
    "IVF_FLAT": "IvfFlat",
    "IVF_SQ": "IvfSq",
    "IVF_RQ": "IvfRq",
    "IVF_HNSW_PQ": "HnswPq",
    "IVF_HNSW_SQ": "HnswSq",
    "IVF_HNSW_FLAT": "HnswFlat",
    "FLAT": "",
}
"""Index -> its class in LanceDB; FLAT is a table without an index, which LanceDB searches exactly."""
_PATIENCE = timedelta(hours=6)


class LanceStore:
    """One LanceDB table."""

    def __init__(self, spec: SearchSpec) -> None:
        self._spec = spec
        spec.check_parameters({**_BUILDING, **_SEARCH, "uri": ""})
        self._numbers = spec.numbers({**_BUILDING, **_SEARCH})
        self._kind = spec.words[0] if spec.words else "IVF_PQ"
        if self._kind not in _CLASSES or len(spec.words) > 1:
            given = ",".join(spec.words)
            hint = did_you_mean(given, _CLASSES) or f": it has {', '.join(_CLASSES)}"
            raise UserError(f"search '{spec}': LanceDB has no index '{given}'{hint}")
        uri = dict(spec.parameters).get("uri")
        if uri and "://" in uri:
            raise UserError(f"search '{spec.shown}': uri= is not a folder: only the embedded LanceDB can be evaluated")
        spec.check_parameters(_parameters_of(self._kind), f"an index {self._kind}")
        self.build = spec.build([self._kind], _BUILDING)
        self.place = ""
        self._folder = Path(uri) if uri else None
        self._temporary: Path | None = None
        self._place = Path()
        self._table: Any = None
        self._dim = self._added = 0

    def start(self, name: str, dim: int, count: int) -> Label | None:
        """See `VectorStore`."""
        os.environ.setdefault("LANCEDB_LOG", "error")  # before its import: it warns about every new table
        import lancedb
        import pyarrow as pa

        if self._folder is None:
            with Guard(self._spec, "making a temporary folder", "free some room there, or set TMPDIR"):
                self._temporary = Path(tempfile.mkdtemp(prefix="instructor-eval-lancedb-"))
        folder = self._folder or self._temporary or Path()
        table = slug(name)
        self._place, self._dim = folder / f"{table}.lance", dim
        self.place = str(self._place)
        with Guard(self._spec, f"opening {folder}"):
            db = lancedb.connect(str(folder))
            label = read_label(self._label_file())
            if label is not None and self._place.exists():
                self._table = db.open_table(table)
                return label
            made_here = self._half().exists() or self._label_file().exists()
            if self._place.exists() and self._folder is not None and not made_here:
                raise UserError(
                    f"search '{self._spec}': {self._place} is a table that this tool did not make: give another uri"
                )
            self._half().write_text("", encoding="utf-8")  # marks an unfinished table as this tool's
            self._label_file().unlink(missing_ok=True)
            fields = [pa.field("place", pa.int64()), pa.field("vector", pa.list_(pa.float32(), dim))]
            self._table = db.create_table(table, schema=pa.schema(fields), mode="overwrite")
        return None

    def add(self, vectors: Vectors) -> None:
        """See `VectorStore`."""
        import pyarrow as pa

        places = np.arange(self._added, self._added + len(vectors))
        rows = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).reshape(-1)), self._dim)
        with Guard(self._spec, f"adding {len(vectors):,} vectors to {self._place}"):
            self._table.add(pa.table({"place": pa.array(places), "vector": rows}))
        self._added += len(vectors)

    def finish(self, label: Label) -> None:
        """See `VectorStore`."""
        from lancedb import index

        if _CLASSES[self._kind]:
            given = {name: value for name, value in self._numbers.items() if name in _BUILDING}
            doing = f"building {self._kind} over {self._added:,} vectors"
            with Guard(self._spec, doing, "fewer partitions, or sub-vectors that divide the dimensions, may do"):
                config = getattr(index, _CLASSES[self._kind])(distance_type="cosine", **given)
                # No `optimize` after it: that joins small partitions, and makes the wanted index an old version.
                self._table.create_index("vector", config=config, wait_timeout=_PATIENCE)
        with Guard(self._spec, f"writing {self._label_file()}"):
            self._label_file().write_text(label.to_json(), encoding="utf-8")
            self._half().unlink(missing_ok=True)

    def search(self, query: Vectors, k: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """See `VectorStore`."""
        asked = self._table.search(query, vector_column_name="vector").distance_type("cosine").limit(k)
        for name in _SEARCH:
            if name in self._numbers:
                asked = getattr(asked, name)(self._numbers[name])
        found = asked.select(["place", "_distance"]).to_arrow()
        return found["place"].to_numpy(), 1 - found["_distance"].to_numpy()

    def index_bytes(self) -> int | None:
        """Return the bytes of the table with its index."""
        return folder_bytes(self._place)

    def describe(self) -> dict[str, Any]:
        """Return LanceDB's version and the kind of index."""
        import lancedb

        return {"library": f"lancedb {lancedb.__version__}", "index": self._kind}

    def close(self) -> None:
        """Close the table, and remove it if it was only for this run."""
        self._table = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _label_file(self) -> Path:
        return self._place.with_suffix(".json")

    def _half(self) -> Path:
        return self._place.with_suffix(".unfinished")


def _parameters_of(kind: str) -> list[str]:
    """Return the parameters of a kind of index; LanceDB silently ignores others in a search."""
    found = ["uri"]
    if kind != "FLAT":
        found += ["num_partitions", "nprobes"]
    if kind.endswith("_PQ"):
        found += ["num_sub_vectors", "num_bits"]
    if kind.endswith("_RQ"):
        found += ["num_bits"]
    if "HNSW" in kind:
        found += ["m", "ef_construction", "ef"]
    return found if kind.endswith("FLAT") else [*found, "refine_factor"]


def open_store(spec: SearchSpec) -> LanceStore:
    """Make a store for `lancedb`."""
    return LanceStore(spec)
