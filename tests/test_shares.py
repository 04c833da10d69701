"""`--share K/N`: shares have no test in common, and together they are all tests."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest


@dataclass(frozen=True)
class Item:
    nodeid: str


@pytest.fixture
def plugin(pytestconfig: pytest.Config) -> object:
    return pytestconfig.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))


def test_each_test_is_in_one_share(plugin: object) -> None:
    items = [Item(f"tests/test_{i % 7}.py::test_one[{i}]") for i in range(1000)]
    found, left_out = [], []
    for number in range(1, 11):
        share = list(items)
        hook = SimpleNamespace(pytest_deselected=lambda items: left_out.extend(items))
        config = SimpleNamespace(option=SimpleNamespace(share=(number, 10)), hook=hook)
        plugin.pytest_collection_modifyitems(config, share)
        assert 50 < len(share) < 200
        found += share
    assert sorted(found, key=items.index) == items
    assert len(left_out) == 9 * len(items)


def test_what_shares_an_environment_is_in_one_share(plugin: object) -> None:
    drawn = {plugin._drawn_by(f"tests/clients/test_one.py::test_{i}") for i in range(9)}
    assert len(drawn) == 1
    assert plugin._drawn_by("tests/core/test_one.py::test_1") != plugin._drawn_by("tests/core/test_one.py::test_2")


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3"])
def test_what_is_no_share_is_refused(plugin: object, text: str) -> None:
    assert plugin._share("3/3") == (3, 3)
    with pytest.raises(argparse.ArgumentTypeError, match="is no share: give K/N"):
        plugin._share(text)
