"""CLIP and SigLIP in transformers' layout, and sentence-transformers' folders `clip-ViT-*`, which hold one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.core.errors import UserError
from instructor_eval.core.libraries import quiet_transformers
from instructor_eval.core.outside import is_folder
from instructor_eval.models.folder.files import ARCHIVE, read_mapping, readable_files
from instructor_eval.models.folder.library_files import link_files
from instructor_eval.models.images.model import ImageModel, Towers, hashes, read_state, weights_of, with_family
from instructor_eval.models.images.preprocessing import of_transformers

if TYPE_CHECKING:
    from torch import Tensor

_KINDS = {"clip": "CLIP", "siglip": "Siglip"}
"""config.json's model_type -> transformers' name."""
_TOKENIZERS = ("tokenizer.json", "vocab.json", "spiece.model")
_LAYOUT = "give the folder of a CLIP or SigLIP in transformers' layout, or of sentence-transformers' clip-ViT-*"


@dataclass(frozen=True, kw_only=True)
class HfModel(ImageModel):
    """A CLIP or SigLIP of transformers."""

    folder: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]

    def load(self) -> Towers:
        """Load the network with transformers."""
        from instructor_eval.models.library_model import errors_in_one_line

        with errors_in_one_line(self.name, "cannot be loaded by transformers"):
            return HfTowers(self)


class HfTowers:
    """A CLIP or SigLIP loaded by transformers."""

    def __init__(self, model: HfModel) -> None:
        import transformers

        from instructor_eval.models.library_model import all_weights

        self._model = model
        kind = _KINDS[model.config["model_type"]]
        config = getattr(transformers, f"{kind}Config").from_dict(dict(model.config))
        state = read_state(model.weights, model.name)
        with quiet_transformers(), all_weights(), link_files(model.folder, with_code=False) as place:
            network = getattr(transformers, f"{kind}Model").from_pretrained(None, config=config, state_dict=state)
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(place), local_files_only=True, trust_remote_code=False
            )
        self.network = network.float().eval().requires_grad_(requires_grad=False)
        # SigLIP was trained on texts padded to its maximum, and attends to the padding.
        self._padding = "max_length" if kind == "Siglip" else "longest"

    def tokens(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return the tokens of texts."""
        found = self._tokenizer(
            list(texts), padding=self._padding, truncation=True, max_length=self._model.max_length, return_tensors="pt"
        )
        names = ("input_ids",) if self._padding == "max_length" else ("input_ids", "attention_mask")
        return {name: found[name] for name in names}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, not truncated."""
        return [len(ids) for ids in self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]

    def of_texts(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """Return the vectors of tokenised texts."""
        return _pooled(self.network.get_text_features(**tokens))

    def of_pictures(self, pixels: Tensor) -> Tensor:
        """Return the vectors of prepared pictures."""
        return _pooled(self.network.get_image_features(pixel_values=pixels))


def _pooled(found: Any) -> Tensor:
    vectors: Tensor = getattr(found, "pooler_output", found)
    return vectors


def read(text: str, *, family: str | None, offline: bool) -> HfModel:
    """Return the model of `hf-clip:FOLDER`.

    Raises:
        UserError: there is no such folder, or it holds no such model.
    """
    name = f"hf-clip:{text}"
    folder = Path(text)
    if not text or not is_folder(folder):
        raise UserError(f"{name}: there is no folder '{text[:200]}': {_LAYOUT}")
    folder = _inner(folder, name)
    files = readable_files(folder, name)
    config = read_mapping(folder / "config.json", name)
    if config.get("model_type") not in _KINDS:
        raise UserError(
            f"model {name}: config.json: model_type is {config.get('model_type')!r:.60}, not "
            f"{' or '.join(_KINDS)}: {_LAYOUT}"
        )
    texts, pictures = (config.get(f"{side}_config") or {} for side in ("text", "vision"))
    if not isinstance(texts, dict) or not isinstance(pictures, dict):
        raise UserError(f"model {name}: config.json: text_config and vision_config are no mappings: {_LAYOUT}")
    is_clip = config["model_type"] == "clip"
    width = config.get("projection_dim", 512) if is_clip else pictures.get("hidden_size", 768)
    length = texts.get("max_position_embeddings", 77 if is_clip else 64)
    for key, value in (("width of vectors", width), ("max_position_embeddings", length)):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 2**20:
            raise UserError(f"model {name}: config.json: {key} is {value!r:.40}, no whole number that is possible")
    processor, file = _processor(folder, name)
    _check_tokenizer(folder, name)
    weights = tuple(weights_of(folder, name))
    return HfModel(
        name=name,
        revision="local",
        max_length=length,
        preprocessing=of_transformers(processor, file, name),
        width=width,
        parts={
            "weights": hashes(weights),
            "files": hashes([f for f in files if f not in weights and f.name != ARCHIVE]),
        },
        libraries=("transformers", "pillow"),
        folder=folder,
        config=config,
        weights=weights,
        **with_family(family, name),
    )


def _inner(folder: Path, name: str) -> Path:
    """Return the folder of transformers' files: of a `clip-ViT-*`, that of its one module."""
    if not (folder / "modules.json").exists():
        return folder
    from instructor_eval.models.folder.settings import read_settings

    modules = read_settings(folder, name).modules
    if len(modules) != 1 or modules[0].kind not in ("CLIPModel", "Transformer"):
        raise UserError(f"model {name}: modules.json names other modules than one CLIPModel: {_LAYOUT}")
    return folder / modules[0].path


def _check_tokenizer(folder: Path, name: str) -> None:
    """Refuse a tokenizer without files, or with broken ones: transformers does not say which it fails on.

    Raises:
        UserError: so it is.
    """
    if not any((folder / file).exists() for file in _TOKENIZERS):
        raise UserError(
            f"model {name}: {' or '.join(_TOKENIZERS)} is missing from {folder}: this is not a whole checkpoint"
        )
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json"):
        if (folder / file).exists():
            read_mapping(folder / file, name)


def _processor(folder: Path, name: str) -> tuple[dict[str, Any], Path]:
    """Return the settings of the processor of pictures, under either of the names that transformers has given them."""
    old, new = folder / "preprocessor_config.json", folder / "processor_config.json"
    if old.exists() or not new.exists():
        return read_mapping(old, name), old
    found = read_mapping(new, name).get("image_processor")
    if not isinstance(found, dict):
        raise UserError(f"model {name}: {new} has no image_processor: {_LAYOUT}")
    return found, new
