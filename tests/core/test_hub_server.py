"""The loopback hub answers as `huggingface_hub` and `datasets` expect, and fails as it is told to."""

from __future__ import annotations

import http.client
import importlib.util
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hub_server import ARGUANA_REPO, ARGUANA_REVISION, HubServer, write_arguana

REPO = "hkunlp/instructor-large"
SHA = "a" * 40
FILES = {
    "config.json": b'{"model_type": "t5"}',
    "1_Pooling/config.json": b"{}",
    "pytorch_model.bin": bytes(range(256)) * 8,
}

needs_hub = pytest.mark.skipif(not importlib.util.find_spec("huggingface_hub"), reason="no huggingface_hub")
needs_datasets = pytest.mark.skipif(not importlib.util.find_spec("datasets"), reason="no datasets")

# The loopback server is reached directly, whatever proxy the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        server.add_model(REPO, _write(tmp_path / "model", FILES), revision_sha=SHA)
        yield server


def _ask(hub: HubServer, path: str, *, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    request = urllib.request.Request(hub.url + path, method=method, headers=headers)
    try:
        with _opener.open(request, timeout=600) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def _json(hub: HubServer, path: str) -> Any:
    status, _, body = _ask(hub, path)
    assert status == 200
    return json.loads(body)


def _run(env: dict[str, str], code: str) -> Any:
    """What the code prints as JSON, run by a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_info(hub: HubServer) -> None:
    for path in (
        f"/api/models/{REPO}",
        f"/api/models/{REPO}/revision/main",
        f"/api/models/{REPO}/revision/{SHA}",
    ):
        info = _json(hub, path)
        assert (info["id"], info["sha"]) == (REPO, SHA)
        assert {sibling["rfilename"] for sibling in info["siblings"]} == set(FILES)
    assert set(_json(hub, f"/api/models/{REPO}?expand=sha")) == {"_id", "id", "sha"}
    sizes = {s["rfilename"]: s["size"] for s in _json(hub, f"/api/models/{REPO}?blobs=true")["siblings"]}
    assert sizes == {name: len(data) for name, data in FILES.items()}


def test_tree(hub: HubServer) -> None:
    tree = f"/api/models/{REPO}/tree/main"
    assert [entry["path"] for entry in _json(hub, tree)] == ["1_Pooling", "config.json", "pytorch_model.bin"]
    files = [entry for entry in _json(hub, f"{tree}?recursive=true") if entry["type"] == "file"]
    assert {entry["path"] for entry in files} == set(FILES)
    assert [entry["path"] for entry in files if "lfs" in entry] == ["pytorch_model.bin"]
    [entry] = _json(hub, f"{tree}/1_Pooling?expand=true")
    assert entry["path"] == "1_Pooling/config.json"
    assert entry["lastCommit"]["id"] == SHA
    assert _ask(hub, f"{tree}/nowhere")[1]["X-Error-Code"] == "EntryNotFound"


def test_paths_info(hub: HubServer) -> None:
    asked = [("paths", "config.json"), ("paths", "1_Pooling"), ("paths", "nowhere"), ("expand", "false")]
    request = urllib.request.Request(
        f"{hub.url}/api/models/{REPO}/paths-info/main", data=urlencode(asked).encode(), method="POST"
    )
    with _opener.open(request, timeout=600) as answer:
        entries = json.load(answer)
    assert [(entry["path"], entry["type"]) for entry in entries] == [
        ("config.json", "file"),
        ("1_Pooling", "directory"),
    ]


def test_resolve(hub: HubServer) -> None:
    path = f"/{REPO}/resolve/main/pytorch_model.bin"
    data = FILES["pytorch_model.bin"]
    status, headers, body = _ask(hub, path, method="HEAD")
    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == headers["X-Linked-Size"] == str(len(data))
    assert headers["ETag"] == headers["X-Linked-Etag"]
    assert headers["X-Repo-Commit"] == SHA
    assert _ask(hub, path)[2] == data
    status, headers, body = _ask(hub, path, Range="bytes=100-")
    assert (status, body) == (206, data[100:])
    assert headers["Content-Range"] == f"bytes 100-{len(data) - 1}/{len(data)}"
    assert _ask(hub, path, Range="bytes=10-19")[2] == data[10:20]
    assert _ask(hub, path, Range="bytes=-5")[2] == data[-5:]
    assert _ask(hub, path, Range=f"bytes={len(data)}-")[0] == 416
    assert "X-Linked-Etag" not in _ask(hub, f"/{REPO}/resolve/main/config.json", method="HEAD")[1]
    assert hub.requests[0] == ("HEAD", path)


def test_each_commit_keeps_its_files(hub: HubServer, tmp_path: Path) -> None:
    newer = hub.add_model(REPO, _write(tmp_path / "newer", {"config.json": b"newer"}))
    assert newer != SHA
    for revision, data in (("main", b"newer"), (newer, b"newer"), (SHA, FILES["config.json"])):
        assert _ask(hub, f"/{REPO}/resolve/{revision}/config.json")[2] == data
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        hub.add_model(REPO, tmp_path / "newer", revision_sha="main")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/{REPO}/resolve/{'b' * 40}/config.json", 404, "RevisionNotFound"),
        (f"/api/models/{REPO}/revision/nowhere", 404, "RevisionNotFound"),
        (f"/{REPO}/resolve/main/nowhere.json", 404, "EntryNotFound"),
        ("/api/models/no/where", 401, "RepoNotFound"),
        (f"/datasets/{REPO}/resolve/main/config.json", 401, "RepoNotFound"),
        ("/api/whoami-v2", 404, None),
        ("/", 404, None),
    ],
)
def test_what_is_not_there(hub: HubServer, path: str, status: int, code: str | None) -> None:
    got, headers, body = _ask(hub, path)
    assert (got, headers["X-Error-Code"]) == (status, code)
    assert json.loads(body)["error"]
    assert _ask(hub, path, method="HEAD")[0] == status


def test_other_methods_are_not_found(hub: HubServer) -> None:
    assert _ask(hub, "/api/repos/create", method="DELETE")[0] == 404


def test_unknown_repository_for_a_known_user() -> None:
    with HubServer(unknown_status=404) as hub:
        status, headers, _ = _ask(hub, "/api/datasets/no/where")
    assert (status, headers["X-Error-Code"]) == (404, "RepoNotFound")


def test_gate_and_fail_and_heal(hub: HubServer) -> None:
    path = f"/{REPO}/resolve/main/config.json"
    hub.gate(REPO)
    status, headers, _ = _ask(hub, path)
    assert (status, headers["X-Error-Code"]) == (401, "GatedRepo")
    hub.gate(REPO, status=403)
    status, headers, _ = _ask(hub, path)
    assert (status, headers["X-Error-Code"]) == (403, "GatedRepo")
    hub.fail(REPO)
    assert _ask(hub, path)[0] == 503
    hub.heal(REPO)
    assert _ask(hub, path)[0] == 200


def test_cut_body(hub: HubServer) -> None:
    hub.cut(REPO, "pytorch_model.bin")
    path = f"/{REPO}/resolve/main/pytorch_model.bin"
    data = FILES["pytorch_model.bin"]
    with pytest.raises(http.client.IncompleteRead) as raised:
        _ask(hub, path)
    assert raised.value.partial == data[: len(data) // 2]
    # Resuming does not help: the second half never comes.
    with pytest.raises(http.client.IncompleteRead) as raised:
        _ask(hub, path, Range=f"bytes={len(data) // 2}-")
    assert raised.value.partial == b""
    assert _ask(hub, path, method="HEAD")[1]["Content-Length"] == str(len(data))
    assert _ask(hub, f"/{REPO}/resolve/main/config.json")[2] == FILES["config.json"]


def test_stalled_hub_falls_silent(hub: HubServer) -> None:
    hub.stall(REPO)
    connection = http.client.HTTPConnection("127.0.0.1", int(hub.url.rsplit(":", 1)[1]), timeout=0.2)
    connection.request("GET", f"/api/models/{REPO}")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_stop_ends_open_connections(hub: HubServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(hub.url.rsplit(":", 1)[1]), timeout=600)
    connection.request("GET", f"/api/models/{REPO}")
    assert connection.getresponse().read()
    hub.stop()
    with pytest.raises(ConnectionError):
        connection.request("GET", f"/api/models/{REPO}")
        connection.getresponse()
    connection.close()
    with pytest.raises(urllib.error.URLError):
        _ask(hub, "/")


def test_env_hides_the_machine(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "elsewhere")
    monkeypatch.setenv("HF_TOKEN", "a-token")
    env = hub.env(tmp_path / "home", HF_HUB_OFFLINE="1")
    assert env["HF_ENDPOINT"] == hub.url
    assert env["HF_HOME"] == str(tmp_path / "home")
    assert env["HF_HUB_OFFLINE"] == "1"
    assert not {"HF_HUB_CACHE", "HF_TOKEN"} & set(env)


_SNAPSHOT = """
import json
from huggingface_hub import snapshot_download
got = []
for repo_id, revision in json.loads(ARGUMENT):
    try:
        folder = snapshot_download(repo_id, revision=revision, allow_patterns=["*.json", "*.bin"])
        got.append(open(folder + "/config.json").read())
    except Exception as error:
        got.append(type(error).__name__)
print(json.dumps(got))
"""


def _snapshots(env: dict[str, str], *asked: tuple[str, str | None]) -> Any:
    return _run(env, f"ARGUMENT = {json.dumps(asked)!r}\n{_SNAPSHOT}")


@needs_hub
def test_snapshot_download(hub: HubServer, tmp_path: Path) -> None:
    newer = hub.add_model(REPO, _write(tmp_path / "newer", {"config.json": b"newer"}))
    for repo_id in ("a/gated", "a/forbidden"):
        hub.add_model(repo_id, tmp_path / "newer")
    hub.gate("a/gated")
    hub.gate("a/forbidden", status=403)
    older = FILES["config.json"].decode()
    env = hub.env(tmp_path / "home")
    assert _snapshots(
        env,
        (REPO, None),
        (REPO, SHA),
        (REPO, "c" * 40),
        ("no/where", None),
        ("a/gated", None),
        ("a/forbidden", None),
    ) == [
        "newer",
        older,
        "RevisionNotFoundError",
        "RepositoryNotFoundError",
        "GatedRepoError",
        "GatedRepoError",
    ]
    hub.stop()
    offline = env | {"HF_HUB_OFFLINE": "1"}
    got = _snapshots(offline, (REPO, None), (REPO, newer), (REPO, SHA), (REPO, "c" * 40))
    assert got == ["newer", "newer", older, "LocalEntryNotFoundError"]


def test_write_arguana(tmp_path: Path) -> None:
    write_arguana(tmp_path)
    rows = {
        name: [json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()]
        for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.jsonl")
    }
    documents = {row["_id"]: row["text"] for row in rows["corpus.jsonl"]}
    queries = {row["_id"]: row["text"] for row in rows["queries.jsonl"]}
    assert (len(documents), len(queries), len(rows["qrels/test.jsonl"])) == (12, 6, 6)
    assert len(set(documents.values())) == 12
    assert all(documents[name] == text for name, text in queries.items())
    for row in rows["qrels/test.jsonl"]:
        assert row["query-id"] in queries
        assert row["corpus-id"] in documents
        assert row["corpus-id"] not in queries


_LOAD = f"""
import json
from datasets import get_dataset_config_names, load_dataset
name, revision = {ARGUANA_REPO!r}, {ARGUANA_REVISION!r}
got = {{}}
for config in get_dataset_config_names(name, revision):
    [(split, rows)] = load_dataset(name, config, revision=revision).items()
    got[config] = [split, len(rows), rows.column_names]
print(json.dumps(got))
"""


@needs_datasets
def test_load_dataset(tmp_path: Path) -> None:
    write_arguana(tmp_path / "arguana")
    with HubServer() as hub:
        hub.add_dataset(ARGUANA_REPO, tmp_path / "arguana", revision_sha=ARGUANA_REVISION)
        got = _run(hub.env(tmp_path / "home"), _LOAD)
        assert all(ARGUANA_REVISION in path for _, path in hub.requests)
    assert got == {
        "default": ["test", 6, ["query-id", "corpus-id", "score"]],
        "corpus": ["corpus", 12, ["_id", "title", "text"]],
        "queries": ["queries", 6, ["_id", "text"]],
    }
