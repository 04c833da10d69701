"""Checks that figures of stored items are those of their top tens, by trec_eval's own code given the stored order."""

from itertools import pairwise

import numpy as np
import pytest
import pytrec_eval

FIGURES = {
    "ndcg_at_1": "ndcg_cut_1",
    "ndcg_at_10": "ndcg_cut_10",
    "map_at_10": "map_cut_10",
    "recall_at_10": "recall_10",
    "precision_at_1": "P_1",
    "precision_at_10": "P_10",
}


def check_lists(items):
    """Hold every figure at 10 or less against the list; return how many lists have equal scores next to each other."""
    for at, query in enumerate(items["id"]):
        grades = items["top_grades"][at]
        missed = list(items["best_grades"][at]) + [1] * (items["relevant"][at] - len(items["best_grades"][at]))
        for grade in grades:
            if grade in missed:
                missed.remove(grade)
        qrels = {f"r{i}": g for i, g in enumerate(grades)} | {f"m{i}": g for i, g in enumerate(missed)}
        run = {f"r{i}": float(-i) for i in range(len(grades))}
        measures = {"ndcg_cut.1,10", "map_cut.10", "recall.10", "P.1,10"}
        theirs = pytrec_eval.RelevanceEvaluator({"q": qrels}, measures).evaluate({"q": run})["q"]
        ours = {name: items[name][at] for name in FIGURES if name in items}
        assert ours == pytest.approx({name: theirs[FIGURES[name]] for name in ours}, abs=1e-9), query
    return sum(any(np.float32(a) == np.float32(b) for a, b in pairwise(row)) for row in items["top_scores"])
