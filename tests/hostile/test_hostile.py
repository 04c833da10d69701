"""Each hostile input ends as the rule says: one line, exit code 2, bounded time and memory, nothing raw or lost."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forks import Forks
from hostile_case import Case, check

MADE = {
    path.stem.removeprefix("made_hostile_"): importlib.import_module(path.stem)
    for path in sorted(Path(__file__).parent.glob("made_hostile_*.py"))
}
KINDS = {kind: made.CASES for kind, made in MADE.items()}
"""Kind -> its cases: each file `made_hostile_KIND.py` here has a list `CASES`."""
CASES: dict[str, Case] = {f"{kind}, {case.name}": case for kind, cases in KINDS.items() for case in cases}


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    started = Forks()
    yield started
    started.close()


def _params() -> Iterator[Any]:
    """Every case; of a file with `ONE_OF = 3` the first of each three in the default run, the others where `slow` is."""
    for kind, cases in KINDS.items():
        one_of = getattr(MADE[kind], "ONE_OF", 1)
        for i, case in enumerate(cases):
            yield pytest.param(f"{kind}, {case.name}", marks=[pytest.mark.slow] if i % one_of else [])


@pytest.mark.parametrize("name", _params())
def test_the_rule(name: str, tmp_path: Path, forks: Forks) -> None:
    __tracebackhide__ = True  # the message has all there is to know
    check(CASES[name], tmp_path, forks)


def test_no_case_is_hidden_by_another() -> None:
    assert len(CASES) == sum(map(len, KINDS.values()))
