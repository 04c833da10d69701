"""Helpers for the tests of real servers of embeddings: the same model run here and there, odd texts, a kill."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_server import RealServer

from instructor_eval.core.values import Vectors
from instructor_eval.models.library import load_encoder
from instructor_eval.models.served.contract import Serving
from instructor_eval.models.served.engine import PROBES
from instructor_eval.models.served.openai import EndpointModel
from instructor_eval.results import probe
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

Run = Callable[..., Any]
LONG = " ".join(["A long text about rivers, bridges and the boats that pass under them."] * 231)
"""3,003 words."""
SPACES = " \n\t "


def scores(results: Path) -> dict[tuple[str, bool], Score]:
    """(task, whether it was served) -> score."""
    return {(s.task, s.model.name.startswith("endpoint:")): s for s in Store(results).scores()}


def check_scores(cli: Run, model: str, folder: Path, *more: str, tasks: tuple[str, ...], within: float) -> None:
    """The same scores here and there, 1e-3 of a point and better apart; nothing but the run's own is written."""
    named = [word for task in tasks for word in ("--task", task)]
    done = cli("--model", "minilm", "--model", model, *named, "--device", "cpu", "--results", "r", *more)
    assert done.code == 0, done.out + done.err
    found = scores(folder / "r")
    for task in tasks:
        here, there = found[task, False], found[task, True]
        assert there.score == pytest.approx(here.score, abs=within)
        assert there.served["requests"] > 0
        assert there.served["retries"] == 0
        assert there.data.hash == here.data.hash
    assert {path.name for path in folder.iterdir()} <= {"r", "cache"}


def card(folder: Path, texts: list[str]) -> Path:
    """A task of similarity whose first sentences are `texts`."""
    data = folder / "data"
    data.mkdir()
    with (data / "test.csv").open("w", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(["sentence1", "sentence2", "score"])
        rows.writerows([[text, f"Something about boats, number {i}", i] for i, text in enumerate(texts)])
    path = folder / "mine.yaml"
    path.write_text("name: Mine\ntype: STS\ndata: data\n")
    return path


def vectors(model: str, texts: list[str]) -> Vectors:
    """The vectors that a server gives for texts in one request, after a first one."""
    served = EndpointModel(model.removeprefix("endpoint:"), Serving(tries=1))
    try:
        served.embed(["the first"], "")  # as in a run: how long vectors are says how large a reply may be
        return served.embed(texts, "")
    finally:
        served.stop()


def cosines(model: str, texts: list[str]) -> list[float]:
    """How near a server's vectors are to those computed here."""
    here, there = load_encoder("minilm", device="cpu").encode(texts), vectors(model, texts)
    return [float(x) for x in (here * there).sum(axis=1) / np.linalg.norm(there, axis=1)]


def check_kill(cli: Run, model: str, server: RealServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server killed in a run ends it with one line; the next run asks only for what has not come yet."""
    run = ("--model", model, "--task", "DemoSTS", "--results", "r", "--request-texts", "16", "--quiet", "--tries", "2")
    whole, asked, killed = EndpointModel.embed, [], []

    def embed(self: EndpointModel, texts: list[str], instruction: str) -> Vectors:
        if len(asked) == 6 and not killed:
            server.kill()
            killed.append(True)
        asked.append(list(texts))
        return whole(self, texts, instruction)

    monkeypatch.setattr(EndpointModel, "embed", embed)
    line = cli(*run, "--concurrency", "1").error
    assert line.startswith(f"evaluate: DemoSTS failed: {model.partition('#')[0]}: connection failed (")
    assert line.endswith("asked 2 times: see that the server runs there and is not overloaded, then run again")
    came = {text for texts in asked[:6] for text in texts}
    server.start()
    asked.clear()
    resumed = cli(*run)
    assert resumed.code == 0, resumed.err
    done = scores(folder / "r")["DemoSTS", True]
    assert done.status == "ok"
    again = [text for texts in asked for text in texts if text not in PROBES]
    assert not came & set(again)
    assert done.counts.hits >= 5 * 16
    assert len(again) - probe.COUNT <= done.counts.unique - done.counts.hits
    here = cli("--model", "minilm", "--task", "DemoSTS", "--device", "cpu", "--results", "r", "--quiet")
    assert here.code == 0
    assert done.score == pytest.approx(scores(folder / "r")["DemoSTS", False].score, abs=1e-3)
