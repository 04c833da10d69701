"""Which adapter runs which card."""

import dataclasses

import pytest

from instructor_eval.tasks.adapter import adapter_for
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.task import Adapter, Card
from instructor_eval.tasks.types import OWN_TYPES, TYPES

SHIPPED = shipped_cards()
WANTED = {"mteb": "MtebAdapter", "billboard": "BillboardAdapter", "prompt-retrieval": "PromptRetrievalAdapter"}
OF_THEIR_TYPE = {"TextEvaluation": "BillboardAdapter", "PromptRetrieval": "PromptRetrievalAdapter"}


@pytest.mark.parametrize("name", [n for n, c in SHIPPED.items() if c.benchmark in WANTED and not c.parts])
def test_shipped_cards(name):
    adapter = adapter_for(SHIPPED[name])
    assert type(adapter).__name__ == WANTED[SHIPPED[name].benchmark]
    assert isinstance(adapter, Adapter)


def test_the_demo_is_read_as_a_users_own_data():
    kinds = {n: type(adapter_for(c)).__name__ for n, c in SHIPPED.items() if c.benchmark == "demo"}
    assert kinds == {
        "DemoRetrieval": "FolderAdapter",
        "DemoSTS": "FolderAdapter",
        "DemoBillboard": "BillboardAdapter",
        "DemoPrompts": "PromptRetrievalAdapter",
    }


@pytest.mark.parametrize("type_", OWN_TYPES)
def test_own_cards(tmp_path, type_):
    card = Card(name="Own", benchmark="own", type=type_, metric="m", folder=tmp_path)
    assert type(adapter_for(card)).__name__ == OF_THEIR_TYPE.get(type_, "FolderAdapter")
    by_id = dataclasses.replace(card, folder=None, data_id="a/b")
    assert type(adapter_for(by_id)).__name__ == OF_THEIR_TYPE.get(type_, "MtebAdapter")


def test_own_types_are_all_but_summarization():
    assert set(OWN_TYPES) == set(TYPES) - {"Summarization"}
    assert set(OF_THEIR_TYPE) < set(OWN_TYPES)


def test_there_are_cards_of_every_benchmark():
    benchmarks = [c.benchmark for c in SHIPPED.values()]
    assert {b: benchmarks.count(b) for b in ("billboard", "prompt-retrieval", "demo")} == {
        "billboard": 3,
        "prompt-retrieval": 11,
        "demo": 4,
    }
    assert sum(c.benchmark == "mteb" and c.part_of is None for c in SHIPPED.values()) == 56
