"""The mission's very command against a loopback hub: download, pins, cache, instructions, score, and every failure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from hub_server import HubServer
from made_arguana import ARGUANA_REPO, ARGUANA_REVISION, write_arguana

from instructor_eval.results.store import Store

pytestmark = pytest.mark.slow

MODEL = "hkunlp/instructor-large"
MISSION = ["--model", MODEL, "--task", "ArguAna"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_instructor(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def arguana(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "arguana"
    write_arguana(folder)
    return folder


@pytest.fixture
def server(checkpoint: Path, arguana: Path) -> Iterator[HubServer]:
    with HubServer() as hub:
        hub.add_model(MODEL, checkpoint)
        hub.add_dataset(ARGUANA_REPO, arguana, revision_sha=ARGUANA_REVISION)
        yield hub


def evaluate(server: HubServer, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instructor_eval.cli.main", *arguments],
        cwd=tmp_path,
        env=server.env(tmp_path / "hf"),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def stored(tmp_path: Path) -> list[dict]:
    return [json.loads(p.read_text()) for p in sorted((tmp_path / "results" / "scores").rglob("*.json"))]


def one_line_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return lines[0]


def test_the_mission_command_end_to_end(server: HubServer, tmp_path: Path) -> None:
    done = evaluate(server, tmp_path, *MISSION)
    assert done.returncode == 0, done.stderr
    assert "family instructor, T5 published under an INSTRUCTOR id" in done.stdout
    [score] = stored(tmp_path)
    assert score["status"] == "ok"
    assert score["model"]["name"] == MODEL
    assert len(score["model"]["revision"]) == 40
    assert score["data"] | {"hash": ""} == {
        "id": "mteb/arguana",
        "revision": ARGUANA_REVISION,
        "key": f"hub:mteb/arguana@{ARGUANA_REVISION}",
        "split": "test",
        "subset": "default",
        "options": {},
        "reading": None,
        "hash": "",
    }
    roles = score["instructions"]["roles"]
    assert roles["query"]["text"] == "Represent a Debate argument for retrieving a counter-argument: "
    assert roles["document"]["text"] == "Represent a Counter-argument: "
    assert 0 <= score["score"] <= 1
    assert score["n_items"] == 6
    # The data came by its pinned commit, and no pickled weights were fetched.
    paths = [path for _, path in server.requests]
    assert any(f"/datasets/mteb/arguana/resolve/{ARGUANA_REVISION}/" in p for p in paths)
    assert not any("/datasets/mteb/arguana/resolve/main/" in p for p in paths)
    assert not any(p.endswith("pytorch_model.bin") for p in paths)


def test_everything_is_cached_and_the_result_is_reused(server: HubServer, tmp_path: Path) -> None:
    first = evaluate(server, tmp_path, *MISSION)
    assert first.returncode == 0, first.stderr
    server.stop()
    again = evaluate(server, tmp_path, *MISSION, "--offline")
    assert again.returncode == 0, again.stderr
    assert "reused from an earlier run" in again.stdout
    elsewhere = evaluate(server, tmp_path, *MISSION, "--offline", "--results", "other")
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert "reused from an earlier run" not in elsewhere.stdout
    down = evaluate(server, tmp_path, *MISSION, "--results", "third")
    assert down.returncode == 0, down.stderr


def test_a_revision_is_pinned(server: HubServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    old = server.add_model(MODEL, tiny.build_instructor(tmp_path / "old", seed=1))
    new = server.add_model(MODEL, tiny.build_instructor(tmp_path / "new", seed=2))
    assert old != new
    done = evaluate(server, tmp_path, "--model", f"{MODEL}@{old}", "--model", MODEL, "--task", "ArguAna")
    assert done.returncode == 0, done.stderr
    by_revision = {s["model"]["revision"]: s for s in stored(tmp_path)}
    assert set(by_revision) == {old, new}
    assert by_revision[old]["model"]["fingerprint"] != by_revision[new]["model"]["fingerprint"]
    # Each was computed by its own weights: alone it gives the same items.
    for revision in (old, new):
        alone = tmp_path / f"alone-{revision[:6]}"
        done = evaluate(
            server, tmp_path, "--model", f"{MODEL}@{revision}", "--task", "ArguAna", "--results", str(alone)
        )
        assert done.returncode == 0, done.stderr
        [theirs] = Store(alone).scores()
        both = Store(tmp_path / "results")
        [ours] = [s for s in both.scores() if s.model.revision == revision]
        assert both.items(ours)["top_scores"] == Store(alone).items(theirs)["top_scores"]
    first, second = both.scores()
    assert both.items(first)["top_scores"] != both.items(second)["top_scores"]


def test_hub_down(server: HubServer, tmp_path: Path) -> None:
    server.stop()
    line = one_line_error(evaluate(server, tmp_path, *MISSION))
    assert MODEL in line
    assert "does not answer" in line
    assert "local folder" in line


def test_missing_revision(server: HubServer, tmp_path: Path) -> None:
    line = one_line_error(evaluate(server, tmp_path, "--model", f"{MODEL}@v9", "--task", "ArguAna"))
    assert f"{MODEL} has no revision 'v9'" in line


@pytest.mark.parametrize("status", [401, 403])
def test_gated_repository(server: HubServer, tmp_path: Path, status: int) -> None:
    server.gate(MODEL, status=status)
    line = one_line_error(evaluate(server, tmp_path, *MISSION))
    assert f"model {MODEL} is gated" in line
    assert "HF_TOKEN" in line


def test_body_cut_short_then_healed(server: HubServer, tmp_path: Path) -> None:
    server.cut(MODEL, "model.safetensors")
    line = one_line_error(evaluate(server, tmp_path, *MISSION))
    assert "cut short" in line
    assert stored(tmp_path) == []
    server.heal(MODEL)
    assert evaluate(server, tmp_path, *MISSION).returncode == 0


def test_unknown_model_is_suggested(server: HubServer, tmp_path: Path) -> None:
    line = one_line_error(evaluate(server, tmp_path, "--model", "hkunlp/instructor-larg", "--task", "ArguAna"))
    assert "did you mean hkunlp/instructor-large" in line


@pytest.mark.parametrize("error", ["gate", "down", "cut", "fail"])
def test_data_errors_fail_the_task_with_one_line(server: HubServer, tmp_path: Path, error: str) -> None:
    if error == "gate":
        server.gate(ARGUANA_REPO)
    elif error == "cut":
        server.cut(ARGUANA_REPO, "corpus.jsonl")
    elif error == "fail":
        server.fail(ARGUANA_REPO, status=503)
    arguments = list(MISSION)
    if error == "down":
        assert evaluate(server, tmp_path, "--model", MODEL, "--task", "DemoSTS", "--limit", "5").returncode == 0
        server.stop()
    done = evaluate(server, tmp_path, *arguments)
    assert done.returncode == 2
    [line] = [x for x in done.stdout.splitlines() if "FAILED" in x]
    expected = {"gate": "gated", "down": "--hub DIR", "cut": "cut short", "fail": "503"}[error]
    assert "mteb/arguana" in line
    assert expected in line
    assert "Traceback" not in done.stdout + done.stderr
    [score] = [s for s in stored(tmp_path) if s["task"] == "ArguAna"]
    assert score["status"] == "failed"
    assert score["score"] is None


def test_pickle_only_model_is_refused(server: HubServer, tmp_path: Path) -> None:
    folder = tiny.build_instructor(tmp_path / "pickled", safetensors=False)
    server.add_model("someone/pickled", folder)
    line = one_line_error(evaluate(server, tmp_path, "--model", "someone/pickled", "--task", "DemoSTS"))
    assert "only pickled weights" in line
    assert "safetensors" in line
    assert not any(p.endswith("/pytorch_model.bin") and "_Dense" not in p for _, p in server.requests)


def test_checkpoint_code_is_fetched_and_run_only_when_trusted(server: HubServer, tmp_path: Path) -> None:
    folder = tiny.build_plain(tmp_path / "with-code")
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "modeling_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": auto_map, "model_type": "own"}))
    (folder / "modeling_own.py").write_text(
        "from pathlib import Path\n"
        "from transformers import BertConfig, BertModel\n\n\n"
        "Path('ran-code').write_text('yes')\n\n\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own'\n\n\n"
        "class OwnModel(BertModel):\n    config_class = OwnConfig\n"
    )
    server.add_model("someone/own", folder)
    arguments = ["--model", "someone/own", "--task", "DemoSTS", "--limit", "10"]
    refused = evaluate(server, tmp_path, *arguments)
    assert refused.returncode == 2
    assert not (tmp_path / "ran-code").exists()
    assert not any(path.endswith(".py") for _, path in server.requests)
    [line] = [x for x in refused.stdout.splitlines() if "FAILED" in x]
    assert "--trust-remote-code" in line
    trusted = evaluate(server, tmp_path, *arguments, "--trust-remote-code")
    assert trusted.returncode == 0, trusted.stdout + trusted.stderr
    assert (tmp_path / "ran-code").exists()
