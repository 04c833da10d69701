"""Pictures a second of our engine and of a library's plain loop, in turns; and memory over many pictures.

    python benchmarks/pictures.py [--library open_clip] [--memory 20000] [--forms]

The model is a small CLIP (vision: 12 layers of width 384, patches of 32) with random weights, the pictures are JPEGs of
640 x 480 drawn here. The plain loop opens and prepares one picture after another and computes batches of as many as
ours, as the libraries' own examples do. open_clip needs what stands in tests/models/images/pictures.txt. `--forms`
shows instead how near the vectors of other numeric forms are.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from instructor_eval import load_encoder
from instructor_eval.core.sample_texts import sample
from instructor_eval.models.images.engine import BATCH
from instructor_eval.models.images.model import FORMS

ARCHITECTURE = "ViT-S-32-alt"


def jpegs(folder: Path, count: int, size: tuple[int, int]) -> Iterator[bytes]:
    """Yield JPEGs of noise on waves, all different."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    for i in range(count):
        random = np.random.default_rng(i)
        rows = np.stack([127 + 90 * np.sin(x / (9 + i % 31 + c) + y / (7 + c)) for c in range(3)], axis=-1)
        rows += random.normal(0, 12, (*rows.shape[:2], 1))
        file = io.BytesIO()
        Image.fromarray(rows.clip(0, 255).astype(np.uint8)).save(file, "JPEG")
        yield file.getvalue()


def written(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Write JPEGs and return their paths."""
    paths = []
    for i, data in enumerate(jpegs(folder, count, size)):
        paths.append(folder / f"{i}.jpg")
        paths[-1].write_bytes(data)
    return paths


def measure_memory(folder: Path, count: int) -> None:
    """Print the peak of memory after a tenth of the pictures, and after all of them in one call."""
    from differential import transformers_made

    transformers_made.clip(folder)
    encoder = load_encoder(f"hf-clip:{folder}", device="cpu")
    paths = written(folder, count, (64, 48))
    for n in (count // 10, count):
        encoder.encode(paths[:n])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{n:,} pictures: peak {peak:,} MB", flush=True)


def transformers_side(folder: Path) -> tuple[str, Callable[[list[Path]], Any]]:
    """Write a CLIP of transformers; return its name for us, and the plain loop."""
    from differential import transformers_made
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    pieces = transformers_made.tokenizer_of("clip_text_model", folder)
    wide = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 6}
    texts, vision = {**wide, "vocab_size": pieces}, {**wide, "patch_size": 32}
    CLIPModel(CLIPConfig(text_config=texts, vision_config=vision)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": 224, "crop_size": 224, "resample": 3}))
    model, processor = CLIPModel.from_pretrained(folder).eval(), CLIPImageProcessorPil()

    def plain(paths: list[Path]) -> Any:
        found = []
        for start in range(0, len(paths), BATCH):
            pixels = processor([Image.open(p) for p in paths[start : start + BATCH]], return_tensors="pt")
            found.append(model.get_image_features(**pixels).pooler_output)
        return torch.cat(found).numpy()

    return f"hf-clip:{folder}", plain


def open_clip_side(folder: Path) -> tuple[str, Callable[[list[Path]], Any]]:
    """Write weights of an architecture of open_clip; return its name for us, and the plain loop."""
    import torchvision_operators

    torchvision_operators.declare()
    import open_clip
    from safetensors.torch import save_model

    model, _, preprocess = open_clip.create_model_and_transforms(ARCHITECTURE)
    save_model(model, str(folder / "weights.safetensors"))
    model.eval()

    def plain(paths: list[Path]) -> Any:
        found = []
        for start in range(0, len(paths), BATCH):
            pixels = torch.stack([preprocess(Image.open(p)) for p in paths[start : start + BATCH]])
            found.append(model.encode_image(pixels))
        return torch.cat(found).numpy()

    return f"open-clip:{ARCHITECTURE}/{folder / 'weights.safetensors'}", plain


def compare_forms(name: str, paths: list[Path]) -> None:
    """Print size, and cosines to fp32 of pictures and of texts, for each form."""
    plain = load_encoder(name, device="cpu")
    texts = sample(len(paths))
    base = [plain.encode(paths), plain.encode(texts)]
    size = plain.engine.network.sizes().file
    print("| form | MB | times smaller | pictures: mean cosine, least | texts: mean cosine, least |")
    print("|---|---|---|---|---|")
    for form in FORMS[1:]:
        other = load_encoder(name, device="cpu", variant=form)
        cells = [f"{other.engine.network.sizes().file / 1e6:.1f}", f"{size / other.engine.network.sizes().file:.2f}"]
        for before, items in zip(base, (paths, texts), strict=True):
            now = other.encode(items)
            cosines = (before * now).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(now, axis=1)
            cells.append(f"{cosines.mean():.4f}, {cosines.min():.4f}")
        print(f"| {form} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", choices=("transformers", "open_clip"), default="transformers")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument(
        "--memory", type=int, default=0, help="pictures for a tiny CLIP instead, for the peak of memory"
    )
    parser.add_argument("--forms", action="store_true", help="compare the vectors of numeric forms instead")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # where the random models are made
    with tempfile.TemporaryDirectory() as made, torch.inference_mode():
        folder = Path(made)
        if asked.memory:
            measure_memory(folder, asked.memory)
            return
        name, plain = (transformers_side if asked.library == "transformers" else open_clip_side)(folder)
        if asked.forms:
            compare_forms(name, written(folder, asked.count, (640, 480)))
            return
        encoder = load_encoder(name, device="cpu")
        paths = written(folder, asked.count, (640, 480))
        apart = np.abs(encoder.encode(paths[:BATCH]) - plain(paths[:BATCH])).max()
        ratios = []
        for _ in range(asked.turns):
            seconds = []
            for side in (plain, encoder.encode):
                started = time.perf_counter()
                side(paths)
                seconds.append(time.perf_counter() - started)
            ratios.append(seconds[0] / seconds[1])
            print(f"plain {asked.count / seconds[0]:.1f}/s, ours {asked.count / seconds[1]:.1f}/s", flush=True)
        print(f"ours / plain: {statistics.median(ratios):.2f}; largest difference of a value {apart:.1e}")


if __name__ == "__main__":
    main()
