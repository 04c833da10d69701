"""The part of a checkpoint's folder that sentence-transformers is shown: no pickles, and no code unless it may run.

It is a folder of links beside the checkpoint, so what is not linked cannot be read, whatever a library would fall back
to. Torch archives of small modules (Dense, word embeddings) are read without unpickling and shown as safetensors.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from instructor_eval.core.outside import read_json
from instructor_eval.models.folder.files import ARCHIVE, readable_files
from instructor_eval.models.folder.weights import read_tensors


def files_read(folder: Path, name: str) -> list[Path]:
    """List every file of a folder that sentence-transformers can be shown, sorted.

    Raises:
        UserError: one of them is no file, or has no end.
    """
    return [file for file in readable_files(folder, name) if file.name != ARCHIVE or _is_shown_archive(file)]


def _is_shown_archive(file: Path) -> bool:
    """Whether it holds the only weights of a small module: a transformer's own must be safetensors."""
    return not (file.parent / "model.safetensors").exists() and not _is_transformer(file.parent)


def _is_transformer(folder: Path) -> bool:
    try:
        config = read_json(folder / "config.json")
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "model_type" in config


@contextlib.contextmanager
def shown(folder: Path, *, with_code: bool, modules: list[dict[str, Any]] | None = None) -> Iterator[Path]:
    """Make a folder of links to what may be read, for as long as the block runs.

    Args:
        folder: The checkpoint.
        with_code: Link Python files too.
        modules: What modules.json says there, in place of the checkpoint's own.

    Raises:
        UserError: a torch archive holds more than plain tensors.
    """
    with tempfile.TemporaryDirectory(prefix="instructor-eval-") as made:
        place = Path(made) / folder.resolve().name
        place.mkdir()
        for file in files_read(folder, folder.name):
            if file.suffix == ".py" and not with_code:
                continue
            to = place / file.relative_to(folder)
            to.parent.mkdir(parents=True, exist_ok=True)
            if file.name == ARCHIVE:
                _convert(file, to.with_name("model.safetensors"))
            else:
                to.symlink_to(file.resolve())
        if modules is not None:
            (place / "modules.json").unlink()
            (place / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        yield place


def _convert(archive: Path, to: Path) -> None:
    from safetensors.numpy import save_file

    save_file(dict(read_tensors(archive)), to, metadata={"format": "pt"})
