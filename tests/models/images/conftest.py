"""Folders of models of texts and pictures, made once."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch


def _declare_operators() -> torch.library.Library | None:
    """Declare what a torchvision for CUDA asks for beside a torch for the CPU, where its own library cannot be loaded.

    No package registry has a torchvision for the CPU. The transforms of pictures call neither operator.
    """
    found = find_spec("torchvision")
    if found is None or torch.version.cuda or "+cu" not in Path(found.origin).with_name("version.py").read_text():
        return None
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


_OPERATORS = _declare_operators()  # declared as long as this is held; transformers imports torchvision where it is


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import made_pictures
    from differential import transformers_made

    folder = tmp_path_factory.mktemp("models")
    (folder / "clip").mkdir()
    transformers_made.clip(folder / "clip", seed=1)
    inner = folder / "clip-ViT-made" / "0_CLIPModel"
    inner.mkdir(parents=True)
    transformers_made.clip(inner, seed=2)
    module = {"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}
    (inner.parent / "modules.json").write_text(json.dumps([module]))
    (folder / "siglip").mkdir()
    made_pictures.write_siglip(folder / "siglip", seed=3)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    import made_pictures

    folder = tmp_path_factory.mktemp("pictures")
    return [*made_pictures.write_pictures(folder, 12), *made_pictures.write_pictures(folder, 8, ".jpg")]
