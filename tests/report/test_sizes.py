"""How large the page may be: what a reader downloads, and what is kept readable of it."""

from __future__ import annotations

import re
from pathlib import Path

import folders

from instructor_eval.report import page as pages

ASSETS = Path(pages.__file__).parent / "assets"


def test_the_empty_shell_is_small(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    page = folders.report(tmp_path / "results", tmp_path / "report.html", "--no-published")
    assert 10_000 < page.stat().st_size <= 60_000


def test_the_script_is_short_and_uses_no_library() -> None:
    script = (ASSETS / "report.js").read_text("utf-8")
    assert len(script.encode()) <= 20_000
    script += (ASSETS / "filters.js").read_text("utf-8")
    assert len(script.encode()) <= 24_000
    assert max(map(len, script.splitlines())) <= 220  # readable, not squeezed
    for word in ("import ", "require(", "eval(", "Function(", "document.write", "fetch(", "XMLHttpRequest", "http:"):
        assert word not in script.replace("http://www.w3.org/2000/svg", ""), word


def test_no_asset_can_end_its_element_or_reach_outside() -> None:
    for name in ("report.js", "filters.js", "report.css"):
        text = (ASSETS / name).read_text("utf-8")
        assert "</" not in text
        assert "<!--" not in text
    style = (ASSETS / "report.css").read_text("utf-8")
    assert not re.search(r"@import|url\(|expression\(", style)


def test_templates_switch_no_escaping_off() -> None:
    for path in ASSETS.glob("*.j2"):
        text = path.read_text("utf-8")
        assert "|safe" not in text.replace(" ", "")
        assert "autoescape" not in text
