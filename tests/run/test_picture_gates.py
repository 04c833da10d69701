"""Gates over models of texts and pictures: another form, and the same model whose picture tower gives other vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from differential import transformers_made

from instructor_eval.core.sample_pictures import sample
from instructor_eval.models.images.engine import ImageEngine
from instructor_eval.models.images.find import read_image_model
from instructor_eval.results.probe import COUNT, PICTURES, take


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model") / "clip"
    folder.mkdir()
    transformers_made.clip(folder, seed=4)
    return f"hf-clip:{folder}"


def test_a_probe_is_of_both_towers(name: str) -> None:
    engine = ImageEngine(read_image_model(name), device="cpu")
    probe = take(engine)
    assert len(probe.vectors) == COUNT + PICTURES
    assert np.allclose(probe.vectors[COUNT:], engine.encode(sample(PICTURES), ""), atol=1e-6)


def test_drift_of_the_picture_tower_is_seen(
    cli: Callable[..., Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ("--model", name, "--task", "DemoShapes", "--device", "cpu", "--cost", "off", "--no-cache")
    gate = ("gate", "--gate", "drift", "--baseline", "./before", "--candidate")
    assert cli(*run, "--results", "before").code == 0
    assert cli(*run, "--results", "same").code == 0
    done = cli(*gate, "./same")
    assert done.code == 0, done.out + done.err
    assert f"{COUNT + PICTURES} vectors are the same, bit by bit" in done.out
    true = ImageEngine._of_pictures
    monkeypatch.setattr(ImageEngine, "_of_pictures", lambda *given: true(*given) + np.float32(0.05))
    assert cli(*run, "--results", "shifted").code == 0
    done = cli(*gate, "./shifted")
    assert done.code == 1, done.out + done.err
    assert f"of {COUNT} texts and {PICTURES} pictures is " in done.out


def test_another_form_passes_through_the_quality_gate(cli: Callable[..., Any], name: str) -> None:
    run = ("--model", name, "--task", "DemoShapes", "--device", "cpu", "--cost", "off")
    assert cli(*run, "--variant", "fp32,int8,bf16").code == 0
    wide = Path("wide.yaml")
    wide.write_text("margins: {default: 49, macro: 49}\n")
    for form in ("int8", "bf16"):
        done = cli("gate", "--baseline", name, "--candidate", f"{name}@{form}", "--thresholds", "wide.yaml")
        assert done.code == 0, done.out + done.err
        assert "DemoShapes" in done.out
    done = cli("gate", "--baseline", name, "--candidate", f"{name}@int8", "--self-test")
    assert done.code == 1, done.out + done.err
    assert "a loss of 10 points was put in and found" in done.out
