"""The probe of minimal pairs: what is in it, and what two baselines that know words alone make of it."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter

import bm25s
import numpy as np
import pytest

from instructor_eval.core.paths import shipped
from instructor_eval.tasks.cards import shipped_cards

CARDS = shipped_cards()
PARTS = CARDS["DemoMinimalPairs"].parts
BY_WORDS = {"Negation": (1, 0), "Tense": (2, 2)}
"""Of 30, where the paraphrase is nearer by a bag of words, and by BM25; elsewhere 0 (tasks/probe/README.md)."""


def items(task: str) -> list[tuple[str, str, str]]:
    """(sentence, paraphrase, minimal pair) of a kind."""
    folder = CARDS[task].folder
    assert folder is not None
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["query"], *row["positive"], *row["negative"]) for row in rows]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def nearer_by_counts(sentence: str, paraphrase: str, pair: str) -> bool:
    def cosine(other: str) -> float:
        a, b = Counter(words(sentence)), Counter(words(other))
        return sum(a[w] * b[w] for w in a) / np.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))

    return bool(cosine(paraphrase) > cosine(pair) + 1e-9)


def nearer_by_bm25(rows: list[tuple[str, str, str]]) -> list[bool]:
    """BM25 over all candidates of a kind."""
    index = bm25s.BM25()
    index.index([words(text) for _, *both in rows for text in both], show_progress=False)
    scores = [index.get_scores(words(sentence)) for sentence, *_ in rows]
    return [bool(row[2 * i] > row[2 * i + 1]) for i, row in enumerate(scores)]


def test_there_are_eight_kinds_of_thirty() -> None:
    assert len(PARTS) == 8
    assert [len(items(part)) for part in PARTS] == [30] * 8
    folders = {path.name for path in (shipped("tasks") / "probe").iterdir() if path.is_dir()}
    assert folders == {CARDS[part].folder.name for part in PARTS}


def test_the_sentence_of_the_comma_is_in() -> None:
    assert ("Let's eat, Chris.", "Let's eat Chris.") in {(a, pair) for a, _, pair in items("DemoMinimalPairsComma")}


def test_no_sentence_stands_twice_or_nearly_so() -> None:
    every = [text for part in PARTS for row in items(part) for text in row]
    assert len(set(every)) == 720
    sentences = [words(a) for part in PARTS for a, *_ in items(part)]
    alike = [
        (a, b) for a, b in itertools.combinations(sentences, 2)
        if len(a) > 3 and len(set(a) & set(b)) > 0.7 * len(set(a) | set(b))
    ]  # fmt: skip
    assert not alike


@pytest.mark.parametrize("part", PARTS)
def test_a_minimal_pair_shares_words_and_a_paraphrase_has_its_length(part: str) -> None:
    for sentence, paraphrase, pair in items(part):
        assert abs(len(words(paraphrase)) - len(words(pair))) <= 4, paraphrase
        assert sentence != pair
        changed = sum(
            (
                (Counter(words(sentence)) - Counter(words(pair))) + (Counter(words(pair)) - Counter(words(sentence)))
            ).values()
        )
        assert changed <= 6, pair


@pytest.mark.parametrize("part", PARTS)
def test_words_alone_do_not_tell(part: str) -> None:
    rows = items(part)
    found = sum(nearer_by_counts(*row) for row in rows), sum(nearer_by_bm25(rows))
    assert found == BY_WORDS.get(part.removeprefix("DemoMinimalPairs"), (0, 0))
