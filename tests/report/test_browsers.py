"""The page in Chromium and in Firefox: what a reader does with it, and that nothing covers anything."""

from __future__ import annotations

import itertools
from pathlib import Path

import folders
import made_studies
import pytest
from browsing import Window
from made_results import MINILM
from reading import column, open_cell, row_of, shown, sort

from instructor_eval.report.labels import Box

pytestmark = pytest.mark.browser
ELSEWHERE = "http://127.0.0.1:59999/x.png"
_BOXES = (
    "return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect()).filter(b => b.width)"
    ".map(b => [b.left, b.top, b.right, b.bottom])"
)


@pytest.fixture(autouse=True)
def _wide(either: Window) -> None:
    either.size(1400)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("studies")
    made_studies.chunks(root, ["64", "100", "100:20", "128", "256", "512", "whole"])
    return folders.report(root, root / "report.html")


def test_it_opens_without_an_error_and_asks_for_nothing(either: Window, page: Path, packed: Path) -> None:
    for one in (page, packed):
        either.open(one)
        assert either.run("return document.querySelectorAll('td > button').length") > 20
        assert either.console == []
        assert [url for url in either.requests if not url.startswith(("data:", one.as_uri()))] == []


def test_an_error_would_be_seen(either: Window, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(f"<!doctype html><title>x</title><script>nothing()</script><img src={ELSEWHERE}>", encoding="utf-8")
    either.open(bad)
    assert any("nothing" in line for line in either.console)
    assert ELSEWHERE in either.requests


def test_rows_are_filtered_and_sorted_and_a_link_brings_them_back(either: Window, page: Path) -> None:
    either.open(page)
    every = shown(either)
    either.click("#q")
    either.press("minilm")
    some = shown(either)
    assert 0 < len(some) < len(every)
    either.choose("#benchmark", "mteb")
    assert sort(either, "STS12") == "descending"
    values = [float(text.split()[0]) for text in column(either, "STS12") if text[:1].isdigit()]
    assert len(values) > 2
    state, rows = either.state, shown(either)
    assert all(word in state for word in ("sort=STS12", "q=minilm", "benchmark=mteb"))
    either.open(page, state)
    assert shown(either) == rows
    assert either.run("return document.querySelector('#q').value") == "minilm"
    assert either.console == []


def test_a_cell_opens_what_stands_behind_it(either: Window, page: Path, packed: Path) -> None:
    for one in (page, packed):
        either.open(one)
        said = open_cell(either, row_of(either, MINILM, "int8", "paper"), "SciFact")
        assert "300 queries" in said
        assert "Lowest" in said
        either.press("\ue00c")  # Escape
        either.wait(lambda: not either.run("return document.querySelector('#panel').open"))
        assert "open=" not in either.state


@pytest.mark.parametrize("width", [1440, 768, 390])
def test_names_in_the_chart_cover_nothing(either: Window, page: Path, width: int) -> None:
    either.size(width)
    either.open(page)
    assert either.run("return document.scrollingElement.scrollWidth") <= width
    names, dots = ([Box(*box) for box in either.run(_BOXES, f".charts .chart {css}")] for css in ("g text", "circle"))
    assert len(names) >= 2
    assert len(dots) >= 3
    _assert_apart(names, dots)


@pytest.mark.parametrize("width", [1440, 768, 390])
def test_chunk_sizes_are_drawn_and_read_as_text(either: Window, studies: Path, width: int) -> None:
    either.size(width)
    either.open(studies)
    assert either.run("return document.scrollingElement.scrollWidth") <= width
    part = "section[aria-labelledby=h-studies]"
    [line], texts, dots = (
        [Box(*box) for box in either.run(_BOXES, f"{part} svg {css}")] for css in ("path.zero", "text", "circle")
    )
    assert 200 < line.right - line.left <= width
    assert len(dots) == 14
    assert len(texts) >= 16
    _assert_apart(texts, dots)
    assert all(text.left >= 0 and text.right <= width for text in texts)
    rows = either.run(f"return [...document.querySelectorAll('{part} tbody th')].map(e => e.innerText)")
    assert rows == ["64", "100", "100:20", "128", "256", "512", "whole"]
    assert either.axe() == []
    assert either.console == []


def _assert_apart(texts: list[Box], dots: list[Box]) -> None:
    assert [(one, other) for one, other in itertools.combinations(texts, 2) if one.overlaps(other)] == []
    assert [(text, dot) for text in texts for dot in dots if text.overlaps(dot)] == []
