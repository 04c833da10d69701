"""INSTRUCTOR's clients run their documented examples (docs/integrations.md) with our class, unchanged.

They stand in an environment of their own, on top of this one; `-m clients` runs them. INSTRUCTOR_EVAL_SERVERS=DIR keeps
it between runs.
"""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
import tiny

import instructor_eval as ie

HERE = Path(__file__).parent
DOC = HERE.parent.parent / "docs" / "integrations.md"
BLOCK = re.compile(r"^```python (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = dict(BLOCK.findall(DOC.read_text()))
OURS = ("model", "quantized")
"""Examples without a client."""
REPORT = """
import json, sys
json.dump({"inputs": inputs, "vectors": [[float(x) for x in row] for row in vectors]}, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_instructor(tmp_path_factory.mktemp("clients") / "tiny")


@pytest.fixture(scope="session")
def python(environments: Path) -> Path:
    """An interpreter that has the clients, and below them everything that this one has."""
    place = environments / "clients"
    interpreter, mark = place / "bin" / "python", place / "installed.txt"
    files = [HERE / "clients.txt", HERE / "without_dependencies.txt"]
    below = f"{sysconfig.get_paths()['purelib']}\n{Path(ie.__file__).parent.parent}\n"
    wanted = below + "".join(file.read_text() for file in files)
    environments.mkdir(parents=True, exist_ok=True)
    with (environments / "clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the trackers' tests, in another process, need it too
        if not mark.exists() or mark.read_text() != wanted:
            venv.create(place, with_pip=True, clear=True)
            (next(place.glob("lib/python*/site-packages")) / "below.pth").write_text(below)
            pip = [str(interpreter), "-m", "pip", "install", "-q"]
            subprocess.run([*pip, "-r", str(files[0])], check=True)
            subprocess.run([*pip, "--no-deps", "-r", str(files[1])], check=True)
            mark.write_text(wanted)
    return interpreter


def run(python: Path, name: str, folder: Path, tmp_path: Path, **changes: str) -> tuple[list[list[str]], np.ndarray]:
    """Run an example; return what it embedded and the vectors."""
    code = EXAMPLES[name].replace("hkunlp/instructor-base", str(folder))
    for old, new in changes.items():
        assert old in code
        code = code.replace(old, new)
    script, result = tmp_path / "example.py", tmp_path / "result.json"
    script.write_text(code + REPORT)
    ended = subprocess.run([python, script, result], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = json.loads(result.read_text())
    return found["inputs"], np.array(found["vectors"])


def expected(folder: Path, inputs: list[list[str]]) -> np.ndarray:
    vectors = ie.load_encoder(folder, family="instructor").encode(inputs)
    assert isinstance(vectors, np.ndarray)
    return vectors


@pytest.mark.slow
def test_the_example_of_the_class(folder: Path, tmp_path: Path) -> None:
    inputs, vectors = run(Path(sys.executable), "model", folder, tmp_path)
    assert np.abs(vectors - expected(folder, inputs)).max() < 1e-6


@pytest.mark.slow
def test_the_example_of_quantization(folder: Path, tmp_path: Path) -> None:
    inputs, vectors = run(Path(sys.executable), "quantized", folder, tmp_path)
    assert 0 < np.abs(vectors - expected(folder, inputs)).max() < 0.1


@pytest.mark.clients
@pytest.mark.parametrize("client", [name for name in EXAMPLES if name not in OURS])
def test_a_client(client: str, python: Path, folder: Path, tmp_path: Path) -> None:
    inputs, vectors = run(python, client, folder, tmp_path)
    assert vectors.shape == (len(inputs), 24)
    assert np.abs(vectors - expected(folder, inputs)).max() < 1e-6


@pytest.mark.clients
def test_lancedb_quantizes_it(python: Path, folder: Path, tmp_path: Path) -> None:
    more = {"    source_instruction=": "    quantize=True,\n    source_instruction="}
    inputs, vectors = run(python, "lancedb", folder, tmp_path, **more)
    assert 0 < np.abs(vectors - expected(folder, inputs)).max() < 0.1
