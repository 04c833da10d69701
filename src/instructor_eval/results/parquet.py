"""Parquet files of items without pyarrow, which takes 170 MB: reading alone, and of what pyarrow writes for items.

Columns of texts, numbers, truth values and lists of these; data pages of version 1; zstd or nothing packed. What else a
file holds is refused by name. The format: https://parquet.apache.org/docs/file-format/. Tests hold every value to
pyarrow's.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instructor_eval.core.values import Items
from instructor_eval.results.thrift import Reader, Struct

_MAGIC = b"PAR1"
_MOST_COLUMNS, _DEEPEST = 1000, 4
_BOOLEAN, _BYTE_ARRAY = 0, 6
_NUMBERS = {1: "<i4", 2: "<i8", 4: "<f4", 5: "<f8"}
_UTF8, _UNSIGNED = 0, {11: "<u4", 12: "<u4", 13: "<u4", 14: "<u8"}
_SIGNED = range(15, 19)
_PLAIN, _PLAIN_DICTIONARY, _RLE, _DELTA, _DELTA_TEXTS, _RLE_DICTIONARY, _SPLIT = 0, 2, 3, 5, 7, 8, 9
_UNPACKED, _ZSTD = 0, 6
_DATA, _DICTIONARY = 0, 2
_DAMAGE = (IndexError, KeyError, TypeError, struct.error, OverflowError, MemoryError, RecursionError)
_AT_ONCE = 2**16
"""Packed values: each takes 64 bytes while it is unpacked."""


@dataclass(frozen=True)
class Bounds:
    """How much a file may hold, unpacked."""

    bytes: int
    values: int


def read(content: bytes, bounds: Bounds, *, without: Container[str] = ()) -> Items:
    """Return the columns of a Parquet file: name -> one value a row.

    Args:
        content: The file's bytes.
        bounds: What it may hold.
        without: Columns that are left out.

    Raises:
        OSError: it is no whole Parquet file, holds more than fits, or what only pyarrow reads.
    """
    try:
        return _File(content, bounds).columns(without)
    except _DAMAGE as e:
        raise OSError(f"it is no whole Parquet file ({type(e).__name__})") from e
    except ValueError as e:
        raise OSError(f"it is no whole Parquet file: {e}") from e


class _File:
    def __init__(self, content: bytes, bounds: Bounds) -> None:
        if len(content) < 12 or content[:4] != _MAGIC or content[-4:] != _MAGIC:
            raise OSError("it is no Parquet file")
        (size,) = struct.unpack("<I", content[-8:-4])
        if size > len(content) - 12:
            raise OSError("its end is no Parquet file's")
        self._content = content
        self._meta = Reader(content[-8 - size : -8]).struct()
        self._bytes, self._values = bounds.bytes, bounds.values

    def columns(self, without: Container[str]) -> Items:
        leaves = _leaves(self._meta[2])
        found: Items = {leaf.name: [] for leaf in leaves if leaf.name not in without}
        if len(leaves) > _MOST_COLUMNS or len({leaf.name for leaf in leaves}) < len(leaves):
            raise OSError(f"{len(leaves):,} columns, or one that is named twice")
        for group in self._meta.get(4) or []:
            if len(group[1]) != len(leaves):
                raise OSError("a part of it has other columns")
            for leaf, chunk in zip(leaves, group[1], strict=True):
                if leaf.name in found:
                    values = self._chunk(leaf, chunk[3])
                    if len(values) != group[3]:
                        raise OSError(f"{leaf.name} is cut short")
                    found[leaf.name] += values
        return found

    def _chunk(self, leaf: _Leaf, meta: Struct) -> list[Any]:
        if meta[4] not in (_UNPACKED, _ZSTD):
            raise OSError("it is packed in a way that pyarrow alone reads: pip install pyarrow")
        at = min(meta[9], meta.get(11) or meta[9])
        self._take(0, meta[5])
        values, repeats, depths = [], [], []
        dictionary: Sequence[Any] = ()
        left = meta[5]
        while left > 0:
            reader = Reader(self._content, at)
            header = reader.struct()
            if header[1] not in (_DATA, _DICTIONARY):
                raise OSError("it has pages that pyarrow alone reads: pip install pyarrow")
            packed = reader.take(header[3])
            at = reader.at
            data = self._unpacked(packed, header[2], meta[4])
            if header[1] == _DICTIONARY:
                dictionary = _plain(leaf, data, header[7][1])
                continue
            count = header[5][1]
            if not 0 < count <= left:
                raise OSError("a page of it has too many values")
            left -= count
            start, page = 0, []
            for most in (leaf.most_repeats, leaf.most_depth):
                levels, start = _levels(data, start, most, count)
                page.append(levels)
            there = int((page[1] == leaf.most_depth).sum())
            values.append(_decoded(leaf, header[5][2], data[start:], there, dictionary))
            repeats.append(page[0])
            depths.append(page[1])
        if not values:
            return []
        flat = [value for page in values for value in page]
        return _assembled(leaf, flat, np.concatenate(repeats), np.concatenate(depths))

    def _unpacked(self, data: bytes, size: int, codec: int) -> bytes:
        self._take(size, 0)
        if codec == _UNPACKED:
            return data
        found = _decompressor()(data, size)
        if len(found) != size:
            raise OSError("a page of it is cut short")
        return found

    def _take(self, size: int, values: int) -> None:
        """Count what is unpacked."""
        if size < 0 or values < 0:
            raise OSError("a size in it is below 0")
        self._bytes, self._values = self._bytes - size, self._values - values
        if self._bytes < 0 or self._values < 0:
            raise OSError("unpacked it is larger than items ever are")


@dataclass(frozen=True)
class _Leaf:
    """A column of values, below the lists that it stands in."""

    name: str
    type: int
    kind: str
    """numpy's type of its numbers; `text` or `bytes`, or empty for truth values."""
    filled: tuple[int, ...]
    """For each list from outside: the depth from which on it is there, though perhaps empty."""
    entered: tuple[int, ...]
    """For each list: the depth from which on it has a member."""
    most_depth: int

    @property
    def most_repeats(self) -> int:
        return len(self.entered)


def _leaves(schema: Sequence[Struct]) -> list[_Leaf]:
    """Return the columns of a schema, which is a tree in the order of its nodes."""
    found: list[_Leaf] = []
    at = 1
    for _ in range(schema[0].get(5) or 0):
        name, depth, filled, entered = _text(schema[at][4]), 0, [], []
        for _level in range(2 * _DEEPEST + 1):
            node = schema[at]
            at += 1
            repetition = node.get(3, 0)
            if repetition == 2:
                filled.append(depth)
                depth += 1
                entered.append(depth)
            depth += repetition == 1
            children = node.get(5) or 0
            if not children:
                found.append(_Leaf(name, node[1], _kind(name, node), tuple(filled), tuple(entered), depth))
                break
            if children > 1:
                raise OSError(f"{name} is no column of values or lists")
        else:
            raise OSError(f"{name} is nested too deeply")
    return found


def _kind(name: str, node: Struct) -> str:
    """Return how the values of a leaf are read.

    Raises:
        OSError: they are dates, decimals or the like.
    """
    kind, converted, logical = node[1], node.get(6), node.get(10) or {}
    if kind == _BOOLEAN:
        return ""
    if kind == _BYTE_ARRAY and not set(logical) - {1}:
        return "text" if converted == _UTF8 or 1 in logical else "bytes"
    if kind in _NUMBERS and not set(logical) - {10, 11} and (converted is None or converted in (*_UNSIGNED, *_SIGNED)):
        return _UNSIGNED.get(converted, _NUMBERS[kind]) if converted is not None else _NUMBERS[kind]
    raise OSError(f"{name} is of a kind that pyarrow alone reads: pip install pyarrow")


def _text(raw: bytes) -> str:
    return raw.decode()


def _levels(data: bytes, at: int, most: int, count: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return `count` levels from 0 to `most`, and where they end."""
    if not most:
        return np.zeros(count, np.int64), at
    (size,) = struct.unpack_from("<I", data, at)
    end = at + 4 + size
    levels = _runs(data[at + 4 : end], most.bit_length(), count)
    if int(levels.max(initial=0)) > most:
        raise OSError("a level in it is too high")
    return levels, end


def _decoded(leaf: _Leaf, encoding: int, data: bytes, count: int, dictionary: Sequence[Any]) -> Sequence[Any]:
    """Return the values of a page.

    Raises:
        OSError: they are encoded in a way that is not known here.
    """
    if encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY):
        places = _runs(data[1:], data[0], count) if count else np.zeros(0, np.int64)
        return [dictionary[place] for place in places.tolist()]
    if encoding == _PLAIN:
        return _plain(leaf, data, count)
    if encoding == _RLE and leaf.type == _BOOLEAN:
        return [bool(bit) for bit in _runs(data[4:], 1, count).tolist()]
    if encoding == _SPLIT and leaf.kind[:1] == "<":
        width = np.dtype(leaf.kind).itemsize
        parts = np.frombuffer(data, np.uint8, width * count).reshape(width, count)
        return _listed(np.ascontiguousarray(parts.T).view(leaf.kind).ravel())
    if encoding == _DELTA and leaf.kind[:1] == "<":
        return _listed(_deltas(Reader(data), count).astype(leaf.kind))
    if encoding == _DELTA_TEXTS and leaf.type == _BYTE_ARRAY:
        return _prefixed(leaf, data, count)
    raise OSError("its values are encoded in a way that pyarrow alone reads: pip install pyarrow")


def _listed(values: npt.NDArray[Any]) -> list[Any]:
    found: list[Any] = values.tolist()
    return found


def _plain(leaf: _Leaf, data: bytes, count: int) -> list[Any]:
    if leaf.type == _BOOLEAN:
        return [bool(bit) for bit in _bits(data, 1, count).tolist()]
    if leaf.type != _BYTE_ARRAY:
        return _listed(np.frombuffer(data, leaf.kind, count))
    found, at, as_value = [], 0, _as_value(leaf)
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, at)
        at += 4 + size
        if at > len(data):
            raise OSError("a text in it is cut short")
        found.append(as_value(data[at - size : at]))
    return found


def _as_value(leaf: _Leaf) -> Callable[[bytes], Any]:
    return _text if leaf.kind == "text" else bytes


def _prefixed(leaf: _Leaf, data: bytes, count: int) -> list[Any]:
    """Return texts, each stored as what it shares with the one before and what comes then."""
    reader = Reader(data)
    prefixes = _deltas(reader, count).tolist()
    sizes = _deltas(reader, count).tolist()
    at, before, found, as_value = reader.at, b"", [], _as_value(leaf)
    for shared, size in zip(prefixes, sizes, strict=True):
        if shared < 0 or size < 0 or shared > len(before) or at + size > len(data):
            raise OSError("a text in it is cut short")
        before = before[:shared] + data[at : at + size]
        at += size
        found.append(as_value(before))
    return found


def _deltas(reader: Reader, count: int) -> npt.NDArray[np.int64]:
    """Return integers that are stored as differences, in blocks of packed bits."""
    block, parts, total = reader.varint(), reader.varint(), reader.varint()
    if total != count or not 0 < parts <= block or block % parts or block > 2**16:
        raise OSError("a block of it has another size")
    first, found = reader.zigzag(), []
    left = count - 1
    while left > 0:
        least = reader.zigzag()
        for width in reader.take(parts):
            if left <= 0:
                break
            size = block // parts
            bits = _bits(reader.take(width * size // 8), width, size)[:left]
            found.append(bits + np.uint64(least % 2**64))
            left -= len(bits)
    steps = np.concatenate([np.array([first % 2**64], np.uint64), *found])[:count]
    return np.cumsum(steps, dtype=np.uint64).view(np.int64)


def _runs(data: bytes, width: int, count: int) -> npt.NDArray[np.int64]:
    """Return integers of `width` bits, stored as runs of one value and groups of packed bits."""
    if width > 32:
        raise OSError("a width in it is too large")
    reader, found, left = Reader(data), [], count
    while left > 0:
        head = reader.varint()
        if head & 1:
            size = 8 * (head >> 1)
            part = _bits(reader.take(min(width * (head >> 1), len(data) - reader.at)), width, min(size, left))
        else:
            value = int.from_bytes(reader.take((width + 7) // 8), "little")
            part = np.full(min(head >> 1, left), value, np.uint64)
        if not len(part):
            raise OSError("a run in it is empty")
        found.append(part)
        left -= len(part)
    return np.concatenate(found).astype(np.int64) if found else np.zeros(0, np.int64)


def _bits(data: bytes, width: int, count: int) -> npt.NDArray[np.uint64]:
    """Return `count` integers of `width` bits, the least significant first."""
    if not width:
        return np.zeros(count, np.uint64)
    if count > _AT_ONCE:
        step = _AT_ONCE * width // 8
        parts = [data[at * step : (at + 1) * step] for at in range(-(-count // _AT_ONCE))]
        return np.concatenate([_bits(p, width, min(_AT_ONCE, count - i * _AT_ONCE)) for i, p in enumerate(parts)])
    if width > 64 or len(data) * 8 < width * count:
        raise OSError("packed values in it are cut short")
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=width * count, bitorder="little")
    wide = np.zeros((count, 64), np.uint8)
    wide[:, :width] = bits.reshape(count, width)
    return np.packbits(wide, axis=1, bitorder="little").view("<u8").ravel()


def _assembled(
    leaf: _Leaf, values: list[Any], repeats: npt.NDArray[np.int64], depths: npt.NDArray[np.int64]
) -> list[Any]:
    """Return the rows that values and levels stand for (Dremel, Melnik et al. 2010)."""
    if not leaf.most_repeats and len(values) == len(depths):
        return values
    rows: list[Any] = []
    lists = [rows] * (leaf.most_repeats + 1)
    rest = iter(values)
    for repeat, depth in zip(repeats.tolist(), depths.tolist(), strict=True):
        level = repeat
        while level < leaf.most_repeats and depth >= leaf.filled[level]:
            inner: list[Any] = []
            lists[level].append(inner)
            lists[level + 1] = inner
            if depth < leaf.entered[level]:
                break
            level += 1
        else:
            lists[level].append(next(rest) if depth == leaf.most_depth else None)
    return rows


def _decompressor() -> Callable[[bytes, int], bytes]:
    """Return what unpacks zstd, no more than so many bytes; damage is a ValueError.

    Raises:
        OSError: neither Python nor a package has it.
    """
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as e:
        raise OSError("it is packed with zstd, which is not installed: pip install backports.zstd") from e

    def unpack(data: bytes, most: int) -> bytes:
        try:
            return bytes(zstd.ZstdDecompressor().decompress(data, max_length=most))
        except zstd.ZstdError as e:
            raise ValueError(str(e)) from e

    return unpack
