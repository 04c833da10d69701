"""Each hostile input ends as the rule says: one line, exit code 2, bounded time and memory, nothing raw or lost."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from forks import Forks
from hostile_case import Case, check

KINDS = {
    path.stem.removeprefix("made_hostile_"): importlib.import_module(path.stem).CASES
    for path in sorted(Path(__file__).parent.glob("made_hostile_*.py"))
}
"""Kind -> its cases: each file `made_hostile_KIND.py` here has a list `CASES`."""
CASES: dict[str, Case] = {f"{kind}, {case.name}": case for kind, cases in KINDS.items() for case in cases}
ONE_OF = 16
"""In the default run; the others are marked `slow`."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    started = Forks()
    yield started
    started.close()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (i % ONE_OF > 0)) for i, name in enumerate(CASES)]
)
def test_the_rule(name: str, tmp_path: Path, forks: Forks) -> None:
    __tracebackhide__ = True  # the message has all there is to know
    check(CASES[name], tmp_path, forks)


def test_no_case_is_hidden_by_another() -> None:
    assert len(CASES) == sum(map(len, KINDS.values()))
