"""Items that anyone may have made: Parquet of other kinds, cut, a billion rows in a few bytes, no file at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hostile_case import Case
from hostile_results import change, results, score_file
from made_hostile_results import VALIDATE, WRONG_FILES

N = 30
COMPARE = ("compare", "minilm", "minilm@int8", "--task", "STS12")
BOARD = ("leaderboard",)
Write = Callable[[Path], object]


def _columns(**columns: Any) -> Write:
    return lambda path: pq.write_table(pa.table(columns), path)


IDS = [str(i) for i in range(N)]
GOOD = {"id": IDS, "gold": [float(i) for i in range(N)], "cosine": [i / N for i in range(N)]}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _zeroed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-200:-8] = bytes(192)
    path.write_bytes(content)


def _bomb(path: Path) -> None:
    """A hundred million rows in some kilobytes."""
    part = pa.table({name: pa.repeat(pa.scalar(0.5), 2_000_000) for name in ("gold", "cosine")})
    part = part.add_column(0, "id", pa.repeat(pa.scalar("x"), 2_000_000))
    with pq.ParquetWriter(path, part.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(part, row_group_size=2_000_000)


def _nested(depth: int) -> Any:
    value: Any = 0.5
    for _ in range(depth):
        value = [value]
    return value


WRONG: dict[str, tuple[Write, str]] = {
    "cut": (_cut, "STS12"),
    "of zeros at its end": (_zeroed, "STS12"),
    "text": (lambda path: path.write_text("id,gold\n1,2\n"), "STS12"),
    "a billion rows": (_bomb, "larger than items ever are"),
    "of no columns": (lambda path: pq.write_table(pa.table({}), path), "STS12"),
    "of no rows": (_columns(id=pa.array([], pa.string()), gold=pa.array([], pa.float64())), "STS12"),
    "without gold": (_columns(id=IDS, cosine=GOOD["cosine"]), "STS12"),
    "without ids": (_columns(gold=GOOD["gold"], cosine=GOOD["cosine"]), "STS12"),
    "with lists for scores": (_columns(**GOOD | {"cosine": [[0.5]] * N}), "STS12"),
    "with lists for ids": (_columns(**GOOD | {"id": [["x"]] * N}), "STS12"),
    "with texts for scores": (_columns(**GOOD | {"cosine": ["x"] * N}), "STS12"),
    "with objects for scores": (_columns(**GOOD | {"cosine": [{"a": 1}] * N}), "STS12"),
    "with bytes for ids": (_columns(**GOOD | {"id": pa.array([b"\xff\x1b"] * N)}), "STS12"),
    "with dates for gold": (_columns(**GOOD | {"gold": pa.array([10**13] * N, pa.timestamp("s"))}), "STS12"),
    "with lists 50 deep": (_columns(**GOOD | {"cosine": [_nested(50)] * N}), "STS12"),
    "with nothing in it": (_columns(**GOOD | {"gold": pa.array([None] * N, pa.float64())}), "STS12"),
    "with NaN": (_columns(**GOOD | {"gold": [float("nan")] * N}), "STS12"),
    "of 5,000 columns": (_columns(**{f"c{i}": IDS for i in range(5000)}), "5,000 columns"),
    "with an id of two megabytes": (_columns(**GOOD | {"id": ["i" * 2 * 10**6, *IDS[1:]]}), "STS12"),
    "with escapes in ids": (_columns(**GOOD | {"id": ["\x1b[31m\u202e"] * N}), "STS12"),
}
_NO_FILES = ("a FIFO", "/dev/zero", "a folder", "a dangling link", "a link to itself", "of a terabyte")


def _make(command: Sequence[str], harm: Write) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        file = score_file(results(folder), "STS12")
        change(file, lambda _raw: None)  # an earlier version's: no checksum says that the items are others
        harm(file.with_suffix(".parquet"))
        return command

    return make


def _cases() -> list[Case]:
    found = []
    every = WRONG | {kind: (WRONG_FILES[kind][0], "STS12") for kind in _NO_FILES}
    for i, (kind, (harm, said)) in enumerate(every.items()):
        found.append(Case(f"validate: items {kind}", _make(VALIDATE, harm), lines=0, tells=("ERROR", said)))
        # A score stays on the board without its interval; what cannot be compared has a code of its own.
        board = BOARD if i % 2 else ("report", "-o", "page.html")
        found.append(Case(f"{board[0]}: items {kind}", _make(board, harm), code=0, writes=["page.html"] * (i % 2 == 0)))
    return found


def _compared(kind: str, why: str = "STS12: not comparable") -> Case:
    """Exit code 4: nothing could be compared; the reason stands below the table."""
    harm = (WRONG | WRONG_FILES)[kind][0]
    return Case(f"compare: items {kind}", _make(COMPARE, harm), ("nothing can be compared",), tells=(why,), code=4)


CASES = [
    *_cases(),
    _compared("cut"),
    _compared("a billion rows", "larger than items ever are"),
    _compared("a FIFO", "no regular file"),
    *map(
        _compared, ("with texts for scores", "with lists for scores", "with lists for ids", "with objects for scores")
    ),
    *map(_compared, ("without gold", "with NaN", "with escapes in ids", "with dates for gold")),
]
