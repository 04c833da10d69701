from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from instructor_eval.analysis.board.board import _ranks
from instructor_eval.analysis.board.rank_intervals import _drawn, _points, rank_intervals
from instructor_eval.analysis.board.rows import Row
from instructor_eval.analysis.statistics.spreads import ROUNDS

Columns = list[list[Any]]


def task(*scores: float, noise: float = 0.02, own: float = 0.0, seed: int = 0) -> tuple[list[Any], list[Any]]:
    """A column: scores, and replicates that share their noise but for some of their own."""
    rng = np.random.default_rng(seed)
    shared = noise * rng.normal(size=ROUNDS)
    return list(scores), [s + shared + own * rng.normal(size=ROUNDS) for s in scores]


def intervals(*columns: tuple[list[Any], list[Any]], seed_text: str = "tasks") -> list[tuple[int, int]]:
    return rank_intervals([c[0] for c in columns], [c[1] for c in columns], seed_text=seed_text)


def test_two_rows_alike_share_rank_and_interval() -> None:
    columns = [task(0.5, 0.5, 0.4, seed=k) for k in range(4)]
    assert intervals(*columns) == [(1, 1), (1, 1), (3, 3)]


def test_a_clear_winner_is_first_in_every_round() -> None:
    columns = [task(0.9, 0.5, 0.51, 0.49, noise=0.05, own=0.05, seed=k) for k in range(6)]
    first, *others = intervals(*columns)
    assert first == (1, 1)
    assert all(low >= 2 and high > low for low, high in others)


def test_what_rows_share_does_not_blur_their_order() -> None:
    """Intervals of the scores overlap widely; of two on the same items one is always ahead."""
    columns = [task(0.50, 0.51, noise=0.2, seed=k) for k in range(3)]
    assert intervals(*columns) == [(2, 2), (1, 1)]
    made = [[task(s, noise=0.2, seed=k + seed)[1][0] for s, seed in ((0.50, 0), (0.51, 9))] for k in range(3)]
    apart = [([0.50, 0.51], both) for both in made]
    assert intervals(*apart) == [(1, 2), (1, 2)]


def test_tasks_that_disagree_widen_the_interval() -> None:
    agree = [task(0.6, 0.5, noise=0.0) for _ in range(5)]
    disagree = [*agree[:3], *[task(0.5, 0.6, noise=0.0) for _ in range(2)]]
    assert intervals(*agree) == [(1, 1), (2, 2)]
    assert intervals(*disagree) == [(1, 2), (1, 2)]


def test_one_column_varies_by_its_items_alone() -> None:
    scores, made = task(0.5, 0.51, noise=0.0, own=0.02)
    ahead = float(np.mean(made[0] > made[1]))
    assert 0.2 < ahead < 0.5
    [(column, items)] = _drawn(1, "x")
    assert set(column) == {0}
    assert sorted(items) == list(range(ROUNDS))  # every replicate once
    assert intervals((scores, made)) == [(1, 2), (1, 2)]
    assert intervals((scores, [made[0], made[0] + 0.001])) == [(2, 2), (1, 1)]


def test_without_replicates_the_score_stands() -> None:
    columns = [([0.5, 0.6, None], [None, np.full(ROUNDS, np.nan), None]) for _ in range(3)]
    assert intervals(*columns) == [(2, 2), (1, 1), (3, 3)]


def test_fewer_replicates_are_taken_again() -> None:
    scores, made = task(0.5, 0.51, noise=0.1)
    assert intervals((scores, [r[:200] for r in made])) == [(2, 2), (1, 1)]


def test_the_rank_on_the_board_is_always_inside() -> None:
    # The replicates say otherwise, as they may of few items.
    columns = [([0.5, 0.6], [np.full(ROUNDS, 0.9), np.full(ROUNDS, 0.1)])]
    assert intervals(*columns) == [(1, 2), (1, 2)]


@pytest.mark.parametrize("seed", range(5))
def test_points_are_those_of_the_board(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = [[v if v < 0.9 else None for v in np.round(rng.random(7), 1).tolist()] for _ in range(4)]
    tasks = [{str(t): c[i] for t, c in enumerate(table) if c[i] is not None} for i in range(7)]
    rows = [Row(str(i), "", "measured", tasks=own) for i, own in enumerate(tasks)]
    borda = sum(_points(column, [None] * 7)[:, 0] for column in table)
    assert [found for found, _ in _ranks(rows, [str(t) for t in range(4)])] == list(borda)


def test_draws_depend_on_the_columns_names_alone() -> None:
    columns = [task(0.5, 0.505, 0.495, noise=0.05, own=0.01, seed=k) for k in range(5)]
    assert intervals(*columns) == intervals(*columns)
    assert not np.array_equal(_drawn(5, "a")[0][0], _drawn(5, "b")[0][0])
    assert np.array_equal(_drawn(5, "a")[3][1], _drawn(5, "a")[3][1])
    assert np.mean([np.mean(c == 2) for c, _ in _drawn(5, "a")]) == pytest.approx(0.2, abs=0.03)


def test_coverage_of_the_true_rank() -> None:
    """Tasks and items drawn from a world where three systems differ a little: the true ranks are in the intervals."""
    rng, truth = np.random.default_rng(2), np.array([0.54, 0.50, 0.46])
    held = np.zeros(3)
    for _ in range(60):
        columns = []
        for _ in range(10):
            values = truth + 0.03 * rng.normal(size=3) + 0.3 * rng.normal(size=(50, 1)) + 0.1 * rng.normal(size=(50, 3))
            drawn = rng.integers(0, 50, (ROUNDS, 50))
            columns.append((values.mean(axis=0).tolist(), list(values[drawn].mean(axis=1).T)))
        found = intervals(*columns)
        held += [low <= rank <= high for (low, high), rank in zip(found, (1, 2, 3), strict=True)]
    assert np.all(held >= 0.93 * 60), held
