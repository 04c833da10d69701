"""Prompt-retrieval data from the hub: two tasks out of one repository, each fetching its own files only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import HubServer
from test_hub import evaluate

pytestmark = pytest.mark.slow

GLUE, REVISION = "nyu-mll/glue", "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
SIZES = {"rte": (2490, 277), "mrpc": (3668, 408), "sst2": (9, 9)}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.delenv("INSTRUCTOR_EVAL_HUB", raising=False)  # the mirror has RTE too
    folder = tmp_path / "glue"
    for subset, sizes in SIZES.items():
        (folder / subset).mkdir(parents=True)
        for split, n in zip(("train", "validation"), sizes, strict=True):
            texts = [f"{subset} {split} number {i}" for i in range(n)]
            table = {"sentence1": texts, "sentence2": texts, "label": [i % 2 for i in range(n)], "idx": list(range(n))}
            pq.write_table(pa.table(table), folder / subset / f"{split}-00000-of-00001.parquet")
    with HubServer() as hub:
        hub.add_dataset(GLUE, folder, revision_sha=REVISION)
        yield hub


def ask(server: HubServer, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return evaluate(server, tmp_path, "--selection", "bm25", *arguments)


def test_two_tasks_of_one_repository(server: HubServer, tmp_path: Path) -> None:
    first = ask(server, tmp_path, "--task", "RTE")
    assert first.returncode == 0, first.stderr + first.stdout
    fetched = [path for _, path in server.requests if "/resolve/" in path]
    assert {path.split(f"{REVISION}/")[1].split("/")[0] for path in fetched} == {"rte"}
    # The same commit is cached now, but without MRPC's files: they are fetched, and offline the line says so.
    offline = ask(server, tmp_path, "--task", "MRPC", "--offline", "--results", "other")
    assert offline.returncode == 2
    assert f"data set {GLUE} at revision {REVISION} is not in the local cache and --offline is set" in offline.stdout
    second = ask(server, tmp_path, "--task", "MRPC", "--task", "RTE", "--results", "third")
    assert second.returncode == 0, second.stderr + second.stdout
    assert not any("/sst2/" in path for _, path in server.requests)
    server.stop()
    again = ask(server, tmp_path, "--task", "MRPC", "--task", "RTE", "--offline", "--results", "fourth")
    assert again.returncode == 0, again.stderr + again.stdout
