"""Exact search: every document compared with every query, block by block, in memory that does not grow with the corpus.

A block of similarities is compared with each query's k-th best so far, and only higher ones are processed further:
after the first blocks those are few, and the matrix product takes nearly all of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from instructor_eval.core.values import Vectors
from instructor_eval.search.chunks import blocks, pooled

Similarity: TypeAlias = Callable[[Any, Any], Any]
"""(queries [n, dim], documents [m, dim]) -> [n, m], higher is nearer."""
_DOCUMENTS = 1024
_QUERIES = 1024
_MORE = 64
"""Waiting similarities of a query, beyond k, that are merged at once."""
_UNIT = 1e-6
"""Rows whose lengths differ from 1 by less are not scaled."""


class ExactTop:
    """The k most similar documents of each query, for documents that arrive in pieces.

    Memory: the queries, at most 1.25 k + 16 places and scores a query, and one block of 1,024 x 1,024 similarities.

    Args:
        queries: float32 [n, dim].
        k: Documents for each query at most.
        similarity: The similarity; None: the cosine.
        whole: Give `similarity` all documents of an `add` at once, if it needs them together.
    """

    def __init__(self, queries: Vectors, k: int, similarity: Similarity | None = None, *, whole: bool = False) -> None:
        rows = torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32))
        self._rows = rows if similarity is not None else _unit(rows)
        self._similarity = similarity
        self._whole = whole
        self._seen = 0
        self._k = k
        self._best = [_Best(len(part), k) for part in self._parts()]

    @torch.inference_mode()
    def add(self, documents: Vectors, starts: npt.NDArray[np.int64] | None = None, score: str = "max") -> None:
        """Compare the next documents, float32 [m, dim], with every query.

        Args:
            documents: Their vectors, or those of their chunks.
            starts: The first chunk of each document; None: a vector is a document.
            score: How chunks give a document's similarity (`chunks.pooled`).
        """
        rows = torch.from_numpy(np.ascontiguousarray(documents, dtype=np.float32))
        if self._similarity is None:
            rows = _unit(rows)
        step = max(1, len(rows)) if self._whole else _DOCUMENTS
        first_rows = np.arange(len(rows)) if starts is None else starts
        for start, end in blocks(first_rows, len(rows), step):
            block, inside = rows[start:end], first_rows[(first_rows >= start) & (first_rows < end)] - start
            for queries, best in zip(self._parts(), self._best, strict=True):
                found = self._similarities(queries, block)
                if starts is not None:
                    found = torch.from_numpy(pooled(found.numpy(), inside, score))
                best.add(found, self._seen)
            self._seen += len(inside)

    @torch.inference_mode()
    def result(self) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Return places among all added documents, and scores: [n, k] each, the best first, equal ones in order."""
        found = [best.result() for best in self._best]
        width = min(self._k, self._seen)
        places = np.concatenate([np.empty((0, width), dtype=np.int64), *(p for p, _ in found)])
        scores = np.concatenate([np.empty((0, width), dtype=np.float32), *(s for _, s in found)])
        order = np.lexsort((places, -scores), axis=1)
        return np.take_along_axis(places, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def _parts(self) -> list[Tensor]:
        """Return the queries in parts that are compared with a block at once."""
        return [self._rows[start : start + _QUERIES] for start in range(0, len(self._rows), _QUERIES)]

    def _similarities(self, queries: Tensor, block: Tensor) -> Tensor:
        if self._similarity is None:
            return queries @ block.T
        return torch.as_tensor(self._similarity(queries.numpy(), block.numpy()), dtype=torch.float32)


class _Best:
    """The k best of each of n queries, and later candidates; merged when there are many."""

    def __init__(self, n: int, k: int) -> None:
        self._k = k
        self._scores = torch.empty((n, 0))
        self._places = torch.empty((n, 0), dtype=torch.int64)
        self._least = torch.full((n,), float("-inf"))
        """The lowest of the k best; a similarity must exceed it."""
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._count = 0
        self._most = n * (k // 4 + 16)

    def add(self, found: Tensor, start: int) -> None:
        """Add similarities [n, m] of the documents from `start` on."""
        if self._scores.shape[1] < self._k:  # not full yet: every document is a candidate
            scores, at = found.topk(min(self._k, found.shape[1]), dim=1)
            self._take(scores, at + start)
            return
        rows = (found.amax(dim=1) > self._least).nonzero().squeeze(1)
        if not len(rows):
            return
        hit = found if len(rows) == len(found) else found[rows]
        # NumPy finds the few higher ones several times as fast as torch.
        at = torch.from_numpy(np.flatnonzero((hit > self._least[rows, None]).numpy()))
        row, column = rows[at // hit.shape[1]], at % hit.shape[1]
        self._waiting.append((row, hit.view(-1)[at], column + start))
        self._count += len(at)
        if self._count > self._most:
            self._merge()

    def result(self) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Return places and scores, [n, k or fewer] each, in no order."""
        self._merge()
        return self._places.numpy(), self._scores.numpy()

    def _merge(self) -> None:
        if not self._count:
            return
        row, score, place = (torch.cat(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting, self._count = [], 0
        order = row.argsort()
        row, score, place = row[order], score[order], place[order]
        counts = torch.bincount(row, minlength=len(self._scores))
        column = torch.arange(len(row)) - (counts.cumsum(0) - counts)[row]
        # A few at a time, since one query may have most of them: a corpus may be sorted by topic.
        step = self._k + _MORE
        for start in range(0, int(counts.max()), step):
            part = (column >= start) & (column < start + step)
            size = (len(counts), min(step, int(counts.max()) - start))
            scores, places = torch.full(size, float("-inf")), torch.zeros(size, dtype=torch.int64)
            scores[row[part], column[part] - start] = score[part]
            places[row[part], column[part] - start] = place[part]
            self._take(scores, places)

    def _take(self, scores: Tensor, places: Tensor) -> None:
        scores, places = torch.cat((self._scores, scores), 1), torch.cat((self._places, places), 1)
        self._scores, at = scores.topk(min(self._k, scores.shape[1]), dim=1)
        self._places = places.gather(1, at)
        if self._scores.shape[1] == self._k:
            self._least = self._scores.amin(dim=1)


def _unit(rows: Tensor) -> Tensor:
    """Scale rows to length 1; return the same tensor if they have it already."""
    lengths = torch.linalg.vector_norm(rows, dim=1)
    if bool(((lengths - 1).abs() < _UNIT).all()):
        return rows
    return functional.normalize(rows, dim=1)
