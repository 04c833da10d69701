"""The page is valid HTML, and good to read for everyone: the Nu HTML checker and axe-core, with hostile names too."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import folders
import made_results
import made_studies
import pytest
from browsing import NODE_MODULES, Browser, chromium

from instructor_eval.report import page as pages
from instructor_eval.results.score import Score

pytestmark = pytest.mark.browser
HOSTILE = [
    "<script>window.pwned = 1</script>", '" onmouseover="window.pwned = 1', "</script><img src=x onerror=pwned=1>",
    "&lt;b&gt;", "\u202egnp.exe", "نموذج التضمين", "מודל", "x" * 300, "</title></style>", "--><!--", "{{ 7 * 7 }}",
    "~\x7f~",
]  # fmt: skip


def hostile(root: Path, make_score: Callable[..., Score]) -> None:
    """Names that try to be markup as model, as task of one's own, as instruction set, as error."""
    for n, name in enumerate(HOSTILE):
        made_results.file(
            root, make_score, model=name, seed=n, tasks={"STS12": ("STS", "cosine_spearman")}, instructions=name,
            cost=folders.cost("fp32", 1 + n / 10), notes=[name],
        )  # fmt: skip
        made_results.file(
            root, make_score, model="org/plain", seed=50 + n, n=30, tasks={name: ("STS", "cosine_spearman")},
            benchmark="own",
        )  # fmt: skip
        made_results.Store(root).write(
            make_score("STS13", None, model=f"failed {name}", fingerprint=f"{n:016x}", identity=f"{n:016x}", error=name)
        )
    made_studies.chunks(root, ["64", "128", "128:32", *HOSTILE], model=HOSTILE[0])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, make_score: Callable[..., Score]) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("validity")
    folders.fill(root / "usual", make_score)
    made_studies.chunks(root / "usual", ["64", "100", "100:20", "512", "whole"])
    hostile(root / "hostile", make_score)
    (root / "empty").mkdir()
    made_results.file(root / "single", make_score, tasks={"STS12": ("STS", "cosine_spearman")})
    found = {
        name: folders.report(root / name, root / f"{name}.html") for name in ("usual", "hostile", "empty", "single")
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "INLINE", 0)
        for name in ("usual", "hostile"):
            found[f"{name} packed"] = folders.report(root / name, root / f"{name}-packed.html", "--no-published")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_the_html_checker_finds_no_error(written: dict[str, Path]) -> None:
    [jar] = (NODE_MODULES / "vnu-jar").rglob("vnu.jar")
    command = ["java", "-jar", str(jar), "--errors-only", "--format", "gnu", *map(str, written.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:5000]
    bad = written["empty"].with_name("bad.html")
    bad.write_text("<!doctype html><html lang=en><title>x</title><p><div id=a></p><b id=a>", encoding="utf-8")
    assert subprocess.run([*command[:6], str(bad)], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_axe_finds_nothing_serious(browser: Browser, written: dict[str, Path], scheme: str, width: int) -> None:
    browser.media(prefers_color_scheme=scheme)
    browser.size(width)
    for name in ("usual", "hostile packed", "empty"):
        browser.open(written[name])
        browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.axe() == [], name
        if browser.all("td > button"):
            browser.run("document.querySelector('td > button').click()")
            browser.wait(lambda: browser.run("return document.querySelector('#panel').open"))
            assert browser.axe() == [], name


def test_axe_would_find_something(browser: Browser, written: dict[str, Path]) -> None:
    browser.open(written["usual"])
    browser.run("document.querySelector('#reset').textContent = ''; document.querySelector('h1').style.color = '#eee'")
    assert {found.partition(":")[0] for found in browser.axe()} >= {"button-name"}


@pytest.mark.parametrize("name", ["hostile", "hostile packed"])
def test_hostile_names_are_inert_and_legible(browser: Browser, written: dict[str, Path], name: str) -> None:
    browser.media()
    browser.size(1400)
    browser.open(written[name])
    count = len(browser.all("td > button"))
    assert count >= 3 * len(HOSTILE)
    for place in range(0, count, 5):
        browser.run("document.querySelectorAll('td > button')[arguments[0]].click()", place)
        browser.wait(lambda: browser.run("return document.querySelector('#panel').open"))
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.run("return window.pwned") is None
    assert browser.console == []
    assert browser.run("return document.querySelectorAll('script').length") == 2
    assert browser.run("return document.querySelectorAll('img, [onmouseover], [onerror]').length") == 0
    heads = browser.run("return [...document.querySelectorAll('#board tbody th bdi')].map(e => e.textContent)")
    for text in HOSTILE:
        cleaned = text.replace("\u202e", "\ufffd").replace("\x7f", "\ufffd")
        assert any(cleaned in head for head in heads), text
    boxes = browser.run(
        "return [...document.querySelectorAll('#board tbody th')].map(e => e.scrollWidth - e.clientWidth)"
    )
    assert max(boxes) <= 1  # a long name is broken, not cut
