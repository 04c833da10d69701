"""Types of flags that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import math
from pathlib import Path


def positive(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def not_negative(text: str) -> int:
    """A whole number of at least 0.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return 0 if text.strip() == "0" else positive(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0") from None


def amount(text: str) -> float:
    """A number that is not below 0.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def seconds(text: str) -> float:
    """A number above 0.

    Raises:
        ArgumentTypeError: it is none.
    """
    value = amount(text)
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def names(text: str) -> list[str]:
    """The parts of `A,B`; a path that exists and an address stay whole.

    Raises:
        ArgumentTypeError: a part is empty.
    """
    with contextlib.suppress(OSError):  # too long for a file system
        if "://" in text or "," not in text or Path(text).exists():
            return [text]
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text[:200]!r} has an empty part: write A,B")
    return parts


def listed(text: str) -> list[str]:
    """The parts of `a,b,c`.

    Raises:
        ArgumentTypeError: one is empty.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty part: write fp32,int8")
    return parts
