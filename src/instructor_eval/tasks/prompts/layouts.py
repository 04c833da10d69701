"""Layouts of a data set's files in a folder, and the rows of its pool and test split.

A layout is the user's own (`rows`), the data hub's (`hub`), or the publisher's.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.outside import check_regular, is_folder, why
from instructor_eval.core.packed_files import check_parquet
from instructor_eval.tasks.prompts import originals
from instructor_eval.tasks.prompts.dialogues import multiwoz_json
from instructor_eval.tasks.prompts.files import Split
from instructor_eval.tasks.prompts.glue import glue_tsv
from instructor_eval.tasks.prompts.wilds import FILES as WILDS_FILES
from instructor_eval.tasks.prompts.wilds import wilds_csv
from instructor_eval.tasks.rows import SUFFIXES, Row, find_file, read_rows

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")


@dataclass(frozen=True)
class Layout:
    """Names of a split's files, and the function that reads their rows."""

    patterns: Callable[[str, str], Sequence[str]]
    """(subset, split) -> patterns of file names; the first that matches a file counts."""
    load: Callable[[Sequence[Path], str], list[Row]]
    """(files, split) -> its rows."""
    many: bool = False
    """A split may have several files."""
    one_set: bool = False
    """There are no splits: pool and test rows are drawn from the same rows, always called "instances"."""


def _hub_patterns(subset: str, split: str) -> Sequence[str]:
    """Return patterns of hub files; subset "default" means none, and is the hub's folder of converted tables."""
    return (
        f"{subset}/{split}-*.parquet",
        f"data/{split}-*.parquet",
        f"{split}-*.parquet",
        f"{subset}/{split}/*.parquet",
        f"{split}.jsonl",
    )


def _hub(paths: Sequence[Path], split: str) -> list[Row]:
    """Read the hub's own files (https://huggingface.co/docs/hub/datasets-file-names-and-splits), shard by shard.

    Raises:
        UserError: a shard is missing or cannot be read.
    """
    if paths[0].suffix == ".jsonl":
        return [row for _, row in read_rows(paths[0])]
    shards = [(int(m[1]), int(m[2])) for m in (_SHARD.search(p.name) for p in paths) if m]
    if shards and shards != [(i, len(paths)) for i in range(len(paths))]:
        raise UserError(
            f"{paths[0].parent}: split '{split}' should have {shards[0][1]} parquet files, numbered from 00000, found "
            f"{', '.join(p.name for p in paths)}: copy the whole data set"
        )
    return [row for path in paths for row in _parquet(path)]


def _parquet(path: Path) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_regular(path)
        check_parquet(path)
        # Not read_table: it would read folder names of the form key=value as columns.
        with pq.ParquetFile(path) as file:
            rows: list[Row] = file.read().to_pylist()
    except (pa.ArrowException, ValueError, OSError) as e:
        raise UserError(f"{path}: not a parquet file that can be read ({why(e)}): copy it again") from e
    return rows


def _own(paths: Sequence[Path], _split: str) -> list[Row]:
    """Read the user's own rows; `find_file` refuses a folder with the same file in two formats."""
    path = find_file(paths[0].parent, paths[0].stem)
    return [row for _, row in read_rows(path)]


def _named(pattern: str, **called: str) -> Callable[[str, str], Sequence[str]]:
    """Return patterns for one file a split, with the original's names of splits."""
    return lambda _subset, split: (pattern.format(called.get(split, split)),)


def _glue_patterns(_subset: str, split: str) -> Sequence[str]:
    table = "dev.tsv" if split == "validation" else f"{split}.tsv"
    return (table, "msr_paraphrase_test.txt" if split == "test" else "msr_paraphrase_train.txt")


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "rows": Layout(lambda _, split: [f"{split}{suffix}" for suffix in SUFFIXES], _own),
        "hub": Layout(_hub_patterns, _hub, many=True),
        "glue_tsv": Layout(_glue_patterns, glue_tsv),
        "sst_fasttext": Layout(_named("sst_{}.txt", validation="dev"), originals.sst_fasttext),
        "dbpedia_csv": Layout(_named("{}.csv"), originals.dbpedia_csv),
        "hellaswag_jsonl": Layout(_named("hellaswag_{}.jsonl", validation="val"), originals.hellaswag_jsonl),
        "natural_instructions": Layout(
            lambda _subset, _split: ("task*.json", "*.json"), originals.natural_instructions, one_set=True
        ),
        "wilds_json": Layout(_named("*_{}.json"), originals.wilds_json),
        "wilds_csv": Layout(lambda _subset, _split: WILDS_FILES, wilds_csv),
        "geoquery_json": Layout(_named("geoquery_{}.json", validation="eval", test="eval"), originals.geoquery_json),
        "multiwoz_json": Layout(_named("mw24_100p_{}.json", validation="dev"), multiwoz_json),
    }
)


def read(layout: str, folder: Path, *, subset: str, pool_split: str, test_split: str) -> tuple[Split, Split]:
    """Read the rows of pool and test split from the files, before any are drawn.

    Args:
        layout: A name in `LAYOUTS`.
        folder: The folder of the files.
        subset: The hub's name of a part of a data set; "default" means none.
        pool_split: The split of the pool; in layout `rows` it is always called "pool".
        test_split: The split of the test rows.

    Returns:
        Twice the same object if pool and test rows come from one set of rows.

    Raises:
        UserError: there is no such layout or folder, or a file is missing, damaged, malformed or empty.
    """
    how = layout_of(layout)
    splits = _splits(layout, folder, subset, pool_split, test_split)
    found = {}
    for split in dict.fromkeys(splits):
        files = _files(how, folder, subset, split)
        if not files:
            raise UserError(f"{folder}: expected {_wanted(how, subset, split)} in it, found none")
        found[split] = Split(split, how.load(files, split))
        if not found[split].rows:
            raise UserError(f"{files[0]}: no rows for split '{split}'")
    return found[splits[0]], found[splits[1]]


def place_of(layout: str, folder: Path, subset: str, split: str, index: int) -> str:
    """Return a row's place: its file with the line, or with the row in a file without lines.

    Args:
        layout: `rows` or `hub`, whose files have the rows themselves.
        folder: The folder of the files.
        subset: As for `read`.
        split: As for `read`.
        index: The row's number in its split, from 0.
    """
    for path in _files(layout_of(layout), folder, subset, split):
        if path.suffix != ".parquet":
            line = next(line for i, (line, _) in enumerate(read_rows(path)) if i == index)
            return f"{path}, line {line}"
        rows = len(_parquet(path))
        if index < rows:
            return f"{path}, row {index + 1}"
        index -= rows
    return f"{folder}, split '{split}'"


def detect(folder: Path, layouts: Sequence[str], *, subset: str, pool_split: str, test_split: str) -> str:
    """Return the first of these layouts whose files are in the folder.

    Raises:
        UserError: none is, or several files match.
    """
    looked_for = []
    for name in layouts:
        how = layout_of(name)
        splits = dict.fromkeys(_splits(name, folder, subset, pool_split, test_split))
        missing = [split for split in splits if not _files(how, folder, subset, split)]
        if not missing:
            return name
        looked_for.append(f"{_wanted(how, subset, missing[0])} ({name})")
    raise UserError(f"{folder}: none of the files that are needed is in it: looked for {'; '.join(looked_for)}")


def layout_of(name: str) -> Layout:
    """Return the layout of that name, or raise an error with suggestions."""
    if name not in LAYOUTS:
        raise UserError(
            f"layout '{name}' is not known{did_you_mean(name, LAYOUTS) or ': it is one of ' + ', '.join(LAYOUTS)}"
        )
    return LAYOUTS[name]


def _splits(layout: str, folder: Path, subset: str, pool_split: str, test_split: str) -> tuple[str, str]:
    """Return the names of the splits in file names."""
    if not is_folder(folder):
        raise UserError(f"{folder}: no such folder")
    for what, name in (("subset", subset), ("split", pool_split), ("split", test_split)):
        if not name or name in (".", "..") or any(c in name for c in "/\\"):
            raise UserError(f"{what} '{name}' cannot be part of a file's name")
    if LAYOUTS[layout].one_set:
        return "instances", "instances"
    return "pool" if layout == "rows" else pool_split, test_split


def _files(how: Layout, folder: Path, subset: str, split: str) -> list[Path]:
    """Return the files of a split, in the order of their names; none if it does not exist."""
    for pattern in how.patterns(glob.escape(subset), glob.escape(split)):
        if files := sorted(_matching(folder, pattern)):
            if len(files) > 1 and not how.many:
                raise UserError(f"{folder}: expected one file {pattern}, found {', '.join(f.name for f in files)}")
            return files
    return []


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    return (path for path in folder.glob(pattern) if not path.is_dir())


def _wanted(how: Layout, subset: str, split: str) -> str:
    return " or ".join(how.patterns(subset, split))
