from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from made_pages import Made

from instructor_eval.analysis.board.rows import Row
from instructor_eval.report import profile as profiles
from instructor_eval.report.profile import LANE, LANES, Profile, profile
from instructor_eval.report.table import columns
from instructor_eval.results.published import Published
from instructor_eval.results.score import Score

TASKS = ("SciFact", "STS12", "RTE", "Amazon")


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    return Made(make_score)


def profile_of(made: Made, advised: int | None = None, **fields: object) -> Profile | None:
    lines, board = made.lines(**fields), made.board(**fields)
    rows: list[Row] = [] if advised is None else [lines[advised].row]
    return profile(lines, columns(board), rows)


def test_a_row_has_the_mean_of_each_type(made: Made) -> None:
    for seed, model in enumerate(("org/a", "org/b")):
        made.add(*TASKS, model=model, seed=seed)
    found = profile_of(made)
    assert found is not None
    assert found.types == [("Retrieval", 1), ("STS", 1), ("PromptRetrieval", 2)]
    for one in found.series:
        scores = one.line.row.tasks
        wanted = [scores["SciFact"], scores["STS12"], (scores["RTE"] + scores["Amazon"]) / 2]
        assert one.values == pytest.approx(wanted)
        errors = [one.line.row.spreads[task].se or 0 for task in ("RTE", "Amazon")]
        spread = one.spreads[2]
        assert spread is not None
        assert spread.se == pytest.approx(np.hypot(*errors) / 2)


def test_a_type_is_of_the_tasks_that_all_rows_have(made: Made) -> None:
    made.add(*TASKS, model="org/a")
    made.add("SciFact", "STS12", "RTE", model="org/b")
    made.add("SciFact", model="org/c")
    found = profile_of(made)
    assert found is not None
    assert dict(found.types) == {"Retrieval": 1, "STS": 1, "PromptRetrieval": 1}
    by_model = {one.line.row.model: one.values for one in found.series}
    assert by_model["org/c"][1:] == [None, None]
    assert None not in by_model["org/b"]


def test_one_type_or_one_row_makes_no_profile(made: Made) -> None:
    made.add("RTE", "Amazon", model="org/a")
    made.add("RTE", "Amazon", model="org/b")
    assert profile_of(made) is None
    made.add("STS12", model="org/b")
    assert profile_of(made) is not None
    made.scores = [score for score in made.scores if score.model.name == "org/b"]
    assert profile_of(made) is None


def test_published_rows_take_no_part(made: Made) -> None:
    made.add(*TASKS, model="org/a")
    assert profile_of(made, published=[Published("org/paper", {"SciFact": 0.9, "STS12": 0.8}, {}, ["a paper"])]) is None


def test_five_rows_are_shown_the_advised_first_then_models(made: Made) -> None:
    for n in range(7):
        for variant in ("fp32", "int8"):
            made.add(*TASKS, model=f"org/m{n}", seed=n, variant=variant)
    found = profile_of(made, advised=9)
    assert found is not None
    assert len(found.series) == 14
    assert [one.lane for one in found.shown] == list(range(LANES))
    assert found.shown[0].line.row.model == made.lines()[9].row.model
    assert all(one.line.row.parent is None for one in found.shown[1:])


def test_places_follow_the_scores(made: Made) -> None:
    for seed, model in enumerate(("org/a", "org/b", "org/c")):
        made.add(*TASKS, model=model, seed=seed)
    found = profile_of(made)
    assert found is not None
    known = []
    for one in found.series:
        places = [tuple(map(float, found)) for found in re.findall(r"M([\d.]+) ([\d.]+)h0", one.dots)]
        assert [y for _, y in places] == [top + LANE for top, _ in found.bands]
        bars = [tuple(map(float, found)) for found in re.findall(r"M([\d.]+) [\d.]+H([\d.]+)", one.bars)]
        for (x, _), (low, high), value in zip(places, bars, one.values, strict=True):
            assert profiles.LEFT <= low < x < high <= profiles.RIGHT
            known.append((value, x))
    values, xs = zip(*known, strict=True)
    slope, start = np.polyfit(values, xs, 1)
    assert xs == pytest.approx(start + slope * np.asarray(values), abs=0.1)


def test_without_intervals_there_are_no_bars(made: Made) -> None:
    for model in ("org/a", "org/b"):
        made.add(*TASKS, model=model)
    found = profile_of(made, items=None)
    assert found is not None
    assert {one.bars for one in found.series} == {""}
