"""The choice of a test item's examples: nearest by the embedder, nearest by BM25, or at random."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.values import Vectors
from instructor_eval.tasks.task import Selection

Array = npt.NDArray[np.float64]
KINDS = ("similar", "bm25", "random")
_DECIMALS = 9
"""Decimals of similarities: copies of a text must tie, whatever the rounding of a matrix product."""


def parse_selection(text: str) -> Selection:
    """Parse `--selection`.

    Raises:
        UserError: it is not similar, bm25, random or random:SEED.
    """
    kind, colon, seed = text.partition(":")
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or ": known are similar, random[:SEED], bm25"
        raise UserError(f"unknown --selection '{text}'{hint}")
    if colon and (kind != "random" or not seed.isdecimal() or len(seed) > 9):
        raise UserError(f"--selection {text}: only random takes a seed, a whole number as in random:1")
    return Selection(kind, int(seed or 0))


@dataclass(frozen=True)
class Ranking:
    """The pool ranked for one test item."""

    order: npt.NDArray[np.int64]
    """Pool indices, the nearest first; equally near ones in the pool's order."""
    similarity: Array
    """By pool index: cosine of the centred vectors, BM25 score, or 0 for a random order."""
    identical: npt.NDArray[np.bool_]
    """By pool index: True if the cosine is 1 to float32's last bit. Such an example is skipped."""


def centred(vectors: Vectors) -> Array:
    """Return vectors minus their mean, in float64."""
    values = vectors.astype(np.float64)
    less: Array = values - values.mean(axis=0)
    return less


def by_cosine(pool: Vectors, test: Vectors, centre: str) -> Iterator[Ranking]:
    """Rank by the cosine of vectors that are centred by the protocol: `both`, `pool` or `none`.

    Args:
        pool: [n, dim] vectors of the pool.
        test: [m, dim] vectors of all test items, since their mean may be subtracted.
        centre: The side whose mean is subtracted.
    """
    left = _unit(pool.astype(np.float64) if centre == "none" else centred(pool))
    right = _unit(centred(test) if centre == "both" else test.astype(np.float64))
    for vector in right:
        similarity: Array = left @ vector
        # Rounded to float32 like the authors' tensors; only rounding lets a cosine exceed 1.
        identical = similarity.astype(np.float32) >= 1
        yield Ranking(_nearest_first(similarity), similarity, identical)


def _unit(values: Array) -> Array:
    """Scale rows to length 1; a row of zeros stays one (cosine 0)."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit: Array = values / np.where(norms < 1e-12, 1.0, norms)
    return unit


def _nearest_first(similarity: Array) -> npt.NDArray[np.int64]:
    return np.argsort(-np.round(similarity, _DECIMALS), kind="stable")


def by_bm25(pool: Sequence[str], test: Sequence[str]) -> Iterator[Ranking]:
    """Rank by BM25 (bm25s: Lucene's form, k1 = 1.5, b = 0.75, English stop words left out)."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG on import
    index = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    words = bm25s.tokenize(list(pool), stopwords="en", show_progress=False, return_ids=False)
    nothing = np.zeros(len(pool), dtype=bool)
    if not any(words):
        words[0] = [""]  # bm25s cannot index a pool without a single word
    index.index(words, show_progress=False)
    for tokens in bm25s.tokenize(list(test), stopwords="en", show_progress=False, return_ids=False):
        known = [token for token in tokens if token in index.vocab_dict]
        similarity = index.get_scores(known).astype(np.float64) if known else np.zeros(len(pool))
        yield Ranking(_nearest_first(similarity), similarity, nothing)


def by_random(pool: int, test: int, seed: int) -> Iterator[Ranking]:
    """Rank at random: each test item has an order of its own, the same under any `--limit`."""
    nothing = np.zeros(pool, dtype=bool)
    for item in range(test):
        order = np.random.default_rng([seed, item]).permutation(pool)
        yield Ranking(order, np.zeros(pool), nothing)


def choose(
    ranking: Ranking, lengths: Sequence[int], used: int, *, budget: int, longest: int | None, most: int | None
) -> list[int]:
    """Choose the pool indices of one prompt, in the prompt's order: the most similar last.

    Examples are taken, nearest first, while the prompt stays within the budget; the first that does not fit ends it.
    An example that is longer than `longest`, or identical to the test item, is skipped.

    Args:
        ranking: The pool ranked for the test item.
        lengths: Tokens of each example.
        used: Tokens of the test item and of the text before the demonstrations.
        budget: Tokens in all.
        longest: Tokens of a single example at most.
        most: Only this many nearest examples may be chosen.
    """
    chosen: list[int] = []
    for index in map(int, ranking.order[:most]):
        if ranking.identical[index] or (longest is not None and lengths[index] > longest):
            continue
        used += lengths[index]
        if used > budget:
            break
        chosen.append(index)
    return chosen[::-1]
