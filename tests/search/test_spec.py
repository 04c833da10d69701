"""`--search` as text: read, written again, and refused in one line."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.errors import UserError
from instructor_eval.search import spec as specs
from instructor_eval.search.spec import EXACT_SEARCH, SearchSpec, known_kinds, open_store

WORDS = st.from_regex(r"[A-Za-z0-9_./-]{1,12}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@given(
    st.sampled_from(["faiss", "lancedb", "milvus"]),
    st.lists(WORDS, max_size=4),
    st.dictionaries(NAMES, WORDS, max_size=4),
)
def test_its_text_is_read_back_as_it_was(kind, words, parameters):
    made = SearchSpec(kind, tuple(words), tuple(parameters.items()))
    assert SearchSpec.parse(str(made)) == made
    assert str(SearchSpec.parse(str(made))) == str(made)
    assert not made.is_exact


@pytest.mark.parametrize("text", ["exact", " exact "])
def test_exact_is_the_default(text):
    assert SearchSpec.parse(text) == EXACT_SEARCH
    assert EXACT_SEARCH.is_exact
    assert str(EXACT_SEARCH) == "exact"


def test_parts_with_an_equals_sign_are_parameters_anywhere():
    found = SearchSpec.parse("faiss:efSearch=64,IVF16,Flat,path=a/b=c")
    assert found.words == ("IVF16", "Flat")
    assert found.parameters == (("efSearch", "64"), ("path", "a/b=c"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "unknown search '': give one of exact, faiss, lancedb, milvus"),
        ("fais:Flat", "unknown search 'fais:Flat': did you mean faiss?"),
        ("exact:", "search 'exact:' cannot be read: exact takes no parts"),
        ("faiss:", "search 'faiss:' cannot be read: faiss:FACTORY"),
        ("faiss:Flat,,path=x", "cannot be read"),
        ("faiss:Flat\x1b[2J", "cannot be read"),
        ("faiss:" + "x" * 300, "cannot be read"),
        ("faiss:Flat,path=", "parameters are NAME=VALUE, each once"),
        ("faiss:Flat,a-b=x", "parameters are NAME=VALUE, each once"),
        ("faiss:Flat,path=x,path=y", "parameters are NAME=VALUE, each once"),
        ("faiss", "search 'faiss': name an index of FAISS's factory, as faiss:HNSW32 or faiss:Flat"),
        ("faiss:Flat,efSaerch=3", "search 'faiss': faiss has no parameter 'efSaerch': did you mean efSearch?"),
        ("faiss:HNSW8,efSearch=0", "efSearch=0 is no whole number of at least 1"),
        ("faiss:HNSW8,efSearch=9999999999", "is no whole number"),
        ("faiss:HNSW8,efSearch=٣", "is no whole number"),
        ("lancedb:HNSW", "search 'lancedb:HNSW': LanceDB has no index 'HNSW': it has IVF_PQ"),
        ("lancedb:IVF_PG", "LanceDB has no index 'IVF_PG': did you mean IVF_PQ"),
        ("lancedb:FLAT,nprobes=3", "an index FLAT has no parameter 'nprobes'"),
        ("lancedb:IVF_FLAT,refine_factor=3", "an index IVF_FLAT has no parameter 'refine_factor'"),
        ("lancedb:FLAT,uri=db://x", "uri= is not a folder: only the embedded LanceDB can be evaluated"),
        ("milvus:hnsw", "search 'milvus:hnsw': Milvus Lite has no 'hnsw': did you mean HNSW"),
        ("milvus:DISKANN", "Milvus Lite has no 'DISKANN': it has FLAT, HNSW, IVF_FLAT, IVF_SQ8"),
        ("milvus:http://localhost:19530,DISKAN", "Milvus has no 'DISKAN': did you mean DISKANN?"),
        ("milvus:HNSW,nprobe=3", "an index HNSW has no parameter 'nprobe': it has collection, M, efConstruction"),
        ("milvus:FLAT,collection=my-own", "collection= is not the beginning of a collection's name: give letters"),
        ("milvus:FLAT,collection=1st", "no digit first, 80 at most"),
        ("milvus:FLAT,collection=" + "x" * 81, "80 at most"),
        ("milvus:ftp://localhost:1", "not an address of Milvus: write milvus:http://localhost:19530"),
        ("milvus:http://localhost:99999", "not an address of Milvus"),
        ("milvus:http://[::1", "not an address of Milvus"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(text, says):
    with pytest.raises(UserError) as e:
        open_store(SearchSpec.parse(text))
    assert says in str(e.value)
    assert str(e.value).isprintable()
    assert len(str(e.value)) < 320


@pytest.mark.parametrize(
    "text",
    [
        "milvus:http://root:SECRET@localhost:19530",
        "milvus:http://localhost:19530?token=SECRET",
        "milvus:http://localhost:19530?SECRET",
        "milvus:http://root:SECRET@localhost:19530 x",
        "milvus:http://localhost:19530,token=SECRET",
        "milvus:http://localhost:19530,collection=SECRET!",
        "lancedb:FLAT,uri=s3://key:SECRET@bucket",
        "lancedb:FLAT,api_key=SECRET",
        "nosuch:http://root:SECRET@localhost",
    ],
)
def test_keys_and_passwords_are_not_shown_again(text):
    with pytest.raises(UserError) as e:
        open_store(SearchSpec.parse(text))
    assert "SECRET" not in str(e.value)


@pytest.mark.parametrize(("kind", "module"), [("faiss", "faiss"), ("lancedb", "lancedb"), ("milvus", "pymilvus")])
def test_a_store_that_is_not_installed_is_named_with_its_extra(kind, module, monkeypatch):
    whole = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else whole(name))
    with pytest.raises(UserError) as e:
        open_store(SearchSpec(kind, ("Flat",)))
    assert str(e.value) == f"search {kind} needs {module}: pip install 'instructor-eval[{kind}]'"


def test_every_kind_says_what_it_is():
    assert all(kind.what.startswith(f"{name}") and kind.extra for name, kind in known_kinds().items())
    assert specs.EXACT not in known_kinds()


def test_opening_imports_no_library():
    code = (
        "import sys; from instructor_eval.search.spec import *; "
        "[open_store(SearchSpec.parse(t)) for t in ('faiss:Flat', 'lancedb', 'milvus')]; "
        "print([m for m in ('faiss', 'lancedb', 'pymilvus', 'milvus_lite', 'torch', 'mteb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "[]"
