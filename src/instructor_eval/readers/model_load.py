"""Loading a language model, with every kind of full memory as one error and nothing said on the terminal."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from instructor_eval.core.errors import OutOfMemory, UserError

# As in models/network.py: torch has no error of its own for a CPU's memory.
_ALLOCATION_FAILED = ("not enough memory", "can't allocate memory")


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of transformers on the terminal."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def memory() -> Iterator[None]:
    """Turn every kind of full memory into one error."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as e:
        raise OutOfMemory(str(e)) from e
    except RuntimeError as e:
        if any(words in str(e) for words in _ALLOCATION_FAILED):
            raise OutOfMemory(str(e)) from e
        raise


def load(folder: Path, name: str, *, device: str, dtype: str) -> Any:
    """The model of a folder on a device, in evaluation mode.

    Raises:
        UserError: it cannot be loaded, lacks weights, or does not fit the device.
    """
    try:
        with memory():
            return _load(folder, name, getattr(torch, dtype)).to(device).eval().requires_grad_(requires_grad=False)
    except OutOfMemory as e:
        raise UserError(
            f"reader {name} does not fit {device} in {dtype} ({str(e)[:100]}): use another device, or a smaller reader"
        ) from e


def _load(folder: Path, name: str, dtype: torch.dtype) -> Any:
    try:
        with memory():
            model, info = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except OutOfMemory:
        raise
    except Exception as e:  # transformers raises many kinds for a checkpoint it cannot read
        raise UserError(
            f"reader {name} cannot be loaded ({type(e).__name__}: {str(e)[:300]}): use another reader"
        ) from e
    missing, wrong = sorted(info["missing_keys"]), sorted(str(k[0]) for k in info.get("mismatched_keys", ()))
    if missing or wrong:
        what = f"lacks {missing[0]}" if missing else f"has another shape of {wrong[0]}"
        raise UserError(
            f"reader {name} {what} ({len(missing) + len(wrong)} such weights): "
            "this is not a whole language model, use another reader"
        )
    return model
