"""A strict reader of the little LaTeX that is written here: it stops where `pdflatex` with booktabs would.

It knows the commands it is given and no others; whatever is special has to be escaped, every brace and environment
closed, every row of a table as long as its columns say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_WITH_TEXT = {"caption", "label", "textbf", "ensuremath"}
_SYMBOLS = {
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "pm": "±", "times": "\u00d7", "Delta": "Δ",
    "centering": "", "par": "\n", "smallskip": "", "footnotesize": "", "linewidth": "", "toprule": "", "midrule": "",
    "bottomrule": "",
}  # fmt: skip
_ENVIRONMENTS = {"table": 0, "tabular": 1, "minipage": 1}
_TOKEN = re.compile(r"\\([A-Za-z]+) ?|\\(.)|(.)", re.DOTALL)


@dataclass
class Parsed:
    """The parts that a reader of the printed page sees."""

    captions: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    """Each a list of rows of cells, the header first; bold is `*so*`."""
    notes: list[str] = field(default_factory=list)


class LatexError(ValueError):
    """Raised for what would not compile, or not print what it says."""


def parse(text: str) -> Parsed:
    """Read a document's body."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = [(m[1], m[2], m[3]) for m in _TOKEN.finditer(text)]
        self._at = 0
        self._found = Parsed()

    def read(self) -> Parsed:
        while self._at < len(self._tokens):
            name, _, char = self._tokens[self._at]
            self._at += 1
            if name == "begin":
                self._environment(self._argument_name())
            elif not (char and char.isspace()):
                raise LatexError(f"outside of a table: {self._tokens[self._at - 1]}")
        return self._found

    def _environment(self, name: str) -> None:
        if name not in _ENVIRONMENTS:
            raise LatexError(f"unknown environment {name}")
        given = [self._group() for _ in range(_ENVIRONMENTS[name])]
        if name == "tabular":
            self._found.tables.append(self._tabular(given[0]))
            return
        out = self._text(until=name)
        if name == "minipage":
            self._found.notes.append(out.strip())
        elif out.strip():
            raise LatexError(f"stray text {out!r}")

    def _tabular(self, spec: str) -> list[list[str]]:
        if not re.fullmatch("[lr]+", spec):
            raise LatexError(f"columns {spec!r}")
        rows = []
        text = self._text(until="tabular", cells=True)
        if not text.rstrip().endswith("\0"):
            raise LatexError("the last row has no end")
        for row in text.rstrip().removesuffix("\0").split("\0"):
            cells = [cell.strip() for cell in row.split("\1")]
            if len(cells) != len(spec):
                raise LatexError(f"{len(cells)} cells in {len(spec)} columns: {cells}")
            rows.append(cells)
        return rows

    def _argument_name(self) -> str:
        name = self._group()
        if not name.isalpha():
            raise LatexError(f"name {name!r}")
        return name

    def _group(self, *, formula: bool = False) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][2] != "{":
            raise LatexError("an argument is missing")
        self._at += 1
        return self._text(until=None, formula=formula)

    def _text(self, *, until: str | None, cells: bool = False, formula: bool = False) -> str:
        """The text up to the end of a group (None), a formula ("") or an environment (its name)."""
        out = ""
        while self._at < len(self._tokens):
            name, escaped, char = self._tokens[self._at]
            self._at += 1
            if name == "end":
                ended = self._argument_name()
                if ended != until:
                    raise LatexError(f"{ended} ends in {until}")
                return out
            if (char == "}" and until is None) or (char == "$" and formula):
                return out
            if name:
                out += self._command(name, formula=formula)
            elif escaped:
                out += self._escaped(escaped, cells=cells)
            else:
                out += self._char(char, cells=cells, formula=formula)
        raise LatexError("something is not closed")

    def _command(self, name: str, *, formula: bool) -> str:
        if name == "begin":
            self._environment(self._argument_name())
            return ""
        if name in _WITH_TEXT:
            inner = self._group(formula=name == "ensuremath")
            page = {"caption": self._found.captions, "label": self._found.labels}.get(name)
            if page is not None:
                page.append(inner)
                return ""
            return f"*{inner}*" if name == "textbf" else inner
        if name not in _SYMBOLS:
            raise LatexError(f"unknown command {name}")
        if name in ("pm", "times", "Delta") and not formula:
            raise LatexError(f"{name} outside of a formula")
        return _SYMBOLS[name]

    def _escaped(self, sign: str, *, cells: bool) -> str:
        if sign != "\\":
            if sign not in "&%$#_{}":
                raise LatexError(f"unknown command \\{sign}")
            return sign
        rest = "".join(c or "\\" for _, _, c in self._tokens[self._at : self._at + 40]).lstrip()
        if rest.startswith(("[", "*")):
            raise LatexError("the end of a row takes what follows for its argument")
        if not cells:
            raise LatexError("a row ends outside of a table")
        return "\0"

    def _char(self, char: str, *, cells: bool, formula: bool) -> str:
        if char == "{":
            return self._text(until=None)
        if char == "$":
            return self._text(until="", formula=True)
        if char == "&" and cells:
            return "\1"
        if char in "<>|" and formula:
            return char
        if char in "}&%#_^~<>|" or not (char.isprintable() or char == "\n"):
            raise LatexError(f"{char!r} is not escaped")
        return char
