"""Every task type under every precision: the same score as from vectors that were rounded by hand beforehand."""

import functools
import json
from types import SimpleNamespace

import by_type
import made_up
import numpy as np
import pytest
from made_up import DIM, MIRRORS, ROLE_INSTRUCTION, FakeEncoder, card, embed, read_jsonl, settings
from ranks import check_lists
from scipy.stats import rankdata

from instructor_eval import metrics
from instructor_eval.models.precision import rescore
from instructor_eval.models.variant import Variant
from instructor_eval.tasks.cards import read_cards
from instructor_eval.tasks.encoder import BoundEncoder, TextsHash
from instructor_eval.tasks.mteb import search
from instructor_eval.tasks.task import Resolved

TYPES = {
    "Retrieval": "SciFact",
    "Reranking": "AskUbuntuDupQuestions",
    "Clustering": "TwentyNewsgroupsClustering",
    "PairClassification": "TwitterSemEval2015",
    "Classification": "MTOPDomainClassification",
    "STS": "BIOSSES",
    "Summarization": "SummEval",
}
# At 16 dimensions mteb's own float32 cosines of signs are exact, so that by hand no tie is ranked.
VARIANTS = ["float16", "int8", "uint8@16", "binary@16", "ubinary@16", "binary-rescore@16", "float32@7"]


class WordsEngine:
    """An engine of `made_up.embed`: whole vectors, each text asked for noted in order."""

    dim = DIM
    model = SimpleNamespace(name="made/up", normalize=False)

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []

    def scope(self, instruction, *_of):
        return instruction

    def encode(self, texts, instruction, *, progress):
        self.asked.append((instruction, list(texts)))
        return embed(texts, instruction) if texts else np.empty((0, DIM), dtype=np.float32)


def bound(variant: str, **protocol) -> BoundEncoder:
    instructions = {role: Resolved(text, "test") for role, text in ROLE_INSTRUCTION.items()}
    parsed = Variant.parse(f"fp32+{variant}")
    return BoundEncoder(WordsEngine(), instructions, protocol, task="Made", variant=parsed)


class ByHand(FakeEncoder):
    """A `TaskEncoder` without a variant, whose vectors are rounded already: plain NumPy, none of the package's."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.kind, _, dim = variant.partition("@")
        self.dim = int(dim or DIM)
        self.ranges = None

    def calibrate(self, texts, role):
        if self.kind in ("int8", "uint8"):
            self._calibrate(embed(list(texts), ROLE_INSTRUCTION[role])[:, : self.dim])

    def _calibrate(self, vectors):
        self.ranges = vectors.min(axis=0), vectors.max(axis=0)

    def encode(self, texts, role, *, bare=False):
        vectors = super().encode(texts, role, bare=bare)[:, : self.dim]
        if self.kind == "float16":
            return vectors.astype(np.float16).astype(np.float32)
        if self.kind in ("int8", "uint8"):
            if self.ranges is None:
                self._calibrate(vectors)
            low, high = self.ranges
            share = (np.clip(vectors, low, high) - low) / (high - low)
            return (low + np.round(share * 255) * (high - low) / 255).astype(np.float32)
        if self.kind in ("binary", "ubinary") or (self.kind == "binary-rescore" and role != "query"):
            return np.where(vectors > 0, np.float32(1), np.float32(-1))
        return vectors


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """All mirrors in one folder."""
    folder = tmp_path_factory.mktemp("hub")
    for name in (*TYPES.values(), "MindSmallReranking"):
        MIRRORS[name](folder)
    return folder


@pytest.fixture(scope="module")
def whole(hub):
    """Name -> the outcome in float32; each computed once."""
    return functools.cache(lambda name: by_type.run(card(name), FakeEncoder(), settings(hub)))


@pytest.fixture(scope="module")
def by_hand(hub):
    """Name, variant -> the outcome of vectors rounded by hand, and the hash of all texts; each computed once."""

    @functools.cache
    def run(name, variant):
        encoder, texts = ByHand(variant), TextsHash()
        outcome = by_type.run(card(name), encoder, settings(hub))
        for role, _, asked in encoder.calls:
            texts.add(asked, role)
        return outcome, texts.hex()

    return run


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", TYPES.values())
def test_a_task_under_a_variant(hub, whole, by_hand, name, variant):
    encoder = bound(variant)
    outcome = by_type.run(card(name), encoder, settings(hub))
    expected, texts_hash = by_hand(name, variant.replace("ubinary", "binary"))
    assert outcome.score == pytest.approx(expected.score, abs=1e-6)
    assert outcome.metrics == pytest.approx(expected.metrics, abs=1e-5)
    assert metrics.compute(outcome.metric, json.loads(json.dumps(outcome.items))) == outcome.score
    assert outcome.gold_hash == whole(name).gold_hash
    if variant != "float16":  # which moves less than most metrics see
        assert outcome.items != whole(name).items
    assert encoder.texts_hash() == texts_hash  # calibration is no part of it


# Calibration


def test_retrieval_is_calibrated_on_documents_not_queries(hub):
    encoder = bound("int8")
    by_type.run(card("SciFact"), encoder, settings(hub))
    corpus, queries, _ = made_up.retrieval_rows()
    documents = [f"{d['title']} {d['text']}" if d["title"] else d["text"] for d in corpus]
    (first, calibrated), (second, asked), (third, embedded) = encoder._engine.asked
    assert (first, second, third) == ("tell ", "ask ", "tell ")
    assert sorted(calibrated) == sorted(documents) == sorted(embedded)
    assert {q["text"] for q in queries} >= set(asked)
    found = encoder.embedding()["calibration"]
    vectors = embed(documents, "tell ")
    assert found["low"] == vectors.min(axis=0).tolist() and found["high"] == vectors.max(axis=0).tolist()
    assert (found["texts"], found["role"], found["instruction"], found["origin"]) == (40, "document", "tell ", "corpus")
    assert 0 < found["clipped"] < 0.5
    assert (np.array(found["low"]) > embed(asked, "ask ").min(axis=0)).any()  # the queries' ranges are others


def test_reranking_is_calibrated_on_all_candidates(hub):
    encoder = bound("uint8")
    by_type.run(card("AskUbuntuDupQuestions"), encoder, settings(hub))
    (first, calibrated), *_ = encoder._engine.asked
    folder = hub / "datasets/mteb/AskUbuntuDupQuestions"
    assert (first, set(calibrated)) == ("tell ", {d["text"] for d in read_jsonl(folder / "corpus.jsonl")})


@pytest.mark.parametrize("name", ["BIOSSES", "TwitterSemEval2015", "TwentyNewsgroupsClustering"])
def test_other_tasks_are_calibrated_on_all_their_texts(hub, name):
    encoder = bound("int8")
    by_type.run(card(name), encoder, settings(hub))
    (_, calibrated), *rest = encoder._engine.asked
    assert len(rest) >= 2
    assert set(calibrated) == {t for _, texts in rest for t in texts}
    assert encoder.embedding()["calibration"]["clipped"] == 0


def test_pairs_in_rows_are_calibrated_as_pairs_in_lists(hub, tmp_path):
    made_up.twitter_rows(tmp_path)
    encoders = [bound("int8"), bound("int8")]
    for encoder, folder in zip(encoders, (hub, tmp_path), strict=True):
        by_type.run(card("TwitterSemEval2015"), encoder, settings(folder))
    assert encoders[0]._engine.asked[0] == encoders[1]._engine.asked[0]


@pytest.mark.parametrize("name", ["MTOPDomainClassification", "SummEval"])
def test_classes_and_summaries_calibrate_on_first_texts(hub, name):
    encoder = bound("int8")
    by_type.run(card(name), encoder, settings(hub))
    (_, first), _ = encoder._engine.asked  # nothing is embedded for the calibration alone
    folder = hub / "datasets" / card(name).data_id
    rows = read_jsonl(folder / ("en/train.jsonl" if name.startswith("MTOP") else "test.jsonl"))
    known = {r["text"] for r in rows} if name.startswith("MTOP") else {t for r in rows for t in r["human_summaries"]}
    assert set(first) <= known
    found = encoder.embedding()["calibration"]
    assert (found["origin"], found["texts"]) == ("first texts", len(set(first)))


def test_only_the_scored_part_is_calibrated_on(hub):
    encoder = bound("int8")
    by_type.run(card("SciFact"), encoder, settings(hub, limit=1))
    assert len(encoder._engine.asked[0][1]) < 40
    assert set(encoder._engine.asked[0][1]) == set(encoder._engine.asked[2][1])


# Binary


def test_equal_hamming_distances_are_equal_cosines(hub):
    """48 dimensions, at which mteb's own cosines of equal distances differ."""
    rows = read_jsonl(hub / "datasets/mteb/biosses-sts/test.jsonl")
    a, b = (embed([r[f"sentence{k}"] for r in rows], "say ") > 0 for k in (1, 2))
    distances = (a != b).sum(axis=1)
    assert len(set(distances.tolist())) < len(rows)
    for variant in ("binary", "ubinary", "binary-rescore"):
        outcome = by_type.run(card("BIOSSES"), bound(variant), settings(hub))
        assert outcome.items["cosine"] == pytest.approx(1 - 2 * distances / 48, abs=1e-12)
        assert rankdata(outcome.items["cosine"]).tolist() == rankdata(-distances).tolist()
    by_mteb = by_type.run(card("BIOSSES"), ByHand("binary"), settings(hub))
    assert rankdata(by_mteb.items["cosine"]).tolist() != rankdata(-distances).tolist()


def test_the_five_similarities_of_binary_pairs_are_one_ranking(hub):
    for variant in ("binary", "binary-rescore"):
        outcome = by_type.run(card("TwitterSemEval2015"), bound(variant), settings(hub))
        ranks = [rankdata(np.array(outcome.items[name]) * sign).tolist()
                 for name, sign in (("similarity", 1), ("cosine", 1), ("dot", 1), ("manhattan", -1))]  # fmt: skip
        assert ranks.count(ranks[0]) == 4
        assert outcome.metrics["max_ap"] == outcome.metrics["cosine_ap"]


def test_what_mteb_computes_with_is_its_own_again(hub, whole):
    for name in ("BIOSSES", "TwitterSemEval2015", "SummEval"):
        by_type.run(card(name), bound("binary"), settings(hub))
        after = by_type.run(card(name), FakeEncoder(), settings(hub))
        assert (after.score, after.items) == (whole(name).score, whole(name).items)


def test_binary_retrieval_ranks_by_hamming_distance(hub):
    outcome = by_type.run(card("SciFact"), bound("binary"), settings(hub))
    corpus, queries, _ = made_up.retrieval_rows()
    documents = embed([f"{d['title']} {d['text']}".strip() for d in corpus], "tell ") > 0
    for query, top, scores in zip(*(outcome.items[k] for k in ("id", "top", "top_scores")), strict=True):
        bits = embed([q["text"] for q in queries if q["_id"] == query], "ask ") > 0
        distance = dict(zip((d["_id"] for d in corpus), (documents != bits).sum(axis=1).tolist(), strict=True))
        assert [distance[d] for d in top] == sorted(distance.values())[:10]
        assert scores == pytest.approx([1 - 2 * distance[d] / 48 for d in top], abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["binary@16", "binary-rescore@16", "int8@2", "float32"])
@pytest.mark.parametrize("name", ["SciFact", "AskUbuntuDupQuestions", "MindSmallReranking"])
def test_top_tens_are_what_the_figures_were_computed_from(hub, name, variant):
    """Short vectors tie often; mteb's trec_eval decides which of equal documents counts as the nearer one."""
    ties = check_lists(by_type.run(card(name), bound(variant), settings(hub)).items)
    assert (ties > 0) == variant.startswith("binary@")


def test_rescoring_searches_in_two_stages(hub, monkeypatch):
    monkeypatch.setattr(search, "rescore", functools.partial(rescore, candidates=6))
    outcome = by_type.run(card("SciFact"), bound("binary-rescore"), settings(hub))
    corpus, queries, _ = made_up.retrieval_rows()
    ids = [d["_id"] for d in corpus]
    documents = np.where(embed([f"{d['title']} {d['text']}".strip() for d in corpus], "tell ") > 0, 1.0, -1.0)
    for query, top, scores in zip(*(outcome.items[k] for k in ("id", "top", "top_scores")), strict=True):
        [vector] = embed([q["text"] for q in queries if q["_id"] == query], "ask ").astype(np.float64)
        distance = (documents * np.where(vector > 0, 1, -1) < 0).sum(axis=1)
        by_distance = np.argsort(distance, kind="stable")
        cosine = documents @ vector / np.linalg.norm(vector) / np.sqrt(48)
        first = sorted(by_distance[:6], key=lambda i: -cosine[i])
        assert top[:6] == [ids[i] for i in first]
        assert scores[:6] == pytest.approx(cosine[first], abs=1e-6)
        assert [distance[ids.index(d)] for d in top[6:]] == distance[by_distance[6:10]].tolist()
        assert max(scores[6:]) < -1


def test_rescoring_leaves_out_no_candidate_of_a_reranking(hub, monkeypatch):
    monkeypatch.setattr(search, "rescore", functools.partial(rescore, candidates=1))
    outcome = by_type.run(card("AskUbuntuDupQuestions"), bound("binary-rescore"), settings(hub))
    assert min(min(scores) for scores in outcome.items["top_scores"]) > -1
    full = by_type.run(card("AskUbuntuDupQuestions"), ByHand("binary-rescore"), settings(hub))
    assert outcome.items == full.items


# The other benchmarks


def thumb(folder):
    writer = made_up.Writer(5)
    rows = [(f"s{i}", writer.topic()) for i in range(8)]
    made_up.jsonl(
        folder / "mscoco_references.jsonl",
        [{"seg_id": i, "refs": [writer.sentence(t) for _ in range(2)]} for i, t in rows],
    )
    hypotheses = [
        {"SYS": system, "seg_id": i, "hyp": writer.sentence(t if system == "A" else writer.topic()),
         "human_score": writer.random.uniform(1, 5)}
        for i, t in rows for system in "ABC"
    ]  # fmt: skip
    made_up.jsonl(folder / "mscoco_THumB-1.0.jsonl", hypotheses)


@pytest.mark.parametrize("variant", VARIANTS)
def test_billboard(tmp_path, variant):
    thumb(tmp_path / "datasets/billboard/mscoco")
    encoder = bound(variant)
    outcome = by_type.run(card("mscoco"), encoder, settings(tmp_path))
    expected = by_type.run(card("mscoco"), ByHand(variant), settings(tmp_path))
    assert outcome.items["value"] == pytest.approx(expected.items["value"], abs=1e-6)
    assert outcome.score == pytest.approx(expected.score, abs=1e-6)
    if variant.startswith(("int8", "uint8")):
        found = encoder.embedding()["calibration"]
        assert (found["texts"], found["clipped"], found["role"]) == (16 + 24, 0, "text")


def prompts(folder):
    writer = made_up.Writer(7)
    for split, n in (("pool", 60), ("test", 9)):
        topics = [writer.topic() for _ in range(n)]
        rows = [{"text": f"{writer.sentence(t)} {split}", "label": t} for t in topics]
        made_up.jsonl(folder / "data" / f"{split}.jsonl", rows)
    (folder / "own.yaml").write_text(
        "name: Own\ntype: PromptRetrieval\ndata: data\noptions:\n  input: '{text}'\n"
        "  labels: [garden, harbour, kitchen, railway]\n  most: 4\n",
        encoding="utf-8",
    )
    (found,) = read_cards(folder / "own.yaml")
    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_prompt_retrieval(tmp_path, variant):
    own, encoder = prompts(tmp_path), bound(variant)
    outcome = by_type.run(own, encoder, settings())
    expected = by_type.run(own, ByHand(variant), settings())
    assert outcome.items["demonstrations"] == expected.items["demonstrations"]
    assert outcome.score == expected.score
    if "@" in variant:
        whole = by_type.run(own, FakeEncoder(), settings())
        assert outcome.items["demonstrations"] != whole.items["demonstrations"]
    if variant.startswith(("int8", "uint8")):
        (_, calibrated), (_, embedded) = encoder._engine.asked
        assert set(calibrated) == set(embedded[:60])  # the pool, and no test item
