"""Served models from the command line: the scores of the same model run here, whatever passes on the way; one line for
what does not, and a second run that asks only for the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import embeddings_server as es
import pytest
from embeddings_server import EmbeddingsServer
from made_vectors import hashed

from instructor_eval.core.errors import UserError
from instructor_eval.models.library import LibraryEncoder, load_encoder
from instructor_eval.models.served import openai
from instructor_eval.models.served.engine import PROBES
from instructor_eval.results import probe
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

FAILURES: list[Any] = [
    None, "429:0", None, "500", es.fewer, es.reordered, "reset", es.nan, None, es.duplicate, "truncated", es.shorter,
    es.null, es.unnumbered, None,
]  # fmt: skip
RETRIES = 9


@pytest.fixture(scope="module")
def minilm() -> LibraryEncoder:
    model = load_encoder("minilm", device="cpu")
    model.encode("loaded before the first request's patience is over")
    return model


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "WAIT", 0.001)
    monkeypatch.delenv("INSTRUCTOR_EVAL_API_KEY", raising=False)


@pytest.fixture
def server() -> Iterator[EmbeddingsServer]:
    with EmbeddingsServer(hashed) as found:
        yield found


def of(results: Path, name: str = "endpoint") -> dict[str, Score]:
    return {s.task: s for s in Store(results).scores() if s.model.name.startswith(name)}


@pytest.mark.slow
def test_the_scores_of_the_same_model_run_here(cli: Callable[..., Any], minilm: LibraryEncoder, tmp_path: Path) -> None:
    with EmbeddingsServer(lambda texts: minilm.encode(texts), failures=FAILURES.copy()) as server:
        done = cli(
            *("--model", "minilm", "--model", server.model, "--task", "DemoSTS", "--device", "cpu"),
            *("--request-texts", "40", "--price", "0.02", "--results", "r"),
        )
        assert done.code == 0, done.out + done.err
        assert not server.failures
        here, there = of(tmp_path / "r", "sentence"), of(tmp_path / "r")
        score = there["DemoSTS"]
        assert score.score == pytest.approx(here["DemoSTS"].score, abs=1e-5)
        assert score.data.hash == here["DemoSTS"].data.hash
        assert (score.counts.hits, score.model.variant) == (0, "fp32")
        assert score.served["usd"] == pytest.approx(score.served["tokens"] * 0.02e-6, abs=1e-8)
        assert score.counts.tokens == score.served["tokens"] > 0
        assert score.served["retries"] == RETRIES
        asked = len(server.requests) - 2
        assert score.served["requests"] == asked, "all but the first question and the drift gate's probe"
        assert f"requests, {RETRIES} retries, 2,833 tokens, 5.7e-05 USD)" in done.out
        found = probe.find(tmp_path / "r", score)
        assert found is not None
        assert probe.read(found).vectors.shape == (probe.COUNT, minilm.dim)

        # Another process finds everything: nothing is asked but the first question.
        before = len(server.requests)
        again = cli("--model", server.model, "--task", "DemoSTS", "--results", "r", "--device", "cpu")
        assert "reused from an earlier run" in again.out
        bits = cli("--model", server.model, "--task", "DemoSTS", "--results", "r", "--embedding", "binary")
        assert "386 of 386 vectors from the cache" in bits.out
        assert [r.body["input"] for r in server.requests[before:]] == [list(PROBES)] * 2

        for command in (
            ["validate", "--results", "r"],
            ["leaderboard", "--results", "r"],
            ["report", "--results", "r"],
        ):
            assert cli(*command).code == 0
        compared = cli("compare", "minilm", server.model, "--results", "r", "--task", "DemoSTS")
        assert compared.code == 0
        assert server.model in compared.out


def test_after_a_lasting_error_the_next_run_asks_for_the_rest(
    cli: Callable[..., Any], server: EmbeddingsServer, tmp_path: Path
) -> None:
    run = ("--model", server.model, "--task", "DemoSTS", "--results", "r", "--request-texts", "40", "--tries", "2")
    server.failures = lambda number: es.fewer if number > 5 else None
    failed = cli(*run, "--concurrency", "1", "--quiet")
    assert failed.error == (
        f"evaluate: DemoSTS failed: endpoint:{server.url}: 39 vectors for 40 texts, asked 2 times: see that the server "
        "runs there and is not overloaded, then run again"
    )
    assert of(tmp_path / "r")["DemoSTS"].served["retries"] == 1
    answered = {text for text in server.embedded if text not in PROBES}
    assert len(answered) >= 5 * 40
    server.failures, server.embedded = [], []
    assert cli(*run).code == 0
    done = of(tmp_path / "r")["DemoSTS"]
    assert done.status == "ok"
    assert done.counts.hits >= 4 * 40
    asked = [r.body["input"] for r in server.requests if len(r.body["input"]) == 40]
    assert len(server.embedded) - len(PROBES) - probe.COUNT == done.counts.unique - done.counts.hits
    assert asked


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--variant", "int8"], "variant int8: {model} is served in the one form it has, which is called fp32 here"),
        (["--compile"], "--compile is for models that run here, and {model} is served: leave it out"),
        (["--truncate-dim", "99"], "variant fp32@99: vectors of {model} have 16 values"),
        (["--price", "-1"], "argument --price: '-1' is not a number of at least 0"),
        (["--timeout", "0"], "argument --timeout: '0' is not a number above 0"),
        (["--family", "prefix"], "{bare} has no prompt for the role 'text': give one with --instructions FILE"),
    ],
)
def test_flags_that_do_not_go_with_it(
    cli: Callable[..., Any], server: EmbeddingsServer, flags: list[str], line: str
) -> None:
    done = cli("--model", server.model, "--task", "DemoSTS", *flags)
    assert line.format(model=server.model, bare="tiny") in done.error


def test_commands_that_need_a_model_here_say_so(cli: Callable[..., Any], server: EmbeddingsServer) -> None:
    line = "is no model that can be loaded here: only a run (evaluate --model) and evaluate plan ask served models"
    assert line in cli("measure", "--model", server.model).error
    assert line in cli("gate", "--candidate", server.model, "--baseline", "minilm", "--gate", "speed").error
    unknown = cli("--model", "openai:text-embedding-3-small", "--task", "DemoSTS").error
    assert "is no model: a served model is endpoint:... or hosted:... or mteb:..." in unknown
    with pytest.raises(UserError, match="is no model that can be loaded here"):
        load_encoder(server.model)


def test_a_server_of_another_model_under_the_same_name(cli: Callable[..., Any], server: EmbeddingsServer) -> None:
    run = ("--model", server.model, "--task", "DemoSTS", "--results", "r")
    assert cli(*run).code == 0
    server.embed = lambda texts: hashed([f"new {text}" for text in texts])
    assert "the model behind this name has changed; name its new state with --label TEXT" in cli(*run).error
    done = cli(*run, "--label", "2026-11")
    assert done.code == 0
    assert "1 run, 0 reused" in done.out
    server.embed = lambda texts: hashed(texts, dim=8)
    other = cli(*run)
    assert other.code == 0, "another dimension is another fingerprint"
    assert "1 run, 0 reused" in other.out


def test_instructions_are_put_before_the_texts(cli: Callable[..., Any], tmp_path: Path) -> None:
    with EmbeddingsServer(hashed, models=["hkunlp/instructor-large"]) as server:
        done = cli("--model", server.model, "--task", "DemoSTS", "--limit", "5", "--results", "r")
        assert done.code == 0, done.out + done.err
        assert "family instructor, its name is INSTRUCTOR's" in done.out
        score = of(tmp_path / "r")["DemoSTS"]
        text = score.instructions.roles["text"].text
        assert text
        asked = [t for r in server.requests[1:2] for t in r.body["input"]]
        assert all(t.startswith(text) for t in asked)


def test_a_plan_asks_the_first_question_only(cli: Callable[..., Any], server: EmbeddingsServer) -> None:
    run = ("--model", server.model, "--task", "DemoSTS", "--limit", "20")
    plan = cli("plan", *run, "--format", "json")
    assert plan.code == 0, plan.out + plan.err
    [row] = json.loads(plan.out)["tasks"]
    assert (row["compute"], row["cached"], row["tokens"], row["seconds_low"]) == (40, 0, None, None)
    assert len(server.requests) == 1
    table = cli("plan", *run)
    assert "tokens and time: not known of a model that is served" in table.out
    assert cli(*run).code == 0
    [row] = json.loads(cli("plan", *run, "--results", "other", "--format", "json").out)["tasks"]
    assert (row["compute"], row["cached"], row["tokens"], row["seconds_low"]) == (0, 40, 0, 0.0)


def test_a_gpu_changes_nothing_for_a_served_model(
    cli: Callable[..., Any], server: EmbeddingsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("instructor_eval.run.plan.default_variant", lambda _device: "bf16")
    assert cli("--model", server.model, "--task", "DemoSTS", "--limit", "5", "--results", "r").code == 0
    assert of(tmp_path / "r")["DemoSTS"].model.variant == "fp32"


def test_kinds_are_light(cli_process: Callable[..., Any]) -> None:
    """Neither torch nor litellm is imported for `--help` or for a URL that cannot be used."""
    assert cli_process("--help").code == 0
    code = (
        "import sys\nfrom instructor_eval.models.served.kinds import load\n"
        "from instructor_eval.models.served.contract import Serving\n"
        "from instructor_eval.core.errors import UserError\n"
        "try: load('endpoint:nowhere', Serving())\n"
        "except UserError as e: print(e)\n"
        "print(sorted({'torch', 'mteb', 'litellm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
@pytest.mark.realdata
def test_stsbenchmark(cli: Callable[..., Any], minilm: LibraryEncoder, hub: Path, tmp_path: Path) -> None:
    """A task of the paper: the score that the same model has here."""
    with EmbeddingsServer(lambda texts: minilm.encode(texts)) as server:
        run = ("--task", "STSBenchmark", "--hub", hub, "--results", "r", "--device", "cpu")
        done = cli("--model", server.model, "--model", "minilm", *run)
    assert done.code == 0, done.out + done.err
    there, here = (of(tmp_path / "r", name)["STSBenchmark"].score for name in ("endpoint", "sentence"))
    assert there == pytest.approx(here, abs=1e-5)
    assert there == pytest.approx(0.82032, abs=1e-4), "sentence-transformers' published 82.03"
