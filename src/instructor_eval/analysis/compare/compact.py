"""Items cut down to what comparing needs, for files that stand in git: every test gives the same answer from them.

| metric                              | stored beside the id                                                     |
|-------------------------------------|------------------------------------------------------------------------|
| nDCG, MAP, recall, precision at k   | the metric, the number of relevant documents, a hash of the top ten    |
| accuracy                            | value, gold                                                            |
| average precision                   | gold, the ranks of each similarity                                     |
| Spearman of STS                     | gold, the ranks of the cosine                                          |
| Pearson                             | gold, the similarity; for Billboard the segment                        |
| SummEval                            | rho, for v1 p                                                               |
| V-measure, Rouge-L, mean of parts   | value; for the third worst reviewer group and correctness              |
| a metric of an installed package    | everything: it may look at any column                                  |

Ranks are dense: equal values share one, so that order and ties, which are all these metrics look at, stay as they are.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from instructor_eval import metrics
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.classification import DISTANCES, PAIR_SIMILARITIES
from instructor_eval.results.items_files import unpack

_COLUMNS: dict[str, tuple[str, ...]] = {
    "accuracy": ("value", "gold"),
    "cosine_ap": ("gold", "cosine"),
    "max_ap": ("gold", *PAIR_SIMILARITIES),
    "cosine_spearman": ("gold", "cosine"),
    "cosine_pearson": ("gold", "cosine"),
    "pearson": ("segment", "gold", "value"),
    "summeval_v1": ("rho", "p"),
    "summeval_v2": ("rho",),
    "v_measure": ("v_measure",),
    "mean_of_parts": ("value",),
    "rougeL": ("value",),
    "rougeL_bootstrap": ("value",),
    "rougeL_third_worst_group": ("value", "group", "correct"),
    "rougeL_third_worst_group_bootstrap": ("value", "group", "correct"),
}
_RANKED = {"cosine_ap": ("cosine",), "max_ap": PAIR_SIMILARITIES, "cosine_spearman": ("cosine",)}
_OFTEN = 4  # values that come so often on average are stored as a dictionary


def compact(metric: str, items: Items) -> Items:
    """The columns that comparing needs; of items that are compact already the same again.

    Raises:
        UserError: an unknown metric, a column that is missing, or a value that is no number.
    """
    if metrics.is_plugged(metric):
        return items | {"id": [str(i) for i in items["id"]]}
    if metric not in _COLUMNS and "_at_" not in metric:
        raise UserError(f"metric '{metric}': it is not known what a baseline must keep of it")
    names = _COLUMNS.get(metric) or (metric.removeprefix("max_over_subqueries_"), "relevant")
    try:
        found: Items = {name: items[name] for name in ("id", *names)}
    except KeyError as e:
        raise UserError(f"the items hold no column {e} for {metric}: the file is not whole, run the task again") from e
    found["id"] = [str(i) for i in items["id"]]
    for name, column in found.items():
        if None in column or any(isinstance(v, float) and not np.isfinite(v) for v in column):
            raise UserError(f"the items of {metric} have no value here and there in {name} (NaN): run the task again")
    for name in _RANKED.get(metric, ()):
        found[name] = _dense(found[name])
    hashes = top_hashes(items) if "_at_" in metric else None
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

    Of `max_ap` a similarity that ranks as the cosine does is left out: `from_parquet` puts it back.
    """
    columns = {
        k: v for k, v in items.items() if k not in PAIR_SIMILARITIES or k == "cosine" or v != _as_cosine(items, k)
    }
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
    for name in PAIR_SIMILARITIES if metric == "max_ap" else ():
        items.setdefault(name, _as_cosine(items, name))
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
    if all(type(v) is int for v in values):
        kind = pa.uint32() if name == "top_hash" else pa.int32() if _small(values) else pa.int64()
        return pa.array(values, kind)
    return pa.array(values)


def _small(values: list[int]) -> bool:
    return all(-(2**31) <= v < 2**31 for v in values)


def _encoding(column: pa.ChunkedArray) -> str | None:
    """Return the Parquet encoding of a column whose values seldom repeat; None for a dictionary, and for lists."""
    if pa.types.is_nested(column.type) or len(column.unique()) * _OFTEN <= len(column):
        return None
    if pa.types.is_integer(column.type):
        return "DELTA_BINARY_PACKED"
    return "BYTE_STREAM_SPLIT" if pa.types.is_floating(column.type) else "DELTA_BYTE_ARRAY"
