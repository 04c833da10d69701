"""FAISS: any index of its factory, in memory, stored in a folder if `path=` names one.

An index that needs training is trained on a sample of all documents, not on the first ones: until all have arrived, the
vectors wait in a file. The index searches like a service, with inner products of unit rows.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError
from instructor_eval.core.output import quiet_stderr
from instructor_eval.core.paths import slug
from instructor_eval.core.values import Vectors
from instructor_eval.search.spec import SearchSpec
from instructor_eval.search.store import Guard, Label, read_label

_BUILD_PARAMETERS = {"efConstruction": 1}
_SEARCH_PARAMETERS = {"nprobe": 1, "efSearch": 1, "k_factor_rf": 1, "ht": 1}
_SAMPLE = 262_144
"""Vectors that an index is trained on at most: 256 a list for 1,024 lists, FAISS's own advice."""
_BLOCK = 65_536


class FaissStore:
    """One FAISS index."""

    def __init__(self, spec: SearchSpec) -> None:
        self._spec = spec
        if not spec.words:
            raise UserError(f"search '{spec}': name an index of FAISS's factory, as faiss:HNSW32 or faiss:Flat")
        spec.check_parameters({**_BUILD_PARAMETERS, **_SEARCH_PARAMETERS, "path": ""})
        self._numbers = spec.numbers({**_BUILD_PARAMETERS, **_SEARCH_PARAMETERS})
        path = dict(spec.parameters).get("path")
        self._folder = Path(path) if path else None
        self._factory = ",".join(spec.words)
        self.build = spec.build(spec.words, _BUILD_PARAMETERS)
        self.place = ""
        self._index: Any = None
        self._file: Path | None = None
        self._waiting: BufferedWriter | None = None
        self._temporary = Path()
        self._dim = self._bytes = 0

    def start(self, name: str, dim: int, count: int) -> Label | None:
        """See `VectorStore`."""
        import faiss

        self._dim = dim
        with Guard(self._spec, "making a temporary folder", "free some room there, or set TMPDIR"):
            self._temporary = Path(tempfile.mkdtemp(prefix="instructor-eval-faiss-"))
        if self._folder is not None:
            with Guard(self._spec, f"opening {self._folder}"):
                self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._folder / f"{slug(name)}.faiss"
            self.place = str(self._file)
            label = read_label(self._label_file(self._file))
            if label is not None and self._file.exists():
                with Guard(self._spec, f"reading {self._file}", "delete it, and it is built again"):
                    self._index = faiss.read_index(str(self._file))
                    if (self._index.d, self._index.ntotal) != (label.dim, label.count):
                        raise ValueError("it is not the index that its label describes")
                self._tune()
                return label
        with Guard(
            self._spec, f"making a FAISS index '{self._factory}' of {dim} dimensions", "see FAISS's index factory"
        ):
            self._index = faiss.index_factory(dim, self._factory, faiss.METRIC_INNER_PRODUCT)
        self._tune(building=True)
        if not self._index.is_trained:
            self._waiting = (self._temporary / "vectors").open("wb")
        return None

    def add(self, vectors: Vectors) -> None:
        """See `VectorStore`."""
        if self._waiting is None:
            with Guard(self._spec, "adding vectors", "not every index of the factory can be added to"):
                self._index.add(vectors)
        else:  # written, not mapped: a full disk is an error here, and would end the process there
            with Guard(self._spec, "writing to the temporary folder", "free some room there, or set TMPDIR"):
                self._waiting.write(np.ascontiguousarray(vectors, dtype=np.float32).tobytes())

    def finish(self, label: Label) -> None:
        """See `VectorStore`."""
        import faiss

        if self._waiting is not None:
            with Guard(self._spec, "writing to the temporary folder", "free some room there, or set TMPDIR"):
                self._waiting.close()
            self._train(np.memmap(self._waiting.name, dtype=np.float32, mode="r").reshape(-1, self._dim))
            Path(self._waiting.name).unlink()
            self._waiting = None
        self._tune()
        file = self._file or self._temporary / "index.faiss"
        half = file.with_name(f"{file.name}.half")
        with Guard(self._spec, f"writing {file}"):
            try:
                faiss.write_index(self._index, str(half))
                self._bytes = half.stat().st_size
                if self._file is not None:
                    self._label_file(file).unlink(missing_ok=True)  # never the old label with the new index
                    half.replace(file)
                    self._label_file(file).write_text(label.to_json(), encoding="utf-8")
            finally:
                half.unlink(missing_ok=True)

    def search(self, query: Vectors, k: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """See `VectorStore`."""
        scores, places = self._index.search(query[None, :], k)
        found = places[0] >= 0  # FAISS fills missing results with -1
        return places[0][found], scores[0][found]

    def index_bytes(self) -> int | None:
        """Return the bytes of the index as a file."""
        return self._file.stat().st_size if self._file and not self._bytes else self._bytes

    def describe(self) -> dict[str, Any]:
        """Return FAISS's version."""
        import faiss

        return {"library": f"faiss {faiss.__version__}"}

    def close(self) -> None:
        """Release the index, and remove temporary files."""
        self._index = None
        if self._waiting is not None:
            with suppress(OSError):  # its buffer may not fit the disk either
                self._waiting.close()
        if self._temporary != Path():
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _train(self, vectors: Vectors) -> None:
        """Train the index on a sample of the vectors, and add all of them."""
        sample = vectors
        if len(vectors) > _SAMPLE:
            sample = vectors[np.sort(np.random.default_rng(0).choice(len(vectors), _SAMPLE, replace=False))]
        doing = f"training '{self._factory}' on {len(sample):,} vectors"
        with Guard(self._spec, doing, "give it fewer lists or bits"), quiet_stderr():
            self._index.train(np.ascontiguousarray(sample))
        with Guard(self._spec, "adding vectors"):
            for start in range(0, len(vectors), _BLOCK):
                self._index.add(np.ascontiguousarray(vectors[start : start + _BLOCK]))

    def _tune(self, *, building: bool = False) -> None:
        import faiss

        space = faiss.ParameterSpace()
        for name in _BUILD_PARAMETERS if building else _SEARCH_PARAMETERS:
            if name in self._numbers:
                with (
                    Guard(self._spec, f"setting {name}", f"an index '{self._factory}' has no such parameter"),
                    quiet_stderr(),
                ):
                    space.set_index_parameter(self._index, name, self._numbers[name])

    @staticmethod
    def _label_file(file: Path) -> Path:
        return file.with_suffix(".json")


def open_store(spec: SearchSpec) -> FaissStore:
    """Make a store for `faiss:FACTORY`."""
    return FaissStore(spec)
