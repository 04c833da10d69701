"""Files of a checkpoint's folder: a list of those that matter, checked JSON, complete weights. No torch here."""

from __future__ import annotations

import fnmatch
import os
from functools import cache
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError, reason
from instructor_eval.core.outside import TEXT_BYTES, TOKENIZER_BYTES, check_regular, read_json, walk, why
from instructor_eval.core.paths import file_sha256
from instructor_eval.models.folder.safetensors_file import check_safetensors
from instructor_eval.models.folder.weights import read_tensors

# Suffixes of files that may change a vector: configurations, weights, vocabularies, templates, code.
_SUFFIXES = frozenset({
    ".json", ".safetensors", ".model", ".txt", ".jinja", ".spm", ".bpe", ".tiktoken", ".vocab", ".py", ".yaml", ".yml",
})  # fmt: skip
ARCHIVE = "pytorch_model.bin"
_CARD = "README.md"
# A text encoder works without these; transformers fills them at random when a checkpoint leaves them out.
UNUSED_WEIGHTS = ("pooler.", "decoder.", "lm_head.", "cls.")
# Other forms of the same weights, and leftovers of training.
_LEFT_OUT = ("onnx", "openvino", "coreml", "runs", "eval", "__pycache__")
_DEPTH = 4
"""Depth of folders that are searched; a Router's modules are two deep."""
_MOST_BYTES = {
    "tokenizer.json": TOKENIZER_BYTES,
    "vocab.*": TOKENIZER_BYTES,
    "merges.txt": TOKENIZER_BYTES,
    "*.model": TOKENIZER_BYTES,
    "*config.json": TEXT_BYTES,
    "modules.json": TEXT_BYTES,
    "*.index.json": TEXT_BYTES,
    "*_tokens*.json": TEXT_BYTES,
    "*.jinja": TEXT_BYTES,
}
"""Files that libraries read into memory: name -> largest size."""


def readable_files(folder: Path, name: str) -> list[Path]:
    """List the files of a checkpoint that anything reads, sorted; all must be regular files of bounded size.

    Raises:
        UserError: one is a FIFO, a device, a broken link, or too large for its kind.
    """
    try:
        files = [
            file
            for file in walk(folder, depth=_DEPTH, skip=_LEFT_OUT)
            if file.suffix in _SUFFIXES or file.name in (ARCHIVE, _CARD)
        ]
        for file in files:
            _check_file(file)
    except OSError as e:
        if not folder.is_dir():
            return []  # config.json will be missing
        raise UserError(
            f"model {name}: {os.fsdecode(e.filename or folder)}: {reason(e)}: this is not a whole checkpoint: copy or "
            "download it again"
        ) from e
    return sorted(file for file in files if file.name != _CARD)


def _check_file(file: Path) -> None:
    check_regular(file)
    most = next((most for pattern, most in _MOST_BYTES.items() if fnmatch.fnmatch(file.name, pattern)), None)
    if most is not None and file.stat().st_size > most:
        raise OSError(0, f"it is larger than {most // 2**20} MB", str(file))


def read_mapping(path: Path, name: str, *, optional: bool = False) -> dict[str, Any]:
    """Read a JSON mapping; an optional one that does not exist is empty.

    Raises:
        UserError: it is missing, damaged, or not a mapping.
    """
    try:
        value = read_json(path)
    except FileNotFoundError as e:
        if optional:
            return {}
        raise UserError(
            f"model {name}: {path.name} is missing from {path.parent}: this is not a whole checkpoint"
        ) from e
    except (OSError, ValueError) as e:
        raise UserError(f"model {name}: {path} cannot be read ({why(e)}): copy or download the checkpoint again") from e
    if not isinstance(value, dict):
        raise UserError(f"model {name}: {path} is not a JSON mapping: this is not a whole checkpoint")
    return value


def module_weights(folder: Path) -> Path:
    """Return the file of a module's weights: safetensors if there is one, else the torch archive of old uploads."""
    safe = folder / "model.safetensors"
    legacy = folder / ARCHIVE
    return legacy if legacy.exists() and not safe.exists() else safe


def check_module_weights(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Check the weights of a small module, which may be a torch archive; return the shape of each tensor.

    Raises:
        UserError: they are missing or cut short.
    """
    file = module_weights(folder)
    if not file.exists():
        raise UserError(f"model {name}: {folder} holds no model.safetensors: this is not a whole checkpoint")
    if file.suffix == ".safetensors":
        return {key: tensor.shape for key, tensor in check_safetensors(file, name).items()}
    return {key: tensor.shape for key, tensor in read_tensors(file).items()}


def check_transformer_weights(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Check the weights of a transformer, which must be safetensors, in one file or several; return their shapes.

    Raises:
        UserError: they are missing, cut short, or pickled.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickles = sorted(p.name for p in folder.glob("*.bin")) + sorted(p.name for p in folder.glob("*.pt"))
        if pickles:
            raise pickle_only(name, pickles[0])
        raise UserError(f"model {name}: no model.safetensors in {folder}: this is not a whole checkpoint")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        weight_map = read_mapping(index, name).get("weight_map")
        if not isinstance(weight_map, dict):
            raise UserError(f"model {name}: {index} holds no weight_map: copy or download the checkpoint again")
        wanted = {str(file) for file in weight_map.values()}
        missing = sorted(wanted - {f.name for f in files})
        if missing:
            raise UserError(f"model {name}: {missing[0]} is missing from {folder}: copy or download it again")
    return {key: tensor.shape for file in files for key, tensor in check_safetensors(file, name).items()}


def pickle_only(name: str, file: str) -> UserError:
    """Return the error for a checkpoint without safetensors."""
    return UserError(
        f"model {name}: only pickled weights ({file}), which can run code when read: use a revision that has "
        "model.safetensors, or convert the checkpoint with save_pretrained(..., safe_serialization=True)"
    )


def content_hash(path: Path) -> str:
    """Return a file's SHA-256; a file is read only once in a process."""
    stat = path.stat()
    return _hash_of(path, stat.st_size, stat.st_mtime_ns)


@cache
def _hash_of(path: Path, _size: int, _modified: int) -> str:
    return file_sha256(path)
