"""Make or check ``instructor_1_0_1.npz``: what InstructorEmbedding 1.0.1 itself gives for the awkward pairs.

Run in the parity environment (``requirements-parity.txt``)::

    python make_instructor_golden.py                                # writes instructor_1_0_1.npz
    python make_instructor_golden.py --check instructor_1_0_1.npz   # exit 1 if a value is off by over 1e-5

Source: PyPI wheel InstructorEmbedding 1.0.1, class ``INSTRUCTOR``, unpatched, on the checkpoint of
``tests/tiny.py``. The arrays, float32, one row a pair: ``alone`` (batch size 1) and ``mixed`` (all pairs in
one batch) with tokenizer.json as transformers 4.48.3 converts it; ``alone_hub`` and ``mixed_hub`` with the
form of the hub's files of 2022. ``versions`` is a list of ``package==version`` strings.
"""

import argparse
import contextlib
import io
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from InstructorEmbedding import INSTRUCTOR
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from cases import CASES, FAILING  # noqa: E402 - the path is set first
from tiny import build_instructor  # noqa: E402 - the path is set first

GOLDEN = HERE / "instructor_1_0_1.npz"
TOLERANCE = 1e-5
PACKAGES = ["InstructorEmbedding", "sentence-transformers", "transformers", "tokenizers", "torch", "numpy"]

Arrays = dict[str, np.ndarray[Any, Any]]


def load(folder: Path) -> INSTRUCTOR:
    """Load the checkpoint with 1.0.1, which reads the Dense layer from pytorch_model.bin only."""
    dense = folder / "2_Dense"
    torch.save(load_file(dense / "model.safetensors"), dense / "pytorch_model.bin")
    with contextlib.redirect_stdout(io.StringIO()):
        return INSTRUCTOR(str(folder), device="cpu")


def behaviour(model: INSTRUCTOR, instruction: str, text: str) -> str:
    """The result of 1.0.1 for one pair: "assertion", "zero" (a vector of zeros) or "vector"."""
    try:
        vector = model.encode([[instruction, text]], batch_size=1)
    except AssertionError:
        return "assertion"
    return "vector" if np.any(vector) else "zero"


def encode(model: INSTRUCTOR) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Encode the pairs each alone and all as one batch, after a check of the failing ones."""
    for instruction, text, expected in FAILING:
        found = behaviour(model, instruction, text)
        if found != expected:
            raise SystemExit(f"FAILING pair {(instruction, text)!r}: 1.0.1 gives {found}, not {expected}")
    pairs = [[instruction, text] for instruction, text in CASES]
    alone = np.asarray(model.encode(pairs, batch_size=1), dtype=np.float32)
    mixed = np.asarray(model.encode(pairs, batch_size=len(pairs)), dtype=np.float32)
    return alone, mixed


def compute() -> Arrays:
    """All arrays of the golden file, computed afresh."""
    torch.set_num_threads(1)
    arrays: Arrays = {}
    for suffix, hub_tokenizer in (("", False), ("_hub", True)):
        with tempfile.TemporaryDirectory() as name:
            model = load(build_instructor(Path(name), hub_tokenizer=hub_tokenizer))
            arrays[f"alone{suffix}"], arrays[f"mixed{suffix}"] = encode(model)
    arrays["versions"] = np.array([f"{package}=={version(package)}" for package in PACKAGES])
    return arrays


def differences(fresh: Arrays, stored: Arrays) -> dict[str, float]:
    """Maximum absolute difference per array; infinite where shapes differ or a value is not a number."""
    found = {}
    for name in sorted(set(fresh) - {"versions"}):
        same = name in stored and stored[name].shape == fresh[name].shape
        largest = float(np.max(np.abs(fresh[name] - stored[name]))) if same else np.inf
        found[name] = np.inf if np.isnan(largest) else largest
    return found


def main() -> int:
    """Write the golden file, or compare a fresh computation with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare with FILE instead of writing")
    check: Path | None = parser.parse_args().check
    fresh = compute()
    apart = float(np.max(np.abs(fresh["alone"] - fresh["mixed"])))
    sys.stdout.write(f"{len(CASES)} pairs, {len(FAILING)} failing; alone against mixed: {apart:.2e}\n")
    if check is None:
        np.savez_compressed(GOLDEN, **fresh)
        sys.stdout.write(f"wrote {GOLDEN.name}\n")
        return 0
    with np.load(check, allow_pickle=False) as stored:
        found = differences(fresh, dict(stored))
    for name, largest in found.items():
        sys.stdout.write(f"{name}: max abs difference {largest:.2e}\n")
    return int(max(found.values()) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
