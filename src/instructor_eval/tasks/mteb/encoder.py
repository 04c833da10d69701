"""Cosines of vectors of 1 and -1, to the last bit.

Equal Hamming distances are equal cosines. mteb divides by the vectors' lengths before it multiplies, and at most
lengths (384, 768) the rounding then ranks what is equal: in trials with 1,500 pairs and more, average precision was
0.0005 to 0.0007 off, and mteb reports the luckiest of five. Here the product comes first, a whole number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from instructor_eval.core.values import Vectors
from instructor_eval.models.variant import Variant
from instructor_eval.tasks.task import TaskEncoder


def is_binary(variant: Variant) -> bool:
    """Whether what is kept is one bit a value."""
    return variant.dtype_of_vectors in ("binary", "ubinary")


def cosines(a: Any, b: Any) -> Any:
    """Of every pair: a tensor [n, m]."""
    from mteb.similarity_functions import dot_score

    return dot_score(a, b) / a.shape[-1]


def paired_cosines(a: Any, b: Any) -> Any:
    """Of corresponding rows: float64 [n]."""
    return np.einsum("ij,ij->i", a, b).astype(np.float64) / a.shape[1]


@contextmanager
def exact_cosines(variant: Variant) -> Iterator[None]:
    """Within it mteb's evaluators of pairs and summaries take the cosines above, if the vectors are binary."""
    if not is_binary(variant):
        yield
        return
    from mteb._evaluators import any_sts_evaluator, pair_classification_evaluator
    from mteb._evaluators.text import summarization_evaluator

    before = summarization_evaluator.cos_sim, pair_classification_evaluator.paired_cosine_distances
    summarization_evaluator.cos_sim = cosines
    for module in (any_sts_evaluator, pair_classification_evaluator):
        module.paired_cosine_distances = _paired_distances
    try:
        yield
    finally:
        summarization_evaluator.cos_sim = before[0]
        for module in (any_sts_evaluator, pair_classification_evaluator):
            module.paired_cosine_distances = before[1]


def _paired_distances(a: Any, b: Any) -> Any:
    return 1 - paired_cosines(a, b)


class MtebEncoder:
    """Our encoder in the form mteb calls: `encode(DataLoader, task_metadata=..., prompt_type=...)`.

    Args:
        encoder: The model as the task sees it.
        bare_from_call: The call of `encode` from which on the instruction is left out.
    """

    def __init__(self, encoder: TaskEncoder, *, bare_from_call: int | None = None) -> None:
        from mteb.models.model_meta import ModelMeta

        self._encoder = encoder
        self._calls = 0
        self._bare_from_call = bare_from_call
        self.mteb_model_meta = ModelMeta.create_empty({"name": "instructor-eval/model", "revision": "1"})

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_kwargs: Any) -> Vectors:
        """Embed a whole split: queries and documents under their own instructions, everything else as `text`."""
        role = {"query": "query", "document": "document"}.get(str(getattr(prompt_type, "value", None)), "text")
        bare = self._bare_from_call is not None and self._calls >= self._bare_from_call
        self._calls += 1
        # The loader's data set, not the loader: iterating it costs 0.1 ms a text.
        found: Vectors = self._encoder.encode([str(t) for t in inputs.dataset["text"]], role, bare=bare)
        return found

    def similarity(self, a: Any, b: Any) -> Any:
        """Cosine of every pair."""
        if self._encoder.variant.embedding in ("binary", "ubinary"):
            return cosines(a, b)
        from mteb.similarity_functions import cos_sim

        return cos_sim(a, b)

    def similarity_pairwise(self, a: Any, b: Any) -> Any:
        """Cosine of corresponding rows."""
        if is_binary(self._encoder.variant):
            return paired_cosines(a, b)
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(a, b)
