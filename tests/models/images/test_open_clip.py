"""Vectors of texts and pictures equal open_clip's own.

A lane of their own, `pictures`: what it needs stands in pictures.txt.
"""

import json
from pathlib import Path

import made_pictures
import numpy as np
import pytest
import torch
from PIL import Image

from instructor_eval import load_encoder
from instructor_eval.core.errors import UserError

pytestmark = [pytest.mark.pictures, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")]
TEXTS = ["a photo of a cat", "two red circles", "a", "the river and the city by night " * 20, "Ünïcödé 日本"]
ARCHITECTURES = ("ViT-S-32-alt", "RN50", "coca_base")


def _same(encoder: object, model: object, preprocess: object, tokenizer: object, pictures: list[Path]) -> None:
    with torch.no_grad():
        pixels = torch.stack([preprocess(Image.open(p)) for p in pictures])
        wanted = model.encode_image(pixels).numpy()
        found = encoder.encode(pictures)
        assert np.abs(found - wanted).max() < 1e-5 * max(1.0, np.abs(wanted).max())
        texts = model.encode_text(tokenizer(TEXTS)).numpy()
        assert np.abs(encoder.encode(TEXTS) - texts).max() < 1e-5 * max(1.0, np.abs(texts).max())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_with_a_file_of_weights_equal_open_clip(
    pictures: list[Path], tmp_path: Path, architecture: str
) -> None:
    import open_clip

    torch.manual_seed(5)
    model, _, preprocess = open_clip.create_model_and_transforms(architecture)
    file = tmp_path / "weights.safetensors"
    from safetensors.torch import save_model

    save_model(model, file)
    encoder = load_encoder(f"open-clip:{architecture}/{file}", device="cpu")
    _same(encoder, model.eval(), preprocess, open_clip.get_tokenizer(architecture), pictures)


@pytest.mark.parametrize(("squash", "archive"), [(False, False), (True, False), (False, True)])
def test_a_folder_equals_open_clip(pictures: list[Path], tmp_path: Path, squash: bool, archive: bool) -> None:
    import open_clip

    made_pictures.write_open_clip(tmp_path, squash=squash, archive=archive)
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}")
    encoder = load_encoder(f"open-clip:{tmp_path}", device="cpu")
    _same(encoder, model.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{tmp_path}"), pictures)


@pytest.mark.parametrize("architecture", ["RN50", ""], ids=["RN50", "folder"])
@pytest.mark.parametrize(("variant", "near"), [("bf16", 0.1), ("int8", 0.15)])
def test_other_forms_are_near(
    pictures: list[Path], tmp_path: Path, architecture: str, variant: str, near: float
) -> None:
    import open_clip
    from safetensors.torch import save_model

    name = f"open-clip:{tmp_path}"
    if architecture:
        torch.manual_seed(5)
        save_model(open_clip.create_model(architecture), tmp_path / "weights.safetensors")
        name = f"open-clip:{architecture}/{tmp_path / 'weights.safetensors'}"
    else:
        made_pictures.write_open_clip(tmp_path)
    plain, other = (load_encoder(name, device="cpu", variant=v) for v in ("fp32", variant))
    for items in (pictures[:4], TEXTS):
        a, b = plain.encode(items), other.encode(items)
        apart = np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)
        assert apart.max() < near
        # A ResNet has no product but convolutions, which stay in float32.
        assert (apart.max() > 0) == ((architecture, variant) != ("RN50", "int8") or items is TEXTS)
        assert np.abs(np.concatenate([other.encode([i]) for i in items]) - b).max() < 0.02 * np.abs(b).max()


def test_another_preprocessing_is_another_model(tmp_path: Path) -> None:
    prints = set()
    for name, squash in (("a", False), ("b", True)):
        made_pictures.write_open_clip(tmp_path / name, squash=squash)
        prints.add(load_encoder(f"open-clip:{tmp_path / name}", device="cpu").fingerprint)
    assert len(prints) == 2


def test_names_that_are_wrong_are_one_line(tmp_path: Path) -> None:
    for name, line in {
        "ViT-B-3": "no architecture 'ViT-B-3': did you mean ViT-B-32",
        "ViT-B-32": "it names no weights: give open-clip:ARCHITECTURE/TAG",
        "ViT-B-32/laion2b_s34b_b79": "neither a file nor a pretrained tag of ViT-B-32: did you mean laion2b_s34b_b79k",
        "ViT-B-32/openai": "trained with the activation of ViT-B-32-quickgelu",
        "ViT-B-32/laion2b_s34b_b79k": "",
        "": "no architecture ''",
        f"ViT-B-16-SigLIP/{__file__}": "the tokenizer of ViT-B-16-SigLIP is another repository's",
    }.items():
        with pytest.raises(UserError, match=line) as e:
            load_encoder(f"open-clip:{name}", device="cpu", offline=True)
        assert "\n" not in str(e.value)
    with pytest.raises(UserError, match=r"cannot be loaded by open_clip"):
        from safetensors.torch import save_file

        save_file({"logit_scale": torch.ones(())}, tmp_path / "other.safetensors")
        load_encoder(f"open-clip:ViT-S-32-alt/{tmp_path / 'other.safetensors'}", device="cpu").encode("a")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"preprocess_cfg": {}}))
    with pytest.raises(UserError, match="no model_cfg"):
        load_encoder(f"open-clip:{tmp_path}", device="cpu")
