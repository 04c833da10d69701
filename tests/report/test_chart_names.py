"""Names in the charts, read off the page's SVG: none covers a dot, a bar, another name, or leaves the drawing."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_rows import fill, page_of

from instructor_eval.report.labels import Box, Label, Mark, place, shortened, width_of
from instructor_eval.results.score import Score

FRAME = Box(52, 0, 760, 334)


@pytest.fixture(scope="module", params=[4, 22, pytest.param(50, marks=pytest.mark.slow)])
def drawings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
             make_score: Callable[..., Score]) -> list[ET.Element]:  # fmt: skip
    """The drawings that lie open in the page of so many rows."""
    root = tmp_path_factory.mktemp("rows")
    fill(root, make_score, request.param)
    found = re.findall(r"<figure class=chart id=x-\w+>(<svg.*?</svg>)", page_of(root), re.DOTALL)
    assert found
    return [ET.fromstring(re.sub(r"(\s[\w-]+)=([^\s\"'>]+?)(?=[\s/>])", r'\1="\2"', text)) for text in found]


def number(element: ET.Element, name: str) -> float:
    return float(element.attrib[name])


def marks_of(drawing: ET.Element, stroke: float) -> list[Box]:
    found = []
    for dot in drawing.iterfind("g[circle]"):
        for circle in dot.iterfind("circle"):
            x, y, r = number(circle, "cx"), number(circle, "cy"), number(circle, "r") + stroke
            found.append(Box(x - r, y - r, x + r, y + r))
        for bar in dot.iterfind("path"):
            x, low, high = map(float, re.findall(r"[\d.]+", bar.attrib["d"]))
            found.append(Box(x - 0.75, min(low, high), x + 0.75, max(low, high)))
    return found


def names_of(drawing: ET.Element, group: str, size: float) -> list[Box]:
    """Boxes of the names: ascent and descent of DejaVu Sans, widths no less than its own."""
    [names] = drawing.findall(f"g[@class='{group}']")
    found = []
    for text in names.iterfind("text"):
        x, y = number(text, "x"), number(text, "y")
        found.append(Box(x, y - 0.93 * size, x + width_of(text.text or "", size), y + 0.24 * size))
    return found


@pytest.mark.parametrize(("group", "size", "stroke"), [("wide", 12, 0.75), ("narrow", 21, 3.5)])
def test_no_name_covers_anything(drawings: list[ET.Element], group: str, size: float, stroke: float) -> None:
    for drawing in drawings:
        marks, names = marks_of(drawing, stroke), names_of(drawing, group, size)
        assert len(marks) >= 6
        assert len(names) >= (3 if group == "wide" else 1)
        for name in names:
            assert FRAME.holds(name)
            assert not any(name.overlaps(mark) for mark in marks)
        assert not any(one.overlaps(other) for one, other in itertools.combinations(names, 2))


def test_a_name_away_from_its_dot_has_a_line_to_it(drawings: list[ET.Element]) -> None:
    for drawing in drawings:
        circles = [(number(c, "cx"), number(c, "cy"), number(c, "r")) for c in drawing.iter("circle")]
        [wide] = drawing.findall("g[@class='wide']")
        leaders = [list(map(float, re.findall(r"[\d.]+", path.attrib["d"]))) for path in wide.iterfind("path")]
        names = names_of(drawing, "wide", 12)
        alone = [
            name for name in names
            if min(_distance(name, x, y) - r for x, y, r in circles) > 12
        ]  # fmt: skip
        for x, y, to_x, to_y in leaders:
            assert min(math.dist((x, y), circle[:2]) for circle in circles) < 0.2
            assert min(_distance(name, to_x, to_y) for name in names) < 0.2
        reached = [name for name in alone if any(_distance(name, x, y) < 0.2 for _, _, x, y in leaders)]
        assert reached == alone


def _distance(box: Box, x: float, y: float) -> float:
    return math.dist((x, y), (min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)))


# Placement


dots = st.lists(
    st.builds(
        lambda x, y, bar: Mark(x, y, 7, y + bar if bar else None, y - bar if bar else None),
        st.floats(60, 700), st.floats(20, 320), st.sampled_from([0, 20]),
    ),
    max_size=30,
)  # fmt: skip


@given(dots, st.sampled_from([12, 21]))
def test_names_are_placed_without_covering(marks: list[Mark], size: int) -> None:
    found = place([(mark, f"name {n}") for n, mark in enumerate(marks)], marks, [], FRAME, size)
    assert len(found) == len(marks)
    placed = [label for label in found if label is not None]
    boxes = [box for mark in marks for box in mark.boxes]
    for label in placed:
        assert FRAME.holds(label.box)
        assert not any(label.box.overlaps(box) for box in boxes)
    for one, other in itertools.permutations(placed, 2):
        assert not one.box.overlaps(other.box)
        assert one.leader is None or not other.box.meets(one.leader)


def test_all_of_some_dots_in_one_place_are_named() -> None:
    marks = [Mark(300, 150, 7)] * 8
    found = [label for label in place([(m, f"name {n}") for n, m in enumerate(marks)], marks, [], FRAME, 12) if label]
    assert len(found) == 8
    assert all(label.leader for label in found)
    alone = place([(marks[0], "name")], marks, [], FRAME, 12)[0]
    assert alone is not None
    assert alone.leader is None


def test_a_name_without_room_is_left_out() -> None:
    def first(frame: Box) -> Label | None:
        return place([(Mark(300, 150, 7), "a long name")], [Mark(300, 150, 7)], [], frame, 12)[0]

    assert first(Box(293, 143, 307, 157)) is None
    assert first(FRAME) is not None


def test_a_name_stands_on_no_line_where_there_is_other_room() -> None:
    mark, line = Mark(300, 150, 7), ((300.0, 150.0), (600.0, 150.0))
    [beside] = place([(mark, "name")], [mark], [], FRAME, 12)
    [off] = place([(mark, "name")], [mark], [line], FRAME, 12)
    assert beside is not None
    assert off is not None
    assert beside.box.meets(line)
    assert not off.box.meets(line)


@given(st.tuples(*[st.floats(0, 100)] * 4))
def test_a_line_meets_a_box_as_its_points_say(ends: tuple[float, float, float, float]) -> None:
    box, line = Box(30, 40, 60, 55), (ends[:2], ends[2:])
    share = np.linspace(0, 1, 4001)
    x, y = (a + share * (b - a) for a, b in zip(*line, strict=True))
    inside = bool(((x > 30) & (x < 60) & (y > 40) & (y < 55)).any())
    grazes = bool(((x > 29.9) & (x < 60.1) & (y > 39.9) & (y < 55.1)).any())
    assert inside <= box.meets(line) <= grazes


@pytest.mark.parametrize("text", ["embedder-31-large · int8", "MMMMWWWW", "illiiljt.,:", "模型名稱", "@@@@", "نموذج"])
def test_widths_are_no_less_than_a_common_fonts(text: str) -> None:
    """Advance widths of DejaVu Sans 2.37, the widest of the usual fonts, from its hmtx table (per 2,048 units)."""
    known = dict(zip("emb dr-31lag·int8MWij.,:@", (
        1260, 1995, 1300, 651, 1300, 842, 739, 1303, 1303, 569, 1255, 1300, 651, 569, 1298, 803, 1303, 1767, 2025, 569,
        569, 651, 651, 690, 2048), strict=True))  # fmt: skip
    widths = [known[c] for c in text if c in known]
    assert width_of("".join(c for c in text if c in known), 2048) >= sum(widths)
    assert width_of(text, 12) > 0


def test_long_names_keep_both_ends() -> None:
    assert shortened("x" * 26) == "x" * 26
    name = "organisation-of-embedders-large-int8"
    assert len(shortened(name)) == 26
    assert shortened(name).startswith("organisat")
    assert shortened(name).endswith("large-int8")
