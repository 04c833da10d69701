"""Exact search: every document compared with every query, block by block, in memory that does not grow with the corpus.

A block of similarities is compared with each query's k-th best so far, and only what is above it is looked at further:
after the first blocks that is a handful, and the product of matrices is nearly all of the time.
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

Similarity: TypeAlias = Callable[[Any, Any], Any]
"""Of queries [n, dim] and documents [m, dim]: [n, m], higher is nearer."""
_DOCUMENTS = 1024
_QUERIES = 1024
_MORE = 64
"""Of what is waiting, so many a query beyond k are merged at once."""
_UNIT = 1e-6
"""Rows whose lengths are so near to 1 are not divided by them again."""


class ExactTop:
    """The k most similar documents of each query, of documents that come along in pieces.

    It holds the queries, at most 1.25 k + 16 places and scores a query, and one block of 1,024 x 1,024 similarities.

    Args:
        queries: float32 [n, dim].
        k: How many documents a query gets; all there are, where they are fewer.
        similarity: What is compared; by default the cosine.
        whole: Give `similarity` all documents of an `add` at once, where it looks at them together.
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
    def add(self, documents: Vectors) -> None:
        """Compare the next documents, float32 [m, dim], with every query."""
        rows = torch.from_numpy(np.ascontiguousarray(documents, dtype=np.float32))
        if self._similarity is None:
            rows = _unit(rows)
        step = max(1, len(rows)) if self._whole else _DOCUMENTS
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            for queries, best in zip(self._parts(), self._best, strict=True):
                best.add(self._of(queries, block), self._seen)
            self._seen += len(block)

    @torch.inference_mode()
    def result(self) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Places among all documents added, and scores: [n, k] each, the best first, of equal ones the earlier."""
        found = [best.result() for best in self._best]
        width = min(self._k, self._seen)
        places = np.concatenate([np.empty((0, width), dtype=np.int64), *(p for p, _ in found)])
        scores = np.concatenate([np.empty((0, width), dtype=np.float32), *(s for _, s in found)])
        order = np.lexsort((places, -scores), axis=1)
        return np.take_along_axis(places, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def _parts(self) -> list[Tensor]:
        """The queries, as many at once as are compared with a block."""
        return [self._rows[start : start + _QUERIES] for start in range(0, len(self._rows), _QUERIES)]

    def _of(self, queries: Tensor, block: Tensor) -> Tensor:
        if self._similarity is None:
            return queries @ block.T
        return torch.as_tensor(self._similarity(queries.numpy(), block.numpy()), dtype=torch.float32)


class _Best:
    """The k best of each of n queries, and what came since that may be better; merged when it is many."""

    def __init__(self, n: int, k: int) -> None:
        self._k = k
        self._scores = torch.empty((n, 0))
        self._places = torch.empty((n, 0), dtype=torch.int64)
        self._least = torch.full((n,), float("-inf"))
        """The worst of the k kept; what is not above it is none of the best."""
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._count = 0
        self._most = n * (k // 4 + 16)

    def add(self, found: Tensor, start: int) -> None:
        """Look at similarities [n, m] of the documents from `start` on."""
        if self._scores.shape[1] < self._k:  # not full yet: nothing can be left out beforehand
            scores, at = found.topk(min(self._k, found.shape[1]), dim=1)
            self._take(scores, at + start)
            return
        rows = (found.amax(dim=1) > self._least).nonzero().squeeze(1)
        if not len(rows):
            return
        hit = found if len(rows) == len(found) else found[rows]
        # NumPy's search for the few that are above is several times as fast as torch's.
        at = torch.from_numpy(np.flatnonzero((hit > self._least[rows, None]).numpy()))
        row, column = rows[at // hit.shape[1]], at % hit.shape[1]
        self._waiting.append((row, hit.view(-1)[at], column + start))
        self._count += len(at)
        if self._count > self._most:
            self._merge()

    def result(self) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Places and scores, [n, k or all there were] each, in no order."""
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
        # A few at a time, should one query have most of them: the corpus may be sorted by what it asks for.
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
    """Rows of length 1; the same tensor where they are that already."""
    lengths = torch.linalg.vector_norm(rows, dim=1)
    if bool(((lengths - 1).abs() < _UNIT).all()):
        return rows
    return functional.normalize(rows, dim=1)
