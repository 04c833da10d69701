"""Thrift's compact protocol, which Parquet's headers are written in: reading alone.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

Struct: TypeAlias = dict[int, Any]
"""Field number -> value."""
_TRUE, _FALSE, _BYTE, _INTS, _DOUBLE, _BINARY, _LISTS, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 12
_DEEPEST, _LONGEST = 12, 10
"""Structs in structs, and bytes of a number."""


class Reader:
    """Bytes that are read from their start, or from a place in them."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        if not 0 <= at <= len(data):
            raise OSError("a place in it is outside of it")
        self._data, self.at = data, at

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            OSError: there are fewer.
        """
        if not 0 <= size <= len(self._data) - self.at:
            raise OSError("it is cut short")
        self.at += size
        return self._data[self.at - size : self.at]

    def varint(self) -> int:
        """Return a number of as many bytes as it needs."""
        found = 0
        for place in range(_LONGEST):
            byte = self.take(1)[0]
            found |= (byte & 127) << 7 * place
            if byte < 128:
                return found
        raise OSError("a number in it is too long")

    def zigzag(self) -> int:
        """Return a number that may be below 0."""
        found = self.varint()
        return (found >> 1) ^ -(found & 1)

    def struct(self, depth: int = 0) -> Struct:
        """Return the fields of a struct.

        Raises:
            OSError: it is none.
        """
        if depth > _DEEPEST:
            raise OSError("nested too deeply")
        found: Struct = {}
        number = 0
        while head := self.take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            found[number] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        read: dict[int, Callable[[], Any]] = {
            _TRUE: lambda: True,
            _FALSE: lambda: False,
            _BYTE: lambda: self.take(1)[0],
            **dict.fromkeys(_INTS, self.zigzag),
            _DOUBLE: lambda: struct.unpack("<d", self.take(8))[0],
            _BINARY: lambda: self.take(self.varint()),
            **dict.fromkeys(_LISTS, lambda: self._list(depth)),
            _STRUCT: lambda: self.struct(depth + 1),
        }
        if kind not in read:
            raise OSError("a header in it is of no known kind")
        return read[kind]()

    def _list(self, depth: int) -> list[Any]:
        head = self.take(1)[0]
        size, kind = head >> 4, head & 15
        if size == 15:
            size = self.varint()
        if size > len(self._data) - self.at:  # each takes a byte at least
            raise OSError("a list in it is too long")
        if kind in (_TRUE, _FALSE):  # in a list they are a byte each
            return [self.take(1)[0] == _TRUE for _ in range(size)]
        if depth > _DEEPEST:
            raise OSError("nested too deeply")
        return [self._value(kind, depth + 1) for _ in range(size)]
