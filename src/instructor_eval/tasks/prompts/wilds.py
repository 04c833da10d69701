"""Amazon reviews and CivilComments in WILDS' own files (Koh et al. 2021, https://github.com/p-lambda/wilds).

Rows have the form of `originals.wilds_json`: text, label, meta, `meta` being the row of WILDS' metadata array, in the
file's order. Only the rows of one split are in memory, since a file may have gigabytes.
"""

from __future__ import annotations

import csv
import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts.files import text_lines
from instructor_eval.tasks.rows import Row, csv_cells

AMAZON, CIVIL = "reviews.csv", "all_data_with_identities.csv"
FILES = (AMAZON, CIVIL)
"""Either file shows which of the two sets a folder has; Amazon's `splits/user.csv` is beside it."""

_LEFT_OUT = -1
_AMAZON_SPLITS = {"train": 0, "val": 1, "id_val": 2, "test": 3, "id_test": 4}
_AMAZON_COLUMNS = ("reviewText", "reviewerID", "asin", "category", "reviewYear", "overall")
_STARS = 5
_CIVIL_SPLITS = ("train", "val", "test")
_MARKS = (
    "male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black", "white",
    "identity_any", "severe_toxicity", "obscene", "threat", "insult", "identity_attack", "sexual_explicit",
)  # fmt: skip


def wilds_csv(paths: Sequence[Path], split: str) -> list[Row]:
    """Read the rows of a split of Amazon (version 2.1, split by reviewer) or CivilComments (version 1.0).

    Raises:
        UserError: the files of both sets are there, one is missing, or a row has another form.
    """
    path = paths[0]
    if all((path.parent / name).is_file() for name in FILES):
        raise UserError(f"{path.parent}: {AMAZON} and {CIVIL} are both there: give each data set a folder")
    known = _AMAZON_SPLITS if path.name == AMAZON else _CIVIL_SPLITS
    if split not in known:
        raise UserError(f"{path}: WILDS has no split '{split}' of it: it has {', '.join(known)}")
    return _amazon(path, _AMAZON_SPLITS[split]) if path.name == AMAZON else _civil(path, split)


def _amazon(path: Path, wanted: int) -> list[Row]:
    """Read Amazon. Label: stars minus 1. Meta: reviewer, product, category, year, label, with WILDS' numbers.

    The first three are numbered by their first appearance after the rows of all splits were sorted by split; years
    count from the first one. Rows without a split do not count.
    """
    splits_path = path.parent / "splits" / "user.csv"
    splits = _splits(splits_path)
    places = iter(_places(splits))
    first: tuple[dict[str, int], ...] = ({}, {}, {})  # reviewers, products, categories -> earliest place
    first_year = sys.maxsize
    found: list[tuple[str, list[str], int, int]] = []
    count = 0
    for count, (line, cells) in enumerate(_table(path, _AMAZON_COLUMNS), 1):
        if count > len(splits):
            raise UserError(f"{path}, line {line}: row {count:,}, but {splits_path} has {len(splits):,} rows")
        split = splits[count - 1]
        if split == _LEFT_OUT:
            continue
        text, *names, year_cell, stars_cell = cells
        year, stars = _whole(year_cell), _whole(stars_cell)
        if year is None:
            raise UserError(f"{path}, line {line}: 'reviewYear' should be a whole number, found '{year_cell}'")
        if stars is None or not 1 <= stars <= _STARS:
            raise UserError(f"{path}, line {line}: 'overall' should be 1 to {_STARS}, found '{stars_cell}'")
        place = next(places)
        for earliest, name in zip(first, names, strict=True):
            earliest[name] = min(place, earliest.get(name, place))
        first_year = min(first_year, year)
        if split == wanted:
            found.append((text, names, year, stars - 1))
    if count < len(splits):
        raise UserError(f"{splits_path}: {len(splits):,} rows, but {path} has {count:,}")
    ids = [{name: i for i, name in enumerate(sorted(earliest, key=earliest.__getitem__))} for earliest in first]
    rows: list[Row] = []
    for text, names, year, label in found:
        numbers = [numbered[name] for numbered, name in zip(ids, names, strict=True)]
        rows.append({"text": text, "label": label, "meta": [*numbers, year - first_year, label]})
    return rows


def _splits(path: Path) -> array[int]:
    """Read the number of every review's split; WILDS has them as 0 or as 0.0."""
    splits = array("b")
    for line, (cell,) in _table(path, ["split"]):
        split = _whole(cell)
        if split is None or not _LEFT_OUT <= split < len(_AMAZON_SPLITS):
            raise UserError(f"{path}, line {line}: split '{cell}', expected {_LEFT_OUT} to {len(_AMAZON_SPLITS) - 1}")
        splits.append(split)
    return splits


def _places(splits: array[int]) -> list[int]:
    """Return the place of each row that has a split, after WILDS' sort by split.

    WILDS uses NumPy's default sort, which has its own order of equal rows: the same everywhere before NumPy 1.25, since
    then another on each kind of processor, but for small integers, which are still sorted as before.
    """
    import numpy as np

    numbers = np.array(splits, dtype=np.int8)
    order = np.argsort(numbers[numbers != _LEFT_OUT], kind="quicksort")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    found: list[int] = places.tolist()
    return found


def _civil(path: Path, wanted: str) -> list[Row]:
    """Read CivilComments. Label: 1 if half of the raters found it toxic. Meta: the same of `_MARKS`, then the label.

    A mark without a value is 0, as in WILDS. Texts such as "NA", which pandas drops in WILDS, stay.
    """
    found: list[Row] = []
    for line, (text, split, toxicity, *marks) in _table(path, ["comment_text", "split", "toxicity", *_MARKS]):
        if split not in _CIVIL_SPLITS:
            raise UserError(f"{path}, line {line}: split '{split}', expected {', '.join(_CIVIL_SPLITS)}")
        if split != wanted:
            continue
        meta = []
        for name, cell in (*zip(_MARKS, marks, strict=True), ("toxicity", toxicity)):
            value = 0.0 if not cell and name in _MARKS else _number(cell)
            if value is None:
                raise UserError(f"{path}, line {line}: '{name}' should be a number, found '{cell}'")
            meta.append(int(value >= 0.5))
        found.append({"text": text, "label": meta[-1], "meta": meta})
    return found


def _table(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its last line, wanted cells) of every row that is not empty."""
    reader = csv_cells(line for _, line in text_lines(path))
    try:
        header: list[str] = next(reader, [])
        for name in wanted:
            if header.count(name) != 1:
                raise UserError(f"{path}, line 1: expected one column '{name}', found {', '.join(header) or 'nothing'}")
        picked = [header.index(name) for name in wanted]
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise UserError(f"{path}, line {reader.line_num}: {len(cells)} columns, the header has {len(header)}")
            yield reader.line_num, [cells[i] for i in picked]
    except csv.Error as e:
        raise UserError(f"{path}, line {reader.line_num}: {e}") from e


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(cell: str) -> int | None:
    value = _number(cell)
    return int(value) if value is not None and value.is_integer() else None
