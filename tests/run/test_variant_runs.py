"""Runs of several variants from the command line: what is computed, filed, measured and refused."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
from safetensors.numpy import load_file, save_file

from instructor_eval.core.errors import UserError
from instructor_eval.models import engine as engine_module
from instructor_eval.models.variant import Variant
from instructor_eval.results.costs import Cold
from instructor_eval.run import costs as measure_module
from instructor_eval.run import run_costs

DEMO = ("--model", "minilm", "--task", "DemoSTS", "--device", "cpu", "--offline")
Run = Callable[..., Any]


def scores(folder: Path) -> dict[str, dict[str, Any]]:
    """Variant -> the score file's content."""
    found = [json.loads(p.read_text(encoding="utf-8")) for p in (folder / "scores").rglob("*.json")]
    assert len({s["identity"] for s in found}) == len(found)
    return {s["model"]["variant"]: s for s in found}


@pytest.mark.slow
def test_a_grid_is_a_row_each(cli: Run, tmp_path: Path) -> None:
    done = cli(*DEMO, "--variant", "fp32,int8", "--embedding", "float32,int8", "--embedding", "binary",
               "--truncate-dim", "384", "--truncate-dim", "64")  # fmt: skip
    assert done.code == 0, done.err
    found = scores(tmp_path / "results")
    parts = itertools.product(("fp32", "int8"), ("", "+int8", "+binary"), (384, 64))
    assert set(found) == {f"{form}{embedding}@{dim}" for form, embedding, dim in parts}
    assert found["fp32@384"]["score"] > found["fp32+binary@64"]["score"]
    assert len({s["model"]["fingerprint"] for s in found.values()}) == len(found)
    for text, score in found.items():
        variant = Variant.parse(text)
        assert score["model"]["dim"] == score["embedding"]["dim"] == variant.dim
        assert score["embedding"]["bytes_per_vector"] == variant.bytes_per_vector(384)
        assert ("calibration" in score["embedding"]) == (variant.embedding == "int8")
        assert text in done.out


@pytest.mark.slow
def test_a_form_is_loaded_once_for_all_its_embeddings(cli: Run, tmp_path: Path, monkeypatch) -> None:
    loads = []
    make = engine_module.Engine.network.fget
    assert make is not None

    def network(self: Any) -> Any:
        if self._network is None:
            loads.append(self.checkpoint.variant)
        return make(self)

    monkeypatch.setattr(engine_module.Engine, "network", property(network))
    done = cli(*DEMO, "--variant", "fp32,int8,fp32+binary,int8+uint8", "--no-cache")
    assert done.code == 0, done.err
    assert loads == ["fp32", "int8"]
    found = scores(tmp_path / "results")
    assert found["fp32+binary"]["counts"]["hits"] == found["fp32"]["counts"]["unique"]
    assert found["int8"]["counts"]["hits"] == 0


@pytest.mark.slow
def test_variants_in_a_second_run_are_reused(cli: Run) -> None:
    command = (*DEMO, "--variant", "fp32,fp32+int8@100,int8-weight")
    assert "3 run, 0 reused" in cli(*command).out
    assert "0 run, 3 reused" in cli(*command).out


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 1000.0], ids=["own batches", "in turns"])
def test_costs_are_filed_with_the_scores(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(run_costs, "SHARE", share)
    done = cli(*DEMO, "--variant", "fp32,int8,int8+binary", "--cost", "auto")
    assert done.code == 0, done.err
    assert ("measuring what fp32, int8 cost here" in done.out) == bool(share)
    found = scores(tmp_path / "results")
    assert found["int8"]["cost"] == found["int8+binary"]["cost"], "the cost of a form"
    for form in ("fp32", "int8"):
        cost = found[form]["cost"]
        assert cost["resident_bytes"] > 0 < cost["texts_per_second"]
        assert cost["cold_start_seconds"] is None
        assert cost["baseline"] == "fp32"
        assert cost["rounds"] == (3 if share else 1)
    assert found["fp32"]["cost"]["speed_ratio"] == found["fp32"]["cost"]["size_ratio"] == 1.0
    assert found["int8"]["cost"]["speed_ratio"] > 0
    assert 3.5 < found["int8"]["cost"]["size_ratio"] < 4.0
    assert "products with weights in int8" in found["int8"]["cost"]["proof"]
    again = cli(*DEMO, "--variant", "fp32,int8,int8+binary", "--cost", "auto")
    assert "measuring" not in again.out
    assert scores(tmp_path / "results") == found
    assert not (tmp_path / "results" / "costs").exists()
    cli(*DEMO, "--variant", "fp32,int8,int8+binary", "--cost", "auto", "--results", "others")
    others = scores(tmp_path / "others")
    assert {v: s["cost"] for v, s in others.items()} == {v: s["cost"] for v, s in found.items()}, "of the cache folder"


def test_one_form_takes_its_speed_from_the_runs_batches(cli: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(measure_module, "measure_run", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.setattr(run_costs, "SHARE", 1000.0)
    cli(*DEMO, "--variant", "int8", "--cost", "auto")
    found = scores(tmp_path / "results")["int8"]
    assert found["cost"]["texts"] == found["counts"]["unique"]
    assert found["cost"]["tokens"] == found["counts"]["tokens"]
    assert found["cost"]["baseline"] == "int8", "there is nothing else to compare with"
    assert found["cost"]["speed_ratio"] == 1.0
    assert 0 < found["cost"]["texts"] / found["cost"]["texts_per_second"] <= found["timings"]["encode"] + 0.002


@pytest.mark.slow
def test_a_run_that_computes_nothing_has_no_cost_but_an_earlier_one(cli: Run, tmp_path: Path) -> None:
    cli(*DEMO, "--cost", "off")
    assert scores(tmp_path / "results")["fp32"]["cost"] == {}
    assert "0 run, 1 reused" in cli(*DEMO, "--cost", "auto").out
    assert scores(tmp_path / "results")["fp32"]["cost"] == {}
    cli(*DEMO, "--cost", "full", "--limit", "20", "--no-cache", "--results", "limited")
    done = cli(*DEMO, "--cost", "auto", "--no-cache", "--results", "computed")
    assert "measuring" not in done.out
    assert "0 run, 1 reused" in cli(*DEMO, "--cost", "auto").out
    cost = scores(tmp_path / "results")["fp32"]["cost"]
    assert cost == scores(tmp_path / "computed")["fp32"]["cost"]
    assert cost["texts_per_second"] > 0
    assert cost["cold_start_seconds"] is None, "no process of its own"


@pytest.mark.slow
def test_a_cost_without_cold_start_gets_it_when_it_is_asked_for(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []

    def cold(checkpoint: Any, **_: Any) -> Cold:
        starts.append(checkpoint.form)
        return Cold(3.0, 2.0, 0.5, 4, 5, 6)

    monkeypatch.setattr(measure_module, "cold_start", cold)
    cli(*DEMO, "--cost", "auto")
    before = scores(tmp_path / "results")["fp32"]["cost"]
    assert before["cold_start_seconds"] is None
    done = cli(*DEMO, "--cost", "full")
    assert "0 run, 1 reused" in done.out
    after = scores(tmp_path / "results")["fp32"]["cost"]
    assert after["cold_start_seconds"] == 5.5
    assert (before["rounds"], after["rounds"]) == (1, 3)
    assert "measuring" not in cli(*DEMO, "--cost", "full").out
    assert starts == ["fp32"]


@pytest.mark.slow
def test_costs_are_measured_last_with_no_network_in_memory(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[weakref.ref[Any]] = []
    models = [tiny.build_plain(tmp_path / name) for name in ("one", "two")]
    measured = []
    make = engine_module.Engine.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        engines.append(weakref.ref(self))
        make(self, *arguments, **options)

    monkeypatch.setattr(run_costs, "SHARE", 1000.0)

    def measure_run(checkpoints: list[Any], root: Path, *_: Any, **__: Any) -> dict[str, Any]:
        gc.collect()
        assert root == tmp_path / "cache"
        assert len(engines) == 4
        assert not any(ref() for ref in engines)
        assert len(list((tmp_path / "results" / "scores").rglob("*.json"))) == 4
        measured.append((Path(checkpoints[0].name).name, sorted({c.form for c in checkpoints})))
        return {}

    monkeypatch.setattr(engine_module.Engine, "__init__", init)
    monkeypatch.setattr(measure_module, "measure_run", measure_run)
    done = cli(*DEMO[2:], "--model", models[0], "--model", models[1], "--variant", "fp32,bf16", "--cost", "auto")
    assert done.code == 0, done.err
    assert "no cost measured" not in done.out
    assert measured == [("one", ["bf16", "fp32"]), ("two", ["bf16", "fp32"])]


@pytest.mark.slow
@pytest.mark.parametrize("error", [RuntimeError("CUDA error:\nlost"), MemoryError(), UserError("killed")])
def test_no_cost_that_fails_ends_a_run(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(measure_module, "measure_run", fails)
    done = cli(*DEMO, "--cost", "full")
    assert done.code == 0, done.err
    [line] = [line for line in done.out.splitlines() if "no cost measured" in line]
    assert line.startswith("  no cost measured: ")
    assert "1 run, 0 reused" in done.out
    assert scores(tmp_path / "results")["fp32"]["status"] == "ok"
    [run] = (tmp_path / "results" / "runs").rglob("*.json")
    assert json.loads(run.read_text())["ended"], "the run is written down as ended"


@pytest.mark.slow
def test_debug_shows_where_a_cost_failed(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: BaseException) -> Callable[..., None]:
        def measure_run(*_: Any, **__: Any) -> None:
            raise error

        return measure_run

    monkeypatch.setattr(measure_module, "measure_run", fails(RuntimeError("where")))
    with pytest.raises(RuntimeError, match="where"):
        cli(*DEMO, "--cost", "full", "--debug")
    monkeypatch.setattr(measure_module, "measure_run", fails(KeyboardInterrupt()))
    assert cli(*DEMO, "--cost", "full").code == 130


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--variant", "fp8"), ["variant fp8 does not run on cpu", "GPU"]),
        (("--variant", "fp32,int8-gpu"), ["variant int8-gpu does not run on cpu"]),
        (("--variant", "fp32,int8", "--compile"), ["--compile does not go with variant int8"]),
        (("--variant", "int9"), ["unknown variant 'int9'", "int8"]),
        (("--variant", "fp32,"), ["empty part", "fp32,int8"]),
        (("--embedding", "int4"), ["unknown embedding 'int4'", "int8"]),
        (("--truncate-dim", "385"), ["fp32@385", "384 values", "give fewer"]),
        (("--truncate-dim", "0"), ["'0' is not a whole number of at least 1"]),
        (("--variant", "fp32+int8", "--embedding", "binary"), ["says what --embedding says too"]),
        (("--variant", "fp32+int8", "--cache-dtype", "float16"), ["leave --cache-dtype float16 out"]),
        (
            ("--embedding", "float32", "--cache-dtype", "float16"),
            ["--embedding float32 does not go with --cache-dtype"],
        ),
        (("--truncate-dim", "8", "--cache-dtype", "float16"), ["fp32@8", "leave --cache-dtype float16 out"]),
    ],
)
def test_what_cannot_run_ends_before_any_task(
    cli: Run, tmp_path: Path, options: tuple[str, ...], words: list[str]
) -> None:
    error = cli(*DEMO, *options).error
    assert all(word in error for word in words), error
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_missing_extra_ends_before_any_task(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "onnxruntime" else find(name, *a))
    error = cli(*DEMO, "--variant", "fp32,onnx-int8").error
    assert "variant onnx-int8 needs onnxruntime: pip install 'instructor-eval[onnx]'" in error
    assert not list(tmp_path.rglob("*.parquet"))


def test_an_overflow_fails_that_variant_and_no_other(cli: Run, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    tiny.build_instructor(folder)
    tensors = {k: v.copy() for k, v in load_file(folder / "model.safetensors").items()}
    for part in ("wi", "wo"):
        tensors[f"encoder.block.1.layer.1.DenseReluDense.{part}.weight"] *= 2000
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    done = cli("--model", str(folder), "--family", "instructor", "--task", "DemoSTS", "--variant", "fp32,fp16,bf16",
               "--instructions", "template")  # fmt: skip
    assert done.code == 2
    assert "FAILED: model" in done.out
    assert "leaves the range of float16 (65,504) in the feed-forward layer of block 1" in done.out
    found = scores(tmp_path / "results")
    assert {text: score["status"] for text, score in found.items()} == {"fp32": "ok", "fp16": "failed", "bf16": "ok"}
    assert found["fp16"]["score"] is None


def test_a_wrong_default_of_cost_is_said(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUCTOR_EVAL_COST", "bogus")
    assert "INSTRUCTOR_EVAL_COST is 'bogus': give one of auto, full, off" in cli(*DEMO).error


def test_the_list_of_forms(cli: Run) -> None:
    done = cli("variants")
    assert done.code == 0
    for form in ("fp32", "int8-dynamic", "fp8", "onnx-int8"):
        assert form in done.out
    rows = json.loads(cli("variants", "--format", "json").out)
    assert {"form": "int8-gpu", "what": "as int8, bfloat16 between the products",
            "needs": "a GPU of compute capability 8.0"} in rows  # fmt: skip
