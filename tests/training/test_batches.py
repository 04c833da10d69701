"""Batches hold one task each, on every process; nothing is repeated, and what is left out is counted."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any, cast

import made_rows
import pytest
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, SequentialSampler

from instructor_eval.core.errors import UserError
from instructor_eval.training.batches import Batches
from instructor_eval.training.data import Rows, load_rows


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return load_rows(made_rows.write(tmp_path / "rows.json", made_rows.rows(101, tasks=3)), tmp_path / "arrow")


def batches(rows: Rows, **options: Any) -> Batches:
    return Batches(rows, cast("Any", list), **{"size": 4, "seed": 5, **options})


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_each_step_is_of_one_task_on_all_processes(rows: Rows, processes: int) -> None:
    found = batches(rows, processes=processes)
    assert len(found) % processes == 0
    plain = BatchSampler(SequentialSampler(found), batch_size=1, drop_last=False)
    shards = [list(BatchSamplerShard(plain, processes, k)) for k in range(processes)]  # as accelerate deals them
    seen: Counter[int] = Counter()
    for step in zip(*shards, strict=True):
        numbers = [n for [k] in step for n in found.numbers(k)]
        assert len(numbers) == 4 * processes
        assert len({int(rows.task[n]) for n in numbers}) == 1
        seen.update(numbers)
    assert set(seen.values()) == {1}
    assert len(rows) - len(seen) == sum(found.left_out.values())


def test_an_epoch_depends_on_seed_and_number_alone(rows: Rows) -> None:
    def order(**options: Any) -> list[tuple[int, ...]]:
        found = batches(rows, **options)
        found.set_epoch(options.pop("epoch", 1))
        return [tuple(found.numbers(k)) for k in range(len(found))]

    assert order() == order()
    assert order() != order(seed=6)
    first = batches(rows)
    assert [tuple(first.numbers(k)) for k in range(len(first))] != order()


def test_rows_of_like_length_share_a_batch(rows: Rows) -> None:
    def spread(found: Batches) -> float:
        widths = [[int(rows.characters[n]) for n in found.numbers(k)] for k in range(len(found))]
        return sum(max(w) - min(w) for w in widths)

    assert spread(batches(rows)) < 0.5 * spread(batches(rows, shuffle=False))


def test_the_order_of_the_file_without_shuffling(rows: Rows) -> None:
    found = batches(rows, shuffle=False)
    every = list(itertools.chain.from_iterable(found.numbers(k) for k in range(len(found))))
    assert every == sorted(every)


def test_tasks_smaller_than_a_batch(tmp_path: Path) -> None:
    made = made_rows.rows(20, tasks=1) + [{**row, "task_id": "few"} for row in made_rows.rows(3)]
    rows = load_rows(made_rows.write(tmp_path / "rows.json", made), tmp_path)
    found = batches(rows)
    assert found.too_small == ["few"]
    assert found.left_out == {"few": 3}
    with pytest.raises(UserError, match="no task has the 32 rows of a batch"):
        batches(rows, size=32)
