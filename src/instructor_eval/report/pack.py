"""Thousands of alike pieces of HTML in little room: what they share once, what differs column by column.

A piece is cut into numbers, brackets and other text. Pieces cut alike make a group; of each place in a group the text
is stored once where it is the same in all, else as one string with the texts of all pieces, nothing for what repeats
the one before. Neighbours are then of one kind, and DEFLATE makes half of it. `unpack` in report.js puts the pieces
together again.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

BETWEEN = "\x7f"
"""Separates the texts of a column: no text of the page has it (`page.clean`)."""
_PIECE = re.compile(r"\d[\d.,]*|[^\d<>]+|[<>]")


def columns_of(parts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the pieces by groups: their keys, and a list of places, each a text or `[texts]`, joined."""
    groups: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for key, part in parts.items():
        cut = _PIECE.findall(part)
        shape = tuple("0" if piece[0].isdigit() else piece if piece in "<>" else "a" for piece in cut)
        groups.setdefault(shape, {})[key] = cut
    return [{"keys": BETWEEN.join(members), "places": _places(members)} for members in groups.values()]


def _places(members: Mapping[str, list[str]]) -> list[str | list[str]]:
    found: list[str | list[str]] = []
    for column in zip(*members.values(), strict=True):
        if len(set(column)) > 1:
            changes = (text if i == 0 or column[i - 1] != text else "" for i, text in enumerate(column))
            found.append([BETWEEN.join(changes)])
        elif found and isinstance(found[-1], str):
            found[-1] += column[0]
        else:
            found.append(column[0])
    return found


def packed(content: Mapping[str, Any]) -> str:
    """Return `content` as JSON, DEFLATE, base64: what a browser unpacks by itself."""
    plain = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    return base64.b64encode(zlib.compress(plain, 9)).decode()
