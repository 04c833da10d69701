"""Vectors of texts and pictures equal transformers' own, whatever pictures there are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPModel, SiglipModel
from transformers.image_utils import load_image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from instructor_eval import load_encoder
from instructor_eval.core.errors import UserError

TEXTS = ["a photo of a cat", "two red circles", "a", "the river and the city by night " * 5, "Ünïcödé 日本"]
KINDS = {
    "clip": (CLIPModel, CLIPImageProcessorPil, "longest"),
    "clip-ViT-made": (CLIPModel, CLIPImageProcessorPil, "longest"),
    "siglip": (SiglipModel, SiglipImageProcessorPil, "max_length"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_equal_transformers(models: Path, pictures: list[Path], kind: str) -> None:
    encoder = load_encoder(f"hf-clip:{models / kind}", device="cpu")
    folder = models / kind / "0_CLIPModel" if kind.startswith("clip-ViT") else models / kind
    model_class, processor_class, padding = KINDS[kind]
    model = model_class.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    length = model.config.text_config.max_position_embeddings
    assert len(pictures) == 20
    with torch.no_grad():
        pixels = processor_class.from_pretrained(folder)([load_image(str(p)) for p in pictures], return_tensors="pt")
        wanted = model.get_image_features(**pixels).pooler_output.numpy()
        found = encoder.encode(pictures)
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 1e-5
        assert np.linalg.norm(wanted - wanted[0], axis=1)[1:].min() > 1e-2  # other pictures, other vectors
        for text in TEXTS:  # one by one: no padding but the model's own
            ids = tokenizer([text], padding=padding, truncation=True, max_length=length, return_tensors="pt")
            names = ("input_ids",) if kind == "siglip" else ("input_ids", "attention_mask")
            alone = model.get_text_features(**{n: ids[n] for n in names}).pooler_output.numpy()
            assert np.abs(encoder.encode([text]) - alone).max() < 1e-5
        assert np.abs(encoder.encode(TEXTS)[2] - encoder.encode(TEXTS[2])).max() < 1e-5


def test_a_turned_photo_is_turned_as_transformers_does(models: Path, pictures: list[Path], tmp_path: Path) -> None:
    image = Image.open(pictures[0]).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "as_seen.png")
    encoder = load_encoder(f"hf-clip:{models / 'clip'}", device="cpu")
    turned, seen, plain = encoder.encode([tmp_path / "turned.png", tmp_path / "as_seen.png", pictures[0]])
    assert np.array_equal(turned, seen)
    assert not np.allclose(turned, plain)


def test_an_instruction_has_the_text_at_its_place_and_pictures_have_none(models: Path, pictures: list[Path]) -> None:
    encoder = load_encoder(f"hf-clip:{models / 'clip'}", device="cpu")
    assert np.array_equal(encoder.encode(["cat"], "a photo of a {}."), encoder.encode(["a photo of a cat."]))
    assert np.array_equal(encoder.encode(["cat"], "a photo of a "), encoder.encode(["a photo of a cat"]))
    mixed = encoder.encode([pictures[0], "cat", pictures[1].read_bytes(), Image.open(pictures[2])], "a {}")
    assert np.allclose(mixed[[0, 2, 3]], encoder.encode(pictures[:3]), atol=1e-6)
    assert np.allclose(mixed[1], encoder.encode("a cat"), atol=1e-6)
    assert encoder.encode(pictures[0]).shape == (encoder.dim,)
    assert encoder.encode([[pictures[0].name, "x"]]).shape == (1, encoder.dim)  # a pair of texts stays one


@pytest.mark.parametrize(
    ("kind", "variant", "near"),
    [
        ("clip", "bf16", 0.05), ("siglip", "fp16", 0.01), ("clip", "int8", 0.1), ("siglip", "int8", 0.1),
        ("siglip", "int8-weight", 0.05), ("clip", "int4-weight", 0.7), ("clip", "int8-dynamic", 0.2),
    ],
)  # fmt: skip
def test_other_forms_are_near_and_another_model(
    models: Path, pictures: list[Path], kind: str, variant: str, near: float
) -> None:
    plain, other = (load_encoder(f"hf-clip:{models / kind}", device="cpu", variant=v) for v in ("fp32", variant))
    assert plain.fingerprint != other.fingerprint
    for items in (pictures, TEXTS):
        a, b = plain.encode(items), other.encode(items)
        apart = np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)
        assert 0 < apart.max() < near
    alone = np.stack([other.encode(p) for p in pictures])
    assert np.abs(alone - other.encode(pictures)).max() < 0.05


def _rounded_by_hand(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """The arithmetic of int8 as docs/variants.md has it, in float64: 7 bits, a scale a channel and a row."""
    weight, rows = layer.weight.double(), x.double()
    scale = weight.abs().amax(1, keepdim=True) / 63
    low, high = rows.amin(-1, keepdim=True).clamp(max=0), rows.amax(-1, keepdim=True).clamp(min=0)
    step = (high - low) / 127
    zero = torch.round(-low / step)
    values = ((torch.round(rows / step) + zero).clamp(0, 127) - zero) * step
    out = values @ (torch.round(weight / scale) * scale).T
    return (out if layer.bias is None else out + layer.bias.double()).float()


def test_int8_is_the_text_engines_arithmetic(models: Path, pictures: list[Path]) -> None:
    encoder = load_encoder(f"hf-clip:{models / 'clip'}", device="cpu", variant="int8")
    model = CLIPModel.from_pretrained(models / "clip")
    for layer in model.modules():
        if type(layer) is torch.nn.Linear:
            layer.register_forward_hook(lambda m, given, _: _rounded_by_hand(m, given[0]))
    with torch.no_grad():
        processor = CLIPImageProcessorPil.from_pretrained(models / "clip")
        pixels = processor([load_image(str(p)) for p in pictures], return_tensors="pt")
        wanted = model.get_image_features(**pixels).pooler_output.numpy()
        ids = AutoTokenizer.from_pretrained(models / "clip")(TEXTS[:1], return_tensors="pt")
        text = model.get_text_features(**{n: ids[n] for n in ("input_ids", "attention_mask")}).pooler_output.numpy()
    plain = load_encoder(f"hf-clip:{models / 'clip'}", device="cpu")
    for found, by_hand, exact in (
        (encoder.encode(pictures), wanted, plain.encode(pictures)),
        (encoder.encode(TEXTS[:1]), text, plain.encode(TEXTS[:1])),
    ):
        # A value that lies on the edge of two steps may be rounded either way: seldom, and by one step.
        apart = np.linalg.norm(found - by_hand, axis=1)
        assert np.median(apart) < 0.05 * np.median(np.linalg.norm(exact - by_hand, axis=1))
    layers = sum(type(m) is torch.nn.Linear for m in model.modules())
    network = encoder.engine.network
    assert f"{layers} of {layers} products with weights in int8" in network.proof()
    assert network.sizes().file < plain.engine.network.sizes().file
    assert not [m for m in network.towers.network.modules() if isinstance(m, torch.nn.Linear)]


@pytest.mark.parametrize("variant", ["onnx-int8", "openvino-int8"])
def test_forms_that_the_towers_do_not_have_are_refused(models: Path, variant: str) -> None:
    line = f"variant {variant} is not possible for hf-clip:.*, which transformers computes: use --variant fp32, bf16, "
    with pytest.raises(UserError, match=line + "fp16, int8, int8-weight, int4-weight, int8-dynamic$"):
        load_encoder(f"hf-clip:{models / 'clip'}", device="cpu", variant=variant)


def test_a_torch_archive_of_plain_tensors_gives_the_same(models: Path, pictures: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    shutil.copytree(models / "clip", folder)
    state = CLIPModel.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    wanted = load_encoder(f"hf-clip:{models / 'clip'}", device="cpu").encode(pictures[:3])
    assert np.array_equal(load_encoder(f"hf-clip:{folder}", device="cpu").encode(pictures[:3]), wanted)
    torch.save({"a": print}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="no archive of plain tensors"):
        load_encoder(f"hf-clip:{folder}", device="cpu").encode(pictures[:3])
    del state["visual_projection.weight"]
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"lacks visual_projection\.weight"):
        load_encoder(f"hf-clip:{folder}", device="cpu").encode(pictures[:3])


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        (
            "config.json",
            {"projection_dim": 13},
            r"_projection.weight is of 12 x \d+, and the configuration wants 13 x ",
        ),
        ("config.json", {"vision_config": {}}, r"class_embedding is of 16, and the configuration wants 768"),
        (
            "tokenizer.json",
            None,
            "tokenizer.json or vocab.json or spiece.model is missing from .*: this is not a whole",
        ),
        ("tokenizer.json", "{", r"tokenizer.json cannot be read .*: copy or download the checkpoint again"),
        ("tokenizer_config.json", "[]", r"tokenizer_config.json is not a JSON mapping"),
        ("preprocessor_config.json", None, "preprocessor_config.json is missing from"),
    ],
)
def test_files_that_are_wrong_are_one_line(
    models: Path, tmp_path: Path, file: str, content: str | dict[str, object] | None, line: str
) -> None:
    place = shutil.copytree(models / "clip", tmp_path / "clip") / file
    if isinstance(content, dict):
        place.write_text(json.dumps(json.loads(place.read_text()) | content))
    elif content is None:
        place.unlink()
    else:
        place.write_text(content)
    with pytest.raises(UserError, match=line) as e:
        load_encoder(f"hf-clip:{tmp_path / 'clip'}", device="cpu").encode("a")
    assert "\n" not in str(e.value)
