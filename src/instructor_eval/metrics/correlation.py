"""Correlation metrics: STS, Summarization and Billboard."""

from __future__ import annotations

import numpy as np
from scipy.stats import pearsonr, spearmanr

from instructor_eval.core.values import Items


def cosine_spearman(items: Items) -> float:
    """Return Spearman's rho between gold grades and cosines of pairs (STS; mteb, `AbsTaskSTS`)."""
    return float(spearmanr(items["gold"], items["cosine"])[0])


def cosine_pearson(items: Items) -> float:
    """Return Pearson's r between gold grades and cosines of pairs (STS)."""
    return float(pearsonr(items["gold"], items["cosine"])[0])


def human_pearson(items: Items) -> float:
    """Return one Pearson r over all (segment, system) rows pooled (Billboard; paper, section 4.1; THumB)."""
    return float(pearsonr(items["value"], items["gold"])[0])


def article_correlation(cosines: list[float], gold: list[float]) -> tuple[float, float]:
    """Return Spearman's (rho, p-value) over the machine summaries of one article."""
    result = spearmanr(gold, cosines)
    return float(result[0]), float(result[1])


def summeval_v1(items: Items) -> float:
    """Return SummEval as published: the mean over rho AND p-value of every article (mteb v1, unchanged on purpose)."""
    return float(np.mean(list(zip(items["rho"], items["p"], strict=True))))


def summeval_v2(items: Items) -> float:
    """Return SummEval corrected: the mean of rho over the articles (mteb's SummEvalSummarization.v2)."""
    return float(np.mean(items["rho"]))
