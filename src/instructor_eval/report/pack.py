"""Thousands of alike pieces of HTML in little room: what they share once, what differs column by column.

A piece is cut into numbers, brackets and other text. Pieces cut alike make a group; of each place in a group the text
is kept once where it is the same in all, else as one string with the texts of all pieces, nothing for what repeats the
one before. What follows each other then is of one kind, and DEFLATE makes half of it. `unpack` in report.js puts the
pieces together again.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BETWEEN = "\x7f"
"""What stands between the texts of a column: no text of the page has it (`page.clean`)."""
_SAFE = str.maketrans("<>&", ",./")
_PIECE = re.compile(r"\d[\d.,]*|[^\d<>]+|[<>]")


def columns_of(parts: Mapping[str, str]) -> list[dict[str, Any]]:
    """The pieces by groups: their keys, and a list of places, each a text or `[texts]`, joined."""
    groups: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for key, part in parts.items():
        cut = _PIECE.findall(part)
        groups.setdefault(tuple(map(_kind, cut)), {})[key] = cut
    return [
        {"keys": BETWEEN.join(members), "places": _places(zip(*members.values(), strict=True))}
        for members in groups.values()
    ]


def _kind(piece: str) -> str:
    if piece[0].isdigit():
        return "0"
    return piece if piece in "<>" else "a"


def _places(columns: Iterable[tuple[str, ...]]) -> list[str | list[str]]:
    found: list[str | list[str]] = []
    for column in columns:
        if len(set(column)) > 1:
            found.append([BETWEEN.join(_changes(column))])
        elif found and isinstance(found[-1], str):
            found[-1] += column[0]
        else:
            found.append(column[0])
    return found


def _changes(column: Sequence[str]) -> list[str]:
    """The texts, nothing where one is the same as before it; no text of a place is empty."""
    return [text if i == 0 or column[i - 1] != text else "" for i, text in enumerate(column)]


def packed(content: Mapping[str, Any]) -> str:
    """As JSON, DEFLATE without a head, base 85 without the three characters that HTML knows."""
    raw = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    return base64.b85encode(deflate.compress(raw) + deflate.flush()).decode().translate(_SAFE)
