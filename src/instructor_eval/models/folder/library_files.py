"""The part of a checkpoint's folder that sentence-transformers may read: no pickles, and no code unless it may run.

It is a temporary folder of links: a file without a link cannot be read, whatever a library tries. Torch archives of
small modules (Dense, word embeddings) are read without unpickling and converted to safetensors.
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


def library_files(folder: Path, name: str) -> list[Path]:
    """List the files of a folder that sentence-transformers may read, sorted.

    Raises:
        UserError: one is not a regular file, or too large.
    """
    return [file for file in readable_files(folder, name) if file.name != ARCHIVE or _is_convertible(file)]


def _is_convertible(file: Path) -> bool:
    """Return whether a torch archive has the only weights of a small module, not of a transformer."""
    if (file.parent / "model.safetensors").exists():
        return False
    try:
        config = read_json(file.parent / "config.json")
    except (OSError, ValueError):
        return True
    return not (isinstance(config, dict) and "model_type" in config)


@contextlib.contextmanager
def link_files(folder: Path, *, with_code: bool, modules: list[dict[str, Any]] | None = None) -> Iterator[Path]:
    """Make a folder of links to the files that may be read, and remove it after the block.

    Args:
        folder: The checkpoint.
        with_code: Link Python files too.
        modules: Replaces the content of modules.json.

    Raises:
        UserError: a torch archive holds more than plain tensors.
    """
    from safetensors.numpy import save_file

    with tempfile.TemporaryDirectory(prefix="instructor-eval-") as made:
        place = Path(made) / folder.resolve().name
        place.mkdir()
        for file in library_files(folder, folder.name):
            if file.suffix == ".py" and not with_code:
                continue
            to = place / file.relative_to(folder)
            to.parent.mkdir(parents=True, exist_ok=True)
            if file.name == ARCHIVE:
                save_file(dict(read_tensors(file)), to.with_name("model.safetensors"), metadata={"format": "pt"})
            else:
                to.symlink_to(file.resolve())
        if modules is not None:
            (place / "modules.json").unlink()
            (place / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        yield place
