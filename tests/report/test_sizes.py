"""How large the page may be: what a reader downloads, and which parts of it stay readable."""

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
    bounds = {"report.js": 20_000, "filters.js": 4_000, "profile.js": 3_000}
    scripts = {name: (ASSETS / name).read_text("utf-8") for name in bounds}
    assert {path.name for path in ASSETS.glob("*.js")} == bounds.keys()
    assert all(len(scripts[name].encode()) <= most for name, most in bounds.items())
    script = "".join(scripts.values())
    assert max(map(len, script.splitlines())) <= 220  # readable, not squeezed
    for word in ("import ", "require(", "eval(", "Function(", "document.write", "fetch(", "XMLHttpRequest", "http:"):
        assert word not in script.replace("http://www.w3.org/2000/svg", ""), word


def test_no_asset_can_end_its_element_or_reach_outside() -> None:
    for name in ("report.js", "filters.js", "profile.js", "report.css"):
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
