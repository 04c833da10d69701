"""Chunked retrieval and reranking through a run, beside a plain loop over sentence-transformers' vectors."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from model_fixtures import _one_thread, plain_folder

import instructor_eval as ie
from instructor_eval.core.paths import shipped

__all__ = ["_one_thread", "plain_folder"]
WORDS = [
    "vaccine", "protein", "patient", "health", "bank", "card", "money", "account", "dog", "cat", "bird", "tree",
    "water", "fire", "earth", "sun", "moon", "star", "city", "river", "book", "film", "music", "model", "data",
]  # fmt: skip
SIZE = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two own tasks with documents of up to 90 words: retrieval with titles, and reranking."""
    root, random = tmp_path_factory.mktemp("tasks"), np.random.default_rng(4)

    def text(n: int) -> str:
        words = [str(w) for w in random.choice(WORDS, n)]
        return " ".join(word + ("." if i % 7 == 6 else "") for i, word in enumerate(words))

    def write(path: Path, rows: list[dict]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    documents = [{"_id": f"d{i}", "title": text(2) if i % 2 else "", "text": text(int(random.integers(3, 90)))}
                 for i in range(60)]  # fmt: skip
    write(root / "long/corpus.jsonl", documents)
    write(root / "long/queries.jsonl", [{"_id": f"q{i}", "text": text(4)} for i in range(15)])
    (root / "long/qrels").mkdir()
    qrels = "".join(f"q{i}\td{(7 * i + k) % 60}\t1\n" for i in range(15) for k in range(2))
    (root / "long/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    write(root / "lists/test.jsonl", [
        {"query": text(4), "positive": [text(40)], "negative": [text(int(n)) for n in random.integers(3, 60, 6)]}
        for _ in range(12)
    ])  # fmt: skip
    (root / "long.yaml").write_text("{name: Long, type: Retrieval, data: long}")
    (root / "lists.yaml").write_text("{name: Lists, type: Reranking, data: lists}")
    return root


@pytest.fixture(scope="module")
def tasks(folder: Path) -> list[str]:
    return [str(folder / "long.yaml"), str(folder / "lists.yaml"), "DemoRetrieval"]


def run(model: Path, tasks: list[str], tmp_path: Path, **options) -> ie.api.Results:
    found = ie.evaluate(str(model), tasks, results=tmp_path / "results", device="cpu", progress=False, **options)
    assert not [s.error for s in found.scores if s.error]
    return found


def corpus_of(task: str, folder: Path) -> tuple[dict[str, str], dict[str, str], dict[str, list[str]]]:
    """(documents, queries, candidates) of a task, read by hand."""
    if task == "Lists":
        rows = [json.loads(line) for line in (folder / "lists/test.jsonl").read_text().splitlines()]
        texts = list(dict.fromkeys(t for row in rows for t in (*row["positive"], *row["negative"])))
        ids = {text: f"d{i}" for i, text in enumerate(texts)}
        return (
            {name: text for text, name in ids.items()},
            {f"q{i}": row["query"] for i, row in enumerate(rows)},
            {f"q{i}": [ids[t] for t in (*row["positive"], *row["negative"])] for i, row in enumerate(rows)},
        )
    home = folder / "long" if task == "Long" else shipped("tasks") / "demo" / "retrieval"
    documents, queries = ([json.loads(line) for line in (home / f"{name}.jsonl").read_text().splitlines()]
                          for name in ("corpus", "queries"))  # fmt: skip
    every = {d["_id"]: f"{d['title']} {d['text']}".strip() for d in documents}
    return every, {q["_id"]: q["text"] for q in queries}, {q["_id"]: list(every) for q in queries}


def chunks_of(text: str, tokenizer) -> list[str]:
    """An own cutter: twelve tokens, or up to two fewer where a sentence ends."""
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    if len(offsets) <= SIZE:
        return [text]
    found = []
    while offsets:
        take = min(SIZE, len(offsets))
        if take < len(offsets):
            for fewer in range(SIZE // 5 + 1):
                if text[offsets[take - fewer - 1][0]] == ".":
                    take -= fewer
                    break
        found.append(text[offsets[0][0] : offsets[take - 1][1]])
        offsets = offsets[take:]
    return found


@pytest.mark.parametrize("score", ["max", "mean-top-3"])
def test_chunked_scores_are_those_of_a_plain_loop(
    score: str, plain_folder: Path, tasks: list[str], folder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    model = SentenceTransformer(str(plain_folder), device="cpu")
    tokenizer = Tokenizer.from_file(str(plain_folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    found = run(plain_folder, tasks, tmp_path, chunk=f"{SIZE}", chunk_score=score)
    for name in ("Long", "Lists", "DemoRetrieval"):
        result = found[name]
        documents, queries, candidates = corpus_of(name, folder)
        pieces = {d: chunks_of(text, tokenizer) for d, text in documents.items()}
        every = list(itertools.chain.from_iterable(pieces.values()))
        ends = np.cumsum([len(parts) for parts in pieces.values()])[:-1]
        vectors = dict(zip(pieces, np.split(model.encode(every, normalize_embeddings=True), ends), strict=True))
        asked = dict(zip(queries, model.encode(list(queries.values()), normalize_embeddings=True), strict=True))
        items = result.items()
        for row in items.to_dict("records"):
            query = asked[row["id"]]
            values = {}
            for d in candidates[row["id"]]:
                best = sorted((vectors[d] @ query).tolist())[-(1 if score == "max" else 3) :]
                values[d] = sum(best) / len(best)
            expected = sorted(values.values(), reverse=True)[:10]
            assert list(row["top_scores"]) == pytest.approx(expected, abs=2e-5)
            assert [values[d] for d in row["top"]] == pytest.approx(expected, abs=2e-5)
        assert result.score.search is not None
        assert result.score.search.backend == f"chunk={SIZE}" + (",mean-top-3" if score != "max" else "")
        assert result.score.search.chunks == sum(map(len, pieces.values()))
        assert result.score.search.documents == len(documents)
        assert result.score.search.index_bytes == result.score.search.chunks * 4 * result.score.model.dim
    assert found["Long"].score.search.chunks > 60


@pytest.mark.parametrize("variant", ["fp32", "fp32+binary-rescore", "fp32+int8@16"])
def test_chunks_longer_than_every_document_change_no_bit(
    variant: str, plain_folder: Path, tasks: list[str], tmp_path: Path
) -> None:
    whole = run(plain_folder, tasks[:2], tmp_path, variants=variant)  # DemoRetrieval's documents are longer
    most = whole.scores[0].model.max_length
    cut = run(plain_folder, tasks[:2], tmp_path, variants=variant, chunk=f"{most}")
    for a, b in zip(whole, cut, strict=True):
        assert b.score.search.chunks == b.score.search.documents
        assert a.score.score == b.score.score
        assert a.score.data.hash == b.score.data.hash
        assert a.score.identity != b.score.identity
        assert a.items().to_dict() == b.items().to_dict()


def test_a_size_is_a_row_under_its_baseline(plain_folder: Path, tasks: list[str], tmp_path: Path) -> None:
    found = run(plain_folder, tasks[:1], tmp_path, chunk=["whole", "12", "24:6"])
    assert [score.search and score.search.backend for score in found.scores] == [None, "chunk=12", "chunk=24:6"]
    text = repr(ie.load_results(tmp_path / "results"))
    assert "└ fp32/chunk=12" in text
    assert "└ fp32/chunk=24:6" in text


def test_a_flat_store_finds_what_exact_search_finds(plain_folder: Path, tasks: list[str], tmp_path: Path) -> None:
    pytest.importorskip("faiss")  # an extra
    exact, store = (
        run(plain_folder, [tasks[0], tasks[2]], tmp_path, chunk="12", search=s) for s in ("exact", "faiss:Flat")
    )
    for a, b in zip(exact, store, strict=True):
        assert b.score.search.backend == "faiss:Flat+chunk=12"
        assert b.score.search.recall == 1.0
        assert b.score.score == a.score.score == b.score.search.exact_score
        assert b.score.search.chunks == a.score.search.chunks


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"chunk": "100000"}, r"reads \d+ tokens at most"), ({"chunk": "4"}, "fewer than 8 tokens"),
        ({"chunk": "20:20"}, "overlap must be below"), ({"chunk": "x"}, "cannot be read"),
        ({"chunk": "20", "tasks": ["DemoSTS"]}, "chunk is for retrieval and reranking tasks"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut(options: dict, said: str, plain_folder: Path, tasks: list[str], tmp_path: Path) -> None:
    asked = {"tasks": tasks} | options
    with pytest.raises(ie.UserError, match=said):
        run(plain_folder, asked.pop("tasks"), tmp_path, **asked)


def test_a_model_whose_tokenizer_is_elsewhere_is_refused(tasks: list[str], tmp_path: Path) -> None:
    def letters(texts: list[str]) -> np.ndarray:
        return np.array([[len(t), t.count("a") + 1.0] for t in texts])

    with pytest.raises(ie.UserError, match="the tokenizer of letters is not here"):
        ie.evaluate(letters, tasks[:1], results=tmp_path, chunk="20", progress=False)
