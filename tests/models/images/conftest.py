"""Folders of models of texts and pictures, made once."""

import json
from pathlib import Path

import pytest
import torchvision_operators

torchvision_operators.declare()


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
