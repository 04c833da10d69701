"""Chunks: how a document is cut, and its similarity from those of its chunks. Plain values; no tokenizer here.

A chunk has at most N tokens of the model's own tokenizer, instruction and special tokens not counted. Cut by tokens it
ends at a sentence end where there is one within its last fifth; by sentences it has whole sentences, unless one alone
is longer. A document that is no longer than N stays as it is, to the character.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError

LEAST = 8
BY, SCORES = ("tokens", "sentences"), ("max", "mean-top-3")
WHOLE = "whole"
_TOP = 3
_END = re.compile("[.!?\u2026\u3002\uff01\uff1f]+[\"'\u201d\u2019\u00bb)\\]]*(?=\\s|$)|\n")
Span = tuple[int, int]
"""Where a token stands in its text: first character, and the one behind its last."""


@dataclass(frozen=True)
class ChunkSpec:
    """How documents are cut, and scored by their chunks."""

    size: int
    overlap: int = 0
    by: str = "tokens"
    score: str = "max"

    def __str__(self) -> str:
        words = [f"{self.size}:{self.overlap}" if self.overlap else f"{self.size}"]
        words += [self.by] if self.by != BY[0] else []
        words += [self.score] if self.score != SCORES[0] else []
        return f"chunk={','.join(words)}"

    @classmethod
    def parse(cls, text: str, by: str = BY[0], score: str = SCORES[0], flag: str = "--chunk") -> ChunkSpec | None:
        """Parse what a flag says: N, N:OVERLAP, or `whole`, which is None.

        Raises:
            UserError: it is none of these, or too small, or the overlap is not below the size.
        """
        if text == WHOLE:
            return None
        size, colon, overlap = text.partition(":")
        numbers = [size, *([overlap] if colon else [])]
        if not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in numbers):
            raise UserError(f"{flag} {text[:60]!r} cannot be read: give N, N:OVERLAP (tokens), or {WHOLE}")
        if int(size) < LEAST:
            raise UserError(f"{flag} {text}: fewer than {LEAST} tokens say too little: give {LEAST} or more")
        if colon and int(overlap) >= int(size):
            raise UserError(f"{flag} {text}: the overlap must be below the size, else no chunk gets on: give less")
        return cls(int(size), int(overlap) if colon else 0, by, score)


def cut(text: str, spans: Sequence[Span], spec: ChunkSpec) -> list[tuple[str, int]]:
    """Return a document's chunks, each with its number of tokens; they cover it from first to last token.

    Args:
        text: The document.
        spans: Its tokens, in their order.
        spec: How it is cut.
    """
    if len(spans) <= spec.size:
        return [(text, len(spans))]
    ends = _sentence_ends(text, spans)
    found, start, n = [], 0, len(spans)
    while True:
        end = min(start + spec.size, n)
        if end < n:
            least = end - spec.size // 5 if spec.by == BY[0] else start + 1
            at = bisect.bisect_right(ends, end)
            end = ends[at - 1] if at and ends[at - 1] >= least else end
        found.append((text[spans[start][0] : spans[end - 1][1]], end - start))
        if end == n:
            return found
        start = _next(start, end, ends, spec)


def _next(start: int, end: int, ends: Sequence[int], spec: ChunkSpec) -> int:
    """Return where the next chunk starts: the overlap back; by sentences at the first sentence within it."""
    back = max(end - spec.overlap, start + 1)
    if spec.by == BY[0] or not spec.overlap:
        return back
    at = bisect.bisect_left(ends, back)
    return min(ends[at], end) if at < len(ends) else end


def _sentence_ends(text: str, spans: Sequence[Span]) -> list[int]:
    """Return the numbers of tokens before which a sentence has ended, rising."""
    starts = [start for start, _ in spans]
    places = {bisect.bisect_left(starts, match.end()) for match in _END.finditer(text)}
    return sorted(place for place in places if 0 < place < len(spans))


def blocks(starts: npt.NDArray[np.int64], rows: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield [first, last) of rows, whole documents each, at most `most` rows where a document has no more.

    Args:
        starts: The first row of each document.
        rows: The number of rows.
        most: Rows of a block.
    """
    first, edges = 0, [*starts.tolist()[1:], rows]
    while first < rows:
        at = bisect.bisect_right(edges, first + most)
        last = edges[at - 1] if at and edges[at - 1] > first else edges[at]
        yield first, last
        first = last


def pooled(similarities: npt.NDArray[np.float32], starts: npt.NDArray[np.int64], score: str) -> npt.NDArray[np.float32]:
    """Return the similarity of documents [n, documents] from those of their chunks [n, chunks].

    Args:
        similarities: Of every query with every chunk.
        starts: The first chunk of each document.
        score: `max`, or the mean of the best three (of all, where there are fewer).
    """
    if score == SCORES[0]:
        return np.asarray(np.maximum.reduceat(similarities, starts, axis=1))
    found = similarities[:, starts].copy()
    for i, (first, last) in enumerate(zip(starts, [*starts[1:], similarities.shape[1]], strict=True)):
        if last - first > 1:
            best = np.sort(similarities[:, first:last], axis=1)[:, -_TOP:]
            found[:, i] = best.mean(axis=1)
    return found
