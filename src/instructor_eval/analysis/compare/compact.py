"""Items cut down to what comparing needs, for files that stand in git: every test gives the same answer from them.

The metric says which columns (`Metric.columns`), and of which only the order counts: of these dense ranks are stored,
where equal values share one, so that order and ties stay as they are. Of one that does not say, everything is stored.
Of rankings there is a hash of each query's ten first documents beside them.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from instructor_eval import metrics
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.pairs import DISTANCES, SIMILARITIES
from instructor_eval.results.items_files import unpack

if TYPE_CHECKING:
    import pyarrow as pa

_OFTEN = 4  # values that come so often on average are stored as a dictionary


def compact(metric: str, items: Items) -> Items:
    """The columns that comparing needs; of items that are compact already the same again.

    Raises:
        UserError: an unknown metric, a column that is missing, or a value that is no number.
    """
    known = metrics.get(metric)
    if not known.columns:
        return items | {"id": [str(i) for i in items["id"]]}
    try:
        found: Items = {name: items[name] for name in ("id", *known.columns)}
    except KeyError as e:
        raise known.missing(e) from e
    found["id"] = [str(i) for i in items["id"]]
    for name, column in found.items():
        if None in column or any(isinstance(v, float) and not np.isfinite(v) for v in column):
            raise UserError(f"the items of {metric} have no value here and there in {name} (NaN): run the task again")
    for name in known.ranked:
        found[name] = _dense(found[name])
    hashes = top_hashes(items)
    return found if hashes is None else found | {"top_hash": hashes}


def top_hashes(items: Items) -> list[int] | None:
    """A hash of 32 bits of each item's ten first documents, of whole or compact items; None where there are none."""
    if "top_hash" in items:
        return list(items["top_hash"])
    if "top" not in items:
        return None
    texts = ("\0".join(map(str, top)).encode("utf-8", "surrogatepass") for top in items["top"])
    return [int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()) for text in texts]


def to_parquet(items: Items) -> bytes:
    """Compact items as a Parquet file.

    A similarity that ranks as the cosine does is left out: `from_parquet` puts it back.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {k: v for k, v in items.items() if k not in SIMILARITIES or k == "cosine" or v != _as_cosine(items, k)}
    table = pa.table({name: _column(name, values) for name, values in columns.items()})
    encodings = {name: encoding for name in columns if (encoding := _encoding(table.column(name)))}
    out = io.BytesIO()
    pq.write_table(
        table,
        out,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in columns if name not in encodings],
        column_encoding=encodings,
        write_statistics=False,
        store_schema=False,
    )
    return out.getvalue()


def from_parquet(metric: str, raw: bytes) -> Items:
    """Compact items from the bytes of a file.

    Raises:
        OSError, ValueError: these are no Parquet file.
        KeyError: a column is missing.
    """
    items = unpack(raw)
    for name in metrics.get(metric).ranked:
        if name not in items:
            items[name] = _as_cosine(items, name)
    return items


def _dense(values: list[Any]) -> list[int]:
    """Ranks from 0, equal values sharing one, the next value having the next."""
    _, ranks = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
    return [int(rank) for rank in ranks.ravel()]


def _as_cosine(items: Items, name: str) -> list[int]:
    """The ranks that a similarity has if it ranks as the cosine does; a distance, the other way round."""
    ranks: list[int] = items["cosine"]
    last = max(ranks, default=0)
    return [last - rank for rank in ranks] if name in DISTANCES else list(ranks)


def _column(name: str, values: list[Any]) -> pa.Array:
    """The values in the smallest type that holds them as they are."""
    import pyarrow as pa

    if all(type(v) is int for v in values):
        kind = pa.uint32() if name == "top_hash" else pa.int32() if _small(values) else pa.int64()
        return pa.array(values, kind)
    return pa.array(values)


def _small(values: list[int]) -> bool:
    return all(-(2**31) <= v < 2**31 for v in values)


def _encoding(column: pa.ChunkedArray) -> str | None:
    """Return the Parquet encoding of a column whose values seldom repeat; None for a dictionary, and for lists."""
    import pyarrow as pa

    if pa.types.is_nested(column.type) or len(column.unique()) * _OFTEN <= len(column):
        return None
    if pa.types.is_integer(column.type):
        return "DELTA_BINARY_PACKED"
    return "BYTE_STREAM_SPLIT" if pa.types.is_floating(column.type) else "DELTA_BYTE_ARRAY"
