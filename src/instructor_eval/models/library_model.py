"""Open a folder with sentence-transformers itself, quietly, its errors in one line."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from instructor_eval.core.errors import OutOfMemory, UserError, one_line
from instructor_eval.core.output import quiet_output
from instructor_eval.core.outside import panics_raised
from instructor_eval.models.folder.library_files import shown
from instructor_eval.models.folder.rules import ENDLESS
from instructor_eval.models.folder.settings import FolderSettings, read_settings
from instructor_eval.models.pending import is_memory

_LONGEST_CAUSE = 270


_SHOWN = re.compile(r"\S*/instructor-eval-\w+/")


# Two texts of the same words, of one length in most tokenizers; and a shorter and a longer one.
PAIR = ("the river and the city by night", "night by the city and the river")


def measured(settings: FolderSettings, *, trust_remote_code: bool) -> tuple[int, int]:
    """Load a folder only to learn the length of its vectors and its maximum length (0: none).

    Raises:
        UserError: it cannot be loaded, or gives no vectors.
    """
    with errors_in_one_line(settings.name, "cannot be computed by sentence-transformers"), _quiet():
        model = open_folder(settings.folder, "cpu", torch.float32, trust_remote_code=trust_remote_code)
        dim = model.encode([PAIR[0]], prompt="", truncate_dim=10**9, show_progress_bar=False).shape[1]
        limit = model.max_seq_length
        return int(dim), int(limit) if limit is not None and limit < ENDLESS else 0


def open_folder(folder: Any, device: str, dtype: torch.dtype, *, trust_remote_code: bool) -> Any:
    """The folder in sentence-transformers: from here alone, safetensors only."""
    with _quiet(), shown(folder, with_code=trust_remote_code, modules=_mapped(folder)) as place, _whole():
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(
            str(place),
            device=device,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            model_kwargs={"use_safetensors": True, "dtype": dtype},
        )


def _mapped(folder: Any) -> list[dict[str, Any]] | None:
    """modules.json with InstructorEmbedding's classes under the names of those of sentence-transformers."""
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
    """Loading says much on logs and standard error that is no fault of the checkpoint."""
    from transformers.utils import logging as transformers_logging

    level, logger = transformers_logging.get_verbosity(), logging.getLogger("sentence_transformers")
    before = logger.level
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), quiet_output():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
        transformers_logging.set_verbosity(level)


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """Refuse weights that are missing: transformers would draw them at random, and only log that it did.

    Raises:
        ValueError: some are.
    """
    from transformers import modeling_utils

    told = modeling_utils.log_state_dict_report
    missing: list[str] = []

    def note(*args: Any, **kwargs: Any) -> None:
        info = kwargs["loading_info"] if "loading_info" in kwargs else args[3]
        missing.extend(sorted(key for key in info.missing_keys if not key.startswith(_UNUSED)))
        told(*args, **kwargs)

    modeling_utils.log_state_dict_report = note
    try:
        yield
    finally:
        modeling_utils.log_state_dict_report = told
    if missing:
        raise ValueError(f"it lacks {missing[0]} ({len(missing)} such weights): this is not a whole checkpoint")


@contextlib.contextmanager
def errors_in_one_line(name: str, what: str) -> Iterator[None]:
    """Say in one line what a library raises, but that memory is full, which a smaller batch may help.

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
        said = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
        cause = one_line(_SHOWN.sub("", said))[:_LONGEST_CAUSE]
        if "Pillow" in str(e):
            raise UserError(
                f"model {name[-100:]} needs Pillow, for its processor reads images too: pip install "
                "'instructor-eval[clip]'"
            ) from e
        raise UserError(
            f"model {name[-100:]} {what} ({type(e).__name__}: {cause}): check the checkpoint, or use another one"
        ) from e


# A text encoder whose last hidden states are used works without these; transformers fills them at random.
_UNUSED = ("pooler.", "decoder.", "lm_head.", "cls.")
