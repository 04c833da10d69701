"""Held to SciPy, and where its t is less exact to the closed forms of one and two degrees of freedom."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from instructor_eval.core import distributions
from instructor_eval.core.distributions import normal_chance, normal_quantile, t_chance, t_quantile

FREEDOMS = (1, 1.5, 2, 3, 4.7, 10, 29, 59.3, 99, 199, 201, 1e3, 9999, 99_999, 1e5, 1e6, 1e9)
CHANCES = (1e-9, 1e-6, 0.001, 0.025, 0.05, 0.1, 0.3, 0.4999, 0.5, 0.6, 0.95, 0.975, 0.9995)


@pytest.mark.parametrize("df", FREEDOMS)
def test_student_is_scipys(df: float) -> None:
    for t in (-7.5, -4, -2.5, -1.96, -1, -0.3, -1e-3, 0, 0.5, 2, 5, 50):
        assert t_chance(df, t) == pytest.approx(float(stdtr(df, t)), rel=1e-10)
    for p in CHANCES:
        assert t_quantile(df, p) == pytest.approx(float(stdtrit(df, p)), rel=1e-10, abs=1e-12)


@given(df=st.floats(1, 1e7), t=st.floats(-7.9, 7.9))
def test_any_student_is_scipys(df: float, t: float) -> None:
    assert t_chance(df, t) == pytest.approx(float(stdtr(df, t)), rel=1e-8)


@given(df=st.floats(1, 1e7), p=st.floats(1e-6, 1 - 1e-6))
def test_a_quantile_has_its_chance(df: float, p: float) -> None:
    assert t_chance(df, t_quantile(df, p)) == pytest.approx(p, rel=1e-9)
    assert t_quantile(df, p) == pytest.approx(float(stdtrit(df, p)), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("t", [-1e6, -1000, -20, -1, -1e-6, 0, 3, 1e4])
def test_one_and_two_degrees_of_freedom_have_closed_forms(t: float) -> None:
    one = math.atan2(1, -t) / math.pi if t < 0 else 1 - math.atan2(1, t) / math.pi
    assert t_chance(1, t) == pytest.approx(one, rel=1e-13)
    root = math.sqrt(2 + t * t)
    assert t_chance(2, t) == pytest.approx(1 / (root * (root - t)) if t < 0 else 0.5 + t / (2 * root), rel=1e-13)


def test_the_normal_is_scipys() -> None:
    for x in (-37, -20, -8.3, -2, -1e-9, 0, 0.7, 3, 9, math.inf, -math.inf):
        assert normal_chance(x) == pytest.approx(float(ndtr(x)), rel=1e-12)
    for p in (*CHANCES, 1e-300, 1 - 1e-12, 0, 1):
        assert normal_quantile(p) == pytest.approx(float(ndtri(p)), rel=1e-13, abs=1e-15)
    assert t_chance(math.inf, -2) == normal_chance(-2)
    assert t_quantile(math.inf, 0.025) == normal_quantile(0.025)


def test_what_is_no_number_gives_none() -> None:
    assert all(
        math.isnan(v) for v in (t_chance(0, 1), t_chance(math.nan, 1), t_chance(5, math.nan), t_quantile(-1, 0.5))
    )
    assert all(math.isnan(v) for v in (t_quantile(3, 1.5), t_quantile(3, math.nan), normal_quantile(-0.1)))
    assert (t_quantile(3, 0), t_quantile(3, 1), t_chance(3, -math.inf)) == (-math.inf, math.inf, 0)


@pytest.mark.parametrize("df", FREEDOMS)
def test_no_quantile_takes_more_than_a_few_terms(df: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fraction and Newton's steps end by themselves: their bounds are for arguments that nobody has tried."""
    monkeypatch.setattr(distributions, "_MOST_TERMS", 1500)
    monkeypatch.setattr(distributions, "_MOST_STEPS", 60)
    few = {p: t_quantile.__wrapped__(df, p) for p in CHANCES}
    monkeypatch.undo()
    assert few == {p: t_quantile.__wrapped__(df, p) for p in CHANCES}
