"""Items in Parquet files: written by us, read from anyone, no more of them than fits into memory."""

from __future__ import annotations

import io
from collections.abc import Container
from typing import Any

from instructor_eval.core.libraries import missing
from instructor_eval.core.values import Items
from instructor_eval.results import parquet

LARGEST = 2**30
"""Bytes of a file."""
_MOST_BYTES = 512 * 2**20
_MOST_VALUES = 30_000_000
"""Of the paper's tasks AmazonPolarity has most: 400,000 items of 13 values each."""
_MOST_COLUMNS = 1000
_ROWS_AT_ONCE = 8192


def pack(items: Items) -> tuple[bytes, Items]:
    """Return a Parquet file of items, and the items as they will be read from it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, out = pa.table(items), io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue(), dict(table.to_pydict())


def unpack(content: bytes, *, without: Container[str] = ()) -> Items:
    """Return the items in a Parquet file: column name -> one value an item.

    A few bytes can stand for a billion rows: they are read some at a time, and the file is refused once they are too
    many. What the file says of itself beforehand is not asked: pyarrow ends the process over some damaged ones. Where
    it is not installed, `parquet` reads what it wrote.

    Args:
        content: The file's bytes.
        without: Columns that are left out.

    Raises:
        OSError: it is no whole Parquet file, or holds more than fits.
        ValueError: a value in it is of no kind that Python has; pyarrow's own errors are of these two.
    """
    if missing(["pyarrow"]):
        return parquet.read(content, parquet.Bounds(_MOST_BYTES, _MOST_VALUES), without=without)
    import pyarrow as pa  # 0.2 s that listing commands need not pay
    import pyarrow.parquet as pq

    found, size, count = [], 0, 0
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:  # not `read_table`: it imports pandas, half a second
            schema = file.schema_arrow
            if len(schema) > _MOST_COLUMNS:
                raise OSError(f"{len(schema):,} columns")
            columns = [name for name in schema.names if name not in without]
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False):
                size, count = size + batch.nbytes, count + sum(map(_values, batch.columns))
                if size > _MOST_BYTES or count > _MOST_VALUES:
                    raise OSError("unpacked it is larger than items ever are")
                found.append(batch)
            schema = found[0].schema if found else pa.schema([schema.field(name) for name in columns])
        return dict(pa.Table.from_batches(found, schema=schema).to_pydict())
    # pyarrow's, of a column that is named twice, of a bomb, and of a date that Python has none of.
    except (KeyError, MemoryError, NotImplementedError, OverflowError) as e:
        raise OSError(str(e)) from e


def _values(column: Any) -> int:
    """Return how many values a column has, with those of its lists."""
    import pyarrow as pa

    count = len(column)
    while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = column.flatten()
        count += len(column)
    return count
