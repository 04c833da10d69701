"""Names beside the dots of a drawing: none over a dot, a bar, another name, or out of the frame.

Greedy placement of point labels (Christensen, Marks and Shieber, "An empirical study of algorithms for point-feature
label placement", ACM Transactions on Graphics 14(3), 1995): names are placed in their order of importance, each at the
first free one of places in 16 directions and growing distances. Away from its dot a name has a line that leads there.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_GAP = 2.0
"""Room around a name."""
_NEAR = 8.0
"""A name that is no further from its dot needs no line."""
_DISTANCES = (3, 7, 12, 18, 26, 36, 48, 64, 84, 108, 136, 168, 204, 244, 288)
_CROWD, _CLOSE, _AWAY = 14, 3, 26
"""Of more than three dots within this distance the names stand further off: close names would shut the others in."""
_DIRECTIONS = tuple(math.pi * k / 8 for k in (0, 8, 12, 4, 15, 1, 9, 7, 14, 2, 10, 6, 13, 3, 11, 5))
"""Right and left first, then above and below, then between."""
_WIDTHS = {
    **dict.fromkeys("ijl'", 0.28), **dict.fromkeys("ftrI .,:;·!/-()[]|", 0.42),
    **dict.fromkeys("mwMWOQG@%…+#=<>~&^", 1.0),
}  # fmt: skip
"""Of characters that differ much from `_WIDTH`, as shares of the font's size: no less than in DejaVu Sans."""
_WIDTH, _UPPER, _WIDE = 0.64, 0.78, 1.05
_ASCENT, _DESCENT = 0.93, 0.25
_LONGEST = 26


@dataclass(frozen=True)
class Box:
    """A part of a drawing, in its units; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Return whether two boxes have a point inside both."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Return whether another box lies inside this one."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )

    def grown(self, by: float) -> Box:
        """Return the box with room around it."""
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def meets(self, line: Line) -> bool:
        """Return whether a straight line passes through the box (Liang and Barsky's clipping)."""
        (x, y), (to_x, to_y) = line
        start, end = 0.0, 1.0
        across, down = to_x - x, to_y - y
        sides = ((-across, x - self.left), (across, self.right - x), (-down, y - self.top), (down, self.bottom - y))
        for step, room in sides:
            if step == 0:
                if room <= 0:
                    return False
            elif step < 0:
                start = max(start, room / step)
            else:
                end = min(end, room / step)
        return start < end


Line = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Mark:
    """A dot with its bar, and the name that it should have."""

    x: float
    y: float
    radius: float
    low: float | None = None
    """Ends of its bar, in the drawing's units."""
    high: float | None = None

    @property
    def boxes(self) -> list[Box]:
        """Return what it covers."""
        dot = Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)
        if self.low is None or self.high is None:
            return [dot]
        return [dot, Box(self.x - 1, min(self.low, self.high), self.x + 1, max(self.low, self.high))]


@dataclass(frozen=True)
class Label:
    """A name in its place."""

    text: str
    x: float
    """Of its left edge."""
    y: float
    """Of its baseline."""
    box: Box
    leader: Line | None = None
    """From its dot to it; None where it stands close to it."""


def shortened(name: str) -> str:
    """Return a name of at most 26 characters: of a longer one both ends, as the end tells rows apart."""
    return name if len(name) <= _LONGEST else f"{name[:9]}…{name[10 - _LONGEST :]}"


def width_of(text: str, size: float) -> float:
    """Return how wide a text is at most, in a common font without serifs."""
    return size * sum(map(_share, text))


def _share(character: str) -> float:
    if character in _WIDTHS:
        return _WIDTHS[character]
    if not character.isascii():
        return _WIDE if unicodedata.east_asian_width(character) in "WF" else 0.9
    return _UPPER if character.isupper() else _WIDTH


def place(
    named: Sequence[tuple[Mark, str]], marks: Sequence[Mark], lines: Sequence[Line], frame: Box, size: float
) -> list[Label | None]:
    """Return a label for each name, None where there is no room for it.

    Args:
        named: Dots with their names, the most important first.
        marks: All dots of the drawing.
        lines: Lines between dots, which a name stands on only where there is no other room.
        frame: The part of the drawing that names may stand in.
        size: Of the font.
    """
    taken = [box for mark in marks for box in mark.boxes]
    placed: list[Label] = []
    found: list[Label | None] = []
    for mark, text in named:
        crowd = sum(math.dist((mark.x, mark.y), (other.x, other.y)) < _CROWD for other, _ in named)
        away = _AWAY if crowd > _CLOSE else 0
        free = [label for label in _candidates(mark, text, size, away) if _is_free(label, taken, placed, frame)]
        clear = (label for label in free if not any(label.box.meets(line) for line in lines))
        own = set(mark.boxes)
        others = [box for box in taken if box not in own]
        straight = (c for c in clear if c.leader is None or not any(box.meets(c.leader) for box in others))
        label = next(straight, free[0] if free else None)
        found.append(label)
        if label is not None:
            placed.append(label)
    return found


def _candidates(mark: Mark, text: str, size: float, away: float) -> Iterator[Label]:
    width, height = width_of(text, size), size * (_ASCENT + _DESCENT)
    for distance in _DISTANCES:
        if distance < away:
            continue
        for direction in _DIRECTIONS:
            across, down = math.cos(direction), math.sin(direction)
            reach = mark.radius + distance
            x, y = mark.x + reach * across, mark.y + reach * down
            left = x - width * (1 - across) / 2  # the box's side, corner or edge that faces the dot stands there
            top = y - height * (1 - down) / 2
            box = Box(left, top, left + width, top + height)
            near = (min(max(mark.x, box.left), box.right), min(max(mark.y, box.top), box.bottom))
            leader = ((mark.x, mark.y), near) if math.dist(near, (mark.x, mark.y)) > mark.radius + _NEAR else None
            yield Label(text, round(left, 1), round(top + size * _ASCENT, 1), box, leader)


def _is_free(label: Label, taken: Sequence[Box], placed: Sequence[Label], frame: Box) -> bool:
    """Tell whether a name covers nothing there, and crosses no other name with its line."""
    box = label.box.grown(_GAP)
    if not frame.holds(label.box) or any(box.overlaps(other) for other in taken):
        return False
    if any(box.overlaps(other.box) or (other.leader and box.meets(other.leader)) for other in placed):
        return False
    return label.leader is None or not any(other.box.meets(label.leader) for other in placed)
