"""Milvus: a server, or Milvus Lite in this process with a temporary file or a named one.

A server's token comes only from MILVUS_TOKEN, and is never shown, whatever the server answers. Labels have a collection
of their own, since Milvus Lite stores no descriptions of collections.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError, did_you_mean, one_line
from instructor_eval.core.output import quiet_stderr
from instructor_eval.core.redaction import environment_secrets, without_secrets
from instructor_eval.core.values import Vectors
from instructor_eval.search.spec import SearchSpec
from instructor_eval.search.store import Guard, Label, folder_bytes

_BUILDING = {"M": 1, "efConstruction": 1, "nlist": 1, "m": 1, "nbits": 1}
_SEARCH = {"ef": 1, "nprobe": 1}
_LITE = ("FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8")
_SERVER = (*_LITE, "AUTOINDEX", "DISKANN", "HNSW_SQ", "HNSW_PQ", "IVF_PQ", "IVF_RABITQ", "SCANN", "GPU_CAGRA")
_ROWS = 2000
"""Vectors in one insertion: a request may have 64 MB."""
_SECONDS = 15.0
"""Seconds to reach a server."""
_ANSWER = 120.0
"""Seconds for an answer, without building an index."""
_PATIENCE = 6 * 3600.0
"""Seconds for building an index."""
_ROOM = "see that it can be written there, and is not full"
_PREFIX = "instructor_eval"
_LABELS = "instructor_eval_labels"
_TOKEN = "MILVUS_TOKEN"  # noqa: S105 # the variable's name


class MilvusStore:
    """One collection."""

    def __init__(self, spec: SearchSpec) -> None:
        self._spec = spec
        spec.check_parameters({**_BUILDING, **_SEARCH, "collection": ""})
        self._prefix = dict(spec.parameters).get("collection", _PREFIX)
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,79}", self._prefix):
            raise UserError(
                f"search '{spec.kind}': collection= is not the beginning of a collection's name: give letters, digits "
                "and _, no digit first, 80 at most"
            )
        self._numbers = spec.numbers({**_BUILDING, **_SEARCH})
        words = list(spec.words)
        self._uri = words.pop(0) if words and ("://" in words[0] or words[0].endswith(".db")) else ""
        self._is_server = "://" in self._uri
        if self._is_server:
            _check_address(self._uri, spec)
        kinds = _SERVER if self._is_server else _LITE
        self._kind = words.pop(0) if words else "HNSW"
        if words or self._kind not in kinds:
            given = ",".join([self._kind, *words])
            hint = did_you_mean(given, kinds) or f": it has {', '.join(kinds)}"
            raise UserError(f"search '{spec}': {'Milvus' if self._is_server else 'Milvus Lite'} has no '{given}'{hint}")
        spec.check_parameters(_parameters_of(self._kind), f"an index {self._kind}")
        self.build = spec.build([self._kind], _BUILDING)
        self.place = ""
        self._token = os.environ.get(_TOKEN, "") if self._is_server else ""
        self._temporary: Path | None = None
        self._file = Path()
        self._client: Any = None
        self._name = ""
        self._added = 0

    def start(self, name: str, dim: int, count: int) -> Label | None:
        """See `VectorStore`."""
        uri = self._uri
        if not uri:
            with Guard(self._spec, "making a temporary folder", "free some room there, or set TMPDIR"):
                self._temporary = Path(tempfile.mkdtemp(prefix="instructor-eval-milvus-"))
            uri = str(self._temporary / "vectors.db")
        from pymilvus import DataType, MilvusClient

        for library in ("pymilvus", "milvus_lite"):  # they also raise what they log with a traceback
            logging.getLogger(library).setLevel(logging.CRITICAL)  # after the import, which sets it
        step = f"see that the server runs there, and that {_TOKEN} is right" if self._is_server else _ROOM
        with Guard(self._spec, f"opening {self._uri or 'a temporary file'}", step):
            if self._is_server:
                self._client = MilvusClient(uri, token=self._token, timeout=_SECONDS)
            else:
                Path(uri).parent.mkdir(parents=True, exist_ok=True)
                self._file = Path(uri)
                self._client = MilvusClient(uri, timeout=_SECONDS)
            self._name = _collection(self._prefix, name)
            self.place = f"collection {self._name}"
            label = self._read_label()
            if self._client.has_collection(self._name, timeout=_ANSWER):
                if label is not None:
                    self._client.load_collection(self._name, timeout=_PATIENCE)
                    return label
                self._client.drop_collection(self._name, timeout=_ANSWER)  # unfinished: the label comes last
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("place", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
            self._client.create_collection(self._name, schema=schema, timeout=_ANSWER)
        return None

    def add(self, vectors: Vectors) -> None:
        """See `VectorStore`."""
        with Guard(self._spec, f"adding vectors to {self._name}"):
            for start in range(0, len(vectors), _ROWS):
                block = vectors[start : start + _ROWS]
                rows = [{"place": self._added + i, "vector": row} for i, row in enumerate(block)]
                self._client.insert(self._name, rows, timeout=_ANSWER)
                self._added += len(rows)

    def finish(self, label: Label) -> None:
        """See `VectorStore`."""
        given = {name: value for name, value in self._numbers.items() if name in _BUILDING}
        doing = f"building {self._kind} over {self._added:,} vectors"
        step = (
            f"see that {self._kind} is known there, which parameters it needs (docs/search.md), and that there is room"
        )
        with Guard(self._spec, doing, step), quiet_stderr():
            self._client.flush(self._name, timeout=_PATIENCE)
            wanted = self._client.prepare_index_params()
            settings: dict[str, Any] = {**_defaults(self._kind), **given}
            if not self._is_server:  # pymilvus unpacks `params`, and Milvus Lite reads only `params`
                settings = {"params": settings}
            wanted.add_index("vector", index_type=self._kind, metric_type="COSINE", params=settings)
            self._client.create_index(self._name, wanted, timeout=_PATIENCE)
            self._client.load_collection(self._name, timeout=_PATIENCE)
            self._write_label(label)

    def search(self, query: Vectors, k: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """See `VectorStore`."""
        asked = {name: value for name, value in self._numbers.items() if name in _SEARCH}
        if self._kind.startswith("HNSW"):
            asked["ef"] = max(asked.get("ef", 64), k)
        with Guard(self._spec, "searching", "see that the server can still be reached"):
            [found] = self._client.search(
                self._name, data=[query], limit=k, output_fields=["place"],
                search_params={"metric_type": "COSINE", "params": asked}, timeout=_ANSWER,
            )  # fmt: skip
        places = [hit.get("place", hit.get("id")) for hit in found]
        return np.array(places, dtype=np.int64), np.array([hit["distance"] for hit in found], dtype=np.float32)

    def index_bytes(self) -> int | None:
        """Return the bytes of Milvus Lite's files; None for a server, which does not say."""
        if self._is_server:
            return None
        return folder_bytes(self._file) if self._file.is_dir() else self._file.stat().st_size

    def describe(self) -> dict[str, Any]:
        """Return the versions of client and server, and the kind of index."""
        import importlib.metadata

        library = f"pymilvus {importlib.metadata.version('pymilvus')}"
        if self._is_server:
            with Guard(self._spec, "asking the server's version"):
                said = without_secrets(str(self._client.get_server_version()), environment_secrets())
                server = f"Milvus {one_line(said)[:40]}"
        else:
            server = f"Milvus Lite {importlib.metadata.version('milvus-lite')}"
        return {"library": f"{library}, {server}", "index": self._kind}

    def close(self) -> None:
        """Leave the server; remove a file that was only for this run."""
        if self._client is not None:
            with suppress(Exception):  # the server may be gone
                self._client.close()
        if self._file != Path():
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(str(self._file))  # or it holds all vectors until this process ends
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _read_label(self) -> Label | None:
        if not self._client.has_collection(_LABELS, timeout=_ANSWER):
            return None
        self._client.load_collection(_LABELS, timeout=_ANSWER)
        found = self._client.query(_LABELS, ids=[self._name], output_fields=["label"], timeout=_ANSWER)
        return Label.from_json(without_secrets(str(found[0]["label"]), environment_secrets())) if found else None

    def _write_label(self, label: Label) -> None:
        from pymilvus import DataType

        if not self._client.has_collection(_LABELS, timeout=_ANSWER):
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("name", DataType.VARCHAR, is_primary=True, max_length=256)
            schema.add_field("label", DataType.VARCHAR, max_length=4096)
            schema.add_field("unused", DataType.FLOAT_VECTOR, dim=2)  # every collection must have a vector
            wanted = self._client.prepare_index_params()
            wanted.add_index("unused", index_type="FLAT", metric_type="COSINE")
            self._client.create_collection(
                _LABELS, schema=schema, index_params=wanted, consistency_level="Strong", timeout=_ANSWER
            )
        row = {"name": self._name, "label": label.to_json(), "unused": [1.0, 0.0]}
        self._client.upsert(_LABELS, [row], timeout=_ANSWER)
        self._client.flush(_LABELS, timeout=_ANSWER)


def _collection(prefix: str, name: str) -> str:
    """Return a unique name of a collection: letters, digits and `_` only."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{prefix}_{re.sub('[^A-Za-z0-9]+', '_', name)[:120]}_{digest}"


def _defaults(kind: str) -> dict[str, int]:
    """Return an index's default parameters; a server has no defaults for them."""
    if kind.startswith("HNSW"):
        return {"M": 16, "efConstruction": 200}
    return {"nlist": 128} if kind.startswith("IVF") or kind == "SCANN" else {}


def _parameters_of(kind: str) -> list[str]:
    """Return the parameters of a kind of index; Milvus silently ignores others."""
    found = ["collection"]
    if kind.startswith("HNSW"):
        found += ["M", "efConstruction", "ef"]
    if kind.startswith("IVF") or kind == "SCANN":
        found += ["nlist", "nprobe"]
    if kind.endswith("_PQ"):
        found += ["m", "nbits"]
    return found


def _check_address(uri: str, spec: SearchSpec) -> None:
    try:
        parts = urlsplit(uri)
        good = parts.scheme in ("http", "https", "tcp") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in uri or "?" in uri:
        raise UserError(
            f"search '{spec.shown}': not an address of Milvus: write milvus:http://localhost:19530; the token goes "
            f"into {_TOKEN}"
        )


def open_store(spec: SearchSpec) -> MilvusStore:
    """Make a store for `milvus`."""
    return MilvusStore(spec)
