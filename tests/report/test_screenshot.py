"""Real results of a real model, run here, as the page shows them.

With INSTRUCTOR_EVAL_SCREENSHOTS=DIR the pictures are left there. The README's is of two models:
benchmarks/readme_picture.py.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import folders
import pytest
from browsing import Browser, chromium

from instructor_eval.cli.main import main

pytestmark = [pytest.mark.browser, pytest.mark.realdata]
ROW = "sentence-transformers/all-MiniLM-L6-v2@{}:none"


def test_real_results_as_a_page(tmp_path: Path, hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    run = ["--model", "minilm", "--benchmark", "demo", "--task", "STSBenchmark", "--hub", str(hub), "--offline",
           "--results", str(results), "--quiet"]  # fmt: skip
    assert main([*run, "--variant", "fp32,int8,int8-dynamic", "--cost", "auto"]) == 0
    assert main([*run, "--variant", "fp32@128", "--cost", "off"]) == 0
    sides = ["--baseline", ROW.format("fp32"), "--candidate", ROW.format("int8-dynamic")]
    assert main(["gate", "--results", str(results), *sides]) == 1
    page = folders.report(results, tmp_path / "report.html")
    capsys.readouterr()
    assert main(["leaderboard", "--results", str(results), "--format", "md"]) == 0
    terminal = capsys.readouterr().out.replace("**", "")  # the best in bold
    pictures = Path(os.environ.get("INSTRUCTOR_EVAL_SCREENSHOTS") or tmp_path / "pictures")
    pictures.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        _check(browser, page, terminal)
        for name, width, scheme in (
            ("report", 1280, "light"),
            ("report-dark", 1280, "dark"),
            ("report-390", 390, "light"),
        ):
            browser.size(width, 1060 if width > 600 else 844)
            browser.media(prefers_color_scheme=scheme)
            browser.open(page)
            browser.wait(lambda: browser.all("td > button"))
            assert browser.driver.save_screenshot(str(pictures / f"{name}.png"))
            assert (pictures / f"{name}.png").stat().st_size > 20_000
    shutil.copy(page, pictures / "report.html")


def _check(browser: Browser, page: Path, terminal: str) -> None:
    """The page's cells are the terminal's, and nothing goes wrong in showing them."""
    browser.open(page)
    browser.wait(lambda: browser.all("td > button"))
    assert browser.console == []
    line = next(row for row in terminal.splitlines() if row.startswith("| 1"))
    wanted = {cell.strip() for cell in line.split("|")}
    first = browser.run(
        "return [...document.querySelector('#board tbody tr').cells].slice(1).map(c => c.textContent.trim())"
    )
    assert len(first) >= 8
    assert set(first) <= wanted
    assert "REGRESSED" in browser.text(".verdict .line")
    assert len(browser.all(".chart .dot")) >= 6
