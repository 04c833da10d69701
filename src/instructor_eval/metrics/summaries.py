"""SummEval: Spearman's rho of each article's machine summaries, with its p-value in the published number."""

from __future__ import annotations

import numpy as np

from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers


def _with_p(items: Items) -> Numbers:
    """Return the mean of rho and p-value of each article."""
    return np.asarray(np.mean([items["rho"], items["p"]], axis=0), dtype=np.float64)


SUMMEVAL_V1 = Metric(
    "summeval_v1",
    lambda items: float(np.mean(list(zip(items["rho"], items["p"], strict=True)))),
    unit="article",
    bounds=(-0.5, 1.0),  # the mean of a rho and a p-value
    columns=("rho", "p"),
    values=_with_p,
    aggregated=True,
    mteb="cosine_spearman",
)
"""As published: the mean over rho AND p-value of every article (mteb v1, unchanged on purpose)."""
SUMMEVAL_V2 = Metric(
    "summeval_v2",
    lambda items: float(np.mean(items["rho"])),
    unit="article",
    bounds=(-1.0, 1.0),
    columns=("rho",),
    column="rho",
    aggregated=True,
    mteb="cosine_spearman",
)
"""Corrected: the mean of rho over the articles (mteb's SummEvalSummarization.v2)."""
