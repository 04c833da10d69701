"""Names in the charts as Chromium draws them, in its own font: none over a dot, a bar or another text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import Browser
from many_rows import fill, page_of

from instructor_eval.results.score import Score

pytestmark = pytest.mark.browser
COVERED = """
const box = (e) => e.getBoundingClientRect();
const drawn = [...document.querySelectorAll('.chart svg')].filter((svg) => svg.getClientRects().length);
const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5;
const found = [];
let names = 0;
for (const svg of drawn) {
  const texts = [...svg.querySelectorAll('.wide text, .narrow text')].filter((t) => t.getClientRects().length);
  const ticks = [...svg.querySelectorAll('.tick, .axis')].filter((t) => t.getClientRects().length);
  const marks = [...svg.querySelectorAll('circle, .iv')];
  names += texts.length;
  texts.forEach((text, i) => {
    for (const other of [...texts.slice(i + 1), ...ticks, ...marks])
      if (over(box(text), box(other))) found.push([text.textContent, other.outerHTML]);
    if (box(text).right > box(svg).right + 0.5 || box(text).left < box(svg).left) found.push([text.textContent, 'out']);
  });
  ticks.forEach((one, i) => ticks.slice(i + 1).forEach((other) => {
    if (over(box(one), box(other))) found.push([one.textContent, other.textContent]);
  }));
}
return [names, found];
"""


@pytest.mark.parametrize("rows", [4, 22, 50])
def test_no_name_covers_anything_in_any_window(
    rows: int, browser: Browser, tmp_path: Path, make_score: Callable[..., Score]
) -> None:
    fill(tmp_path / "results", make_score, rows)
    page = tmp_path / "page.html"
    page.write_text(page_of(tmp_path / "results"), encoding="utf-8")
    for width in (1440, 768, 390):
        browser.size(width)
        browser.open(page)
        for axis in browser.all("[name=axis]"):
            axis.click()
            names, covered = browser.run(COVERED)
            assert covered == []
            assert names >= (1 if width == 390 else 3)
