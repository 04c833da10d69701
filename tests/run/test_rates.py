"""The calibration's arithmetic, on a stand-in for the engine whose speed is known."""

from __future__ import annotations

import pytest

from instructor_eval.models.engine import Totals
from instructor_eval.run.counting import CLASSES, Sample
from instructor_eval.run.rates import PASSES, SPREAD, Rate, Seconds, estimate, measure_rates


class Machine:
    """Takes `each` seconds a text and `per_token` a token; the first call takes ten seconds more."""

    def __init__(self, each: float = 0.001, per_token: float = 0.0001) -> None:
        self.totals = Totals()
        self.now = 0.0
        self.counts: list[int] = []
        self._each, self._per_token = each, per_token

    def encode(self, texts, instruction):
        assert instruction == ""
        tokens = sum(len(t.split()) for t in texts)
        self.now += self._each * len(texts) + self._per_token * tokens + (0 if self.counts else 10)
        self.totals.tokens += tokens
        self.counts.append(len(texts))

    def clock(self) -> float:
        return self.now


def sample_of(*per_class: tuple[int, int]) -> Sample:
    """(texts, words in each) of every class."""
    sample = Sample()
    for cls, (count, words) in enumerate(per_class):
        for i in range(count):
            sample.add(cls, i.to_bytes(16, "big"), "word " * words)
    return sample


def test_each_class_has_its_own_rate_and_loading_does_not_count() -> None:
    machine = Machine()
    rates = measure_rates(
        machine, sample_of((2000, 10), (2000, 50), (2000, 200)), [1000, 1000, 1000], clock=machine.clock
    )
    expected = [words / (0.001 + 0.0001 * words) for words in (10, 50, 200)]
    assert [r.low for r in rates] == pytest.approx(expected)
    assert [r.high for r in rates] == pytest.approx(expected)
    assert max(machine.counts) <= 2000
    assert machine.now < 10 + CLASSES * 4, "a few seconds a class"


def test_a_class_with_few_tokens_takes_its_neighbours_rate() -> None:
    machine = Machine()
    rates = measure_rates(machine, sample_of((2000, 10), (3, 50), (0, 0)), [100_000, 150, 0], clock=machine.clock)
    assert rates[0] is not None
    assert rates[0] == rates[1] == rates[2]
    assert measure_rates(machine, Sample(), [0, 0, 0], clock=machine.clock) == [None] * 3


def test_few_texts_are_all_timed() -> None:
    machine = Machine()
    measure_rates(machine, sample_of((3, 10), (0, 0), (0, 0)), [30, 0, 0], clock=machine.clock)
    assert machine.counts == [3] * (2 + PASSES)


def test_an_estimate_adds_up_the_classes() -> None:
    rates = [Rate(100, 200), Rate(10, 10), None]
    found = estimate([400, 50, 0], rates)
    assert found == Seconds((2 + 5) * SPREAD[0], (4 + 5) * SPREAD[1])
    assert estimate([0, 0, 1], rates) is None
    assert estimate([0, 0, 0], rates) == Seconds(0, 0)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.1, 0.4, "< 1 s"),
        (1.23, 4.56, "1.2 to 4.6 s"),
        (3.04, 3.01, "3 s"),
        (61, 85, "61 to 85 s"),
        (80, 130, "1.3 to 2.2 min"),
        (1800, 3000, "30 to 50 min"),
        (5400, 7200, "1.5 to 2 h"),
        (400_000, 512_345, "110 to 140 h"),
    ],
)
def test_an_estimate_says_no_more_than_it_knows(low: float, high: float, text: str) -> None:
    assert str(Seconds(low, high)) == text
