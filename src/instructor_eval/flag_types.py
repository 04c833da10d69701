"""How texts of the command line become values, where several commands read them alike."""

from __future__ import annotations

import argparse


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
    return 0 if text.strip() == "0" else positive(text)


def listed(text: str) -> list[str]:
    """The parts of `a,b,c`.

    Raises:
        ArgumentTypeError: one is empty.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty part: write fp32,int8")
    return parts
