"""The costs of a model of texts and pictures: measured, taken from a run, shown, and raced. No time is asserted."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from differential import transformers_made
from parsed_page import Page
from PIL import Image

from instructor_eval.core.sample_pictures import sample
from instructor_eval.models.images.find import read_image_model
from instructor_eval.models.images.model import ImageModel
from instructor_eval.results.costs import CostStore, percentiles
from instructor_eval.results.store import Store
from instructor_eval.run import child
from instructor_eval.run.cold_start import cold_start
from instructor_eval.run.costs import How, measure_run
from instructor_eval.run.speed import How as Race
from instructor_eval.run.speed import by_name, by_score, compare_speed

QUICK = How(device="cpu", texts=4, cold=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "clip"
    folder.mkdir()
    transformers_made.clip(folder, seed=4)
    return folder


@pytest.fixture
def model(clip: Path) -> ImageModel:
    return read_image_model(f"hf-clip:{clip}")


def test_the_sample_is_drawn_the_same_way_every_time() -> None:
    pictures = sample(3)
    assert [p.digest for p in sample(2)] == [p.digest for p in pictures[:2]]
    assert len({p.digest for p in pictures}) == 3
    opened = pictures[1].open()
    assert (opened.size, opened.format, opened.mode) == ((640, 480), "JPEG", "RGB")
    # By another way than ours: the drawing before it was a JPEG, to the loss of one.
    y, x = np.mgrid[0:480, 0:640]
    rows = np.stack([127 + 90 * np.sin(x / (10 + c) + y / (7 + c)) for c in range(3)], axis=-1)
    rows += np.random.default_rng(1).normal(0, 12, (480, 640, 1))
    assert np.abs(np.asarray(opened, dtype=float) - rows.clip(0, 255)).mean() < 8
    assert hashlib.sha256(pictures[1].source).digest() == pictures[1].digest
    assert Image.open(io.BytesIO(pictures[1].source)).size == (640, 480)


@pytest.mark.slow
def test_forms_are_measured_on_pictures_and_filed(model: ImageModel, tmp_path: Path) -> None:
    lines: list[str] = []
    forms = [dataclasses.replace(model, variant=v) for v in ("fp32", "bf16", "int8+int8")]
    costs = measure_run(forms, tmp_path, QUICK, say=lines.append, warn=pytest.fail)
    assert list(costs) == ["fp32", "bf16", "int8"]
    assert lines[1] == "fp32: one pass to warm up (4 pictures)"
    for cost in costs.values():
        assert (cost.pictures, cost.texts, cost.tokens, cost.rounds) == (4, 0, 0, 3)
        figures = cost.for_score()
        assert figures.texts_per_second is figures.tokens_per_second is None
        assert figures.pictures_per_second == round(4 / sorted(cost.seconds)[1], 3)
        assert figures.query_ms == percentiles(cost.query_seconds)
        assert len(cost.query_seconds) == 10
    assert 1 < costs["bf16"].size_ratio <= 2
    assert "in int8, multiplied by" in costs["int8"].proof
    assert {c.form: c for c in CostStore(tmp_path).all()} == costs
    assert measure_run(forms, tmp_path, QUICK, say=lines.append) == costs
    assert lines[-1].endswith("UTC, reused")


def test_a_process_of_its_own_loads_and_encodes_pictures(model: ImageModel) -> None:
    order = {
        "folder": "", "model": model.name, "revision": "local", "family": model.family, "form": "int8",
        "fingerprint": "f" * 16, "device": "cpu", "instruction": "", "texts": 2, "batch_tokens": None,
        "trust_remote_code": False, "compiled": False, "started": 0.0,
    }  # fmt: skip
    answer = child.run(order)
    assert min(answer["load_seconds"], answer["first_vector_seconds"], answer["memory_peak_bytes"]) > 0


@pytest.mark.slow
def test_a_process_of_its_own_is_started(model: ImageModel) -> None:
    cold = cold_start(dataclasses.replace(model, variant="bf16"), device="cpu", instruction="", texts=2)
    assert 0 < cold.memory_before_bytes <= cold.memory_peak_bytes
    assert min(cold.import_seconds, cold.load_seconds, cold.first_vector_seconds) > 0


def test_the_command_shows_pictures_a_second_and_the_time_of_a_query(
    cli: Callable[..., Any], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instructor_eval.results.costs import Cold
    from instructor_eval.run import costs as measured

    monkeypatch.setattr(measured, "cold_start", lambda *_, **__: Cold(3.0, 2.0, 0.5, 4 * 10**8, 5 * 10**8, 6 * 10**8))
    given = ("measure", "--model", f"hf-clip:{clip}", "--device", "cpu", "--texts", "2", "--variant", "int8")
    done = cli(*given)
    assert done.code == 0, done.out + done.err
    headers, _, first = done.out[done.out.index("variant ") :].splitlines()[:3]
    assert re.split(r"  +", headers.strip()) == [
        "variant", "file MB", "resident MB", "peak MB", "cold start s", "pictures/s", "ms/query", "times faster",
        "times smaller",
    ]  # fmt: skip
    assert len(first.split()) == 10  # the ratio has its interval behind it
    assert "2 made-up pictures (JPEG, 640 x 480), 3 rounds in turn" in done.out
    rows = json.loads(cli(*given, "--format", "json").out)
    assert [(row["form"], row["pictures"], row["texts"]) for row in rows] == [("fp32", 2, None), ("int8", 2, None)]
    assert min(row["pictures_per_second"] for row in rows) > 0 < min(row["query_ms"] for row in rows)
    refused = cli(*given[:-1], "onnx-int8")
    assert refused.code == 2
    assert "variant onnx-int8 is not possible for hf-clip:" in refused.err


def test_a_run_files_what_its_own_pictures_took_and_board_and_page_show_it(
    cli: Callable[..., Any], clip: Path, tmp_path: Path
) -> None:
    run = ("--model", f"hf-clip:{clip}", "--task", "DemoShapes", "--device", "cpu", "--cost", "auto", "--cache", "mine")
    done = cli(*run, "--variant", "fp32,int8")
    assert done.code == 0, done.out + done.err
    scores = {s.model.variant: s for s in Store(tmp_path / "results").scores()}
    for score in scores.values():
        cost = score.cost
        assert cost is not None
        assert (cost.pictures, cost.texts, cost.baseline) == (200, None, "fp32")
        assert cost.pictures_per_second is not None
        assert cost.query_ms is not None
        # Pictures take a part of the time that encoding took.
        assert 200 / cost.pictures_per_second <= score.timings.encode + 0.002
    board = cli("leaderboard")
    for column in ("size MB", "x smaller", "x faster here", "ms/query"):
        assert column in board.out
    assert cli("report", "--out", "page.html").code == 0
    text = " ".join(Page(Path("page.html").read_bytes()).texts)
    for shown in ("pictures/s", "ms/query", "size MB"):
        assert shown in text
    again = cli(*run, "--variant", "fp32", "--results", "later")
    assert again.code == 0
    [later] = Store(tmp_path / "later").scores()
    assert later.counts.unique == later.counts.hits  # all cached
    assert later.cost == dataclasses.replace(scores["fp32"].cost)


def test_off_times_no_query(cli: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    done = cli("--model", f"hf-clip:{clip}", "--task", "DemoShapes", "--limit", "8", "--device", "cpu", "--cost", "off")
    assert done.code == 0
    [score] = Store(tmp_path / "results").scores()
    assert score.cost is None


def test_two_models_race_over_pictures_and_beside_a_text_model_over_texts(
    model: ImageModel, cli: Callable[..., Any], tmp_path: Path
) -> None:
    race, lines = Race(device="cpu", rounds=1, texts=2, slower=1000.0), list[str]()
    other = by_name(f"{model.name}@int8")
    assert other == dataclasses.replace(model, variant="int8")
    assert compare_speed(model, other, race, say=lines.append).verdict == "OK"
    assert compare_speed(by_name("minilm"), model, race).tokens > 0
    done = cli("--model", model.name, "--task", "DemoShapes", "--limit", "8", "--device", "cpu", "--cost", "off")
    assert done.code == 0
    [score] = Store(tmp_path / "results").scores()
    assert by_score(score) == model
