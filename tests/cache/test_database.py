"""The database under the cache: which keys are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from caches import filled, made

from instructor_eval.cache import database
from instructor_eval.cache.blocks import VECTORS, present
from instructor_eval.cache.database import open_existing


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1000, 1234])
def test_keys_that_are_present(tmp_path: Path, count: int) -> None:
    assert database._KEYS_AT_ONCE == 500
    keys, _ = filled(tmp_path, blocks=5, rows=250, dim=2)
    strangers, _ = made(700, seed=9)
    asked = [key for pair in zip(keys[:count], strangers, strict=False) for key in pair] + keys[700:count]
    with open_existing(tmp_path, VECTORS) as connection:
        assert present(connection, asked) == set(keys[:count])
        assert present(connection, strangers) == set()


def test_an_entry_that_leads_to_no_block_is_not_present(tmp_path: Path) -> None:
    keys, _ = filled(tmp_path, blocks=3, rows=300, dim=2)
    with open_existing(tmp_path, VECTORS) as connection:
        connection.execute("DELETE FROM blocks WHERE id = 2")
        connection.execute("UPDATE entries SET block = 77 WHERE key = ?", (keys[0],))
        assert connection.execute("SELECT COUNT(*) FROM entries").fetchone() == (900,)
        assert present(connection, keys) == {*keys[1:300], *keys[600:]}
