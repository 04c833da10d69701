"""The encoder as one task sees it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from checkpoints import NAME, TOLERANCE, engine, largest, one_line
from golden.cases import DOCUMENT, QUESTION, SENTENCE, the
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from instructor_eval.encoder.engine import Engine
from instructor_eval.encoder.task import BoundEncoder
from instructor_eval.progress import Progress
from instructor_eval.types import Resolved

INSTRUCTIONS = {
    "query": Resolved(QUESTION, "card"),
    "document": Resolved(DOCUMENT, "card"),
    "text": Resolved("", "none"),
}
TEXTS = [SENTENCE, "the river", "", "a city"]


def bound(encoder: Engine, *, clustering: bool = False, **protocol: str) -> BoundEncoder:
    return BoundEncoder(encoder, INSTRUCTIONS, protocol, task="Made", is_clustering=clustering)


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

    def __init__(self, checkpoint: object) -> None:
        self.checkpoint = checkpoint

    def encode(self, texts: list[str], instruction: str, *, progress: Progress) -> np.ndarray:
        return np.zeros((len(texts), 3), dtype=np.float32)


def hashed(encoder: object, *calls: tuple[str, list[str]]) -> str:
    task = bound(encoder)  # type: ignore[arg-type]
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
