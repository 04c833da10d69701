"""The device that a model runs on, and the numeric form that goes with it."""

from __future__ import annotations

import sys
from pathlib import Path

from instructor_eval.core.errors import UserError


def default_variant(device: str) -> str:
    """Return the numeric form that a model runs in by default: bf16 on a GPU, fp32 elsewhere."""
    return "bf16" if pick_device(device).startswith("cuda") else "fp32"


def pick_device(wanted: str) -> str:
    """Return the device for a wanted one; `auto` is the first GPU if there is one.

    Raises:
        UserError: this machine or this build of torch does not have the device.
    """
    if wanted == "cpu" or (wanted == "auto" and not _may_have_gpu()):
        return "cpu"
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as e:
        raise UserError(f"unknown device '{wanted}': give auto, cpu, cuda or cuda:1") from e
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device '{wanted}' is not here ({torch.cuda.device_count()} GPUs): use --device cpu or auto")
    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError) as e:  # torch knows the kind, but this build or machine has none
        raise UserError(f"device '{wanted}' cannot be used here ({str(e)[:200]}): use --device cpu or auto") from e
    return wanted


def _may_have_gpu() -> bool:
    """Return whether torch must be imported (two seconds) to know: a Linux with a GPU has one of these files."""
    if not sys.platform.startswith("linux"):
        return True
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists() or Path("/dev/dxg").exists()
