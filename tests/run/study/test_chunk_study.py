"""The study of chunk sizes on a tiny model, and what is said of sizes whose scores are made up."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_fixtures import _one_thread, plain_folder

from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.chunks import compare
from instructor_eval.analysis.study.text import chunk_sentences, format_chunks
from instructor_eval.core.errors import UserError
from instructor_eval.report.studies import sections_of
from instructor_eval.results.score import Score
from instructor_eval.run.latency import search_seconds
from instructor_eval.run.options import Options
from instructor_eval.run.study.chunks import study

__all__ = ["_one_thread", "plain_folder"]


def options(model: Path, tmp_path: Path) -> Options:
    return Options(model=[str(model)], task=["DemoRetrieval"], results=tmp_path, device="cpu", no_cache=True, limit=20)


def quiet(_line: str) -> None: ...


def test_a_grid_is_run_filed_and_drawn(plain_folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    found = study(options(plain_folder, tmp_path), ["64", "16", "whole", "100000"], 0.01, said.append)
    [task] = found.tasks
    assert any("left out: 100000" in line for line in said)
    assert [one.size for one in task.sizes] == ["16", "64", "whole"]
    assert task.sizes[0].chunks > task.sizes[1].chunks > task.sizes[2].chunks
    assert len({one.index_bytes / one.chunks for one in task.sizes}) == 1
    assert all(one.search_ms and one.search_ms > 0 for one in task.sizes)
    assert task.sizes[2].gain.delta == 0
    assert files.read(tmp_path, "chunks", files.ChunkStudy) == [found]
    assert "| 16" in format_chunks(found, "md")
    assert json.loads(format_chunks(found, "json"))["tasks"][0]["best"] == task.best
    [section] = sections_of(tmp_path)
    assert section.chart is not None
    assert [row[0] for row in section.rows] == ["16", "64", "whole"]


@pytest.mark.parametrize(
    ("fields", "sizes", "said"),
    [
        ({}, ["100000", "whole"], "not two to compare"), ({}, ["4", "whole"], "fewer than 8 tokens"),
        ({"task": ["DemoSTS"]}, ["16", "whole"], "for retrieval and reranking tasks"),
        ({"truncate_dim": [8, 16]}, ["16", "whole"], "one row"), ({"model": ["a", "b"]}, ["16", "32"], "one model"),
    ],
)  # fmt: skip
def test_what_cannot_be_studied(fields: dict, sizes: list[str], said: str, plain_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        study(dataclasses.replace(options(plain_folder, tmp_path), **fields), sizes, 0.01, quiet)


def made(make_score: Callable[..., Score], means: list[float]) -> list[tuple]:
    common = np.random.default_rng(0).uniform(0.2, 0.5, 200)
    found = []
    for name, mean in zip(["64", "128", "256", "whole"], means, strict=True):
        values = (common + mean).tolist()
        items = {"id": [f"q{i}" for i in range(200)], "ndcg_at_10": values, "relevant": [1] * 200}
        search = {} if name == "whole" else {"search": {"backend": f"chunk={name}", "chunks": 9, "documents": 3}}
        found.append(
            (
                name,
                make_score("SciFact", float(np.mean(values)), type="Retrieval", metric="ndcg_at_10", **search),
                items,
            )
        )
    return found


def test_the_smallest_within_the_margin_is_named(make_score: Callable[..., Score]) -> None:
    task = compare("SciFact", made(make_score, [0.0, 0.095, 0.1, 0.05]), 0.01)
    assert (task.best, task.smallest) == ("256", "128")
    assert "Smallest at most 1 point behind it, by its interval: 128" in chunk_sentences(task, 0.01)[0]
    task = compare("SciFact", made(make_score, [0.0, 0.08, 0.1, 0.05]), 0.01)
    assert (task.best, task.smallest) == ("256", "256")
    assert "no smaller size" in chunk_sentences(task, 0.01)[0]


def test_a_search_of_more_vectors_is_timed_as_one() -> None:
    found = search_seconds(500, 8, rounds=5)
    assert len(found) == 5
    assert all(second > 0 for second in found)


def test_one_size_in_two_ways_is_one(plain_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are not two to compare"):
        study(options(plain_folder, tmp_path), ["16", "16:0"], 0.01, lambda _line: None)
