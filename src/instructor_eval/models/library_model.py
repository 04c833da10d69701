"""Open a folder with sentence-transformers, without its log lines and with its errors in one line."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from instructor_eval.core.errors import OutOfMemory, UserError, one_line
from instructor_eval.core.libraries import quiet_transformers
from instructor_eval.core.output import quiet_output
from instructor_eval.core.outside import panics_raised
from instructor_eval.models.folder.files import UNUSED_WEIGHTS
from instructor_eval.models.folder.library_files import link_files
from instructor_eval.models.folder.rules import ENDLESS
from instructor_eval.models.folder.settings import FolderSettings, read_settings
from instructor_eval.models.pending import is_memory

_LONGEST_CAUSE = 270
_LINKED = re.compile(r"\S*/instructor-eval-\w+/")
_UNSAVED = ".ranknum."
"""Part of the name of an AdaLoRA count that peft does not save, and that is the same in every new model."""
# Two texts of the same words, of one length in most tokenizers; and a shorter and a longer one.
PAIR = ("the river and the city by night", "night by the city and the river")


def measure(settings: FolderSettings, *, trust_remote_code: bool) -> tuple[int, int]:
    """Load a folder only to learn the length of its vectors and its maximum length (0: none).

    Raises:
        UserError: it cannot be loaded, or gives no vectors.
    """
    with errors_in_one_line(settings.name, "cannot be computed by sentence-transformers"), _quiet():
        model = open_folder(settings.folder, "cpu", torch.float32, trust_remote_code=trust_remote_code)
        dim = model.encode([PAIR[0]], prompt="", truncate_dim=10**9, show_progress_bar=False).shape[1]
        limit = model.max_seq_length
        return int(dim), int(limit) if limit is not None and limit < ENDLESS else 0


def open_folder(folder: Path, device: str, dtype: torch.dtype, *, trust_remote_code: bool) -> Any:
    """Load the folder with sentence-transformers: local files and safetensors only."""
    from sentence_transformers import SentenceTransformer

    with loadable(folder, with_code=trust_remote_code) as place:
        options = loading_options(dtype, trust_remote_code=trust_remote_code)
        return SentenceTransformer(str(place), device=device, **options)


def loading_options(dtype: torch.dtype, *, trust_remote_code: bool) -> dict[str, Any]:
    """Return sentence-transformers' options to read local files and safetensors only."""
    model = {"use_safetensors": True, "dtype": dtype}
    return {"local_files_only": True, "trust_remote_code": trust_remote_code, "model_kwargs": model}


@contextlib.contextmanager
def loadable(folder: Path, *, with_code: bool) -> Iterator[Path]:
    """Make a folder that sentence-transformers can load, without its log lines and with all weights checked."""
    modules = _renamed_modules(folder)
    with _quiet(), link_files(folder, with_code=with_code, modules=modules) as place, all_weights():
        yield place


def _renamed_modules(folder: Path) -> list[dict[str, Any]] | None:
    """Return modules.json with sentence-transformers' names for InstructorEmbedding's classes; None: no change."""
    modules = read_settings(folder, "").modules
    if not any(m.of_instructor for m in modules):
        return None
    return [
        {
            "idx": i,
            "name": m.name,
            "path": m.path,
            "type": f"sentence_transformers.models.{m.kind}" if m.of_instructor else m.type,
        }
        for i, m in enumerate(modules)
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence logs and standard error while a model loads: they have nothing to do with the checkpoint."""
    logger = logging.getLogger("sentence_transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet_transformers(), quiet_output():
            yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def all_weights() -> Iterator[None]:
    """Refuse a checkpoint that lacks weights, which transformers would fill at random, or has them in other shapes.

    transformers says which in its log alone.

    Raises:
        ValueError: some are missing, or of another shape.
    """
    from transformers import modeling_utils
    from transformers.integrations import peft

    report = modeling_utils.log_state_dict_report
    missing: list[str] = []
    of_adapter: list[str] = []

    def note(*args: Any, **kwargs: Any) -> None:
        info = kwargs["loading_info"] if "loading_info" in kwargs else args[3]
        missing.extend(sorted(key for key in info.missing_keys if not key.startswith(UNUSED_WEIGHTS)))
        _check_shapes(info)
        report(*args, **kwargs)

    def note_adapter(*args: Any, **kwargs: Any) -> None:
        info = kwargs["loading_info"]
        of_adapter.extend(sorted(key for key in info.missing_keys if _UNSAVED not in key))
        _check_shapes(info)
        report(*args, **kwargs)

    modeling_utils.log_state_dict_report, peft.log_state_dict_report = note, note_adapter
    try:
        yield
    finally:
        modeling_utils.log_state_dict_report = peft.log_state_dict_report = report
    if of_adapter:
        raise ValueError(
            f"transformers reads no {of_adapter[0]} from adapter_model.safetensors ({len(of_adapter)} such weights): "
            "merge the adapter into its base with peft's merge_and_unload, and use that"
        )
    if missing:
        raise ValueError(f"it lacks {missing[0]} ({len(missing)} such weights): this is not a whole checkpoint")


def _check_shapes(info: Any) -> None:
    if info.mismatched_keys:
        key, found, wanted = min(info.mismatched_keys)
        raise ValueError(f"{key} is of {_shape(found)}, and the configuration wants {_shape(wanted)}")


def _shape(sizes: Any) -> str:
    return " x ".join(str(int(n)) for n in sizes) or "a single number"


@contextlib.contextmanager
def errors_in_one_line(name: str, what: str) -> Iterator[None]:
    """Raise a library's error as one line; full memory stays its own error, since a smaller batch may fit.

    Raises:
        UserError: for whatever the block raises.
    """
    try:
        with panics_raised():
            yield
    except (UserError, OutOfMemory):
        raise
    except Exception as e:
        if is_memory(e):
            raise
        if "trust_remote_code" in str(e):
            raise UserError(
                f"model {name} brings code of its own: read it, then run again with --trust-remote-code"
            ) from e
        lines = [line.strip() for line in str(e).splitlines() if line.strip()]
        text = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
        cause = one_line(_LINKED.sub("", text))[:_LONGEST_CAUSE]
        if "Pillow" in str(e):
            raise UserError(
                f"model {name[-100:]} needs Pillow, for its processor reads images too: pip install "
                "'instructor-eval[clip]'"
            ) from e
        raise UserError(
            f"model {name[-100:]} {what} ({type(e).__name__}: {cause}): check the checkpoint, or use another one"
        ) from e
