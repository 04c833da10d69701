"""Every edit of a JSON value, one at a time."""

import math
from collections.abc import Callable, Iterator
from typing import Any


def edits(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Callable[[Any], None]]]:
    """Each edit of a JSON value: the place, and what changes a copy of the whole."""
    if isinstance(value, dict | list):
        yield (*at, "added"), lambda whole: add(inner_of(whole, at))
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*at, key), lambda whole, key=key: inner_of(whole, at).__delitem__(key)
            yield from edits(value[key], (*at, key))
    else:
        yield at, lambda whole: inner_of(whole, at[:-1]).__setitem__(at[-1], other(value))


def inner_of(value: Any, at: tuple[Any, ...]) -> Any:
    """The value at a place."""
    for key in at:
        value = value[key]
    return value


def add(value: Any) -> None:
    """Add an entry."""
    if isinstance(value, dict):
        value["added"] = "x"
    else:
        value.append("x")


def other(value: Any) -> Any:
    """A value that is like this one."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, float):
        return math.nextafter(value, math.inf)
    return value + ("x" if isinstance(value, str) else 1)
