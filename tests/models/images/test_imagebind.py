"""Vectors of texts and pictures equal ImageBind's own.

But for what is said where it is missing: a lane of their own, `pictures`, which needs what stands in pictures.txt.
"""

import importlib
import json
import pickle
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import made_pictures
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from instructor_eval import load_encoder
from instructor_eval.core.errors import UserError
from instructor_eval.models.images import imagebind

NEEDED = ("imagebind", "einops", "ftfy", "iopath", "timm", "torchvision")
TEXTS = ["a photo of a cat", "two red circles", "", "the river and the city by night " * 20, "Ünïcödé &amp; 日本"]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> object:
    """ImageBind's own preprocessing, without the packages for sound and films that it imports beside."""
    for name in ("torchaudio", "pytorchvideo", "pytorchvideo.data", "pytorchvideo.data.clip_sampling"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.setitem(sys.modules, "pytorchvideo.data.encoded_video", MagicMock())
    place = find_spec("imagebind").submodule_search_locations[0]
    finder = SimpleNamespace(resource_filename=lambda _, path: f"{place}/{path}")
    monkeypatch.setitem(sys.modules, "pkg_resources", finder)
    yield importlib.import_module("imagebind.data")
    for name in [name for name in sys.modules if name.partition(".")[0] == "imagebind"]:
        del sys.modules[name]


@pytest.mark.pictures
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_vectors_equal_imagebind(pictures: list[Path], tmp_path: Path, data: object, suffix: str) -> None:
    file = tmp_path / f"tiny{suffix}"
    model = made_pictures.write_imagebind(file)
    encoder = load_encoder(f"imagebind:{file}", device="cpu")
    given = {
        "vision": data.load_and_transform_vision_data([str(p) for p in pictures], "cpu"),
        "text": data.load_and_transform_text(TEXTS, "cpu"),
    }
    with torch.no_grad():
        wanted = {kind: vectors.numpy() for kind, vectors in model(given).items()}
    assert len(pictures) == 20
    assert np.abs(encoder.encode(pictures) - wanted["vision"]).max() < 1e-5
    found = encoder.encode(TEXTS)
    assert np.abs(found - wanted["text"]).max() < 1e-5 * np.abs(wanted["text"]).max()
    assert np.abs(encoder.encode([TEXTS[0]]) - found[:1]).max() < 1e-5 * np.abs(found).max()
    assert encoder.dim == found.shape[1] == 12


@pytest.mark.pictures
def test_sizes_of_the_published_model_are_read_off_its_shapes() -> None:
    networks, _ = imagebind._modules()
    huge = imagebind._empty(lambda **_: networks.imagebind_huge(), {})
    found = imagebind._sizes({name: tuple(tensor.shape) for name, tensor in huge.state_dict().items()}, "huge")
    assert found == {
        "kernel_size": (2, 14, 14), "vision_embed_dim": 1280, "vision_num_blocks": 32, "text_embed_dim": 1024,
        "text_num_blocks": 24, "out_embed_dim": 1024,
    }  # fmt: skip
    heads = {kind: trunk.blocks[0].attn.num_heads for kind, trunk in huge.modality_trunks.items()}
    assert heads["vision"] == heads["text"] == imagebind.HEADS


@pytest.mark.pictures
def test_the_package_can_still_be_imported(tmp_path: Path, data: object) -> None:
    made_pictures.write_imagebind(tmp_path / "tiny.safetensors")
    load_encoder(f"imagebind:{tmp_path / 'tiny.safetensors'}", device="cpu").encode("a")
    assert sys.modules["imagebind"].data is data


@pytest.mark.pictures
@pytest.mark.parametrize(("variant", "near"), [("bf16", 0.1), ("int8", 0.15), ("int8-dynamic", 0.15)])
def test_other_forms_are_near(pictures: list[Path], tmp_path: Path, variant: str, near: float) -> None:
    made_pictures.write_imagebind(tmp_path / "tiny.safetensors")
    name = f"imagebind:{tmp_path / 'tiny.safetensors'}"
    plain, other = (load_encoder(name, device="cpu", variant=v) for v in ("fp32", variant))
    for items in (pictures[:4], TEXTS):
        a, b = plain.encode(items), other.encode(items)
        assert 0 < (np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)).max() < near
    if variant == "int8":  # two products of each block's attention, and two behind it; two heads
        assert "22 of" in str(other.engine.environment()["computed"])


@pytest.mark.pictures
def test_a_fingerprint_holds_the_weights(tmp_path: Path) -> None:
    prints = set()
    for name in ("a.safetensors", "b.safetensors"):
        made_pictures.write_imagebind(tmp_path / name)
    state = load_file(tmp_path / "b.safetensors")
    state["modality_heads.text.proj.1.weight"] *= 2
    save_file(state, tmp_path / "b.safetensors")
    for name in ("a.safetensors", "b.safetensors"):
        prints.add(load_encoder(f"imagebind:{tmp_path / name}", device="cpu").fingerprint)
    assert len(prints) == 2


@pytest.mark.pictures
def test_the_licence_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_pictures.write_imagebind(tmp_path / "tiny.safetensors")
    imagebind._say_licence.cache_clear()
    for _ in range(2):
        load_encoder(f"imagebind:{tmp_path / 'tiny.safetensors'}", device="cpu")
    assert capsys.readouterr().err.count("for no commercial use") == 1


class _Call:
    def __reduce__(self) -> object:
        return print, ("run",)


@pytest.mark.pictures
def test_files_that_are_wrong_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_pictures.write_imagebind(tmp_path / "tiny.safetensors")
    made_pictures.write_imagebind(tmp_path / "thin.safetensors", text_embed_dim=32, vision_embed_dim=32)
    state = load_file(tmp_path / "tiny.safetensors")
    text = "modality_preprocessors.text.token_embedding.weight"
    files = {
        "unknown": ({**state, "logit_scale": torch.ones(())}, "'logit_scale' is no tensor of ImageBind"),
        "none": ({k: v for k, v in state.items() if k != text}, f"{text} is not there"),
        "flat": ({**state, text: torch.ones(4)}, rf"{text} has the shape \[4\]"),
        "heads": ({**state, text: torch.ones(49408, 30)}, "its text tower is 30 wide, no multiple of 16 heads"),
        "short": ({**state, text: torch.ones(40, 32)}, "cannot be loaded by imagebind .*size mismatch for"),
        "less": ({k: v for k, v in state.items() if "text.blocks.1.mlp" not in k}, "cannot be loaded .*Missing key"),
        "more": ({**state, "modality_heads.text.extra": torch.ones(1)}, "cannot be loaded .*Unexpected key"),
    }
    for name, (tensors, line) in files.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
        _refused(f"{tmp_path / name}.safetensors", line)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "tiny.safetensors").read_bytes()[:5000])
    torch.save({"modality_heads.text.proj.1.weight": _Call()}, tmp_path / "code.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(_Call()))
    for name, line in {
        "cut.safetensors": "cut short or damaged",
        "code.pth": "no archive of plain tensors",
        "old.pth": "no archive of plain tensors",
        "tiny.safetensor": "there is no file .*: did you mean tiny.safetensors",
        "other.npz": "there is no file .*: give imagebind:FILE",
        "": "is a folder: give imagebind:FILE",
    }.items():
        _refused(str(tmp_path / name), line)
    (tmp_path / "weights.npz").write_text(json.dumps({}))
    _refused(str(tmp_path / "weights.npz"), "from .safetensors, or a torch archive .*, not from weights.npz")
    _refused("", "there is no file ''|is a folder")
    assert "run" not in capsys.readouterr().out


def _refused(file: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as e:
        load_encoder(f"imagebind:{file}", device="cpu").encode("a")
    assert "\n" not in str(e.value)


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in NEEDED else found(name, *a))
    with pytest.raises(
        UserError, match=r"needs imagebind, .* and torchvision: pip install 'instructor-eval\[imagebind\]'"
    ):
        load_encoder(f"imagebind:{tmp_path / 'weights.safetensors'}", device="cpu")


def test_names_without_a_file_are_one_line() -> None:
    for name, line in {
        "imagebind": "names no weights: give imagebind:...",
        "imagebnd:a": "did you mean imagebind",
    }.items():
        with pytest.raises(UserError, match=line):
            load_encoder(name, device="cpu")
