"""A page of made-up results as a small one and as a large one is written, and a browser for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import folders
import pytest
from made_results import MINILM

from instructor_eval.cli.main import main
from instructor_eval.report import page as pages
from instructor_eval.results.score import Score

if TYPE_CHECKING:  # tests without a browser need no selenium
    from browsing import Browser, Window


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, make_score: Callable[..., Score]) -> Path:
    root = tmp_path_factory.mktemp("results")
    folders.fill(root, make_score)
    gate = ["gate", "--results", str(root), "--baseline", f"{MINILM}@fp32:paper", "--candidate", f"{MINILM}@int8:paper"]
    assert main(gate) == 1
    return root


@pytest.fixture(scope="module")
def page(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.report(results, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def packed(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same page as a large one is written: what is behind its cells is packed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "INLINE", 0)
        return folders.report(results, tmp_path_factory.mktemp("packed") / "report.html")


@pytest.fixture(scope="module")
def one_browser() -> Iterator[Browser]:
    from browsing import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Iterator[Browser]:
    yield one_browser
    one_browser.size(1400)
    one_browser.media()
    one_browser.script(on=True)


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def either(request: pytest.FixtureRequest) -> Iterator[Window]:
    """A browser of either kind, for what both must do."""
    from browsing import chromium
    from firefox import firefox

    with {"chromium": chromium, "firefox": firefox}[request.param]() as window:
        yield window
