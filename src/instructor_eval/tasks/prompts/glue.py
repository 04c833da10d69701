"""GLUE's RTE and MRPC in GLUE's tab-separated files, or in the files that GLUE was made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts.files import tab_rows, text_lines
from instructor_eval.tasks.rows import Row

RTE_TRAIN, RTE_VALIDATION = 2490, 277
"""Rows of GLUE's RTE with a label."""
_RTE_LABELS = {"entailment": 0, "not_entailment": 1}
_RTE = ("index", "sentence1", "sentence2", "label")
_MRPC = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
_MRPC_DEV_IDS = ("dev_ids.tsv", "mrpc_dev_ids.tsv")


def glue_tsv(paths: Sequence[Path], split: str) -> list[Row]:
    """Read RTE or MRPC: sentence1, sentence2, label; the header shows which of the two.

    Source: the files of the GLUE benchmark (Wang et al. 2018), https://gluebenchmark.com/tasks. RTE may also be split
    again into train.tsv, dev.tsv and test.tsv if every row has its number; MRPC may be the MSR files that GLUE was made
    from, with GLUE's list of the validation rows.

    Raises:
        UserError: the header belongs to neither, a label is unknown, or rows are missing.
    """
    path = paths[0]
    header, rows = tab_rows(path)
    if set(_RTE) <= set(header):
        return _rte(path, rows, split)
    if set(_MRPC) <= set(header):
        return _mrpc(path, rows, split)
    raise UserError(
        f"{path}, line 1: expected the columns {', '.join(_RTE)} (RTE) or {', '.join(_MRPC)} (MRPC), "
        f"found {', '.join(header)}"
    )


def _rte(path: Path, rows: list[tuple[int, dict[str, str]]], split: str) -> list[Row]:
    """Read RTE by GLUE's numbers: in a re-split, validation rows follow the 2,490 train rows from number 2490 on."""
    joined: list[tuple[int, Row]] = []
    for name in ("train", "dev", "test"):
        part = path.parent / f"{name}.tsv"
        if part.is_file() and set(_RTE) <= set((table := tab_rows(part))[0]):  # GLUE's own test.tsv has no labels
            joined += [_rte_row(part, line, row) for line, row in table[1]]
    joined.sort(key=lambda numbered: numbered[0])
    if [number for number, _ in joined] == list(range(RTE_TRAIN + RTE_VALIDATION)):
        bounds = {"train": (0, RTE_TRAIN), "validation": (RTE_TRAIN, RTE_TRAIN + RTE_VALIDATION)}
        if split not in bounds:
            raise UserError(f"{path.parent}: GLUE's RTE has labels for train and validation only, not for '{split}'")
        first, last = bounds[split]
        return [row for _, row in joined[first:last]]
    found = []
    for position, (line, row) in enumerate(rows):
        number, example = _rte_row(path, line, row)
        if number != position:
            # Otherwise a re-split with a missing part could look like GLUE's own files.
            raise UserError(
                f"{path}, line {line}: index {number}, expected {position}: GLUE numbers the rows of a file from 0; "
                f"another split of them must have each of 0 to {RTE_TRAIN + RTE_VALIDATION - 1} once in train.tsv, "
                "dev.tsv and test.tsv"
            )
        found.append(example)
    return found


def _rte_row(path: Path, line: int, row: dict[str, str]) -> tuple[int, Row]:
    if row["label"] not in _RTE_LABELS:
        raise UserError(f"{path}, line {line}: label '{row['label']}', expected entailment or not_entailment")
    if not re.fullmatch("[0-9]{1,9}", row["index"]):
        raise UserError(f"{path}, line {line}: index '{row['index']}' is not a number")
    example = {"sentence1": row["sentence1"], "sentence2": row["sentence2"], "label": _RTE_LABELS[row["label"]]}
    return int(row["index"]), example


def _mrpc(path: Path, rows: list[tuple[int, dict[str, str]]], split: str) -> list[Row]:
    if path.name == "msr_paraphrase_train.txt":  # GLUE's train and validation in one
        ids = _mrpc_dev_ids(path.parent)
        rows = [(n, r) for n, r in rows if ((r["#1 ID"], r["#2 ID"]) in ids) == (split == "validation")]
    found: list[Row] = []
    for line, row in rows:
        if row["Quality"] not in ("0", "1"):
            raise UserError(f"{path}, line {line}: Quality '{row['Quality']}', expected 0 or 1")
        found.append({"sentence1": row["#1 String"], "sentence2": row["#2 String"], "label": int(row["Quality"])})
    return found


def _mrpc_dev_ids(folder: Path) -> set[tuple[str, ...]]:
    for name in _MRPC_DEV_IDS:
        if (folder / name).is_file():
            return {tuple(line.strip().split("\t")) for _, line in text_lines(folder / name)}
    raise UserError(
        f"{folder}: msr_paraphrase_train.txt holds GLUE's train and validation rows: put {_MRPC_DEV_IDS[0]} beside it, "
        "which names the validation rows, or use GLUE's train.tsv and dev.tsv"
    )
