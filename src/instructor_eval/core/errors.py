"""The one exception that users see: a single line with the thing, the reason and the next step."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

EXIT_OK = 0
EXIT_ERROR = 2
EXIT_NOT_COMPARABLE = 4
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
_LONGEST = 480
"""Characters of an error: what is longer nobody reads to its end, where the next step stands."""

_LONGEST_NAME = 200


class UserError(Exception):
    """An error that the user can correct. Its text is one line; the command line prints it and exits with 2."""

    def __init__(self, message: str) -> None:
        super().__init__(fitted(one_line(message), _LONGEST))


class ModelOutputError(UserError):
    """A model gave vectors that no score can be computed from (NaN, infinite or zero)."""


class UnknownNameError(UserError):
    """A name that no one knows where it is looked up: what was typed is wrong, and nothing is wrong with the place."""


class DamagedFileError(UserError):
    """A file of this program that is damaged; making it again corrects it."""


class OutOfMemory(Exception):
    """A batch does not fit the device; a smaller one may."""


def one_line(text: str) -> str:
    """`text` with every run of white space made one space, and nothing in it that would drive a terminal."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """`text` with control characters replaced."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def fitted(text: str, longest: int) -> str:
    """`text` in at most `longest` characters: its longest words (a name, a path) lose their middle, or else it does."""
    while len(text) > longest:
        word = max(re.finditer(r"\S+", text), key=lambda found: len(found[0]), default=None)
        start, end = word.span() if word and len(word[0]) > 60 else (0, len(text))
        room = max(40, end - start - (len(text) - longest)) if (start, end) != (0, len(text)) else longest
        head = (room - 3) * 2 // 3
        text = f"{text[: start + head]}...{text[end - (room - 3 - head) :]}"
    return text


def reason(e: OSError) -> str:
    """Return why the system refused, in its own words: `no space left on device`."""
    text = e.strerror or str(e)
    return text[:1].lower() + text[1:]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`": did you mean X or Y?"` for the names closest to `name`, or an empty string.

    Case is ignored, so that `arguana` finds `ArguAna`.
    """
    if len(name) > _LONGEST_NAME:
        return ""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    return f": did you mean {' or '.join(by_lower[c] for c in close)}?" if close else ""
