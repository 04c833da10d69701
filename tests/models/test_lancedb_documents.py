"""LanceDB tables in other processes, and the examples of LanceDB's documents and ours."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lancedb
import numpy as np
import pytest
import tiny
from lancedb_tables import QUERY, QUESTIONS, SOURCE, TEXTS, exact, function, table_of

import instructor_eval
from instructor_eval import load_encoder
from instructor_eval.models import lancedb as ours

pytestmark = [pytest.mark.stores, pytest.mark.usefixtures("one_thread")]
ROOT = Path(__file__).resolve().parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTS = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
REOPEN = """
import json, sys
import instructor_eval.models.lancedb
import lancedb
table = lancedb.connect(sys.argv[1]).open_table("rows")
table.add([{"id": 100, "text": "the river in the city"}])
rows = [table.search(q).where("id < 100").limit(7).to_list() for q in sys.argv[2:]]
print(json.dumps([[[r["id"], r["_distance"]] for r in found] for found in rows]))
"""


@pytest.fixture(scope="module")
def instructor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_instructor(tmp_path_factory.mktemp("model") / "tiny", include_prompt_key=True)


def other_process(script: str, *arguments: object, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    env = env | {"PYTHONPATH": str(Path(instructor_eval.__file__).parents[1])}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)


def test_a_table_is_opened_by_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_environment: Callable[[Path], dict[str, str]]
) -> None:
    tiny.build_instructor(tmp_path / "here" / "tiny", include_prompt_key=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    made = function(name="tiny", quantize=True, device="$var:device:cpu", query_instruction=QUERY)
    table = table_of(made, tmp_path / "db")
    [stored] = json.loads(table.schema.metadata[b"embedding_functions"])
    assert stored["model"] == {
        "name": str(tmp_path / "here" / "tiny"), "quantize": "int8", "device": "$var:device:cpu", "family": None,
        "normalize_embeddings": True, "source_instruction": SOURCE, "query_instruction": QUERY,
        "fingerprint": load_encoder("tiny", device="cpu", variant="int8").fingerprint,
    }  # fmt: skip
    env = bare_environment(tmp_path)
    done = other_process(REOPEN, tmp_path / "db", *QUESTIONS, cwd=tmp_path / "elsewhere", env=env)
    assert done.returncode == 0, done.stderr
    model = load_encoder("tiny", device="cpu", variant="int8")
    documents = model.encode(TEXTS, SOURCE)
    for question, rows in zip(QUESTIONS, json.loads(done.stdout), strict=True):
        distances = exact(documents, model.encode(question, QUERY))
        assert [i for i, _ in rows] == np.argsort(distances)[:7].tolist()
        assert np.abs([d for _, d in rows] - np.sort(distances)[:7]).max() < 1e-5
    # The name comes to mean another model.
    tiny.build_instructor(tmp_path / "here" / "tiny", seed=7, include_prompt_key=True)
    done = other_process(REOPEN, tmp_path / "db", *QUESTIONS, cwd=tmp_path / "elsewhere", env=env)
    assert done.returncode != 0
    assert f"has fingerprint {load_encoder('tiny', device='cpu', variant='int8').fingerprint} here" in done.stderr
    assert lancedb.connect(tmp_path / "db").open_table("rows").count_rows() == len(TEXTS) + 1


DOCUMENTED = """
import sys
import instructor_eval.models.lancedb
import lancedb
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

registry = get_registry()
instructor = registry.get("instructor-eval").create(
    source_instruction="represent the document for retrieval", query_instruction="represent the document for retrieval"
)

class Schema(LanceModel):
    vector: Vector(instructor.ndims()) = instructor.VectorField()
    text: str = instructor.SourceField()

db = lancedb.connect(sys.argv[1])
tbl = db.create_table("test", schema=Schema, mode="overwrite")
tbl.add([{"text": "the river and the bank"}, {"text": "A house may be rented by anyone."}, {"text": "money"}])
print(tbl.count_rows(), tbl.search("money").limit(1).to_list()[0]["text"])

quick = registry.get("instructor-eval").create(
    name="hkunlp/instructor-base", device="cpu", batch_size=2, show_progress_bar=False, normalize_embeddings=True,
    quantize=True, max_retries=1,
)

class Quick(LanceModel):
    vector: Vector(quick.ndims()) = quick.VectorField()
    text: str = quick.SourceField()

tbl = db.create_table("quick", schema=Quick, mode="overwrite")
tbl.add([{"text": "the river and the bank"}, {"text": "money"}])
print(tbl.count_rows(), len(tbl.search("money").limit(9).to_list()[0]["vector"]))
"""


def test_the_shape_of_lancedbs_own_examples(
    instructor: Path, tmp_path: Path, bare_environment: Callable[[Path], dict[str, str]]
) -> None:
    """With the default name, whose files are in the hub's local cache, and no network."""
    cached = tmp_path / "hf" / "hub" / "models--hkunlp--instructor-base"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("c" * 40)
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / ("c" * 40)).symlink_to(instructor)
    env = bare_environment(tmp_path) | {"HF_HOME": str(tmp_path / "hf")}
    done = other_process(DOCUMENTED, tmp_path / "db", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["3 money", "2 24"]


def test_the_documents_examples_run(
    instructor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The blocks of docs/lancedb.md are one program; a tiny checkpoint stands in for the hub's."""
    examples = PYTHON.findall((ROOT / "docs" / "lancedb.md").read_text(encoding="utf-8"))
    assert len(examples) == 2
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in examples:
        exec(example.replace("hkunlp/instructor-base", str(instructor)), names)
        assert capsys.readouterr().out.splitlines() == PRINTS.findall(example)
    text = (ROOT / "docs" / "lancedb.md").read_text(encoding="utf-8")
    for setting in ours.InstructorEvalEmbeddings.model_fields:
        assert f"`{setting}`" in text


def test_importing_it_without_lancedb_is_one_line(
    tmp_path: Path, bare_environment: Callable[[Path], dict[str, str]]
) -> None:
    script = "import sys; sys.modules['lancedb'] = None\nimport instructor_eval.models.lancedb"
    done = other_process(script, cwd=tmp_path, env=bare_environment(tmp_path))
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert "needs lancedb" in last
    assert last.endswith("pip install 'instructor-eval[lancedb]'")
    assert "During handling" not in done.stderr
