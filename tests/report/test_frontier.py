"""Which dots of a chart no other beats, and the line through them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_boards import Made
from made_charts import add, drawn, line_of, points

from instructor_eval.report import chart
from instructor_eval.report.chart import Dot
from instructor_eval.results.score import Score


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    return Made(make_score)


def beaten(dot: Dot, others: list[Dot], sign: int) -> bool:
    """Return whether one is at least as good in both and better in one."""
    for other in others:
        cost, own = sign * other.cost, sign * dot.cost
        if (cost > own and other.quality >= dot.quality) or (cost >= own and other.quality > dot.quality):
            return True
    return False


some_dots = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6), st.sampled_from([True, True, True, False])))


@given(some_dots, st.booleans())
def test_the_frontier_against_brute_force(cells: list[tuple[int, int, bool]], more_is_better: bool) -> None:
    found = [Dot(line_of(), 0, 0, cost, value / 6, None, complete) for cost, value, complete in cells]
    chart._find_best(found, more_is_better=more_is_better)
    sign = 1 if more_is_better else -1
    complete = [d for d in found if d.complete]
    for dot in found:
        assert dot.best == (dot.complete and not beaten(dot, complete, sign))
    assert any(d.best for d in found) == bool(complete)
    best = sorted({(sign * d.cost, d.quality) for d in found if d.best})
    assert all(a[1] > b[1] for a, b in itertools.pairwise(best))  # what costs less is worse


@pytest.mark.parametrize(
    ("b", "size", "speed"),
    [
        ((0.1, 100, 200), {"b"}, {"b"}),
        ((0.1, 900, 50), {"a", "b"}, {"a", "b"}),
        ((-0.1, 100, 200), {"a", "b"}, {"a", "b"}),
        ((-0.1, 900, 50), {"a"}, {"a"}),
        ((0.0, 400, 100), {"a", "b"}, {"a", "b"}),
        ((0.0, 100, 50), {"b"}, {"a"}),
    ],
)
def test_small_and_fast_are_better(b: tuple[float, int, int], size: set[str], speed: set[str], made: Made) -> None:
    add(made, "org/a", cost={"file_bytes": 400, "texts_per_second": 100})
    add(made, "org/b", shift=b[0], cost={"file_bytes": b[1], "texts_per_second": b[2]})
    found = drawn(made)
    assert {d.name for d in found["size"].best} == size
    assert {d.name for d in found["speed"].best} == speed
    for one in found.values():
        assert bool(one.frontier) == (len(one.best) > 1)
        assert [d.quality for d in one.best] == sorted((d.quality for d in one.best), reverse=True)


def test_an_incomplete_mean_is_never_on_the_frontier(made: Made) -> None:
    for task in ("SciFact", "ArguAna", "NFCorpus"):
        add(made, "org/a", task, cost={"file_bytes": 400})
    add(made, "org/b", shift=0.2, cost={"file_bytes": 100})
    add(made, "org/c", "ArguAna", shift=0.2, cost={"file_bytes": 50})
    found = drawn(made)["size"]
    assert {d.name: (d.complete, d.best) for d in found.dots} == {
        "a": (True, True),
        "b": (False, False),
        "c": (False, False),
    }
    assert found.frontier == ""


def test_the_frontier_is_drawn_from_left_to_right(made: Made) -> None:
    for n in (3, 1, 2, 0):
        add(made, f"org/m{n}", shift=0.1 * n, cost={"file_bytes": 100 * 4**n})
    found = drawn(made)["size"]
    path = points(found.frontier)
    assert path == [(d.x, d.y) for d in sorted(found.dots, key=lambda d: d.cost)]
    assert path == sorted(path)
    assert [y for _, y in path] == sorted((y for _, y in path), reverse=True)  # upwards


@pytest.mark.parametrize("many", [14, 15, 40])
def test_with_many_dots_some_of_the_frontier_are_named(many: int, made: Made) -> None:
    for n in range(many):
        add(made, f"org/m{n}", shift=0.01 * n, noise=0, cost={"file_bytes": round(1000 * 1.2**n)})
    for n in range(3):  # beaten
        add(made, f"org/w{n}", shift=-0.2, noise=0, cost={"file_bytes": round(1000 * 1.2 ** (many + n))})
    found = drawn(made, items=None)["size"]
    named = [d for d in found.dots if d.label is not None]
    assert all(d.best for d in named)
    assert 2 <= len(named) <= 14
    assert {"m0", f"m{many - 1}"} <= {d.name for d in named}  # both ends
    boxes = [d.label.box for d in named if d.label is not None]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_few_dots_are_all_named(made: Made) -> None:
    for n in range(14):
        add(made, f"org/m{n}", shift=-0.01 * n, cost={"file_bytes": 1000 + n})
    found = drawn(made)["size"]
    assert len(found.best) == 1
    assert all(d.label is not None for d in found.dots)
    boxes = [d.label.box for d in found.dots if d.label is not None]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert sum(d.narrow is not None for d in found.dots) == 1  # of one that nothing beats
