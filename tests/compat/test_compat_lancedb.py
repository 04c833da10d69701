"""LanceDB's documents for `instructor` run unchanged after one import, and their tables open in another process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from instructor_eval.models.served.kinds import kind_of

pytestmark = pytest.mark.stores

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


# LanceDB's page of embedding functions: its names (one misspelled there), calls, order and misspelled instructions. The
# texts are others of the same subjects. A search of each stands below it; the real small model ranks.
PAGE = """
import instructor_eval.compat.lancedb
import lancedb
from lancedb.pydantic import LanceModel, Vector
from lancedb.embeddings import get_registry, InstuctorEmbeddingFunction

instructor = get_registry().get("instructor").create(
                            NAMED
                            source_instruction="represent the docuement for retreival",
                            query_instruction="represent the document for retreiving the most similar documents"
                            )

class Schema(LanceModel):
    vector: Vector(instructor.ndims()) = instructor.VectorField()
    text: str = instructor.SourceField()

db = lancedb.connect("lancedb")
tbl = db.create_table("test", schema=Schema, mode="overwrite")

texts = [{"text": "Since feudalism ended, most of the western world has lived under capitalism."},
        {"text": "The Fair Housing Act is where the theory of disparate impact is disputed most."},
        {"text": "In labor law, disparate impact means rules of employers that burden one group more."}]

tbl.add(texts)
for query in ("private ownership of the means of production", "housing law", "discrimination at work"):
    print(tbl.search(query).limit(1).to_list()[0]["text"].split()[0])
"""
# "Multitask Embedding with LanceDB": twice the same texts, under two pairs of instructions.
ARTICLE = """
import instructor_eval.compat.lancedb
import lancedb
from lancedb.pydantic import LanceModel, Vector
from lancedb.embeddings import get_registry
from lancedb.embeddings import InstructorEmbeddingFunction

for source, query in (
    ("represent the document for retreival", "represent the document for most similar definition"),
    ("represent the captions", "represent the captions for retrieving duplicate captions"),
):
    instructor = get_registry().get("instructor").create(
                                NAMED
                                source_instruction=source,
                                query_instruction=query
                                )

    class Schema(LanceModel):
        vector: Vector(instructor.ndims()) = instructor.VectorField()
        text: str = instructor.SourceField()

    db = lancedb.connect("lancedb")
    tbl = db.create_table("intruct-multitask", schema=Schema, mode="overwrite")

    data_f1 = [
        {"text": "Aspirin eases pain and lowers fever, and is sold without prescription."},
        {"text": "Amoxicillin is a penicillin that is prescribed against infections by bacteria."},
        {"text": "Atorvastatin is a statin that lowers cholesterol."},
        {"text": "Photosynthesis turns light, water and carbon dioxide into sugar."},
        {"text": "Inflation is how fast prices rise in general."},
        {"text": "Ballet began as a dance at courts of the Renaissance."},
    ]
    tbl.add(data_f1)
    result = tbl.search("amoxicillin").limit(1).to_pandas()
    print(result["text"][0].split()[0])
"""


@pytest.mark.parametrize(
    ("example", "found"),
    [(PAGE, ["Since", "The", "In"]), (ARTICLE, ["Amoxicillin", "Amoxicillin"])],
    ids=["page of embedding functions", "multitask article"],
)
def test_its_searches_find_the_right_row(example: str, found: list[str], tmp_path: Path) -> None:
    code = example.replace("NAMED", 'name="minilm", show_progress_bar=False,')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.split() == found


def test_each_function_of_the_page_has_a_line_that_evaluates_it() -> None:
    text = (Path(__file__).parents[2] / "docs" / "lancedb.md").read_text()
    kinds = {"sentence-transformers": None, "openai": "endpoint", "gemini-text": "hosted", "bedrock-text": "hosted"}
    for name in kinds:
        [line] = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        model = line.partition("--model ")[2].partition("`")[0].split()[0]
        assert kind_of(model) == kinds[name]
