from __future__ import annotations

import itertools
import math
import re
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from instructor_eval.report.svg import Scale, around_zero, bars, log_ticks, spread_apart, ticks

# Places


@pytest.mark.parametrize(("value", "place"), [(0, 10), (5, 60), (10, 110), (2.5, 35), (-1, 0), (0.123, 11.2)])
def test_a_linear_scale(value: float, place: float) -> None:
    assert Scale(0, 10, 10, 110)(value) == place


@pytest.mark.parametrize(("value", "place"), [(1, 0), (10, 50), (100, 100), (math.sqrt(10), 25), (2, 15.1)])
def test_a_log_scale(value: float, place: float) -> None:
    assert Scale(1, 100, 0, 100, log=True)(value) == place


def test_a_scale_may_run_against_its_values() -> None:
    scale = Scale(0, 1, 334, 14)
    assert [scale(v) for v in (0, 0.25, 1)] == [334, 254, 14]
    assert [Scale(1, 100, 100, 0, log=True)(v) for v in (1, 10, 100)] == [100, 50, 0]


@pytest.mark.parametrize("log", [False, True])
def test_between_equal_ends_all_is_in_the_middle(log: bool) -> None:
    scale = Scale(3, 3, 0, 50, log)
    assert [scale(v) for v in (1, 3, 7)] == [25, 25, 25]


@given(st.floats(1e-3, 1e3), st.floats(1.01, 1e3), st.floats(0, 1), st.booleans())
def test_a_value_within_the_ends_is_drawn_within_them(low: float, factor: float, share: float, log: bool) -> None:
    high = low * factor
    scale = Scale(low, high, 52, 590, log)
    value = min(max(low + share * (high - low), low), high)
    assert 52 <= scale(value) <= 590
    assert (scale(low), scale(high)) == (52, 590)


# Ticks


@pytest.mark.parametrize(
    ("low", "high", "most", "found"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (0, 10, 10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (0.513, 0.6888, 6, [0.55, 0.6, 0.65]),
        (0.1, 0.7, 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        (-0.03, 0.05, 4, [-0.02, 0, 0.02, 0.04]),
        (120, 3100, 5, [1000, 2000, 3000]),
    ],
)
def test_ticks_by_hand(low: float, high: float, most: int, found: list[float]) -> None:
    assert ticks(low, high, most) == found


@pytest.mark.parametrize(("low", "high"), [(2.5, 2.5), (3, 2), (0, 0)])
def test_no_room_has_one_tick(low: float, high: float) -> None:
    assert ticks(low, high, 5) == [low]


def digits(value: float) -> str:
    """The significant digits of a number as it is shown."""
    return str(Decimal(f"{abs(value):.10g}").normalize()).partition("E")[0].replace(".", "").strip("0")


@given(st.integers(-(10**4), 10**4), st.integers(1, 10**6), st.sampled_from([1, 1e-2, 1e-5]), st.integers(2, 10))
def test_ticks_are_round_and_within(start: int, length: int, unit: float, most: int) -> None:
    low, high = start * unit, (start + length) * unit
    found = ticks(low, high, most)
    assert len(found) <= most + 1
    assert found == sorted(set(found))
    step = (high - low) / most
    for value in found:
        assert low - step * 1e-6 <= value <= high + step * 1e-6
    gaps = [after - before for before, after in itertools.pairwise(found)]
    if gaps:
        assert {digits(gap) for gap in gaps} <= {"1", "2", "5"}
        assert max(gaps) == pytest.approx(min(gaps))
        assert found[0] / gaps[0] == pytest.approx(round(found[0] / gaps[0]), abs=1e-4)  # whole steps from zero


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (1, 10, [1, 2, 5, 10]),
        (3, 60, [5, 10, 20, 50]),
        (0.03, 0.3, [0.05, 0.1, 0.2]),
        (0.9, 1100, [1, 10, 100, 1000]),  # 2s and 5s would be too many
        (0.0009, 2, [0.001, 0.01, 0.1, 1]),
        (3, 4, []),
        (5, 5, [5]),
    ],
)
def test_log_ticks_by_hand(low: float, high: float, found: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(found)


@given(st.floats(1e-6, 1e9), st.floats(1, 1e6))
def test_log_ticks_are_round_and_within(low: float, factor: float) -> None:
    found = log_ticks(low, low * factor)
    assert found == sorted(set(found))
    assert all(low * (1 - 1e-6) <= v <= low * factor * (1 + 1e-6) for v in found)
    assert {digits(v) for v in found} <= {"1", "2", "5"}
    assert len(found) <= 8
    assert len(found) >= 2 or factor < 5


# Bars

PATH = re.compile(r"M0 (\d+)((?:V-?\d+h1)*)V(\d+)z")


def heights(path: str, height: int) -> list[int]:
    """How high each bar is, from its path."""
    whole = PATH.fullmatch(path)
    assert whole is not None, path
    assert int(whole[1]) == int(whole[3]) == height
    return [height - int(top) for top in re.findall(r"V(-?\d+)h1", whole[2])]


def test_bars_by_hand() -> None:
    assert bars([0, 2, 4, 1], 20) == "M0 20V20h1V10h1V0h1V15h1V20z"


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(1, 100))
def test_bars_are_as_wide_as_many_and_as_high_as_asked(counts: list[int], height: int) -> None:
    found = heights(bars(counts, height), height)
    assert len(found) == len(counts)
    assert max(found) == (height if any(counts) else 0)
    for count, high in zip(counts, found, strict=True):
        assert (high > 0) == (count > 0)  # none is invisible
        assert abs(high - height * count / max(1, *counts)) <= 1
    order = sorted(range(len(counts)), key=counts.__getitem__)
    assert [found[i] for i in order] == sorted(found)


# Around zero


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([1.0], (-0.06, 1.06)),
        ([-0.5, 0.5], (-0.56, 0.56)),
        ([-2.0, -1.0], (-2.12, 0.12)),
        ([], (-0.001, 0.001)),
        ([0.0, 0.0], (-0.001, 0.001)),
        ([math.inf, math.nan, -math.inf, 1.0], (-0.06, 1.06)),
        ([5e-324], (-0.001, 0.001)),  # as is equal: what differs by less than is ever shown
        ([0.1 + 0.2 - 0.3, -1e-17], (-0.001, 0.001)),
    ],
)
def test_around_zero_by_hand(values: list[float], ends: tuple[float, float]) -> None:
    assert around_zero(values) == pytest.approx(ends)


@given(st.lists(st.floats(-1, 1)))
@example([5e-324])
@example([-1e-310, 1e-17])
def test_zero_and_all_values_have_room(values: list[float]) -> None:
    low, high = around_zero(iter(values))
    assert low < 0 < high
    assert all(low < v < high for v in values)
    span = max(0, *values, 0) - min(0, *values, 0)
    assert high - low == pytest.approx(1.12 * span if span > 1e-9 else 0.002)
    assert 0 < Scale(low, high, 0.0, 300.0)(0.0) < 300


# Names apart

tenths = st.integers(0, 3000).map(lambda tenths: tenths / 10)
places = st.lists(tenths, min_size=1, max_size=15)


def crowd(gap: int) -> st.SearchStrategy[tuple[list[float], int]]:
    """More places than there is room for within 300, and the gap."""
    least = 300 // gap + 2
    return st.tuples(st.lists(tenths, min_size=least, max_size=least + 9), st.just(gap))


crowds = st.integers(20, 60).flatmap(crowd)


def in_order(before: list[float], after: list[float]) -> bool:
    pairs = [(b, a) for b, a in zip(before, after, strict=True)]
    return all(x[1] <= y[1] for x in pairs for y in pairs if x[0] < y[0])


@given(places, st.integers(1, 20))
def test_places_are_apart_and_within_where_there_is_room(given_places: list[float], gap: int) -> None:
    found = spread_apart(given_places, gap, 0, 300)
    assert in_order(given_places, found)
    assert min(found) >= 0
    assert max(found) <= 300
    rising = sorted(found)
    assert all(after - before >= gap - 1e-6 for before, after in itertools.pairwise(rising))


@given(places, st.integers(1, 20))
def test_what_is_apart_stays_where_it_is(given_places: list[float], gap: int) -> None:
    apart: list[float] = []
    for place in sorted(given_places):
        if not apart or place - apart[-1] >= gap:
            apart.append(place)
    assert spread_apart(apart, gap, 0, 300) == apart


@given(crowds)
def test_without_room_the_order_stays_and_so_does_the_gap(crowd: tuple[list[float], int]) -> None:
    given_places, gap = crowd
    found = spread_apart(given_places, gap, 0, 300)
    assert in_order(given_places, found)
    assert max(found) <= 300
    rising = sorted(found)
    assert all(after - before >= gap - 1e-6 for before, after in itertools.pairwise(rising))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], []),
        ([5], [5]),
        ([-3], [0]),
        ([104], [100]),
        ([50, 50], [50, 60]),
        ([60, 50, 52], [70, 50, 60]),
        ([99, 98], [100, 90]),
        ([0, 0, 0], [0, 10, 20]),
        ([100, 100, 100], [80, 90, 100]),
    ],
)
def test_spread_apart_by_hand(before: list[float], after: list[float]) -> None:
    assert spread_apart(before, 10, 0, 100) == after
