"""infinity, as docs/model-servers.md says that it is asked and what it answers."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_server import RealServer, environment, free_port
from served_runs import LONG, SPACES, card, check_kill, check_scores, cosines, scores, vectors

from instructor_eval.models.served.contract import TooMuchError

pytestmark = pytest.mark.servers
KEY = "k9T2vQ8mZr4XwL1pSd7GhJ3bNc6YfA0e"
# It reports its use to its makers unless it is asked not to.
QUIET = {"INFINITY_ANONYMOUS_USAGE_STATS": "0", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}


def infinity(programs: Path, folder: Path, log: Path, port: int, env: dict[str, str] | None = None) -> RealServer:
    """A server of MiniLM under the name `minilm`."""
    command = [programs / "infinity_emb", "v2", "--model-id", folder, "--served-model-name", "minilm"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]

    def answers() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return reply.status == 200

    return RealServer(command, answers, log, {**QUIET, **(env or {})})


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def programs(environments) -> Path:
    return environment("infinity", environments)


@pytest.fixture(scope="module")
def server(programs, minilm_folder, port, tmp_path_factory) -> Iterator[RealServer]:
    with infinity(programs, minilm_folder, tmp_path_factory.mktemp("infinity") / "log", port) as found:
        yield found


@pytest.fixture
def model(server, port) -> str:
    return f"endpoint:http://127.0.0.1:{port}#minilm"


def test_the_scores_of_the_model_run_here(cli, model, tmp_path):
    check_scores(cli, model, tmp_path, tasks=("DemoRetrieval", "DemoSTS"), within=1e-5)


@pytest.mark.realdata
def test_a_real_task(cli, model, hub, tmp_path):
    check_scores(cli, model, tmp_path, "--hub", hub, "--limit", "100", tasks=("STSBenchmark",), within=1e-5)


def test_the_only_model_needs_no_name(cli, model, tmp_path):
    done = cli("--model", model.partition("#")[0], "--task", "DemoSTS", "--limit", "10", "--results", "r")
    assert done.code == 0, done.out + done.err
    assert scores(tmp_path / "r")["DemoSTS", True].model.name == model


def test_a_long_text_is_cut_in_silence_and_one_of_spaces_embedded(cli, model, tmp_path):
    assert len(LONG.split()) > 3000
    assert cosines(model, [LONG, SPACES, ""]) == pytest.approx([1.0] * 3, abs=1e-5)
    done = cli("--model", model, "--task", card(tmp_path, ["A boat", LONG, SPACES]), "--results", "r")
    assert done.code == 0, done.out + done.err
    assert scores(tmp_path / "r")["Mine", True].status == "ok"


def test_requests_of_2048_texts_at_most(cli, model, tmp_path):
    run = ("--model", model, "--task", "DemoSTS", "--results", "r", "--request-texts")
    assert cli(*run, "200").code == 0
    assert len(vectors(model, [f"text {i}" for i in range(2048)])) == 2048
    with pytest.raises(TooMuchError, match="should have at most 2048 items"):
        vectors(model, [f"text {i}" for i in range(2049)])


def test_it_counts_characters(cli, model, tmp_path):
    texts = ["A boat", "Two boats"]
    done = cli("--model", model, "--task", card(tmp_path, texts), "--results", "r")
    assert done.code == 0, done.out + done.err
    expected = sum(len(text) + len(f"Something about boats, number {i}") for i, text in enumerate(texts))
    assert scores(tmp_path / "r")["Mine", True].served["tokens"] == expected


def test_a_wrong_name_is_answered_by_the_model_there_is(cli, model, tmp_path):
    root = model.partition("#")[0]
    done = cli("--model", f"{root}#no/such", "--task", "DemoSTS", "--limit", "10", "--results", "r")
    assert done.code == 0, done.out + done.err
    assert "name another model than this: check what stands behind the #" in done.out
    assert vectors(f"{root}#no/such", ["A boat"]).tolist() == vectors(model, ["A boat"]).tolist()


def test_v1_is_not_in_its_address(cli, model):
    root = model.partition("#")[0]
    line = cli("--model", f"{root}/v1#minilm", "--task", "DemoSTS").error
    assert "Not Found" in line
    assert "check the URL (the API's root, as in http://localhost:8000/v1; some servers have theirs without" in line


def test_a_killed_server_costs_what_had_not_come(cli, model, server, tmp_path, monkeypatch):
    check_kill(cli, model, server, tmp_path, monkeypatch)


def test_its_key(cli, programs, minilm_folder, tmp_path, monkeypatch):
    port = free_port()
    with infinity(programs, minilm_folder, tmp_path / "log", port, {"INFINITY_API_KEY": KEY}):
        run = ("--model", f"endpoint:http://127.0.0.1:{port}#minilm", "--task", "DemoSTS", "--limit", "10")
        refused = cli(*run).error
        assert "Unauthorized" in refused
        assert refused.endswith("set INSTRUCTOR_EVAL_API_KEY to its key")
        monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", KEY[::-1])
        assert cli(*run).error.endswith("check the key in INSTRUCTOR_EVAL_API_KEY")
        monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", KEY)
        done = cli(*run)
    assert done.code == 0, done.out + done.err
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "log"]
    assert any(json.loads(path.read_text())["task"] == "DemoSTS" for path in written if path.suffix == ".json")
    pieces = {KEY[i : i + 8].encode() for i in range(len(KEY) - 7)}
    assert not [path for path in written if any(piece in path.read_bytes() for piece in pieces)]
    assert not any(piece.decode() in done.out + done.err for piece in pieces)
