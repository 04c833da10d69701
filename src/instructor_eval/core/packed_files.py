"""Packed data files that unfold to more than any data set: refused before a library unfolds them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from instructor_eval.core.outside import open_outside

_SUSPECT = 2**28
"""Bytes: what unfolds to less than this is nobody's bomb."""
_RATIO = 200
"""Bytes unfolded of one packed; text that repeats itself comes to fifty."""
_ROWS_PER_BYTE = 100
_SUSPECT_ROWS = 1_000_000
_CHUNK = 2**20
_STREAMS: dict[str, Callable[[Any], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def check_packed(path: Path) -> None:
    """Check that a file does not unfold to a thousand times its size; other kinds of files pass.

    Raises:
        OSError: it cannot be opened, or is damaged.
        ValueError: it would unfold to more than fits.
    """
    if path.suffix == ".parquet":
        check_parquet(path)
    elif path.suffix == ".zip" or path.suffix in _STREAMS:
        try:
            _check_archive(path)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as e:
            raise ValueError(f"it is damaged: {e}") from e


def _check_archive(path: Path) -> None:
    if path.suffix == ".zip":
        with open_outside(path) as file, zipfile.ZipFile(file) as archive:
            _check(path, sum(entry.file_size for entry in archive.infolist()))
    else:
        with open_outside(path) as file, _STREAMS[path.suffix](file) as unpacked:
            size = 0
            # No further than to where it is suspect: a file of a usual kind has the same ratio throughout.
            while size <= _SUSPECT and (part := unpacked.read(_CHUNK)):
                size += len(part)
            if size > _SUSPECT and size > _RATIO * max(1, file.tell()):
                raise ValueError(f"it unfolds to {_RATIO} times its size and more")


def check_parquet(path: Path) -> None:
    """Check what the footer of a parquet file promises against the file's size.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is none, or would unfold to more than fits.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_outside(path) as file:
        try:
            found = pq.ParquetFile(file).metadata
            size = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
        except (pa.ArrowException, ValueError, OverflowError, MemoryError) as e:
            raise ValueError(f"it is no parquet file: {e}") from e
    _check(path, size)
    if found.num_rows > max(_SUSPECT_ROWS, _ROWS_PER_BYTE * path.stat().st_size) or not found.num_columns:
        raise ValueError(f"{found.num_rows:,} rows in {path.stat().st_size:,} bytes")


def _check(path: Path, size: int) -> None:
    if size > _SUSPECT and size > _RATIO * path.stat().st_size:
        raise ValueError(f"it has {path.stat().st_size:,} bytes, and unfolds to {size:,}")
