"""Check that InstructorEmbedding 1.0.1 loads a checkpoint of `evaluate train`, and gives the vectors of its training.

Run in the parity environment (``requirements-parity.txt``)::

    python check_trained.py trained     # exit 1 if a value is off by over 1e-5

``trained/`` is what ``instructor_eval.training.save`` writes, without the tokenizer, which is the tiny one;
``trained/vectors.npz`` has the vectors of the model in training (``tests/training/test_parity_1_0_1.py`` makes both).
"""

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from InstructorEmbedding import INSTRUCTOR

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from cases import CASES  # noqa: E402 - the path is set first
from tiny import write_t5_tokenizer  # noqa: E402 - the path is set first

TOLERANCE = 1e-5


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    given: Path = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(given, Path(name) / "checkpoint"))
        write_t5_tokenizer(folder, hub_tokenizer=False)
        with contextlib.redirect_stdout(io.StringIO()):
            model = INSTRUCTOR(str(folder), device="cpu")
        found = np.asarray(model.encode([[i, t] for i, t in CASES], batch_size=8), dtype=np.float32)
    with np.load(given / "vectors.npz", allow_pickle=False) as stored:
        largest = float(np.max(np.abs(found - stored["vectors"])))
    sys.stdout.write(f"a trained checkpoint, {len(CASES)} pairs: max abs difference {largest:.2e}\n")
    return int(not largest <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
