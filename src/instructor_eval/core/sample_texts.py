"""The texts of the speed measurement: made up, English-like, the same on every machine and in every version.

Text i depends on i alone, so a smaller sample is a prefix of a larger one. Lengths follow a log-normal distribution
(median 40 words, sigma 0.8, as corpora have them: many short, a few long). They are taken from its quantiles at the
multiples of the golden ratio, which lie evenly in every prefix: a short sample has the same mix of lengths as a long
one, and its rate can be compared with that of a long one.
"""

from __future__ import annotations

import math
import random
from statistics import NormalDist

SAMPLE_VERSION = 1
"""Raised when a text changes: part of a cost's identity."""
INSTRUCTION = "Represent the document for retrieval: "
"""The instruction of every text, for models that take instructions."""
FIRST = "A short text, to see how long the first vector takes."
MEDIAN_WORDS, SIGMA, LONGEST = 40, 0.8, 400
_GOLDEN = 0.6180339887498949
_SENTENCE = (6, 18)
# The most frequent first, as in English: the words of a text are drawn from the front of the list more often.
_VOCABULARY = """
the of and to in a is that for it was on with as be by at this are from or an which have not were has but their been
one would all will there more when who can said its into some other than them these two may then first any new also
could time after only between system over such most year must because under water since through during research many
people found without several model public number every general national development company university information
problem different government process children important study language large history against analysis temperature
education following international population particularly environment production economic protein relationship
significant treatment performance distribution structure community technology approximately experimental theoretical
agriculture independent photograph laboratory chemical hospital mountain electricity manuscript vaccination
negotiation interpretation infrastructure biodiversity archaeological constitutional electromagnetic misunderstanding
orchestra thermodynamics parliamentary neighbourhood crystallography reconciliation entrepreneurial hemisphere
jurisprudence
"""
_WORDS = _VOCABULARY.split()


def sample(count: int) -> list[str]:
    """The first `count` texts, no two the same."""
    return [_text(i) for i in range(count)]


def words_of(number: int) -> int:
    """Return how many words text `number` has, its number not counted."""
    quantile = (0.5 + number * _GOLDEN) % 1.0
    length = MEDIAN_WORDS * math.exp(SIGMA * NormalDist().inv_cdf(min(max(quantile, 1e-6), 1 - 1e-6)))
    return max(1, min(LONGEST, round(length)))


def _text(number: int) -> str:
    draw = random.Random(number).random  # noqa: S311 # texts, not secrets; this method gives the same in every Python
    left, sentences = words_of(number), []
    while left > 0:
        length = min(left, _SENTENCE[0] + int(draw() * (_SENTENCE[1] - _SENTENCE[0] + 1)))
        words = [_WORDS[int(draw() ** 2 * len(_WORDS))] for _ in range(length)]
        sentences.append(f"{' '.join(words).capitalize()}.")
        left -= length
    return f"{' '.join(sentences)} {number}"
