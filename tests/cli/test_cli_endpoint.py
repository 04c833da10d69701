"""Prompt retrieval through an endpoint, from the command line: the scores of `hf:` whatever fails on the way, and a
run that is killed asks only what was not answered."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_lm
from completions_server import CompletionsServer, TinyLM
from waiting import LONGEST, wait_for

from instructor_eval.readers import openai
from instructor_eval.results.store import Store

KINDS = ("apple", "bread", "cheese")
N = 40
FAILURES = ["429", None, "500", "truncated", None, "malformed", None, None, "429", "500"]
"""All but a silent server, whose time limit an honest answer on a slow machine could exceed too."""
THREADS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm.build_gpt2(tmp_path_factory.mktemp("lm") / "tiny-lm", positions=256)


@pytest.fixture(scope="module")
def lm(folder: Path) -> TinyLM:
    return TinyLM(folder)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name, n in (("pool", 30), ("test", N)):
        rows = [{"text": f"{name} {i} has {KINDS[i % 3]} in it", "label": KINDS[i % 3]} for i in range(n)]
        (tmp_path / "data" / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    card = tmp_path / "mine.yaml"
    options = "{input: 'Of what? {text} ', embed: '{text}', labels: [apple, bread, cheese], most: 3}"
    card.write_text(f"name: Mine\ntype: PromptRetrieval\ndata: data\noptions: {options}\n")
    return card


def items(results: Path) -> dict[str, Any]:
    [score] = Store(results).scores()
    assert score.status == "ok"
    return {**Store(results).items(score), "score": score.score, "metrics": score.metrics}


def test_the_scores_of_the_same_model_run_here(
    cli: Callable[..., Any], lm: TinyLM, folder: Path, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = cli(
        "--selection", "bm25", "--task", card, "--device", "cpu", "--reader", f"hf:{folder}", "--results", "here"
    )
    assert here.code == 0, here.out
    # As the command line makes it, but for its patience.
    make = openai.EndpointReader.__init__
    monkeypatch.setattr(
        openai.EndpointReader, "__init__", lambda self, spec, **_: make(self, spec, timeout=300.0, wait=0.01)
    )
    with CompletionsServer(lm, failures=list(FAILURES)) as server:
        asked = ("--selection", "bm25", "--task", card, "--results", "there", "--reader", f"endpoint:{server.url}")
        there = cli(*asked)
        assert there.code == 0, there.out
        # An option each, one question after the models, and again what failed.
        assert len(server.requests) == 3 * N + 1 + sum(failure is not None for failure in FAILURES)
        assert f"answers by endpoint:{server.url}#tiny." in there.out.replace("\n", " ")
    one, other = items(tmp_path / "here"), items(tmp_path / "there")
    assert one["score"] == other["score"]
    for column in ("id", "prediction", "gold", "value", "demonstrations", "prompt_hash"):
        assert one[column] == other[column]
    for a, b in zip(one["losses"], other["losses"], strict=True):
        assert a == pytest.approx(b, abs=1e-4)


@pytest.mark.slow
def test_after_a_kill_only_what_was_not_answered_is_asked(
    lm: TinyLM, card: Path, tmp_path: Path, bare_environment: Callable[[Path], dict[str, str]]
) -> None:
    # After so many answers it is silent: every thread waits for one, and nothing more happens until the kill.
    answered = 1 + 3 * N // 2
    with CompletionsServer(lm, failures=lambda number: "hang" if number >= answered else None) as server:
        command = [sys.executable, "-m", "instructor_eval.cli.main", "--selection", "bm25", "--task", str(card)]
        command += ["--reader", f"endpoint:{server.url}"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=bare_environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            wait_for(lambda: len(server.requests) == answered + THREADS, "every thread waits for an answer")
            process.kill()
        first = server.asked()
        assert first == answered - 1 + THREADS
        server.failures = []
        assert not list((tmp_path / "results").rglob("*.parquet"))
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=bare_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = items(tmp_path / "results")
        cached, asked = int(found["metrics"]["answers_cached"]), int(found["metrics"]["asked"])
        assert cached + asked == N
        # Eight questions were in flight, and as many answers may have waited to be stored.
        assert cached >= first // 3 - 16
        assert cached > 0
        assert server.asked() - first == 3 * asked
