"""Rules that hold for every store: each is built, searched, stored, found again and refused for real."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np
import pytest
from made_neighbours import DIM, DOCUMENTS, QUERIES, brute, clustered, overlap, search

from instructor_eval.core.errors import UserError
from instructor_eval.search.stores import milvus
from instructor_eval.search.through_store import recall

pytestmark = pytest.mark.stores

K = 10
EXACT = {"faiss": "faiss:Flat", "lancedb": "lancedb:FLAT", "milvus": "milvus:FLAT"}
APPROXIMATE = [
    "faiss:HNSW8,efConstruction=10,efSearch=10",
    "faiss:IVF8,Flat,nprobe=1",
    "faiss:PQ4x4",
    "faiss:IVF4,SQ8,nprobe=2",
    "lancedb:IVF_PQ,num_partitions=4,num_sub_vectors=4,nprobes=2",
    "lancedb:IVF_HNSW_SQ,num_partitions=1,m=4,ef_construction=10,ef=12",
    "lancedb:IVF_RQ,num_partitions=2,nprobes=1",
    "milvus:HNSW,M=4,efConstruction=8,ef=10",
    "milvus:IVF_SQ8,nlist=8,nprobe=1",
]


@pytest.fixture(scope="module", autouse=True)
def one_faiss_thread():
    """Of FAISS: tiny clusterings gain nothing from more, and lose much where other tests want the same cores."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


def placed(kind: str, folder: Path, rest: str = "") -> str:
    """An exact index of a kind, stored in `folder`."""
    where = {
        "faiss": f"faiss:Flat,path={folder}",
        "lancedb": f"lancedb:FLAT,uri={folder}",
        "milvus": f"milvus:{folder}/index.db,FLAT",
    }
    return where[kind] + rest


@pytest.mark.parametrize("text", EXACT.values())
def test_an_exact_index_finds_what_brute_force_finds(text):
    found, exact = search(text)
    truth, cosines = brute(QUERIES, DOCUMENTS, K)
    assert [row.tolist() for row in found.places] == truth.tolist()
    np.testing.assert_allclose(np.array(found.scores), cosines, atol=1e-5)
    assert recall(found, exact, K) == 1.0
    places, twice = brute(QUERIES, DOCUMENTS, 2 * K)
    assert [row.tolist() for row in exact.places] == places.tolist()
    np.testing.assert_allclose(np.array(exact.scores), twice, atol=1e-6)


@pytest.mark.parametrize("text", EXACT.values())
def test_what_is_said_of_it(text):
    figures = search(text)[0].figures
    assert figures["documents"] == len(DOCUMENTS)
    assert figures["build_seconds"] >= 0
    assert figures["queries_per_second"] > 0
    assert figures["index_bytes"] > DOCUMENTS.nbytes
    assert text.partition(":")[0] in figures["library"].lower().replace("pymilvus", "milvus")


@pytest.mark.parametrize("text", APPROXIMATE)
def test_recall_is_what_brute_force_says_it_is(text):
    found, exact = search(text)
    assert recall(found, exact, K) == pytest.approx(overlap(found.places, brute(QUERIES, DOCUMENTS, K)[0]))
    assert all(len(set(row.tolist())) == len(row) <= K for row in found.places)


@pytest.mark.parametrize("kind", EXACT)
def test_more_than_there_is_gives_all_there_is(kind):
    found, exact = search(EXACT[kind], documents=DOCUMENTS[:6])
    assert all(sorted(row.tolist()) == list(range(6)) for row in found.places)
    assert recall(found, exact, K) == 1.0


@pytest.mark.parametrize("kind", EXACT)
def test_copies_of_one_document_do_not_cost_recall(kind):
    documents = DOCUMENTS.copy()
    documents[100:160] = documents[int(brute(QUERIES[:1], DOCUMENTS, 1)[0][0, 0])]
    found, exact = search(EXACT[kind], documents=documents, queries=QUERIES[:1])
    assert recall(found, exact, K) == 1.0


@pytest.mark.parametrize("kind", EXACT)
def test_what_is_only_for_a_run_leaves_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    search(EXACT[kind])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", EXACT)
def test_a_stored_index_is_used_again(kind, tmp_path):
    first, _ = search(placed(kind, tmp_path))
    again, exact = search(placed(kind, tmp_path))
    assert first.figures["build_seconds"] is not None
    assert again.figures["build_seconds"] is None
    assert again.figures["index_bytes"] == pytest.approx(first.figures["index_bytes"], rel=0.5)
    assert [row.tolist() for row in again.places] == [row.tolist() for row in first.places]
    assert recall(again, exact, K) == 1.0


@pytest.mark.parametrize("kind", EXACT)
def test_models_and_tasks_do_not_share_an_index(kind, tmp_path):
    others = clustered(500, seed=77)
    for name, documents in (("a/b@fp32 T", DOCUMENTS), ("a__b@fp32 T", others), ("../../x@int8 T\n", others)):
        found, exact = search(placed(kind, tmp_path / "in"), documents=documents, name=name)
        assert found.figures["build_seconds"] is not None
        assert recall(found, exact, K) == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["in"], "no name leaves its folder"


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize(
    ("documents", "queries", "says"),
    [
        (DOCUMENTS[:, :8], QUERIES[:, :8], f"vectors of {DIM} dimensions, and these have 8"),
        (DOCUMENTS[:400], QUERIES, "500 vectors, and this corpus has 400"),
        (DOCUMENTS[::-1], QUERIES, "other vectors (of another model or corpus, or computed elsewhere)"),
    ],
)
def test_an_index_of_something_else_is_refused_and_left_alone(kind, documents, queries, says, tmp_path):
    text = placed(kind, tmp_path)
    search(text)
    with pytest.raises(UserError) as e:
        search(text, documents=documents, queries=queries)
    line = re.fullmatch(r"search '(.*)': (.*) holds (.*): delete it, or give another (.*)", str(e.value))
    assert line
    assert line[1] == text
    assert line[3] == says
    held, another = line[2], {"faiss": "path=FOLDER", "lancedb": "uri=FOLDER", "milvus": "collection=PREFIX"}[kind]
    assert line[4] == another
    found, exact = search(text)
    assert found.figures["build_seconds"] is None
    assert recall(found, exact, K) == 1.0
    # Both steps of the advice can be taken: another place holds nothing, and once it is deleted it is built.
    name, _, value = another.partition("=")
    given = [part for part in text.split(",") if not part.startswith(f"{name}=")]
    other = ",".join([*given, f"{name}={tmp_path / 'new' if value == 'FOLDER' else 'new'}"])
    assert search(other, documents=documents, queries=queries)[0].figures["build_seconds"] is not None
    delete(held, tmp_path)
    assert search(text, documents=documents, queries=queries)[0].figures["build_seconds"] is not None


@contextmanager
def milvus_file(path):
    """A file of Milvus Lite's, as any other program opens it."""
    from milvus_lite.server_manager import server_manager_instance
    from pymilvus import MilvusClient

    client = MilvusClient(str(path))
    yield client
    client.close()
    server_manager_instance.release_server(str(path))


def delete(held, folder):
    """Do with what an error names what it advises."""
    if held.startswith("collection "):
        with milvus_file(folder / "index.db") as client:
            assert client.has_collection(held.removeprefix("collection "))
            client.drop_collection(held.removeprefix("collection "))
    elif Path(held).is_dir():
        shutil.rmtree(held)
    else:
        Path(held).unlink()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("faiss:HNSW8,efConstruction=20,path={}", "faiss:HNSW8,efConstruction=10,path={}"),
        ("faiss:HNSW8,path={}", "faiss:Flat,path={}"),
        ("lancedb:FLAT,uri={}", "lancedb:IVF_FLAT,uri={}"),
        ("lancedb:IVF_FLAT,num_partitions=2,uri={}", "lancedb:IVF_FLAT,num_partitions=4,uri={}"),
        ("milvus:{}/m.db,HNSW,M=4", "milvus:{}/m.db,HNSW,M=8"),
        ("milvus:{}/m.db,HNSW", "milvus:{}/m.db,IVF_FLAT"),
    ],
)
def test_indexes_built_in_other_ways_stand_side_by_side(before, after, tmp_path):
    built = [search(text.format(tmp_path))[0] for text in (before, after)]
    again = [search(text.format(tmp_path))[0] for text in (before, after)]
    assert all(found.figures["build_seconds"] is not None for found in built)
    assert all(found.figures["build_seconds"] is None for found in again)
    for first, second in zip(built, again, strict=True):
        assert [row.tolist() for row in second.places] == [row.tolist() for row in first.places]


@pytest.mark.parametrize("kind", EXACT)
def test_corpora_under_other_instructions_stand_side_by_side(kind, tmp_path):
    under = {"": DOCUMENTS, "Represent the document: ": DOCUMENTS[::-1], "x" * 1000: DOCUMENTS[::2]}
    for round_ in ("built", "reused"):
        for instruction, documents in under.items():
            found, exact = search(placed(kind, tmp_path), documents=documents, instruction=instruction)
            assert (found.figures["build_seconds"] is None) == (round_ == "reused")
            assert recall(found, exact, K) == 1.0


def test_a_label_of_another_build_is_refused(tmp_path):
    text = placed("faiss", tmp_path)
    search(text)
    [file] = tmp_path.glob("*.json")
    file.write_text(file.read_text().replace('"faiss:Flat"', '"faiss:HNSW8"'))
    with pytest.raises(
        UserError, match=r"\.faiss holds an index built as faiss:HNSW8: delete it, or give another path="
    ):
        search(text)


def test_collections_have_the_given_prefix(tmp_path):
    for more in ("", ",collection=mine", ",collection=" + "x" * 80):
        assert search(f"milvus:{tmp_path}/m.db,FLAT{more}")[0].figures["build_seconds"] is not None
        assert search(f"milvus:{tmp_path}/m.db,FLAT{more}")[0].figures["build_seconds"] is None
    with milvus_file(tmp_path / "m.db") as client:
        names = client.list_collections()
    assert sorted(name.partition("_m_fp32_T_milvus_FLAT_")[0] for name in names) == [
        "instructor_eval", "instructor_eval_labels", "mine", "x" * 80,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("faiss:HNSW8,path={}", "faiss:HNSW8,efSearch=200,path={}"),
        ("lancedb:IVF_FLAT,num_partitions=4,uri={}", "lancedb:IVF_FLAT,nprobes=4,num_partitions=4,uri={}"),
        ("milvus:{}/m.db,HNSW", "milvus:{}/m.db,HNSW,ef=200"),
    ],
)
def test_search_parameters_need_no_other_index(before, after, tmp_path):
    search(before.format(tmp_path))
    found, exact = search(after.format(tmp_path))
    assert found.figures["build_seconds"] is None
    assert recall(found, exact, K) == 1.0


class StoppedError(Exception):
    """In the place of a kill."""


@pytest.mark.parametrize("kind", EXACT)
def test_what_was_only_half_built_is_built_again(kind, tmp_path):
    def half():
        yield DOCUMENTS[:100]
        raise StoppedError

    from instructor_eval.search.spec import SearchSpec
    from instructor_eval.search.through_store import search_store

    spec = SearchSpec.parse(placed(kind, tmp_path))
    with pytest.raises(StoppedError):
        search_store(spec, "m@fp32 T", QUERIES, half(), count=len(DOCUMENTS), k=K)
    found, exact = search(str(spec))
    assert found.figures["build_seconds"] is not None
    assert recall(found, exact, K) == 1.0


@pytest.mark.parametrize("kind", ["faiss", "lancedb"])
@pytest.mark.parametrize("label", [b"", b"{", b"[]", b'{"vectors": 1}', b"\xff\xfe", b"[" * 5000])
def test_without_a_whole_label_it_is_built_again(kind, label, tmp_path):
    search(placed(kind, tmp_path))
    [file] = tmp_path.glob("*.json")
    assert json.loads(file.read_bytes())["count"] == len(DOCUMENTS)
    file.write_bytes(label)
    found, exact = search(placed(kind, tmp_path))
    assert found.figures["build_seconds"] is not None
    assert recall(found, exact, K) == 1.0
    assert json.loads(file.read_bytes())["count"] == len(DOCUMENTS)


@pytest.mark.parametrize("kind", EXACT)
def test_a_place_that_cannot_be_written_is_one_line(kind, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError) as e:
        search(placed(kind, tmp_path / "file" / "in"))
    assert str(e.value).startswith(f"search '{placed(kind, tmp_path / 'file' / 'in')}': opening {tmp_path}/file/in")


@pytest.mark.parametrize("kind", EXACT)
def test_no_room_for_temporary_files_is_one_line(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"making a temporary folder failed .* free some room there, or set TMPDIR"):
        search(EXACT[kind])


@pytest.mark.parametrize(
    ("queries", "documents", "what"), [(QUERIES[:0], DOCUMENTS, "queries"), (QUERIES, DOCUMENTS[:0], "documents")]
)
def test_nothing_to_search_is_one_line(queries, documents, what):
    with pytest.raises(UserError, match=f"search 'faiss:Flat': m@fp32 T has no {what}: correct its data"):
        search("faiss:Flat", queries=queries, documents=documents)


def test_a_store_that_names_unknown_documents_is_one_line(monkeypatch):
    whole = milvus.MilvusStore.search
    monkeypatch.setattr(
        milvus.MilvusStore,
        "search",
        lambda self, query, k: (whole(self, query, k)[0] + 495, whole(self, query, k)[1]),
    )
    with pytest.raises(
        UserError, match=r"collection instructor_eval_m_fp32_T_\w+ holds documents that this corpus does not have"
    ):
        search("milvus:FLAT")
