"""A language model's files: found in a folder or on the hub, and checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from instructor_eval.core import outside
from instructor_eval.core.errors import UserError
from instructor_eval.core.hub import list_files, snapshot
from instructor_eval.models.find import EMBEDDED, ModelSpec
from instructor_eval.models.folder.files import readable_files
from instructor_eval.models.folder.safetensors_file import check_safetensors

_WANTED = ["*.json", "*.safetensors", "*.model", "vocab.txt", "merges.txt"]
# Only files at the top, and not the copy of all weights in Mistral's repositories.
_UNWANTED = ["*/*", "consolidated*"]
_PICKLES = (".bin", ".pt", ".pth")
_VOCABULARIES = ("*.model", "vocab.json", "vocab.txt")
_TOKENIZER_FILES = (
    *_VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_CAUSAL = ("ForCausalLM", "LMHeadModel")


def find(spec: str, name: str, *, offline: bool) -> tuple[Path, str]:
    """Return the model's folder, and its commit.

    Raises:
        UserError: there is no such model, or it cannot be had.
    """
    try:
        model = ModelSpec.parse(spec)
        return _folder_of(model, name, offline=offline)
    except UserError as e:
        raise e if str(e).startswith("reader ") else UserError(f"reader {name}: {e}") from e


def _folder_of(model: ModelSpec, name: str, *, offline: bool) -> tuple[Path, str]:
    if model.name == EMBEDDED:
        raise UserError(f"reader {name}: this is an embedding model: give a causal language model")
    if Path(model.name).is_dir():
        return Path(model.name), "local"
    folder = snapshot("model", model.name, model.revision, offline=offline, wanted=_WANTED, unwanted=_UNWANTED)
    if not offline and not any(folder.glob("*.safetensors")):
        files = list_files(model.name, folder.name)
        _refuse_pickles([f for f in files if "/" not in f], name)
    return folder, folder.name


def check(folder: Path, name: str) -> list[Path]:
    """Check a checkpoint, and return the files of its weights.

    Raises:
        UserError: it is not a checkpoint of a causal language model, or a file is missing or cut short.
    """
    try:
        readable_files(folder, name)
    except UserError as e:
        raise UserError(f"reader {str(e).removeprefix('model ')}") from e
    config = read_json(folder / "config.json", name)
    if not _is_causal(config):
        kind = ", ".join(map(str, _list(config.get("architectures")))) or config.get("model_type") or "unknown kind"
        raise UserError(f"reader {name}: {kind} is no causal language model: give one (...ForCausalLM)")
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.exists() and not (folder / files[0]).exists():
        weight_map = read_json(index, name).get("weight_map")
        files = sorted({str(f) for f in weight_map.values()}) if isinstance(weight_map, Mapping) else files
    present = [path.name for path in folder.iterdir()]
    missing = sorted(set(files) - set(present))
    if missing:
        _refuse_pickles([] if index.exists() else present, name)
        raise UserError(f"reader {name}: {missing[0]} is missing: this is not a whole checkpoint, get it again")
    for file in files:
        check_safetensors(folder / file, name)
    if not tokenizer_files(folder):
        raise UserError(f"reader {name}: it has no tokenizer.json and no vocabulary: this is not a whole checkpoint")
    return [folder / file for file in files]


def _refuse_pickles(files: Iterable[str], name: str) -> None:
    pickles = sorted(f for f in files if f.endswith(_PICKLES))
    if pickles:
        raise UserError(
            f"reader {name}: only pickled weights ({pickles[0]}), which can run code when read: name a revision that "
            "has safetensors (hf:org/name@revision), or convert it with save_pretrained(..., safe_serialization=True)"
        )


def _is_causal(config: Mapping[str, Any]) -> bool:
    if config.get("is_encoder_decoder"):
        return False
    if any(str(a).endswith(_CAUSAL) for a in _list(config.get("architectures"))):
        return True
    from transformers.models.auto.modeling_auto import (  # the import of torch
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = config.get("model_type")
    # BERT and similar models have a causal form, with `is_decoder`.
    both_ways = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.get("is_decoder")
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not both_ways


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files of the tokenizer: only `tokenizer.json` if there is one."""
    single = folder / "tokenizer.json"
    if single.exists():
        return [single]
    if not any(path for pattern in _VOCABULARIES for path in folder.glob(pattern)):
        return []
    return sorted(path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern))


def read_json(path: Path, name: str) -> dict[str, Any]:
    """Read the mapping in a JSON file.

    Raises:
        UserError: the file is missing, or is not a mapping.
    """
    try:
        value = outside.read_json(path)
    except FileNotFoundError as e:
        raise UserError(f"reader {name}: {path.name} is missing: give the folder of a whole checkpoint") from e
    except (OSError, ValueError) as e:
        raise UserError(
            f"reader {name}: {path.name} cannot be read ({outside.why(e)}): get the checkpoint again"
        ) from e
    if not isinstance(value, dict):
        raise UserError(f"reader {name}: {path.name} holds no mapping: get the checkpoint again")
    return value


def ids_of(value: Any) -> list[int]:
    """Return the token ids of a configuration's entry: one, several or none."""
    return [i for i in _list(value) if isinstance(i, int)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value is not None else []
