"""The search in mteb's place: exact as mteb's own, and through FAISS, LanceDB and Milvus Lite, on made-up mirrors."""

import dataclasses

import by_type
import datasets
import mteb
import numpy as np
import pytest
from made_up import FakeEncoder, card, embed, retrieval_rows, settings, write_retrieval
from mteb._create_dataloaders import create_dataloader
from mteb.models.search_wrappers import SearchEncoderWrapper
from mteb.types import PromptType
from mteb_alone import OwnMtebModel, run_mteb
from ranks import check_lists

from instructor_eval.core.errors import UserError
from instructor_eval.models.variant import Variant
from instructor_eval.search.spec import SearchSpec
from instructor_eval.tasks.mteb import search as mteb_search
from instructor_eval.tasks.mteb.rows import documents_of
from instructor_eval.tasks.mteb.search import MtebSearch
from instructor_eval.tasks.types.retrieval import depth_of

FLAT = ("faiss:Flat", "lancedb:FLAT", "milvus:FLAT")
APPROXIMATE = "faiss:IVF20,Flat,nprobe=1"


def scifact(hub, **sizes):
    return write_retrieval(hub / "datasets/mteb/scifact", *retrieval_rows(**sizes))


def arguana(hub):
    """Every query is a document of the corpus, under the same id: without leaving it out it is the nearest."""
    corpus, _, _ = retrieval_rows(n_documents=120, seed=4)
    queries = [{"_id": row["_id"], "text": f"{row['title']} {row['text']}".strip()} for row in corpus[::7]]
    qrels = [{"query-id": q["_id"], "corpus-id": f"d{(int(q['_id'][1:]) + 1) % 120}", "score": 1} for q in queries]
    return write_retrieval(hub / "datasets/mteb/arguana", corpus, queries, qrels)


def run(name, hub, search=None, encoder=None, **options):
    spec = SearchSpec.parse(search) if search else None
    asked = dataclasses.replace(settings(hub), search=spec, **options)
    return by_type.run(card(name), encoder or FakeEncoder(), asked)


@pytest.fixture(scope="module")
def hubs(tmp_path_factory):
    """Mirrors of SciFact, large enough for a store to miss something, and of ArguAna."""
    hub = tmp_path_factory.mktemp("hub")
    scifact(hub, n_queries=25, n_documents=300)
    arguana(hub)
    return hub


@pytest.fixture(scope="module")
def exact(hubs, tmp_path_factory):
    """Task -> the outcome of exact search."""
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")
    try:
        return {name: run(name, hubs) for name in ("SciFact", "ArguAna")}
    finally:
        datasets.config.HF_DATASETS_CACHE = before


# Exact search


def rows_of(corpus, queries):
    return (
        datasets.Dataset.from_list([{"id": d["_id"], "title": d["title"], "text": d["text"]} for d in corpus]),
        datasets.Dataset.from_list([{"id": q["_id"], "text": q["text"]} for q in queries]),
    )


@pytest.mark.parametrize("window", [7, 50, 1000])
@pytest.mark.parametrize("top_k", [1, 10, 1000])
def test_exact_search_gives_what_mtebs_own_gives(window, top_k, monkeypatch):
    monkeypatch.setattr(mteb_search, "_WINDOW", window)
    corpus, queries = rows_of(*retrieval_rows(n_queries=12, n_documents=150)[:2])
    metadata = mteb.get_task("SciFact").metadata
    common = {"task_metadata": metadata, "hf_split": "test", "hf_subset": "default", "encode_kwargs": {}}
    theirs = SearchEncoderWrapper(OwnMtebModel(), corpus_chunk_size=window)
    ours = MtebSearch(FakeEncoder(), "SciFact")
    found = []
    for search in (theirs, ours):
        search.index(corpus, **common)
        found.append(search.search(queries, top_k=top_k, **common))
    expected, given = found
    assert list(given) == list(queries["id"])
    for query, scores in expected.items():
        assert set(given[query]) == set(scores)
        assert given[query] == pytest.approx(scores, abs=1e-6)
        assert list(given[query].values()) == sorted(given[query].values(), reverse=True)
    assert ours.figures(dropped=False) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SciFact", "ArguAna"])
def test_the_score_of_exact_search_is_mtebs(name, hubs, exact, tmp_path):
    folder = hubs / "datasets/mteb" / name.lower()
    theirs = run_mteb(name, folder, tmp_path)
    assert exact[name].score == theirs["main_score"]
    assert 0 < exact[name].score < 1
    assert exact[name].search == {}
    for metric in ("map_at_1000", "recall_at_100", "mrr_at_10"):
        assert exact[name].metrics[metric] == pytest.approx(theirs[metric], abs=1e-5)


def test_naming_exact_search_changes_nothing(hubs, exact):
    assert run("SciFact", hubs, "exact") == exact["SciFact"]


@pytest.mark.parametrize("titles", ["titles", "no titles"])
def test_titles_and_texts_are_joined_as_mteb_joins_them(titles):
    rows = [
        {"id": "0", "title": "A title", "text": "a text"},
        {"id": "1", "title": "", "text": "  no title\t"},
        {"id": "2", "title": " ", "text": " a padded title "},
        {"id": "3", "title": "\n", "text": ""},
        {"id": "4", "title": " wide ", "text": " wide \n"},
        {"id": "5", "title": "only a title", "text": ""},
        {"id": "6", "title": "ä\u3000", "text": "\u3000ö\u00a0"},
        {"id": "7", "title": "", "text": ""},
    ]
    if titles == "no titles":
        rows = [{"id": row["id"], "text": row["text"]} for row in rows]
    corpus = datasets.Dataset.from_list(rows)
    metadata = mteb.get_task("SciFact").metadata
    loader = create_dataloader(corpus, task_metadata=metadata, prompt_type=PromptType.document)
    assert list(documents_of(corpus)) == list(loader.dataset["text"])


def test_a_title_that_is_none_is_none():
    corpus = datasets.Dataset.from_dict({"title": [None, "b"], "text": [" a ", "c"]})
    assert list(documents_of(corpus)) == ["a", "b c"]


# Through a store


@pytest.mark.parametrize("name", ["SciFact", "ArguAna"])
@pytest.mark.parametrize("text", FLAT)
def test_a_flat_index_gives_exact_searchs_score(name, text, hubs, exact):
    outcome = run(name, hubs, text)
    assert outcome.score == exact[name].score
    assert outcome.gold_hash == exact[name].gold_hash
    assert outcome.items["top"] == exact[name].items["top"]
    np.testing.assert_allclose(outcome.items["top_scores"], exact[name].items["top_scores"], atol=1e-5)
    figures = outcome.search
    assert (figures["k"], figures["recall"], figures["loss"]) == (10, 1.0, 0.0)
    assert figures["exact_score"] == exact[name].score
    assert figures["documents"] == {"SciFact": 300, "ArguAna": 120}[name]
    assert figures["build_seconds"] >= 0
    assert figures["queries_per_second"] > 0
    assert figures["index_bytes"] > 4 * 48 * figures["documents"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", [APPROXIMATE, "lancedb:IVF_FLAT,num_partitions=16,nprobes=1", "milvus:IVF_SQ8,nlist=16,nprobe=1"]
)
@pytest.mark.parametrize("name", ["SciFact", "ArguAna"])
def test_what_is_reported_is_what_the_items_show(name, text, hubs, exact):
    outcome, truth = run(name, hubs, text), exact[name]
    by_query = dict(zip(truth.items["id"], truth.items["top"], strict=True))
    shares = [
        len({*top} & {*by_query[query]}) / 10
        for query, top in zip(outcome.items["id"], outcome.items["top"], strict=True)
    ]
    assert len(shares) == len(by_query)
    judged = float(np.mean(shares))
    assert 0 < judged < 1, "a recall that could be wrong"
    assert outcome.search["recall"] == pytest.approx(judged, abs=0.05 if name == "SciFact" else 1e-9)
    assert outcome.search["exact_score"] == truth.score
    assert outcome.search["loss"] == truth.score - outcome.score


@pytest.mark.slow
@pytest.mark.parametrize("text", [None, *FLAT, APPROXIMATE])
@pytest.mark.parametrize("name", ["SciFact", "ArguAna"])
def test_top_ten_of_copied_documents_fits_the_figures(name, text, tmp_path):
    """Each document stands there before and after itself by its id; one of the three is judged."""
    corpus, queries, qrels = retrieval_rows(n_queries=25, n_documents=150)
    copies = [row | {"_id": f"{sign}{row['_id']}"} for row in corpus for sign in "!~"]
    if name == "ArguAna":
        queries = [{"_id": d["_id"], "text": f"{d['title']} {d['text']}".strip()} for d in corpus[:25]]
        judged = [f"{'!~'[i % 2]}{q['_id']}" for i, q in enumerate(queries)]
        qrels = [{"query-id": q["_id"], "corpus-id": d, "score": 1} for q, d in zip(queries, judged, strict=True)]
    write_retrieval(tmp_path / f"datasets/mteb/{name.lower()}", [*corpus, *copies], queries, qrels)
    items = run(name, tmp_path, text).items
    assert check_lists(items) > len(items["id"]) / 2


def test_recall_is_over_every_query_that_was_asked(tmp_path):
    corpus, queries, qrels = retrieval_rows(n_queries=25, n_documents=300)
    judged = {q["query-id"] for q in qrels}
    write_retrieval(tmp_path / "datasets/mteb/scifact", corpus, [q for q in queries if q["_id"] in judged], qrels)
    outcome, truth = run("SciFact", tmp_path, APPROXIMATE), run("SciFact", tmp_path)
    pairs = zip(outcome.items["top"], truth.items["top"], strict=True)
    assert outcome.search["recall"] == pytest.approx(np.mean([len({*a} & {*b}) / 10 for a, b in pairs]), abs=1e-12)
    assert outcome.search["recall"] < 1


def test_nothing_is_filed_of_what_lies_below_the_stores_depth(hubs, exact):
    outcome = run("SciFact", hubs, "faiss:Flat")
    deeper = {name for name in exact["SciFact"].metrics if name.endswith(("_at_20", "_at_100", "_at_1000"))}
    assert {"map_at_1000", "recall_at_100"} <= deeper
    assert set(exact["SciFact"].metrics) - set(outcome.metrics) == deeper
    assert set(exact["SciFact"].items) - set(outcome.items) == {"ndcg_at_100", "map_at_1000", "recall_at_100"}
    expected = {name: exact["SciFact"].metrics[name] for name in outcome.metrics}
    assert outcome.metrics == pytest.approx(expected, abs=1e-6)


def test_a_querys_own_document_is_asked_for_and_left_out(hubs, monkeypatch):
    asked = []
    whole = mteb_search.CorpusSearch.__init__
    monkeypatch.setattr(
        mteb_search.CorpusSearch, "__init__",
        lambda self, *args, depth: asked.append(depth) or whole(self, *args, depth=depth),
    )  # fmt: skip
    outcome = run("ArguAna", hubs, "faiss:Flat")
    assert asked == [11]
    assert all(
        query not in top and len(top) == 10
        for query, top in zip(outcome.items["id"], outcome.items["top"], strict=True)
    )
    asked.clear()
    run("SciFact", hubs, "faiss:Flat")
    assert asked == [10]


def test_how_deep_a_metric_looks():
    assert [depth_of(m) for m in ("ndcg_at_10", "ndcg_at_5", "recall_at_100", "map")] == [10, 10, 100, 10]


def test_a_corpus_smaller_than_the_depth(tmp_path):
    scifact(tmp_path, n_queries=5, n_documents=6)
    outcome, truth = run("SciFact", tmp_path, "faiss:Flat"), run("SciFact", tmp_path)
    assert outcome.score == truth.score
    assert outcome.search["recall"] == 1.0


def test_copies_of_documents_cost_nothing(tmp_path):
    corpus, queries, qrels = retrieval_rows(n_queries=9, n_documents=60)
    for row in corpus[10:50]:
        row |= {"title": corpus[10]["title"], "text": corpus[10]["text"]}
    write_retrieval(tmp_path / "datasets/mteb/scifact", corpus, queries, qrels)
    assert run("SciFact", tmp_path, "faiss:HNSW8").search["recall"] == 1.0


@pytest.mark.parametrize("embedding", ["int8", "uint8", "binary", "ubinary", "binary-rescore"])
def test_what_a_store_cannot_keep_is_one_line(embedding, hubs):
    encoder = FakeEncoder()
    encoder.variant = Variant(embedding=embedding)
    with pytest.raises(UserError) as e:
        run("SciFact", hubs, "faiss:Flat", encoder)
    assert str(e.value) == (
        f"search 'faiss:Flat' stores vectors in its own precision: leave +{embedding} out of the variant, or use "
        "--search exact"
    )
    assert encoder.calls == [], "before anything is embedded"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "text"), [*(("fp32@16", text) for text in FLAT), ("fp32+float16@16", "faiss:Flat")]
)
def test_shorter_vectors_are_searched_too(variant, text, hubs, tmp_path):
    class Short(FakeEncoder):
        def encode(self, texts, role, *, bare=False):
            return super().encode(texts, role, bare=bare)[:, :16]

    Short.variant = Variant.parse(variant)
    outcome, truth = run("SciFact", hubs, text, Short()), run("SciFact", hubs, None, Short())
    assert outcome.score == truth.score
    assert outcome.search["recall"] == 1.0


def test_a_stored_index_serves_one_variant_again(hubs, tmp_path):
    text = f"faiss:Flat,path={tmp_path}/in"
    first, again = run("SciFact", hubs, text), run("SciFact", hubs, text)
    assert first.search["build_seconds"] is not None
    assert again.search["build_seconds"] is None
    assert again.items == first.items
    other = FakeEncoder()
    other.variant = Variant.parse("bf16")
    assert run("SciFact", hubs, text, other).search["build_seconds"] is not None
    assert len(list((tmp_path / "in").glob("*.faiss"))) == 2


def test_an_index_of_another_models_vectors_is_one_line(hubs, tmp_path):
    class Other(FakeEncoder):
        def encode(self, texts, role, *, bare=False):
            return embed(texts, "otherwise ")

    text = f"faiss:Flat,path={tmp_path}/in"
    run("SciFact", hubs, text)
    with pytest.raises(UserError, match=r"\.faiss holds other vectors"):
        run("SciFact", hubs, text, Other())


def test_a_dry_run_builds_nothing(hubs, tmp_path):
    dry, real = FakeEncoder(), FakeEncoder()
    outcome = run("SciFact", hubs, f"faiss:Flat,path={tmp_path}/in", dry, texts_only=True)
    assert outcome.items == {"id": []}
    assert not (tmp_path / "in").exists()
    run("SciFact", hubs, "faiss:Flat", real)
    assert dry.calls == real.calls
