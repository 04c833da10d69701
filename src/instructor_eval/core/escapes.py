r"""Text from outside in what is written: one function for each form, which no text gets through as anything but text.

A model's name, a path or a server's reply may hold what drives a terminal, an image that a page loads, a link, a
formula. Control characters, turned directions (U+202E) and characters of no width are no text anywhere.

| form      | function           | what it keeps out                                                               |
|-----------|--------------------|---------------------------------------------------------------------------------|
| terminal  | `errors.printable` | escape sequences; `output.tell` and `output.warn` hold every line against it    |
| Markdown  | `markdown`         | markup, HTML, images, links, addresses that become links, mentions              |
| CSV       | `csv_cell`         | formulas: a spreadsheet runs what begins with `=`, `+`, `-`, `@`, tab or return |
| JSON      | `json_text`        | raw control characters: they stand as `\u001b`                                   |
| LaTeX     | `latex`            | commands, comments, formulas, and what the end of a row takes for its argument  |
| XML       | ElementTree's own  | elements; `errors.printable` what XML cannot hold                               |
| HTML      | jinja2's own       | elements; `report.page` what is no text                                         |
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from instructor_eval.core.errors import one_line, printable

_MARKUP = re.compile(r"([\\`*\[\]#|~$]|(?<![^\W_])_|_(?![^\W_]))")  # brackets alone make links; a_b is no emphasis
_ADDRESS = re.compile(r"(?i)(?<=www)(?=\.)|(?<=[a-z]):(?=//)|(?<=mailto):|(?<=xmpp):")
_MENTION = re.compile(r"(?<![A-Za-z0-9])@|@(?=[\w-]*\\?\.)|(?<=#)(?=\d)|(?<=\bGH)-(?=\d)", re.IGNORECASE)
_FIGURES = re.compile(r"[-+0-9., ±▲▼=]*( @\d+)?(\[[-+0-9., ]*\])?( ?\([-±0-9./]*\))?[ ±▲▼=*]*")
_JOINER = "\u2060"
"""Invisible, and no part of a name or a number: what stands before it and behind it is not taken together."""
_LATEX = str.maketrans({
    **{sign: f"\\{sign}" for sign in "&%$#_{}"}, "\\": r"\textbackslash{}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "<": r"\ensuremath{<}", ">": r"\ensuremath{>}", "|": r"\ensuremath{|}",
    "±": r"$\pm$", "\u00d7": r"$\times$", "Δ": r"$\Delta$",
})  # fmt: skip
_DOUBLES = re.compile(r"-(?=-)|[`'?!](?=[`'])|,(?=,)")
"""Characters that a font joins with the next one: `--` to a dash, ?` to an upside-down question mark."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d[\d,]*\.?\d*|\.\d+)([eE][+-]?\d+)?%?")


def markdown(text: str) -> str:
    """Return `text` on one line, as Markdown shows it literally: no markup, no HTML, no link, nobody mentioned.

    Figures with their intervals, as `64.51 ±4.1` and `1 [1, 2]`, stay readable as they are.
    """
    clean = one_line(text)
    if _FIGURES.fullmatch(clean):
        return clean
    clean = clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    clean = _ADDRESS.sub(r"\\\g<0>", _MARKUP.sub(r"\\\1", clean))
    return _MENTION.sub(lambda found: f"{found[0]}{_JOINER}", clean)


def latex(text: str) -> str:
    """Return `text` on one line, as LaTeX sets it literally. Letters beyond its fonts want XeLaTeX or LuaLaTeX."""
    clean = printable(text).replace("\ufffd", "?")
    if _FIGURES.fullmatch(clean):  # a minus is no hyphen
        return clean.translate(_LATEX).replace("-", "$-$")
    escaped = _DOUBLES.sub(lambda found: f"{found[0]}{{}}", clean.translate(_LATEX))
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped  # after the end of a row: its argument


def csv_cell(value: Any) -> Any:
    """Return a cell of a CSV file; a text that a spreadsheet would take for a formula has a `'` before it.

    Numbers stay numbers, also where they are texts such as `-0.12`.
    """
    if not isinstance(value, str):
        return "" if value is None else value
    is_formula = value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return printable(f"'{value}" if is_formula else value)


def json_text(value: object) -> str:
    """Return `value` as indented JSON; NaN and infinities are null, what is no text is escaped."""
    text = json.dumps(finite(value), ensure_ascii=False, indent=1, allow_nan=False)
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def finite(value: object) -> object:
    """Return `value` with NaN and infinities as null: JSON has no word for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value
