"""A Milvus server: indexes of several kinds side by side, found again, and what a killed one costs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient
from real_server import RealServer, environment, free_port

from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.search.spec import SearchSpec
from instructor_eval.search.stores import milvus
from instructor_eval.search.through_store import search_store

pytestmark = pytest.mark.servers
RUN = ("--model", "minilm", "--device", "cpu", "--task", "DemoRetrieval", "--quiet", "--results")


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def address(port) -> str:
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def server(environments, port, address, tmp_path_factory) -> Iterator[RealServer]:
    folder, programs = tmp_path_factory.mktemp("milvus"), environment("milvus", environments)

    def answers() -> bool:
        client = MilvusClient(address, timeout=5)
        client.list_collections(timeout=5)
        client.close()
        return True

    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    # Its etcd has ports of its own, which only a file can change: two servers on one machine want it. The other ports
    # it chooses itself among those that are free.
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    (folder / "etcd.yaml").write_text(
        f"listen-client-urls: {client}\nadvertise-client-urls: {client}\nlisten-peer-urls: {peer}\n"
        f"initial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n"
    )
    command = [programs / "milvus-server", "--data", folder / "data", "--proxy-port", str(port)]
    command += ["--etcd-port", client.rpartition(":")[2]]
    data = folder / "data"
    data.mkdir()
    env = {"ETCD_CONFIG_PATH": str(folder / "etcd.yaml"), "DEPLOY_MODE": "STANDALONE", "METRICS_PORT": str(free_port())}
    env |= {"LD_LIBRARY_PATH": str(data / "bin"), "MILVUS_RUN_DIR": str(data / "run")}
    with RealServer(command, answers, data / "log", env) as found:
        # Started again so, as `milvus-server` goes to the next port while the old one has connections that wait.
        found.command = [data / "bin" / "milvus", "run", "standalone"]
        yield found
    shutil.rmtree(folder / "data")  # 450 MB, and pytest keeps the folders of three runs


def searched(results: Path) -> dict[str, Score]:
    return {s.store or "exact": s for s in Store(results).scores()}


@pytest.fixture
def names(server, address) -> Iterator[Callable[[], list[str]]]:
    """The server's collections, all removed before and after a test."""
    client = MilvusClient(address)
    for name in client.list_collections():
        client.drop_collection(name)
    yield client.list_collections
    client.close()


def test_two_kinds_stand_side_by_side_and_are_found_again(cli, address, names, tmp_path):
    kinds = [f"milvus:{address},HNSW", f"milvus:{address},IVF_FLAT,nprobe=128", f"milvus:{address},HNSW,M=8"]
    searches = [word for text in ("exact", *kinds) for word in ("--search", text)]
    assert cli(*RUN, "one", *searches).code == 0
    one = searched(tmp_path / "one")
    assert set(one) == {"exact", *kinds}
    for text in kinds:
        assert one[text].score == one["exact"].score
        assert one[text].search.recall == 1.0
        assert one[text].search.build_seconds > 0
        assert one[text].search.library.endswith("Milvus v2.3.5-lite")
    assert len(names()) == 4
    assert cli(*RUN, "two", *searches).code == 0
    two = searched(tmp_path / "two")
    for text in kinds:
        assert two[text].search.build_seconds is None
        assert two[text].score == one[text].score
    # Another search of the same index; and a name of one's own.
    more = f"milvus:{address},HNSW,ef=200", f"milvus:{address},HNSW,collection=mine"
    assert cli(*RUN, "three", "--search", more[0], "--search", more[1]).code == 0
    three = searched(tmp_path / "three")
    assert three[more[0]].search.build_seconds is None
    assert three[more[1]].search.build_seconds > 0
    assert [name for name in names() if name.startswith("mine_")]
    assert len(names()) == 5


def clustered(n: int) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((n, 16)).astype(np.float32)


def search(text: str, documents: np.ndarray, name: str = "m@fp32 T"):
    return search_store(SearchSpec.parse(text), name, clustered(5), [documents], count=len(documents), k=10)


def test_an_index_of_other_vectors_is_refused_with_advice(address, names):
    text, documents = f"milvus:{address},FLAT", clustered(300)
    search(text, documents)
    with pytest.raises(milvus.UserError) as e:
        search(text, documents[::-1])
    assert " holds other vectors (" in str(e.value)
    assert str(e.value).endswith("): delete it, or give another collection=PREFIX")
    held = str(e.value).partition("collection ")[2].split()[0]
    assert held in names()
    assert search(f"{text},collection=other", documents[::-1])[0].figures["build_seconds"] is not None
    client = MilvusClient(address)
    client.drop_collection(held)
    client.close()
    assert search(text, documents[::-1])[0].figures["build_seconds"] is not None


@pytest.mark.parametrize("kind", ["SCANN,nprobe=128", "IVF_PQ,m=4,nprobe=128", "IVF_SQ8,nprobe=128", "FLAT"])
def test_what_a_server_alone_has_is_built_as_asked(kind, address, names):
    found, exact = search(f"milvus:{address},{kind}", clustered(300))
    near = [len({*a.tolist()} & {*b[:10].tolist()}) / 10 for a, b in zip(found.places, exact.places, strict=True)]
    assert np.mean(near) > (0.2 if kind.startswith("IVF_PQ") else 0.9)


@pytest.mark.parametrize(("kind", "says"), [("IVF_RABITQ", "invalid index type"), ("IVF_PQ,m=5", "dim")])
def test_what_a_server_cannot_build_is_one_line(kind, says, address, names):
    with pytest.raises(milvus.UserError) as e:
        search(f"milvus:{address},{kind}", clustered(300))
    assert says in str(e.value)
    name = kind.partition(",")[0]
    assert str(e.value).endswith(
        f"): see that {name} is known there, which parameters it needs (docs/search.md), and that there is room"
    )


@pytest.mark.parametrize("phase", ["finish", "search"])
def test_a_killed_server_is_one_line_and_the_next_run_is_whole(phase, address, names, server, monkeypatch):
    text, documents, whole = f"milvus:{address},HNSW", clustered(300), getattr(milvus.MilvusStore, phase)

    def killed(self, *args):
        server.kill()
        return whole(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(milvus.MilvusStore, phase, killed)
        with pytest.raises(milvus.UserError) as e:
            search(text, documents)
    assert str(e.value).startswith(
        f"search '{text}': {'building HNSW over 300 vectors' if phase == 'finish' else 'searching'}"
    )
    server.start()
    found, exact = search(text, documents)
    assert (found.figures["build_seconds"] is not None) == (phase == "finish")
    assert [row.tolist() for row in found.places] == [row[:10].tolist() for row in exact.places]
