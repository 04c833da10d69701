"""Rows to tensors: our text rule, texts of like length together, what pooling leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from instructor_eval.models.batches import token_batches
from instructor_eval.models.inputs import OwnInputs
from instructor_eval.training.parse import Part, Row

if TYPE_CHECKING:
    from torch import Tensor

    from instructor_eval.models.packed import Ids


class Collator:
    """Makes a batch: groups of texts that the model computes together, each hardly padded.

    Args:
        inputs: The checkpoint's tokenizer under its rule.
        pad_id: Fills short rows; it is masked.
        budget: Tokens of a group, padding included.
        most: Texts of a group.
        without_instructions: Leave every instruction out.
    """

    def __init__(
        self,
        inputs: OwnInputs,
        *,
        pad_id: int,
        budget: int,
        most: int | None = None,
        without_instructions: bool = False,
    ) -> None:
        self._inputs, self._pad_id, self._budget, self._most = inputs, pad_id, budget, most
        self._without = without_instructions
        self._skips: dict[str, int] = {}

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return `groups`, `places` (where in their order a text lies) and `owners` (the rows that have a negative).

        Texts in order: all queries, all positives, then the negatives that there are.
        """
        negatives = [(i, row.neg) for i, row in enumerate(rows) if row.neg is not None]
        parts = [*(row.query for row in rows), *(row.pos for row in rows), *(part for _, part in negatives)]
        groups, places = self.groups(parts)
        return {"groups": groups, "places": places, "owners": torch.tensor([i for i, _ in negatives], dtype=torch.long)}

    def groups(self, parts: Sequence[Part]) -> tuple[list[dict[str, Tensor]], Tensor]:
        """Return groups of texts of like length, and for each text its place among them all."""
        rows, skips = self._tokens(parts)
        lengths = [len(row) for row in rows]
        order: list[int] = []
        groups = []
        for at in token_batches(lengths, self._budget, most=self._most):
            order += at
            groups.append(self._group([rows[i] for i in at], [skips[i] for i in at]))
        places = torch.empty(len(order), dtype=torch.long)
        places[torch.tensor(order, dtype=torch.long)] = torch.arange(len(order))
        return groups, places

    def _tokens(self, parts: Sequence[Part]) -> tuple[list[Ids], list[int]]:
        by_instruction: dict[str, list[int]] = {}
        for i, (instruction, _) in enumerate(parts):
            by_instruction.setdefault("" if self._without else instruction, []).append(i)
        rows: list[Any] = [None] * len(parts)
        skips = [0] * len(parts)
        for instruction, at in by_instruction.items():
            if instruction not in self._skips:
                self._skips[instruction] = self._inputs.skip(instruction)
            skip = self._skips[instruction]
            for i, row in zip(at, self._inputs.rows([parts[i][1] for i in at], instruction, skip), strict=True):
                rows[i], skips[i] = row, skip
        return rows, skips

    def _group(self, rows: Sequence[Ids], skips: Sequence[int]) -> dict[str, Tensor]:
        width = max(len(row) for row in rows)
        ids = np.full((len(rows), width), self._pad_id, dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
        mask = np.arange(width) < np.array([[len(row)] for row in rows])
        pooled = mask & (np.arange(width) >= np.array(skips)[:, None])
        return {"ids": torch.from_numpy(ids), "mask": torch.from_numpy(mask), "pooled": torch.from_numpy(pooled)}
