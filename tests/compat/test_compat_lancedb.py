"""LanceDB's documents for `instructor` run unchanged after one import, and their tables open in another process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tiny

pytestmark = pytest.mark.stores

# "Multitask Embedding with LanceDB" and the page of embedding functions: the same names, calls and order.
MADE = """
import sys
import instructor_eval.compat.lancedb
import lancedb
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

instructor = get_registry().get("instructor").create(
    name=sys.argv[2],
    source_instruction="represent the document for retrieval: ",
    query_instruction="represent the document for retrieving the most similar documents: ",
)

class Schema(LanceModel):
    vector: Vector(instructor.ndims()) = instructor.VectorField()
    text: str = instructor.SourceField()

db = lancedb.connect(sys.argv[1])
tbl = db.create_table("test", schema=Schema, mode="overwrite")
tbl.add([{"text": "the river and the bank"}, {"text": "A house may be rented by anyone."}, {"text": "money"}])
print(type(instructor).__module__, tbl.search("money").limit(1).to_list()[0]["text"])
"""
OPENED = """
import sys
import instructor_eval.compat.lancedb
import lancedb

tbl = lancedb.connect(sys.argv[1]).open_table("test")
tbl.add([{"text": "a new house"}])
print(tbl.count_rows(), tbl.search("the river and the bank").limit(1).to_list()[0]["text"])
"""


@pytest.mark.parametrize("quantize", ["", "True"])
def test_its_documents_run_unchanged(quantize: str, tmp_path: Path) -> None:
    folder = tiny.build_instructor(tmp_path / "tiny", include_prompt_key=True)
    made = MADE.replace("source_instruction=", f"quantize={quantize}, source_instruction=") if quantize else MADE
    said = []
    for script in (made, OPENED):
        command = [sys.executable, "-c", script, str(tmp_path / "db"), str(folder)]
        said.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0])
    assert said == ["instructor_eval.compat.lancedb money", "4 the river and the bank"]
