"""The costs of forms by a run's own batches, and when there is time to measure them in turns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import tiny

from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.run.costs import How
from instructor_eval.run.run_costs import Ran, _pass_seconds, own_costs

FAST = Ran(texts=100, tokens=2000, seconds=1.0, load=0.5, resident=10, file=10, proof="ran")
HOW = How(device="cpu")
SLOW = dataclasses.replace(FAST, seconds=4.0, file=40)


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> list[Checkpoint]:
    folder = tiny.build_plain(tmp_path_factory.mktemp("model") / "plain")
    found = locate(ModelSpec.parse(str(folder)), offline=True, known=[])
    return [found, dataclasses.replace(found, variant="bf16"), dataclasses.replace(found, variant="bf16+int8")]


@pytest.mark.parametrize(
    ("ran", "most", "expected"),
    [
        ({"fp32": FAST, "int8": FAST}, 1.0 + 9.5 * 0.5, 0.5),  # 2.5 passes, and 3 of the baseline beside 4 of its own
        ({"fp32": FAST, "int8": SLOW}, 1.0 + 21.5, 1.0),  # a pass of the other takes four times as long
        ({"fp32": FAST, "int8": FAST}, 1000.0, 2.0),
        ({"fp32": FAST, "int8": FAST}, 1.0 + 9.5 * 0.2, 0.0),  # too short
        ({"fp32": FAST, "int8": FAST}, 0.5, 0.0),  # loading alone takes longer
        ({"int8": FAST}, 1000.0, 0.0),
        ({}, 1000.0, 0.0),
    ],
)
def test_a_pass_is_as_long_as_a_share_of_the_run_allows(ran: dict[str, Ran], most: float, expected: float) -> None:
    assert _pass_seconds(ran, most) == pytest.approx(expected)


def test_forms_that_computed_the_same_tokens_are_compared(forms: list[Checkpoint], tmp_path: Path) -> None:
    costs = own_costs(forms, {"fp32": SLOW, "bf16": FAST}, HOW, tmp_path)
    figures = {form: cost.for_score() for form, cost in costs.items()}
    assert {form: one.speed_ratio for form, one in figures.items()} == {"fp32": 1.0, "bf16": 4.0}
    assert {form: one.size_ratio for form, one in figures.items()} == {"fp32": 1.0, "bf16": 4.0}
    assert {one.baseline for one in figures.values()} == {"fp32"}
    assert (figures["bf16"].texts_per_second, figures["bf16"].tokens_per_second) == (100.0, 2000.0)


def test_forms_that_computed_other_tokens_are_not_compared(forms: list[Checkpoint], tmp_path: Path) -> None:
    more = dataclasses.replace(FAST, tokens=2001)
    costs = own_costs(forms, {"fp32": SLOW, "bf16": more}, HOW, tmp_path)
    assert {form: (cost.baseline, cost.speed_ratio) for form, cost in costs.items()} == {
        "fp32": ("fp32", 1.0),
        "bf16": ("bf16", 1.0),
    }


def test_the_run_with_more_texts_counts(forms: list[Checkpoint], tmp_path: Path) -> None:
    assert own_costs(forms, {}, HOW, tmp_path) == {}
    first = own_costs(forms[:1], {"fp32": FAST}, HOW, tmp_path)
    assert own_costs(forms[:1], {}, HOW, tmp_path) == first
    assert own_costs(forms[:1], {"fp32": dataclasses.replace(SLOW, texts=99)}, HOW, tmp_path) == first
    assert own_costs(forms[:1], {"fp32": SLOW}, HOW, tmp_path)["fp32"].seconds == (4.0,)
    assert own_costs(forms, {}, dataclasses.replace(HOW, compiled=True), tmp_path) == {}


def test_a_folder_that_cannot_be_written_costs_nothing(forms: list[Checkpoint], tmp_path: Path) -> None:
    (tmp_path / "costs").write_text("no folder")
    assert own_costs(forms[:1], {"fp32": FAST}, HOW, tmp_path)["fp32"].texts == 100


def test_what_an_engine_computed(forms: list[Checkpoint]) -> None:
    engine = Engine(forms[0], device="cpu")
    assert Ran.of(engine) is None
    assert Ran.of(None) is None
    engine.encode(["one", "two", "one"], "")
    ran = Ran.of(engine)
    assert ran is not None
    assert (ran.texts, ran.tokens) == (2, engine.totals.tokens)
    assert 0 < ran.seconds <= engine.totals.seconds
    assert ran.resident > 0 and ran.load > 0
