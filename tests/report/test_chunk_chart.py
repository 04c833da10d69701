"""Score and index size against chunk size: where everything is drawn, in numbers and on the page."""

from __future__ import annotations

import math
import re
from pathlib import Path

import folders
import pytest
from made_studies import size, task

from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.chunks import Size
from instructor_eval.analysis.study.files import ChunkStudy
from instructor_eval.analysis.study.instructions import Gain
from instructor_eval.report.chunk_chart import ChunkChart, chunk_chart
from instructor_eval.report.labels import width_of
from instructor_eval.report.studies import sections_of


def drawn(*sizes: Size) -> ChunkChart:
    found = chunk_chart(task(*sizes))
    assert found is not None
    return found


def test_sizes_stand_on_a_log_axis_and_whole_beside_it() -> None:
    chart = drawn(size("64", 0.4, 8), size("128", 0.45, 4), size("512", 0.55, 2), size("whole", 0.5, 1))
    xs = [point.x for point in chart.points]
    assert (xs[1] - xs[0]) / (xs[2] - xs[0]) == pytest.approx(1 / 3, abs=0.002)
    assert xs[3] > xs[2] + 50
    assert [point.best for point in chart.points] == [False, False, True, False]
    assert [text for _, _, text in chart.names] == ["64", "128", "512", "whole"]


def test_the_bar_is_the_differences_interval_around_the_score() -> None:
    chart = drawn(size("64", 0.4), size("128", 0.6), size("whole", 0.5))
    first, second, base = chart.points
    assert (base.low, base.high) == (None, None)
    assert chart.base == "whole"
    assert chart.base_y == base.y
    a_point = (first.y - base.y) / 10  # y runs down
    for point in (first, second):
        assert point.low is not None
        assert point.high is not None
        assert (point.low - point.y) / a_point == pytest.approx(2, abs=0.05)
        assert (point.y - point.high) / a_point == pytest.approx(3, abs=0.05)


def test_bytes_are_drawn_from_zero_and_what_is_not_known_is_not() -> None:
    chart = drawn(size("64", 0.4, 8), size("128", 0.45, None), size("whole", 0.5, 4))
    places = [point.index_y for point in chart.points]
    zero = next(y for y, text in chart.index_ticks if text == "0")
    assert places[1] is None
    assert places[0] is not None
    assert places[2] is not None
    assert zero - places[0] == pytest.approx(2 * (zero - places[2]), abs=0.2)
    assert drawn(size("64", 0.4, 9e4), size("whole", 0.5, 1)).unit == "GB"
    without = drawn(size("64", 0.4, None), size("whole", 0.5, None))
    assert (without.unit, without.index_ticks) == ("", [])
    assert without.height < chart.height


@pytest.mark.parametrize("names", [
    ["64", "128", "256", "whole"], ["100", "100:20", "100:50", "101", "102", "whole"], [str(n) for n in range(8, 68)],
    ["whole", "x" * 300, "0", "100:", "1e9"], ["64", "999999999"], ["64", "64:1"],
])  # fmt: skip
def test_no_dot_and_no_name_covers_another(names: list[str]) -> None:
    chart = drawn(*(size(name, 0.4) for name in names))
    for point in chart.points:
        assert chart.left < point.x < chart.right
        assert chart.scores[0] <= point.y <= chart.scores[1]
    if len(names) < 20:
        for a in chart.points:
            assert all(math.dist((a.x, a.y), (b.x, b.y)) >= 12 for b in chart.points if a is not b)
    for placed, letters in ((chart.names, 12), (chart.narrow, 21)):
        assert placed
        ends: dict[int, float] = {}
        for x, row, text in placed:
            half = width_of(text, letters) / 2
            assert x - half > ends.get(row, 0)
            assert x + half < chart.width
            ends[row] = x + half


@pytest.mark.parametrize("gain", [Gain(-0.1, None, None, "unknown"), Gain(-0.1, -math.inf, math.nan, "unknown"),
                                  Gain(-0.1, -9.0, 9.0, "same")])  # fmt: skip
def test_intervals_that_are_not_there_or_too_wide(gain: Gain) -> None:
    point = drawn(size("64", 0.4, gain=gain), size("whole", 0.5)).points[0]
    known = gain.low == -9
    assert (point.low is not None) == (point.high is not None) == known
    if known:
        assert ChunkChart.scores[0] <= point.high < point.low <= ChunkChart.scores[1]


def test_one_size_is_no_drawing() -> None:
    assert chunk_chart(task(size("whole", 0.5))) is None
    assert chunk_chart(task(size("64", math.nan), size("whole", 0.5))) is None


def test_the_page_has_the_drawing_and_a_table_in_place_of_the_list(tmp_path: Path) -> None:
    found = task(size("64", 0.4, 8), size("128:32", 0.45, 4), size("<b>", 0.3, None), size("whole", 0.5, 1))
    files.write(tmp_path, "chunks", "org/model", ChunkStudy("org/model", "fp32", 0.01, (found,)))
    [section] = sections_of(tmp_path)
    assert section.title == "Chunk sizes: SciFact, org/model (fp32)"
    assert section.drawn is None
    page = folders.report(tmp_path, tmp_path / "report.html").read_text("utf-8")
    part = page[page.index("id=h-studies") : page.index("</main>")]
    assert "<table class=forest" not in part
    assert "Score and index size against chunk size." in part
    assert len(re.findall(r"<circle", part)) == 4 + 3
    assert "Hollow: with an overlap." in part
    assert "<b>" not in part
    cells = [re.sub(r"<[^>]*>", "|", row).strip("|") for row in part.split("<tbody>")[1].split("<tr>")[1:]]
    assert cells[0].startswith("64|40.00|-10.00 [-12.00, -7.00]|")
    assert "|8.00|" in cells[0]
    assert cells[3].startswith("whole|50.00|+0.00")
