from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from instructor_eval.results import items_files
from instructor_eval.results.items_files import pack, unpack

ITEMS: dict[str, list[Any]] = {
    "id": [str(i) for i in range(20_000)],
    "value": [i / 7 for i in range(20_000)],
    "top": [["a", "b"][: i % 3] for i in range(20_000)],
    "gold": [i % 2 == 0 for i in range(20_000)],
}


def test_items_come_back_as_they_were() -> None:
    content, filed = pack(ITEMS)
    assert filed == unpack(content) == ITEMS
    assert unpack(content, without=("top", "gold")) == {name: ITEMS[name] for name in ("id", "value")}
    assert unpack(pack({"id": []})[0]) == {"id": []}


@pytest.mark.parametrize(("name", "most"), [("_MOST_VALUES", 50_000), ("_MOST_BYTES", 100_000), ("_MOST_COLUMNS", 3)])
def test_more_than_fits_is_refused(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    content, _ = pack(ITEMS)
    monkeypatch.setattr(items_files, name, most)
    with pytest.raises(OSError, match=r"larger than items ever are|4 columns"):
        unpack(content)


def test_values_in_lists_count() -> None:
    content, _ = pack({"x": [[[1.0] * 10] * 10] * 10})
    assert items_files._values(pa.array([[[1.0] * 10] * 10] * 10)) == 10 + 100 + 1000
    assert unpack(content) == {"x": [[[1.0] * 10] * 10] * 10}


@pytest.mark.parametrize("cut", range(4, 400, 9))
def test_a_damaged_end_is_an_error_and_never_ends_the_process(cut: int) -> None:
    """pyarrow aborts where some damaged files are asked for their columns' sizes."""
    content = bytearray(pack({name: values[:50] for name, values in ITEMS.items()})[0])
    content[-cut] ^= 0xFF
    try:
        found = unpack(bytes(content))
    except (OSError, ValueError):
        return
    assert all(isinstance(values, list) for values in found.values())
