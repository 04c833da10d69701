"""Take secrets out of foreign text: an API key in whole, and every part of it from eight characters on.

A server has the key that it was sent, and may answer with it anywhere. What came from one is cleaned before it is shown
or stored: in the spelling of the key, in another case, backwards, and as base64, hex, percent or JSON escapes.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

HIDDEN = "***"
"""Stands where a secret was."""
PART = 8
"""Characters from which on a part of a secret is taken out. A shorter secret is looked for whole."""
_LEAST = 4
"""A secret shorter than this is none: it would be found in every other word."""
_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_SAME_CASE = str.maketrans(_UPPER, _LOWER)  # unlike `lower`, it leaves every character in its place
_NAMED = re.compile("KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL", re.IGNORECASE)
_LEAST_OF_VARIABLE = 6
_NUMBERS = {int, float}
_MEMBERS = 500_000
_SHORT = 60


class Secrets:
    """Texts that must not be seen.

    Args:
        secrets: In any number and order; those of fewer than four characters are left out.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._parts = {part.translate(_SAME_CASE) for secret in secrets for part in _parts(secret.strip())}
        self._sizes = sorted(set(map(len, self._parts)))

    def out_of(self, text: str) -> str:
        """Return `text` with three stars for every run of characters that belongs to a secret."""
        found, end = [], 0
        for start, stop in sorted(self._places(text.translate(_SAME_CASE))):
            if start >= end:
                found += [text[end:start], HIDDEN]
            end = max(end, stop)
        return "".join((*found, text[end:])) if found else text

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Beginning and end of every part in `text`."""
        if len(text) < _SHORT:  # looking at each place in it is faster than looking for hundreds of parts
            for size in self._sizes:
                yield from (
                    (at, at + size) for at in range(len(text) - size + 1) if text[at : at + size] in self._parts
                )
            return
        for part in self._parts:
            at = text.find(part)
            while at >= 0:
                yield at, at + len(part)
                at = text.find(part, at + 1)

    def out_of_all(self, value: Any) -> Any:
        """Return decoded JSON with every string in it cleaned, names of members too.

        A number whose digits are a secret's is None; one in a list of numbers stays, as nothing shows vectors.

        Raises:
            RecursionError: it is nested deeper than Python calls.
            ValueError: it has half a million members.
        """
        if not self._parts:
            return value
        left = _MEMBERS

        def clean(value: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise ValueError("more members than any reply has")
            if isinstance(value, str):
                return self.out_of(value) if len(value) >= _LEAST else value
            if isinstance(value, dict):
                return {self.out_of(name): clean(member) for name, member in value.items()}
            if isinstance(value, list):
                return value if set(map(type, value)) <= _NUMBERS else [clean(member) for member in value]
            return None if type(value) in _NUMBERS and self.out_of(str(value)) != str(value) else value

        return clean(value)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return `text` without `secrets` and their parts."""
    return Secrets(secrets).out_of(text)


def environment_secrets() -> list[str]:
    """Return the values of all variables named as secrets are (`..._KEY`, `..._TOKEN`), but not names of files."""
    return [
        value
        for name, value in os.environ.items()
        if _NAMED.search(name) and len(value) >= _LEAST_OF_VARIABLE and not _is_file(value)
    ]


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_absolute() and Path(value).exists()
    except (OSError, ValueError):
        return False


def _parts(secret: str) -> Iterator[str]:
    """Yield what is looked for."""
    if len(secret) < _LEAST:
        return
    if len(secret) < PART:
        yield secret
        return
    raw = secret.encode("utf-8", "surrogatepass")
    spelled = [secret, secret[::-1], quote(secret, safe="", errors="replace")]
    for offset in range(3):  # where it stands in a longer text decides its base64
        whole = base64.b64encode(bytes(offset) + raw).decode()
        known = whole[(8 * offset + 5) // 6 : 8 * (offset + len(raw)) // 6]
        spelled += [known, known.replace("+", "-").replace("/", "_")]
    for text in dict.fromkeys(spelled):
        yield from (text[at : at + PART] for at in range(len(text) - PART + 1))
    for at in range(len(raw) - PART + 1):
        piece = raw[at : at + PART]
        yield piece.hex()
        yield "".join(f"%{byte:02x}" for byte in piece)
        yield "".join(f"\\u{byte:04x}" for byte in piece)
