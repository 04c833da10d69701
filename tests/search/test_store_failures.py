"""Stores that cannot be what is asked for, damaged files, full disks, servers that are gone; and training."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
from made_neighbours import DOCUMENTS, QUERIES, brute, clustered, overlap, search, unit

from instructor_eval.core.errors import UserError
from instructor_eval.core.output import quiet_stderr
from instructor_eval.search.store import Guard, Label
from instructor_eval.search.stores import faiss as faiss_store
from instructor_eval.search.stores import milvus
from instructor_eval.search.through_store import recall

pytestmark = pytest.mark.stores


@pytest.fixture(scope="module", autouse=True)
def one_faiss_thread():
    """Of FAISS, as other tests want the same cores."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("faiss:Nope", "making a FAISS index 'Nope' of 16 dimensions failed (could not parse index string Nope): see"),
        ("faiss:PQ7x4", "The dimension of the vector (d) should be a multiple of the number of subquantizers"),
        ("faiss:LSH", "see FAISS's index factory"),
        ("faiss:Flat,efSearch=3", "setting efSearch failed"),
        ("faiss:Flat,efSearch=3", "an index 'Flat' has no such parameter"),
        ("faiss:HNSW8,nprobe=3", "an index 'HNSW8' has no such parameter"),
        ("faiss:IVF8,Flat,efConstruction=3", "an index 'IVF8,Flat' has no such parameter"),
        ("faiss:IVF600,Flat", "training 'IVF600,Flat' on 500 vectors failed"),
        ("faiss:IVF600,Flat", "give it fewer lists or bits"),
        ("faiss:IVF40,Flat", None),  # of 500 vectors: FAISS warns, and does it
        ("lancedb:IVF_PQ,num_sub_vectors=7", "num_sub_vectors must divide vector dimension 16, but got 7"),
        ("lancedb:IVF_PQ,num_bits=3", "building IVF_PQ over 500 vectors failed"),
    ],
)
def test_what_an_index_cannot_be_is_one_line(text, says, capfd):
    if says is None:
        search(text)
    else:
        with pytest.raises(UserError) as e:
            search(text)
        assert says in str(e.value)
        assert str(e.value).startswith(f"search '{text}': ")
        assert "/project/" not in str(e.value)
    assert capfd.readouterr() == ("", ""), "nothing of the library's own"


@pytest.mark.parametrize(
    ("few", "many"),
    [
        ("faiss:IVF16,Flat,nprobe=1", "faiss:IVF16,Flat,nprobe=16"),
        ("faiss:HNSW4,efConstruction=4,efSearch=1", "faiss:HNSW4,efConstruction=4,efSearch=500"),
        ("faiss:PQ4x4fs,RFlat,k_factor_rf=1", "faiss:PQ4x4fs,RFlat,k_factor_rf=50"),
        ("lancedb:IVF_FLAT,num_partitions=16,nprobes=1", "lancedb:IVF_FLAT,num_partitions=16,nprobes=16"),
        ("lancedb:IVF_PQ,num_partitions=1,num_sub_vectors=2,num_bits=4,refine_factor=1",
         "lancedb:IVF_PQ,num_partitions=1,num_sub_vectors=2,num_bits=4,refine_factor=50"),
        ("milvus:IVF_FLAT,nlist=16,nprobe=1", "milvus:IVF_FLAT,nlist=16,nprobe=16"),
    ],
)  # fmt: skip
def test_search_parameters_reach_the_index(few, many):
    less, more = (recall(*search(text), 10) for text in (few, many))
    assert less < 0.95
    assert more > 0.99


def test_training_takes_a_sample_of_all_and_adds_all(monkeypatch):
    monkeypatch.setattr(faiss_store, "_SAMPLE", 64)
    monkeypatch.setattr(faiss_store, "_BLOCK", 90)
    trained, added = [], []
    train, add = faiss.IndexIVFFlat.train, faiss.IndexIVFFlat.add
    monkeypatch.setattr(faiss.IndexIVFFlat, "train", lambda self, x: trained.append(x.copy()) or train(self, x))
    monkeypatch.setattr(faiss.IndexIVFFlat, "add", lambda self, x: added.append(len(x)) or add(self, x))
    found, exact = search("faiss:IVF4,Flat,nprobe=4")
    rows = unit(DOCUMENTS).astype(np.float32)
    [sample] = trained
    places = [int(np.abs(rows - row).sum(axis=1).argmin()) for row in sample]
    np.testing.assert_allclose(sample, rows[places], atol=1e-6)
    assert len(set(places)) == 64
    assert min(places) < 100 < 400 < max(places), "not the first ones"
    assert added == [90, 90, 90, 90, 90, 50]
    assert recall(found, exact, 10) == 1.0


def test_the_same_build_twice_finds_the_same():
    first, again = (search("faiss:IVF8,PQ4x4,nprobe=2")[0] for _ in range(2))
    assert [row.tolist() for row in first.places] == [row.tolist() for row in again.places]


def test_a_damaged_index_file_is_one_line(tmp_path):
    text = f"faiss:Flat,path={tmp_path}"
    search(text)
    [file] = tmp_path.glob("*.faiss")
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"nonsense" * 10):
        file.write_bytes(damaged)
        with pytest.raises(UserError) as e:
            search(text)
        assert f"reading {file} failed" in str(e.value)
        assert str(e.value).endswith(": delete it, and it is built again")
    file.unlink()
    assert search(text)[0].figures["build_seconds"] is not None


def test_another_index_under_the_label_is_one_line(tmp_path):
    text = f"faiss:Flat,path={tmp_path}"
    search(text)
    [file] = tmp_path.glob("*.faiss")
    faiss.write_index(faiss.IndexFlatIP(16), str(file))
    with pytest.raises(UserError, match="it is not the index that its label describes"):
        search(text)


def test_a_table_that_someone_else_made_is_left_alone(tmp_path):
    import lancedb

    text = f"lancedb:FLAT,uri={tmp_path}"
    search(text)
    [label] = tmp_path.glob("*.json")
    [table] = tmp_path.glob("*.lance")
    label.unlink()
    with pytest.raises(UserError, match=r"is a table that this tool did not make: give another uri"):
        search(text)
    assert lancedb.connect(str(tmp_path)).open_table(table.stem).count_rows() == len(DOCUMENTS)


def test_a_damaged_table_is_one_line(tmp_path):
    text = f"lancedb:FLAT,uri={tmp_path}"
    search(text)
    for file in tmp_path.rglob("*.lance"):
        if file.is_file():
            file.write_bytes(b"nonsense")
    with pytest.raises(UserError, match=f"search '{text}': "):
        search(text)


_FULL = """
import resource, signal, sys
from made_neighbours import search
from instructor_eval.core.errors import UserError
from instructor_eval.search.through_store import recall

def tried():
    try:
        found, exact = search(text)
    except UserError as e:
        return e
    return "built" if found.figures["build_seconds"] is not None else "reused", recall(found, exact, 10)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
before = resource.getrlimit(resource.RLIMIT_FSIZE)
for text in sys.argv[1:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    print(tried())
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    print(tried(), tried())
"""


def test_a_full_disk_is_one_line_and_no_half_index_is_used(tmp_path):
    expected = {
        f"faiss:Flat,path={tmp_path}/f": f"writing {tmp_path}/f/m-fp32-T-",
        f"faiss:IVF4,Flat,nprobe=4,path={tmp_path}/i": "writing to the temporary folder failed (",
        f"lancedb:FLAT,uri={tmp_path}/l": f"adding 250 vectors to {tmp_path}/l/m-fp32-T-",
        f"milvus:{tmp_path}/m.db,FLAT": "File too large",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FULL, *expected],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * len(expected)
    for (text, doing), full, after in zip(expected.items(), lines[::2], lines[1::2], strict=True):
        assert full.startswith(f"search '{text}': ")
        assert doing in full
        assert after == "('built', 1.0) ('reused', 1.0)"
    assert not list(tmp_path.rglob("*.half"))


def test_a_server_that_is_not_there_is_one_line():
    with socket.socket() as s, pytest.raises(UserError) as e:  # the port is taken, and nobody listens
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        search(f"milvus:http://127.0.0.1:{port}")
    assert str(e.value).startswith(f"search 'milvus:http://127.0.0.1:{port}': opening http://127.0.0.1:{port} failed (")
    assert str(e.value).endswith("see that the server runs there, and that MILVUS_TOKEN is right")


def test_a_server_that_never_answers_is_one_line(monkeypatch):
    monkeypatch.setattr(milvus, "_SECONDS", 0.5)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        with pytest.raises(UserError, match="see that the server runs there"):
            search(f"milvus:http://127.0.0.1:{s.getsockname()[1]}")


def test_a_servers_token_comes_from_its_variable_alone(monkeypatch):
    given = {}

    class Client:
        def __init__(self, uri, **options):
            given.update(options, uri=uri)
            raise ValueError("no further")

    import pymilvus

    monkeypatch.setattr(pymilvus, "MilvusClient", Client)
    monkeypatch.setenv("MILVUS_TOKEN", "SECRET")
    with pytest.raises(UserError) as e:
        search("milvus:https://example.org:443,AUTOINDEX")
    assert given == {"uri": "https://example.org:443", "token": "SECRET", "timeout": milvus._SECONDS}
    assert "SECRET" not in str(e.value)


TOKEN = "root:k9T2vQ8mZr4XwL1pSd7GhJ3bNc6YfA0e"


class Hostile:
    """A server of Milvus whose every answer repeats the token it was sent."""

    said = f"Bearer {TOKEN}, {TOKEN[3:20]} {TOKEN[-8:]}"

    def __init__(self, uri, *, token, fails):
        assert token == TOKEN
        self._fails = fails

    def __getattr__(self, name):
        def answer(*_args, **_options):
            if name == self._fails:
                raise ValueError(f"{name}: {self.said}")
            return {
                "has_collection": True, "query": [{"label": self._label()}], "get_server_version": self.said,
                "search": [[]],
            }.get(name)  # fmt: skip

        return answer

    def _label(self):
        return Label("v", len(DOCUMENTS), 16, self.said).to_json()


@pytest.mark.parametrize(
    "fails", ["has_collection", "load_collection", "query", "search", "get_server_version", "flush", "insert", None]
)
def test_a_servers_token_is_never_shown(fails, monkeypatch):
    import pymilvus

    monkeypatch.setattr(pymilvus, "MilvusClient", lambda uri, token, timeout: Hostile(uri, token=token, fails=fails))
    monkeypatch.setenv("MILVUS_TOKEN", TOKEN)
    if fails in ("flush", "insert"):  # only where there is no index yet
        monkeypatch.setattr(Hostile, "_label", lambda self: "")
        monkeypatch.setattr(Hostile, "create_schema", lambda self, **_: faiss, raising=False)
        monkeypatch.setattr(faiss, "add_field", lambda *_, **__: None, raising=False)
    if fails in ("search", "get_server_version"):
        monkeypatch.setattr("instructor_eval.search.through_store._check", lambda *_: None)
        monkeypatch.setattr(Label, "__eq__", lambda *_: True)
    with pytest.raises(UserError) as e:
        search("milvus:http://127.0.0.1:1,FLAT")
    pieces = {TOKEN[i : i + 8] for i in range(len(TOKEN) - 7)}
    assert not [piece for piece in pieces if piece in str(e.value)]
    assert "***" in str(e.value)
    assert fails is None or f"{fails}: Bearer ***, *** ***" in str(e.value)


def test_milvus_lets_go_of_its_file(tmp_path):
    from milvus_lite.server_manager import server_manager_instance

    search(f"milvus:{tmp_path}/a.db,FLAT")
    search("milvus:FLAT")
    assert not server_manager_instance._servers


def test_a_milvus_file_that_is_none_is_one_line(tmp_path, capfd):
    (tmp_path / "a.db").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=f"opening {tmp_path}/a.db failed"):
        search(f"milvus:{tmp_path}/a.db,FLAT")
    assert capfd.readouterr().err == ""
    assert not logging.getLogger("milvus_lite").isEnabledFor(logging.ERROR)


def test_one_milvus_file_keeps_several_corpora(tmp_path):
    other = clustered(300, seed=5)
    for round_ in ("built", "reused"):
        for name, documents in (("m A", DOCUMENTS), ("m B", other)):
            found, exact = search(f"milvus:{tmp_path}/a.db,FLAT", documents=documents, name=name)
            assert (found.figures["build_seconds"] is None) == (round_ == "reused")
            assert overlap(found.places, brute(QUERIES, documents, 10)[0]) == recall(found, exact, 10) == 1.0


def test_labels_are_read_back():
    label = Label("abc", 3, 4, "faiss:Flat")
    assert Label.from_json(label.to_json()) == label
    good = json.loads(label.to_json())
    for damaged in ({**good, "count": "3"}, {**good, "vectors": None}, {**good, "dim": 4.0}, [good], "x", None):
        assert Label.from_json(json.dumps(damaged)) is None


def test_guards_let_interrupts_and_own_errors_through():
    for error in (KeyboardInterrupt(), UserError("own")):
        with pytest.raises(type(error)) as e, Guard("x", "doing"):
            raise error
        assert e.value is error
    with pytest.raises(UserError, match=r"^search 'x': doing failed \(RuntimeError\): see that"), Guard("x", "doing"):
        raise RuntimeError


def test_stderr_is_there_again(capfd):
    with pytest.raises(ValueError, match="x"), quiet_stderr():
        os.write(2, b"lost\n")
        raise ValueError("x")
    os.write(2, b"shown\n")
    assert capfd.readouterr().err == "shown\n"


def test_lancedb_keeps_one_index_as_it_was_asked_for(tmp_path):
    import lancedb

    search(f"lancedb:IVF_FLAT,num_partitions=16,uri={tmp_path}")
    [table] = tmp_path.glob("*.lance")
    assert len(list((table / "_indices").iterdir())) == 1, "no older version of it"
    [index] = lancedb.connect(str(tmp_path)).open_table(table.stem).list_indices()
    assert (index.num_indexed_rows, index.num_unindexed_rows) == (len(DOCUMENTS), 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("milvus:IVF_FLAT,nlist=7", {"nlist": 7}),
        ("milvus:IVF_SQ8", {"nlist": 128}),
        ("milvus:HNSW,M=5", {"M": 5, "efConstruction": 200}),
        ("milvus:HNSW", {"M": 16, "efConstruction": 200}),
    ],
)
def test_milvus_lite_builds_the_named_index(text, expected, monkeypatch):
    from milvus_lite.index import faiss_hnsw, faiss_ivf_flat, faiss_ivf_sq8

    built = []
    for kind in (faiss_hnsw.FaissHnswIndex, faiss_ivf_flat.FaissIvfFlatIndex, faiss_ivf_sq8.FaissIvfSq8Index):
        whole = kind.build
        monkeypatch.setattr(kind, "build", lambda *args, whole=whole: built.append(args[-1]) or whole(*args))
    search(text)
    assert built == [expected]


@pytest.mark.parametrize(
    ("text", "name", "value"), [("milvus:HNSW,ef=77", "ef", 77), ("milvus:IVF_SQ8,nprobe=9", "nprobe", 9)]
)
def test_milvus_lite_uses_search_parameters(text, name, value, monkeypatch):
    from milvus_lite.index import faiss_hnsw, faiss_ivf_sq8

    used = set()
    for kind in (faiss_hnsw.FaissHnswIndex, faiss_ivf_sq8.FaissIvfSq8Index):
        whole = kind.search

        def search_so(*args, whole=whole, **options):
            used.add(str((args, options)).partition(f"'{name}': ")[2].partition("}")[0].partition(",")[0])
            return whole(*args, **options)

        monkeypatch.setattr(kind, "search", search_so)
    search(text)
    assert used == {str(value)}
