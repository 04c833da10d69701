"""A page as a parser sees it: elements with their attributes, texts, what is packed."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from instructor_eval.results.score import Score

Run = Callable[..., Any]
MakeScore = Callable[..., Score]


class Page(HTMLParser):
    """A page as a browser would see it: elements in order, with their attributes and texts."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._open: str | None = None
        self.feed(content.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open in self.raw:
            self.raw[self._open][-1] += data
        else:
            self.texts.append(data)

    @property
    def shape(self) -> list[tuple[str, ...]]:
        """Elements with the names of their attributes; a name may break in other places than another."""
        return [(tag, *sorted(attributes)) for tag, attributes in self.elements if tag != "wbr"]

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def packed(self) -> dict[str, Any]:
        """The data that the page holds as JSON, DEFLATE, base64: its columns as lists, its parts by key."""
        [script] = [raw for raw, kind in zip(self.raw["script"], self.of("script"), strict=True) if kind.get("type")]
        found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(script)))
        return {**found, "values": [column.split("\x7f") for column in found["values"]], "parts": parts_of(found)}

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(path: Path | str = "report.html") -> Page:
    return Page(Path(path).read_bytes())


def parts_of(found: dict[str, Any]) -> dict[str, str]:
    """The pieces of HTML by key, put together from groups of columns (`report/pack.py`)."""
    parts: dict[str, str] = {}
    for group in found["parts"]:
        for i, key in enumerate(group["keys"].split("\x7f")):
            texts = []
            for place in group["places"]:
                if isinstance(place, str):
                    texts.append(place)
                else:
                    texts.append(next(text for text in reversed(place[0].split("\x7f")[: i + 1]) if text))
            parts[key] = "".join(texts)
    return parts
