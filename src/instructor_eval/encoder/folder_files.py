"""Files of a checkpoint's folder: JSON read and checked, weights measured against their headers. No torch here."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from instructor_eval.errors import UserError
from instructor_eval.paths import file_sha256


def read_mapping(path: Path, name: str, *, optional: bool = False) -> dict[str, Any]:
    """Read a JSON mapping; one that is optional and not there is empty.

    Raises:
        UserError: it is missing, damaged, or no mapping.
    """
    if optional and not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise UserError(
            f"model {name}: {path.name} is missing from {path.parent}: this is not a whole checkpoint"
        ) from e
    except (OSError, ValueError, RecursionError) as e:
        raise UserError(f"model {name}: {path} cannot be read ({e}): copy or download the checkpoint again") from e
    if not isinstance(value, dict):
        raise UserError(f"model {name}: {path} holds no mapping: this is not a whole checkpoint")
    return value


def module_weights(folder: Path) -> Path:
    """Return the file of a module's weights: safetensors where there is one, else the torch archive of old uploads."""
    safe = folder / "model.safetensors"
    legacy = folder / "pytorch_model.bin"
    return legacy if legacy.exists() and not safe.exists() else safe


def check_module_weights(folder: Path, name: str) -> None:
    """Check the weights of a small module, which may be a torch archive.

    Raises:
        UserError: they are missing or cut short.
    """
    file = module_weights(folder)
    if not file.exists():
        raise UserError(f"model {name}: {folder} holds no model.safetensors: this is not a whole checkpoint")
    if file.suffix == ".safetensors":
        check_safetensors(file, name)


def check_transformer_weights(folder: Path, name: str) -> None:
    """Check the weights of a transformer, which must be safetensors, in one file or several.

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
    for file in files:
        check_safetensors(file, name)


def pickle_only(name: str, file: str) -> UserError:
    """Return the error for a checkpoint without safetensors."""
    return UserError(
        f"model {name}: only pickled weights ({file}), which can run code when read: use a revision that has "
        "model.safetensors, or convert the checkpoint with save_pretrained(..., safe_serialization=True)"
    )


def check_safetensors(file: Path, name: str) -> None:
    """Compare a safetensors file's length with what its header promises.

    Raises:
        UserError: the file is cut short or is none.
    """
    size = file.stat().st_size
    try:
        header, start = _header(file, size)
        end = max((t["data_offsets"][1] for k, t in header.items() if k != "__metadata__"), default=0)
        if size != start + end:
            raise ValueError(f"{size:,} bytes, {start + end:,} promised")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise UserError(f"model {name}: {file} is cut short or damaged ({e}): copy or download it again") from e


def tensor_shapes(file: Path) -> dict[str, list[int]]:
    """Return the shape of every tensor that a safetensors file's header names; nothing where it cannot be read."""
    try:
        header, _ = _header(file, file.stat().st_size)
        return {k: list(t["shape"]) for k, t in header.items() if k != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _header(file: Path, size: int) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where its data begin."""
    with file.open("rb") as f:
        head = int.from_bytes(f.read(8), "little")
        if not 2 <= head <= size - 8:
            raise ValueError("its header is longer than the file")
        return json.loads(f.read(head)), 8 + head


def content_hash(path: Path) -> str:
    """Return a file's SHA-256; one file is read once however many variants are made of it."""
    stat = path.stat()
    return _hash_of(path, stat.st_size, stat.st_mtime_ns)


@cache
def _hash_of(path: Path, _size: int, _modified: int) -> str:
    return file_sha256(path)
