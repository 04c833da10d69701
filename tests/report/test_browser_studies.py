"""The drawing of chunk sizes in a browser: whatever the window, no text on another, on a dot, or outside."""

from __future__ import annotations

import itertools
from pathlib import Path

import folders
import made_studies
import pytest
from browsing import Browser

from instructor_eval.report.labels import Box

pytestmark = pytest.mark.browser
_BOXES = (
    "return [...document.querySelectorAll('section[aria-labelledby=h-studies] svg ' + arguments[0])].map(e =>"
    " e.getBoundingClientRect()).filter(b => b.width).map(b => [b.left, b.top, b.right, b.bottom])"
)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("studies")
    made_studies.chunks(root, ["64", "100", "100:20", "128", "256", "512", "whole"])
    return folders.report(root, root / "report.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 768, 390])
def test_sizes_are_drawn_and_read_as_text(browser: Browser, studies: Path, width: int, scheme: str) -> None:
    browser.size(width)
    browser.media(prefers_color_scheme=scheme)
    browser.open(studies)
    assert browser.run("return document.scrollingElement.scrollWidth") <= width
    [line], texts, dots = ([Box(*box) for box in browser.run(_BOXES, what)] for what in ("path.zero", "text", "circle"))
    assert 200 < line.right - line.left <= width
    assert len(dots) == 14
    assert len(texts) >= 16
    assert not any(one.overlaps(other) for one, other in itertools.combinations(texts, 2))
    assert not any(text.overlaps(dot) for text in texts for dot in dots)
    assert all(text.left >= 0 and text.right <= width for text in texts)
    rows = browser.all("section[aria-labelledby=h-studies] tbody tr")
    assert [row.text.split()[0] for row in rows] == ["64", "100", "100:20", "128", "256", "512", "whole"]
    assert browser.axe() == []
    assert browser.console == []
