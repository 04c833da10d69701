"""Pictures, and models of texts and pictures with random weights."""

import json
from pathlib import Path

import numpy as np
import torch
from differential import transformers_made
from PIL import Image
from safetensors.torch import save_file
from transformers import SiglipConfig, SiglipModel

MODES = ("RGB", "L", "P", "RGBA", "CMYK", "1", "LA", "YCbCr")


def picture(number: int, size: tuple[int, int] | None = None) -> Image.Image:
    """Draw a picture of waves and noise, another one for each number; sizes are odd and even, high and wide."""
    random = np.random.default_rng(number)
    width, height = size or (int(random.integers(9, 90)), int(random.integers(9, 90)))
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(x / (2 + number % 5 + c) + y / (3 + c)) for c in range(3)]
    rows = np.stack(waves, axis=-1) + random.normal(0, 20, (height, width, 3))
    return Image.fromarray(rows.clip(0, 255).astype(np.uint8))


def write_pictures(folder: Path, count: int = 20, suffix: str = ".png") -> list[Path]:
    """Write pictures of every kind that a PNG can have (a JPEG: RGB, CMYK and grey)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    modes = [
        m for m in MODES if m in (("RGB", "L", "CMYK") if suffix == ".jpg" else ("RGB", "L", "P", "RGBA", "1", "LA"))
    ]
    for i in range(count):
        image = picture(i)
        mode = modes[i % len(modes)]
        if mode in ("RGBA", "LA"):
            image.putalpha(image.convert("L").point(lambda v: min(255, 2 * v)))
        path = folder / f"{i:03}{suffix}"
        image.convert(mode).save(path)
        paths.append(path)
    return paths


def write_siglip(folder: Path, *, seed: int = 0) -> None:
    """Write a SigLIP with random weights."""
    pieces = transformers_made.tokenizer_of("clip_text_model", folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    texts = {**sizes, "vocab_size": pieces, "max_position_embeddings": 20, "pad_token_id": 1, "eos_token_id": 1}
    pictures = {**sizes, "image_size": 12, "patch_size": 4}
    model = SiglipModel(SiglipConfig(text_config=texts, vision_config=pictures))
    transformers_made.draw(model, seed)
    model.eval().save_pretrained(folder)
    processor = {"size": {"height": 12, "width": 12}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
    processor |= {"image_processor_type": "SiglipImageProcessor", "do_resize": True, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


def write_imagebind(file: Path, **sizes: object) -> object:
    """Write an ImageBind of all six towers with random weights; return it, of the package's own class."""
    from instructor_eval.models.images.imagebind import _modules

    others = {"audio": 2, "depth": 2, "thermal": 2, "imu": 2}
    small = {f"{tower}_{key}": n for tower in others for key, n in (("embed_dim", 8), ("num_blocks", 1))}
    small |= {f"{tower}_num_heads": n for tower, n in others.items()}
    towers = {"vision_embed_dim": 48, "vision_num_blocks": 2, "text_embed_dim": 32, "text_num_blocks": 3}
    towers |= {"kernel_size": (2, 56, 56), "vision_num_heads": 16, "text_num_heads": 16, "out_embed_dim": 12}
    torch.manual_seed(7)
    model = _modules()[0].ImageBindModel(**small, **towers | sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    return model.eval()


OPEN_CLIP = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 16, "head_width": 8, "patch_size": 4},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


def write_open_clip(folder: Path, *, squash: bool = False, archive: bool = False) -> None:
    """Write a folder in open_clip's hub layout with random weights."""
    from open_clip.model import CLIP

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    model = CLIP(**json.loads(json.dumps(OPEN_CLIP)))
    preprocess = {"mean": [0.4, 0.5, 0.6], "std": [0.3, 0.25, 0.2], "interpolation": "bicubic"}
    preprocess["resize_mode"] = "squash" if squash else "shortest"
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": OPEN_CLIP, "preprocess_cfg": preprocess}))
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if archive:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "open_clip_model.safetensors")
