"""Steps of the encoder's tests with checkpoints: load them, change one thing in them."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from instructor_eval.core.errors import UserError
from instructor_eval.models.checkpoint import Checkpoint, read_checkpoint
from instructor_eval.models.engine import Engine

TOLERANCE = 1e-5
NAME = "acme/tiny"


def read(folder: Path, *, family: str | None = None, name: str = NAME) -> Checkpoint:
    return read_checkpoint(folder, name=name, revision="local", family=family)


def engine(folder: Path, *, family: str | None = None, **settings: Any) -> Engine:
    """An engine on the CPU."""
    return Engine(read(folder, family=family), **{"device": "cpu", **settings})


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def edit_json(path: Path, *drop: str, **changes: Any) -> None:
    """Change or drop keys of a JSON mapping, which is made if it is not there."""
    value = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({k: v for k, v in {**value, **changes}.items() if k not in drop}), encoding="utf-8")


def edit_weights(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the tensors of a safetensors file."""
    tensors = {k: v.copy() for k, v in load_file(path).items()}
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def largest(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference; shapes must be equal, and all values finite."""
    assert a.shape == b.shape
    assert np.isfinite(a).all() and np.isfinite(b).all()
    return float(np.abs(np.asarray(a) - np.asarray(b)).max(initial=0.0))


@contextmanager
def one_line(*words: str, kind: type[UserError] = UserError) -> Iterator[None]:
    """The block raises a `kind` of one line in which all `words` stand."""
    with pytest.raises(kind) as caught:
        yield
    text = str(caught.value)
    assert "\n" not in text
    assert text == re.sub(r"\s+", " ", text).strip()
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"
