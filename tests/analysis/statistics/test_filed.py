"""The statistics filed with a score are those of its items, also after they were written and read."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_boards import DEFAULT, FORUMS
from made_items import METRICS, make_items

from instructor_eval import metrics
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.statistics import spreads
from instructor_eval.analysis.statistics.filed import measure, measure_whole, shape_of, spread_of
from instructor_eval.analysis.statistics.spread import spread
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

MakeScore = Callable[..., Score]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [6, 40])
def test_every_metric(metric: str, n: int, make_score: MakeScore, tmp_path: Path) -> None:
    items = make_items(metric, n, 1)
    score = make_score("Mine", metrics.compute(metric, items), metric=metric, data={"hash": "abc"})
    store = Store(tmp_path)
    store.write(dataclasses.replace(score, statistics=measure(score, items)), items)
    [filed] = store.scores()
    assert filed.statistics is not None
    wanted = spread(metric, items, score.score or 0.0, seed_text="Mine abc")
    found = spread_of(filed, filed.statistics, replicates=True)
    assert found == wanted  # to the last bit, but for the replicates
    assert (found.replicates is None) == (wanted.replicates is None)
    if found.replicates is not None and wanted.replicates is not None:
        assert np.allclose(found.replicates, wanted.replicates, rtol=0, atol=1e-7, equal_nan=True)
    assert filed.statistics.shape == shape_of(metric, items)


def test_a_mean_of_parts(make_score: MakeScore) -> None:
    every = [make_items("ndcg_at_10", 30, seed) for seed in range(len(FORUMS))]
    scores = [
        make_score(name, metrics.compute("ndcg_at_10", items), metric="ndcg_at_10")
        for name, items in zip(FORUMS, every, strict=True)
    ]
    parts = [spread_of(s, measure(s, i), replicates=True) for s, i in zip(scores, every, strict=True)]
    items: Items = {"id": list(FORUMS), "value": [s.score for s in scores]}
    whole = make_score("CQADupstackRetrieval", metrics.compute("mean_of_parts", items), metric="mean_of_parts")
    found = measure_whole(whole, parts, items)
    wanted = spreads.of_parts(parts, whole.score or 0.0)
    assert found is not None
    assert spread_of(whole, found, replicates=False) == wanted
    assert math.isfinite(wanted.df if wanted else math.nan)
    alone = spread_of(scores[0], measure(scores[0], make_items("ndcg_at_10", 1, 0)), replicates=False)
    assert measure_whole(whole, [*parts[1:], alone], items) is None  # one item has no interval


def test_its_size_is_bounded(make_score: MakeScore, tmp_path: Path) -> None:
    items = make_items("accuracy", 20_000, 1)
    score = make_score("Mine", metrics.compute("accuracy", items), metric="accuracy")
    store = Store(tmp_path)
    path = store.path(store.write(dataclasses.replace(score, statistics=measure(score, items)), items))
    assert path.stat().st_size < 12_000


def refuse(score: Score) -> Items:
    raise UserError(f"{score.task}: items are read")


def rows(make_score: MakeScore, models: int, tasks: int) -> tuple[list[Score], dict[str, Items]]:
    """Scores with their statistics, and the items of each."""
    filed, items_of = [], {}
    for model in range(models):
        items = make_items("ndcg_at_10", 12, model, noise=0.1 + model / 100)
        for task in range(tasks):
            score = make_score(f"Task{task}", metrics.compute("ndcg_at_10", items), metric="ndcg_at_10", n_items=12,
                               type="Retrieval", identity=f"{task}-{model}", model=f"org/{model}",
                               fingerprint=f"{model:016}")  # fmt: skip
            filed.append(dataclasses.replace(score, statistics=measure(score, items)))
            items_of[score.identity] = items
    return filed, items_of


def test_a_board_says_the_same_without_items(make_score: MakeScore) -> None:
    """Ranks and their intervals included."""
    filed, items_of = rows(make_score, 6, 5)
    bare = [dataclasses.replace(score, statistics=None) for score in filed]
    from_items = build(bare, protocol=DEFAULT, items=lambda score: items_of[score.identity])
    found = build(filed, protocol=DEFAULT, items=refuse)
    assert format_board(found, "json") == format_board(from_items, "json")
    assert all(row.rank_low is not None and row.spreads for row in found.rows)


@pytest.mark.slow
def test_a_board_of_50_rows_and_70_tasks_reads_no_items(make_score: MakeScore) -> None:
    filed, _ = rows(make_score, 50, 70)
    board = build(filed, protocol=DEFAULT, items=refuse)
    assert (len(board.rows), len(board.tasks), board.without_items) == (50, 70, [])
    assert all(row.spreads.keys() == row.tasks.keys() and row.rank_low is not None for row in board.rows)
