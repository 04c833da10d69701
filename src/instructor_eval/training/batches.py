"""Batches of one task each, on every process, of rows of like length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset

from instructor_eval.core.errors import UserError
from instructor_eval.training.data import Numbers, Rows

if TYPE_CHECKING:
    from instructor_eval.training.inputs import Collator

WINDOW = 64
"""Batches whose rows are sorted by length together: enough that a batch is even, few enough that it stays a draw."""


class Batches(Dataset[dict[str, Any]]):
    """An epoch as a data set whose items are whole batches: item k is the batch of process k modulo `processes`.

    All rows of a task are drawn without return, sorted by their characters within a window, and cut into runs of
    `size * processes`; the runs of all tasks are shuffled. What does not fill a run is left out, other rows in each
    epoch. The order depends on the seed and the epoch alone.

    Args:
        rows: Training rows.
        collate: Makes a batch of rows.
        size: Rows of a batch on one process.
        processes: How many processes train; at each step their batches are of one task.
        seed: Of the order.
        shuffle: False keeps the order of the file, for validation.
    """

    def __init__(
        self, rows: Rows, collate: Collator, *, size: int, processes: int = 1, seed: int = 0, shuffle: bool = True
    ) -> None:
        self.rows, self.collate, self.size, self.processes = rows, collate, size, processes
        self._seed, self._shuffle = seed, shuffle
        self._by_task = [np.flatnonzero(rows.task == task) for task in range(len(rows.about.tasks))]
        run = size * processes
        counts = dict(zip(rows.about.tasks, map(len, self._by_task), strict=True))
        self.left_out = {name: count % run for name, count in counts.items() if count % run}
        """Task -> rows of an epoch that fill no batch."""
        self.too_small = [
            name for name, numbers in zip(rows.about.tasks, self._by_task, strict=True) if len(numbers) < run
        ]
        """Tasks with fewer rows than a batch: they take no part."""
        if len(self.too_small) == len(self._by_task):
            raise UserError(
                f"{rows.about.file}: no task has the {run} rows of a batch ({size} a device x {processes}): give more "
                "rows a task, or a smaller --per_device_train_batch_size"
            )
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw an epoch's order."""
        draw = np.random.default_rng([self._seed, epoch])
        runs = [self._runs(numbers, draw) for numbers in self._by_task]
        every = np.concatenate(runs)
        if self._shuffle:
            draw.shuffle(every)
        self._batches = every.reshape(-1, self.size)

    def _runs(self, numbers: Numbers, draw: np.random.Generator) -> Numbers:
        run = self.size * self.processes
        whole = (len(numbers) // run) * run
        if not self._shuffle:
            return numbers[:whole].reshape(-1, run)
        drawn = draw.permutation(numbers)[:whole]
        for start in range(0, whole, run * WINDOW):
            part = drawn[start : start + run * WINDOW]
            drawn[start : start + run * WINDOW] = part[np.argsort(self.rows.characters[part], kind="stable")]
        return drawn.reshape(-1, run)

    def __len__(self) -> int:
        return len(self._batches)

    def numbers(self, k: int) -> Sequence[int]:
        """Return the numbers of the rows of a batch."""
        return [int(i) for i in self._batches[k]]

    def __getitem__(self, k: int) -> dict[str, Any]:
        return self.collate([self.rows.get(i) for i in self.numbers(k)])
