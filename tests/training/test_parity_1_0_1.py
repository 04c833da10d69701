"""The checkpoint saved is the one that `tox -e parity` loads with InstructorEmbedding 1.0.1: golden/check_trained.py.

`PYTHONPATH=tests python tests/training/test_parity_1_0_1.py` makes golden/trained again.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from checkpoints import largest
from golden.cases import CASES
from safetensors.numpy import load_file

from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.pooling import INSTRUCTOR
from instructor_eval.training.data import About
from instructor_eval.training.model import TrainedModel
from instructor_eval.training.save import Provenance, save

pytestmark = pytest.mark.usefixtures("one_thread")
GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "trained"
ABOUT = About("rows.json", "0" * 64, 1, ("a",), ("Represent the text: ",))


def saved(folder: Path) -> tuple[Path, np.ndarray]:
    tiny.build_instructor(folder / "start", dim=8, layers=1, out_dim=6)
    found = locate(ModelSpec(str(folder / "start")), offline=True, known=[], family="instructor")
    model = TrainedModel(dataclasses.replace(found, prompt_rule=INSTRUCTOR))
    draw = np.random.RandomState(5)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter += torch.from_numpy(0.1 * draw.random_sample(tuple(parameter.shape)).astype(np.float32))
    save(model, folder / "trained", Provenance("trained", "start", ABOUT), 1)
    vectors = np.concatenate([model.encode([text], instruction) for instruction, text in CASES])
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):  # the tiny one's
        (folder / "trained" / name).unlink()
    return folder / "trained", vectors


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_saved_checkpoint_is_the_one_that_1_0_1_loads(tmp_path: Path) -> None:
    folder, vectors = saved(tmp_path)
    assert files(folder) == sorted({*files(GOLDEN)} - {"vectors.npz"})
    for name in files(folder):
        ours, golden = folder / name, GOLDEN / name
        if name.endswith(".safetensors"):
            tensors = load_file(golden)
            assert load_file(ours).keys() == tensors.keys()
            assert all(largest(tensor, tensors[key]) < 1e-6 for key, tensor in load_file(ours).items())
        elif name.endswith(".json"):
            left_out = {"transformers_version", "version", "__version__"}
            one, other = (json.loads(path.read_text()) for path in (ours, golden))
            assert isinstance(one, list) or {k: v for k, v in one.items() if k not in left_out} == {
                k: v for k, v in other.items() if k not in left_out
            }
    with np.load(GOLDEN / "vectors.npz", allow_pickle=False) as stored:
        assert largest(vectors, stored["vectors"]) < 1e-5


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        made, found = saved(Path(place))
        shutil.rmtree(GOLDEN, ignore_errors=True)
        shutil.copytree(made, GOLDEN)
        np.savez_compressed(GOLDEN / "vectors.npz", vectors=found)
