"""The draw of pool and test rows: index for index as the paper's authors drew them.

All draws of a data set come from one `random.Random(seed)`, so their order matters. The authors' code called
`random.seed(0)` first; Python promises the same numbers for the same seed, but not the same `random.sample`, which has
stayed the same in practice (3.11 and 3.12 at least).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.tasks.prompts.files import Split, columns
from instructor_eval.tasks.rows import Row

REVIEWERS, REVIEWS = 20, 50
"""Amazon: reviewers that are drawn, and reviews of each."""
_CHRISTIAN = 3
"""Place of the mark "mentions Christians" in the metadata of CivilComments."""


@dataclass(frozen=True)
class Drawn:
    """The rows of a run, each with an id such as "train/6311": split and zero-based place in it."""

    pool: list[tuple[str, Row]]
    test: list[tuple[str, Row]]
    warnings: tuple[str, ...] = ()
    """Warnings for the data's owner, a line each."""
    place_of: Callable[[str, int], str] | None = None
    """(split's name, row's number in it from 0) -> the file with its line or row, where files have the rows."""


def draw(kind: str, pool: Split, test: Split, *, pool_size: int | None, test_size: int | None, seed: int) -> Drawn:
    """Draw the rows of the pool and the test rows.

    Args:
        kind: A name in `KINDS`.
        pool: Rows for the pool.
        test: Rows for the test; for kind "one" it is `pool`.
        pool_size: Rows (for kind "dialogues": dialogues) of the pool; None means all, in their order.
        test_size: Rows of the test; None means all, in their order. Kind "reviewers" has a size of its own.
        seed: Start of the draws; the paper's is 0.

    Raises:
        UserError: no such kind, too few rows, or rows without the fields that a kind needs.
    """
    if kind not in KINDS:
        raise UserError(
            f"sampling '{kind}' is not known{did_you_mean(kind, KINDS) or ': it is one of ' + ', '.join(KINDS)}"
        )
    for name, size in (("pool_size", pool_size), ("test_size", test_size)):
        if size is not None and size < 1:
            raise UserError(f"{name} is {size}: it has to be 1 or more")
    if pool == test and kind != "one":
        raise UserError(f"sampling '{kind}' needs two splits, and split '{pool.name}' is both: use sampling 'one'")
    if pool != test and kind == "one":
        raise UserError(f"sampling 'one' needs one set of rows, and there are two: '{pool.name}' and '{test.name}'")
    return KINDS[kind](Random(seed), pool, test, pool_size, test_size)  # noqa: S311  the original's draws


def _sample(random: Random, population: Sequence[Any], size: int | None, what: str) -> list[Any]:
    if size is None:
        return list(population)
    if len(population) < size:
        raise UserError(
            f"{what}: {size:,} needed, {len(population):,} found: check that the folder holds the right files"
        )
    return random.sample(population, size)


def _take(split: Split, indices: Sequence[int]) -> list[tuple[str, Row]]:
    return [(f"{split.name}/{i}", split.rows[i]) for i in indices]


def _sample_rows(random: Random, split: Split, size: int | None, side: str) -> list[tuple[str, Row]]:
    what = f"rows for the {side} in split '{split.name}'"
    return _take(split, _sample(random, range(len(split.rows)), size, what))


def _splits(random: Random, pool: Split, test: Split, pool_size: int | None, test_size: int | None) -> Drawn:
    """Draw the pool from one split, the test rows from another."""
    drawn = _sample_rows(random, pool, pool_size, "pool")
    return Drawn(drawn, _sample_rows(random, test, test_size, "test"))


def _one(random: Random, pool: Split, test: Split, pool_size: int | None, test_size: int | None) -> Drawn:
    """Draw the test rows first, and the pool from the rest."""
    if test_size is None:
        raise UserError(f"sampling 'one' needs a test_size: the pool comes from split '{test.name}' too")
    tested = _sample_rows(random, test, test_size, "test")
    taken = {int(id_.rpartition("/")[2]) for id_, _ in tested}
    left = [i for i in range(len(pool.rows)) if i not in taken]
    what = f"rows for the pool in split '{pool.name}', without the {test_size:,} for the test"
    if not left:
        raise UserError(f"{what}: none left: check that the folder holds the right files")
    return Drawn(_take(pool, _sample(random, left, pool_size, what)), tested)


def _meta(split: Split, place: int) -> list[Any]:
    """Return the value at one place of every row's metadata."""
    where = f"split '{split.name}'"
    columns(split.rows, ["meta"], where)
    for number, row in enumerate(split.rows, 1):
        if not isinstance(row["meta"], list) or len(row["meta"]) <= place:
            raise UserError(f"{where}, row {number}: 'meta' should be a list of {place + 1} or more values")
    return [row["meta"][place] for row in split.rows]


def _reviewers(random: Random, pool: Split, test: Split, pool_size: int | None, _test_size: int | None) -> Drawn:
    """Draw for Amazon: equally many reviews of each of some reviewers."""
    reviewers = _meta(test, 0)
    by_reviewer: dict[int | str, list[int]] = {}
    for i, reviewer in enumerate(reviewers):
        if not isinstance(reviewer, int | str):
            raise UserError(f"split '{test.name}', row {i + 1}: 'meta' should begin with a reviewer's number or name")
        by_reviewer.setdefault(reviewer, []).append(i)
    # The authors drew from list(set of numbers). Its order is the same in every process, but depends on how the set
    # grew: set(by_reviewer) would get its size at once and have another order. Texts have other hashes in each process.
    if all(isinstance(reviewer, int) for reviewer in by_reviewer):
        ids = list({reviewer for reviewer in reviewers})
    else:
        ids = sorted(by_reviewer, key=str)
    drawn = _sample_rows(random, pool, pool_size, "pool")
    tested = []
    for reviewer in _sample(random, ids, REVIEWERS, f"reviewers in split '{test.name}'"):
        what = f"reviews of reviewer {reviewer} in split '{test.name}'"
        chosen = _take(test, _sample(random, by_reviewer[reviewer], REVIEWS, what))
        tested += [(id_, row | {"group": str(reviewer)}) for id_, row in chosen]
    return Drawn(drawn, tested)


def _toxic_christian(random: Random, pool: Split, test: Split, pool_size: int | None, test_size: int | None) -> Drawn:
    """Draw for CivilComments: only toxic comments that mention Christians are tested."""
    marks = _meta(test, _CHRISTIAN)
    columns(test.rows, ["label"], f"split '{test.name}'")
    eligible = [i for i, mark in enumerate(marks) if mark == 1 and test.rows[i]["label"] == 1]
    drawn = _sample_rows(random, pool, pool_size, "pool")
    what = f"rows for the test in split '{test.name}' with label 1 and a 1 as number {_CHRISTIAN + 1} of 'meta'"
    if not eligible:
        raise UserError(f"{what}: none found: check that the folder holds the right files")
    return Drawn(drawn, _take(test, _sample(random, eligible, test_size, what)))


def _by_dialogue(split: Split) -> dict[str, list[int]]:
    """Return the turns of every dialogue, dialogues in the order of their first turns."""
    columns(split.rows, ["dialogue_ID"], f"split '{split.name}'")
    found: dict[str, list[int]] = {}
    for i, row in enumerate(split.rows):
        found.setdefault(str(row["dialogue_ID"]), []).append(i)
    return found


def _dialogues(random: Random, pool: Split, test: Split, pool_size: int | None, test_size: int | None) -> Drawn:
    """Draw for MultiWOZ: whole dialogues for the pool; for the test the first turns of shuffled dialogues."""
    pooled, tested = _by_dialogue(pool), list(_by_dialogue(test).values())
    ids = _sample(random, list(pooled), pool_size, f"dialogues for the pool in split '{pool.name}'")
    if test_size is not None:
        random.shuffle(tested)
    turns = [i for dialogue in tested for i in dialogue]
    if test_size is not None and len(turns) < test_size:
        _sample(random, turns, test_size, f"turns for the test in split '{test.name}'")  # raises
    return Drawn(_take(pool, [i for id_ in ids for i in pooled[id_]]), _take(test, turns[:test_size]))


KINDS: Mapping[str, Callable[[Random, Split, Split, int | None, int | None], Drawn]] = MappingProxyType(
    {
        "splits": _splits,
        "one": _one,
        "reviewers": _reviewers,
        "toxic_christian": _toxic_christian,
        "dialogues": _dialogues,
    }
)
