"""The encoder as one task sees it."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from checkpoints import NAME, TOLERANCE, engine, largest, one_line
from golden.cases import DOCUMENT, QUESTION, SENTENCE, the
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from instructor_eval.cache.vectors import VectorCache
from instructor_eval.core.progress import Progress
from instructor_eval.models.engine import Engine
from instructor_eval.models.variant import Variant
from instructor_eval.tasks import types
from instructor_eval.tasks.encoder import BoundEncoder, NoModel
from instructor_eval.tasks.protocol import relevant
from instructor_eval.tasks.task import Resolved

INSTRUCTIONS = {
    "query": Resolved(QUESTION, "card"),
    "document": Resolved(DOCUMENT, "card"),
    "text": Resolved("", "none"),
}
TEXTS = [SENTENCE, "the river", "", "a city"]


def bound(encoder: Engine, *, clustering: bool = False, **protocol: str) -> BoundEncoder:
    chosen = relevant(protocol, "Clustering" if clustering else "STS")
    return BoundEncoder(encoder, INSTRUCTIONS, chosen, task="Made")


def test_each_role_has_its_instruction(instructor: Engine) -> None:
    task = bound(instructor)
    assert task.name == NAME
    for role, instruction in (("query", QUESTION), ("document", DOCUMENT), ("text", "")):
        assert largest(task.encode(TEXTS, role), instructor.encode(TEXTS, instruction)) < TOLERANCE
    assert largest(task.encode(TEXTS, "query", bare=True), instructor.encode(TEXTS, "")) < TOLERANCE
    assert largest(instructor.encode(TEXTS, QUESTION), instructor.encode(TEXTS, "")) > 1e-3


def test_counts(instructor_folder: Path) -> None:
    encoder = engine(instructor_folder, family="instructor")
    task = bound(encoder)
    assert encoder.totals.texts == 0
    task.encode(TEXTS, "query")
    task.encode([*TEXTS, *TEXTS], "document")
    task.encode([], "query")
    assert (encoder.totals.texts, encoder.totals.unique) == (12, 8)
    assert (task.progress.total, task.progress.done, task.progress.hits) == (8, 8, 0)
    assert task.progress.tokens == encoder.totals.tokens


class Nothing:
    """An engine that has no model: what is hashed does not depend on one."""

    dim = 3

    def __init__(self, model: object) -> None:
        self.model = model

    def scope(self, instruction: str, *_of: str) -> str:
        return instruction

    def encode(self, texts: list[str], instruction: str, *, progress: Progress) -> np.ndarray:
        return np.zeros((len(texts), 3), dtype=np.float32)


def hashed(encoder: object, *calls: tuple[str, list[str]]) -> str:
    task = bound(encoder)  # type: ignore[arg-type]  # a stand-in
    for role, texts in calls:
        task.encode(texts, role)
    return task.texts_hash()


LISTS = st.lists(st.text(st.characters(), max_size=5), max_size=8)


@settings(deadline=None)
@given(LISTS, LISTS, st.randoms(use_true_random=False), st.integers(0, 8))
def test_the_hash_is_of_texts_and_roles_alone(instructor: Engine, one: list, two: list, random, at: int) -> None:
    fake = Nothing(instructor.checkpoint)
    expected = hashed(fake, ("query", one), ("document", two))
    shuffled = random.sample(one, len(one))
    assert hashed(fake, ("document", two), ("query", shuffled[at:]), ("query", shuffled[:at])) == expected
    if sorted(one) != sorted(two):
        assert hashed(fake, ("query", two), ("document", one)) != expected
    assert hashed(fake, ("query", [*one, "one more"]), ("document", two)) != expected


def test_the_hash_counts_repeats_and_tells_texts_apart(instructor: Engine) -> None:
    fake = Nothing(instructor.checkpoint)
    calls = (["a"], ["a", "a"], ["a", "a", "a"], ["aa"], ["b"], [""], [], ["a "], ["\ud800"], ["\ufffd"])
    assert len({hashed(fake, ("query", texts)) for texts in calls}) == len(calls)
    assert hashed(fake, ("query", ["a"])) == hashlib.sha256(b"query\0a").digest()[::-1].hex()


def test_empty_texts(instructor: Engine) -> None:
    assert bound(instructor).encode([""], "query").shape == (1, 24)
    assert bound(instructor, empty_text="encode").encode([" \n"], "query").shape == (1, 24)
    for empty in ("", " \n\t"):
        with one_line("Made", "query", "--protocol empty_text=encode"):
            bound(instructor, empty_text="error").encode([SENTENCE, empty], "query")
    assert bound(instructor, empty_text="error").encode([SENTENCE], "query").shape == (1, 24)


@pytest.fixture(scope="module")
def around_the_limit(instructor_folder: Path) -> dict[int, str]:
    """Texts by the number of tokens that QUESTION, text and closing token make together."""
    tokenizer = Tokenizer.from_file(str(instructor_folder / "tokenizer.json"))
    own = len(tokenizer.encode(QUESTION).ids)
    texts = {n: the(n - own) for n in (40, 255, 256, 257, 258, 600)}
    assert {n: len(tokenizer.encode(QUESTION + t).ids) for n, t in texts.items()} == {n: n for n in texts}
    return texts


def test_the_256_token_rule(instructor: Engine, around_the_limit: dict[int, str]) -> None:
    texts = list(around_the_limit.values())
    ours = bound(instructor, clustering=True, clustering_256="on").encode(texts, "query")
    with_it, without = instructor.encode(texts, QUESTION), instructor.encode(texts, "")
    for i, length in enumerate(around_the_limit):
        expected, other = (without, with_it) if length > 256 else (with_it, without)
        assert largest(ours[i], expected[i]) < TOLERANCE
        assert largest(ours[i], other[i]) > 1e-3, "the two differ, so that this test can tell"


@pytest.mark.parametrize(("clustering", "value"), [(True, "off"), (False, "on")])
def test_where_the_rule_does_not_apply(
    instructor: Engine, around_the_limit: dict[int, str], clustering: bool, value: str
) -> None:
    texts = list(around_the_limit.values())
    ours = bound(instructor, clustering=clustering, clustering_256=value).encode(texts, "query")
    assert largest(ours, instructor.encode(texts, QUESTION)) < TOLERANCE


def test_the_rule_and_nothing_to_drop(instructor: Engine, around_the_limit: dict[int, str]) -> None:
    texts = list(around_the_limit.values())
    task = bound(instructor, clustering=True, clustering_256="on")
    bare = instructor.encode(texts, "")
    assert largest(task.encode(texts, "query", bare=True), bare) < TOLERANCE
    assert largest(task.encode(texts, "text"), bare) < TOLERANCE
    assert task.encode([], "query").shape == (0, 24)


def test_the_rule_counts_what_a_prefix_model_reads(instructor_folder: Path, around_the_limit: dict[int, str]) -> None:
    prefix = engine(instructor_folder, family="prefix")
    texts = [around_the_limit[n] for n in (256, 257)]
    ours = bound(prefix, clustering=True, clustering_256="on").encode(texts, "query")
    assert largest(ours[0], prefix.encode(texts[:1], QUESTION)[0]) < TOLERANCE
    assert largest(ours[1], prefix.encode(texts[1:], "")[0]) < TOLERANCE


# Precisions of vectors


def in_precision(encoder: Engine, variant: str, *, clustering: bool = False, **protocol: str) -> BoundEncoder:
    parsed = Variant.parse(variant)
    chosen = relevant(protocol, "Clustering" if clustering else "STS")
    return BoundEncoder(encoder, INSTRUCTIONS, chosen, task="Made", variant=parsed)


def full(encoder: Engine, texts: list[str], instruction: str) -> np.ndarray:
    return encoder.encode(texts, instruction)


def ranges(task: BoundEncoder) -> tuple[np.ndarray, np.ndarray]:
    found = task.embedding()["calibration"]
    return np.float32(found["low"]), np.float32(found["high"])


MANY = [f"{SENTENCE} {i}" for i in range(30)]


def test_no_variant_is_whole_vectors_in_float32(instructor: Engine) -> None:
    task = bound(instructor)
    assert task.variant == Variant()
    assert task.embedding() == {"precision": "float32", "dim": 24, "bytes_per_vector": 96}
    task.calibrate(iter([]), "query")


def test_each_precision_of_the_same_vectors(instructor: Engine) -> None:
    vectors = full(instructor, MANY, QUESTION)
    cut = vectors[:, :8] / np.linalg.norm(vectors[:, :8], axis=1, keepdims=True)
    expected = {
        "fp32@8": cut,
        "fp32+float16": vectors.astype(np.float16).astype(np.float32),
        "fp32+binary": np.sign(vectors),
        "fp32+ubinary@8": np.sign(cut),
        "fp32+binary-rescore@8": cut,  # a query
    }
    for variant, values in expected.items():
        task = in_precision(instructor, variant)
        assert largest(task.encode(MANY, "query"), values) < 1e-6, variant
        assert task.embedding()["dim"] == values.shape[1]
    documents = in_precision(instructor, "fp32+binary-rescore").encode(MANY, "document")
    assert np.array_equal(documents, np.sign(full(instructor, MANY, DOCUMENT)))


def test_the_engine_gives_whole_vectors_in_any_precision(instructor_folder: Path, tmp_path: Path) -> None:
    encoder = engine(instructor_folder, family="instructor", cache=VectorCache(tmp_path, warn=pytest.fail))
    in_precision(encoder, "fp32").encode(MANY, "query")
    computed = encoder.totals.tokens
    for variant in ("fp32+int8", "fp32+binary@8", "fp32@5", "fp32+float16"):
        in_precision(encoder, variant).encode(MANY, "query")
    assert encoder.totals.tokens == computed > 0
    assert np.array_equal(in_precision(encoder, "fp32").encode(MANY, "query"), full(encoder, MANY, QUESTION))


def test_int8_takes_its_ranges_from_what_it_is_given(instructor: Engine) -> None:
    corpus, queries = MANY[:20], MANY[20:]
    task, plain = in_precision(instructor, "fp32+int8"), bound(instructor)
    task.calibrate(iter(corpus), "document")
    task.calibrate(["another text altogether"], "document")  # the first call counts
    encoded = {role: task.encode(texts, role) for role, texts in (("query", queries), ("document", corpus))}
    vectors = {role: plain.encode(texts, role) for role, texts in (("query", queries), ("document", corpus))}
    low, high = ranges(task)
    assert largest(low, vectors["document"].min(axis=0)) < TOLERANCE
    assert largest(high, vectors["document"].max(axis=0)) < TOLERANCE
    for role, decoded in encoded.items():
        inside = np.clip(vectors[role], low, high)
        assert largest(decoded, inside) < (high - low).max() / 2 / 255 + TOLERANCE
    assert largest(encoded["query"], vectors["query"]) > 0.05  # another instruction: much of it is outside
    found = task.embedding()
    assert (found["precision"], found["bytes_per_vector"]) == ("int8", 24)
    about = {name: found["calibration"][name] for name in ("texts", "origin", "role", "instruction")}
    assert about == {"texts": 20, "origin": "corpus", "role": "document", "instruction": DOCUMENT}
    assert 0.01 < found["calibration"]["clipped"] < 1
    assert json.loads(json.dumps(found)) == found
    assert task.texts_hash() == plain.texts_hash()  # the calibration is no part of it


def test_int8_takes_ranges_from_the_first_texts_by_default(instructor: Engine) -> None:
    task, named = in_precision(instructor, "fp32+uint8"), in_precision(instructor, "fp32+uint8")
    assert task.encode([], "query").shape == (0, 24)
    first = task.encode([*MANY[:9], MANY[0]], "query")
    task.encode(MANY, "document")
    about = {name: task.embedding()["calibration"][name] for name in ("texts", "origin", "role", "instruction")}
    assert about == {"texts": 9, "origin": "first texts", "role": "query", "instruction": QUESTION}
    named.calibrate(MANY[:9], "query")
    assert largest(named.encode([*MANY[:9], MANY[0]], "query"), first) < TOLERANCE
    assert named.embedding()["calibration"]["origin"] == "corpus"


def test_calibration_computes_nothing_twice(instructor_folder: Path, tmp_path: Path) -> None:
    encoder = engine(instructor_folder, family="instructor", cache=VectorCache(tmp_path, warn=pytest.fail))
    task = in_precision(encoder, "fp32+int8")
    task.calibrate(MANY, "document")
    computed = encoder.totals.tokens
    task.encode(MANY, "document")
    assert encoder.totals.tokens == computed > 0

    alone = engine(instructor_folder, family="instructor")
    in_precision(alone, "fp32+int8").encode(MANY, "document")  # on the first texts, without a cache
    assert alone.totals.tokens == computed


def test_calibration_knows_the_256_token_rule(instructor: Engine, around_the_limit: dict[int, str]) -> None:
    texts = [*around_the_limit.values(), *MANY]
    task = in_precision(instructor, "fp32+int8", clustering=True, clustering_256="on")
    task.calibrate(texts, "query")
    decoded = task.encode(texts, "query")
    vectors = bound(instructor, clustering=True, clustering_256="on").encode(texts, "query")
    low, high = ranges(task)
    assert largest(low, vectors.min(axis=0)) < TOLERANCE and largest(high, vectors.max(axis=0)) < TOLERANCE
    assert largest(decoded, vectors) < (high - low).max() / 2 / 255 + TOLERANCE
    by_rule = full(instructor, texts, QUESTION)
    assert largest(low, by_rule.min(axis=0)) > 1e-3 or largest(high, by_rule.max(axis=0)) > 1e-3


def test_calibration_refuses_empty_texts_as_encoding_does(instructor: Engine) -> None:
    with one_line("Made", "a document has no text", "--protocol empty_text=encode"):
        in_precision(instructor, "fp32+int8", empty_text="error").calibrate(["a", " "], "document")
    task = in_precision(instructor, "fp32+binary", empty_text="error")
    task.calibrate(["a", " "], "document")  # not looked at
    assert task.embedding()["precision"] == "binary"


def test_a_variant_with_too_many_dimensions(instructor: Engine) -> None:
    with one_line("fp32@25", NAME, "24 dimensions"):
        in_precision(instructor, "fp32@25")


def test_without_a_model_nothing_is_stored() -> None:
    nothing = NoModel("bm25")
    nothing.calibrate(["a"], "example")
    assert nothing.encode(["a", "b"], "example").shape == (2, 0)
    assert (nothing.embedding(), nothing.variant) == ({}, Variant())


def test_a_served_model_learns_what_texts_are_for() -> None:
    """As a run asks: a query and a document by their role, other texts by their type's purpose."""

    class Served(Nothing):
        def scope(self, instruction: str, *of: str) -> str:
            asked.append(of)
            return instruction

    asked: list[tuple[str, ...]] = []
    model = SimpleNamespace(name="m", normalize=True)
    for name, kind in types.TYPES.items():
        encoder = BoundEncoder(Served(model), INSTRUCTIONS, {}, task="T", task_type=name, purpose=kind.purpose)
        for role in kind.wording:
            if role in INSTRUCTIONS:
                encoder.encode(["a"], role)
    similarity = [("T", kind, "similarity") for kind in ("PairClassification", "STS")]
    assert asked == [
        *[("T", kind, role) for kind in ("Retrieval", "Reranking") for role in ("query", "document")],
        ("T", "Clustering", "clustering"), similarity[0], ("T", "Classification", "classification"), similarity[1],
        ("T", "Summarization", "text"), ("T", "TextEvaluation", "text"),
        *[("T", "ImageTextRetrieval", role) for role in ("query", "document")],
        ("T", "ZeroShotClassification", "classification"),
    ]  # fmt: skip
