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

from instructor_eval.types import Vectors

Similarity: TypeAlias = Callable[[Any, Any], Any]
"""Of queries [n, dim] and documents [m, dim]: [n, m], higher is nearer."""
_DOCUMENTS = 8192
_QUERIES = 1024


class ExactTop:
    """The k most similar documents of each query, of documents that come along in pieces.

    It holds the queries, k places and scores a query, and one block of 1,024 x 8,192 similarities (32 MB).

    Args:
        queries: float32 [n, dim].
        k: How many documents a query gets; all there are, where they are fewer.
        similarity: What is compared; by default the cosine.
        whole: Give `similarity` all documents of an `add` at once, where it looks at them together.
    """

    def __init__(self, queries: Vectors, k: int, similarity: Similarity | None = None, *, whole: bool = False) -> None:
        self._queries = torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32))
        if similarity is None:
            self._queries = functional.normalize(self._queries, dim=1)
        self._similarity = similarity
        self._whole = whole
        self._k = k
        self._seen = 0
        self._scores = torch.full((len(queries), 0), 0.0)
        self._places = torch.zeros((len(queries), 0), dtype=torch.int64)

    @torch.inference_mode()
    def add(self, documents: Vectors) -> None:
        """Compare the next documents, float32 [m, dim], with every query."""
        rows = torch.from_numpy(np.ascontiguousarray(documents, dtype=np.float32))
        step = max(1, len(rows)) if self._whole else _DOCUMENTS
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            if self._similarity is None:
                block = functional.normalize(block, dim=1)
            self._compare(block)
            self._seen += len(block)

    def result(self) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Places among all documents added, and scores: [n, k] each, the best first, of equal ones the earlier."""
        places, scores = self._places.numpy(), self._scores.numpy()
        order = np.lexsort((places, -scores), axis=1)
        return np.take_along_axis(places, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def _compare(self, block: Tensor) -> None:
        width = min(self._k, self._scores.shape[1] + len(block))
        scores = torch.empty((len(self._queries), width))
        places = torch.empty((len(self._queries), width), dtype=torch.int64)
        for start in range(0, len(self._queries), _QUERIES):
            rows = slice(start, start + _QUERIES)
            found = self._of(self._queries[rows], block)
            scores[rows], places[rows] = self._merged(rows, found, width)
        self._scores, self._places = scores, places

    def _of(self, queries: Tensor, block: Tensor) -> Tensor:
        if self._similarity is None:
            return queries @ block.T
        return torch.as_tensor(self._similarity(queries.numpy(), block.numpy()), dtype=torch.float32)

    def _merged(self, rows: slice, found: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """The best of those kept and those found, [n, width] each."""
        kept, places = self._scores[rows], self._places[rows]
        if kept.shape[1] == self._k:  # full: what is not above its last is left out beforehand
            above = found > kept.amin(dim=1, keepdim=True)
            most = int((counts := above.sum(dim=1)).max())
            if not most:
                return kept, places
            if most <= self._k:
                row, at = above.nonzero(as_tuple=True)
                column = torch.arange(len(row)) - (counts.cumsum(0) - counts)[row]
                scores = torch.full((len(kept), most), float("-inf"))
                more = torch.zeros((len(kept), most), dtype=torch.int64)
                scores[row, column], more[row, column] = found[row, at], at + self._seen
                return _best(torch.cat((kept, scores), 1), torch.cat((places, more), 1), width)
        scores, at = found.topk(min(self._k, found.shape[1]), dim=1)
        return _best(torch.cat((kept, scores), 1), torch.cat((places, at + self._seen), 1), width)


def _best(scores: Tensor, places: Tensor, width: int) -> tuple[Tensor, Tensor]:
    best, at = scores.topk(width, dim=1)
    return best, places.gather(1, at)
