"""The page in Debian's Chromium: the first screen, the table, and what is behind its cells."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import folders
import pytest
from browsing import Browser
from made_results import MINILM
from reading import column, open_cell, row_of, shown, sort
from selenium.webdriver.support.ui import Select

from instructor_eval.results.store import Store

pytestmark = pytest.mark.browser


# --- nothing but the file


def test_nothing_is_asked_for_and_nothing_is_said(browser: Browser, page: Path, packed: Path) -> None:
    for one in (page, packed):
        browser.open(one)
        open_cell(browser, 0, "SciFact")
        addresses = [url for url in browser.requests if not url.startswith("data:")]
        assert addresses == [one.as_uri()]
        assert browser.console == []


def test_from_a_server_it_is_one_request_too(browser: Browser, page: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        asked: list[str] = []  # noqa: RUF012 # of the class on purpose

        def log_message(self, *_: object) -> None:
            self.asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(page.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        browser.open(f"http://127.0.0.1:{server.server_port}/report.html")
        browser.wait(lambda: browser.all("td > button"))
        assert browser.console == []
        assert Quiet.asked == ["/report.html"]
    finally:
        server.shutdown()
        server.server_close()


# --- first screen


def test_the_verdict_comes_first_then_chart_and_table(browser: Browser, page: Path) -> None:
    browser.open(page)
    places = browser.run(
        "return ['.verdict', '.chart svg', '#board'].map(c => document.querySelector(c).getBoundingClientRect().top)"
    )
    assert places == sorted(places)
    assert "REGRESSED" in browser.text(".verdict .line")
    assert places[1] < 600


def test_the_reader_chooses_the_cost(browser: Browser, page: Path, packed: Path) -> None:
    for one in (page, packed):
        browser.open(one)
        browser.wait(lambda: len(browser.all(".chart")) == 3)
        for key in ("size", "parameters", "speed"):
            browser.click(f"[name=axis][value={key}]")
            assert [c.get_attribute("id") for c in browser.all(".chart") if c.is_displayed()] == [f"x-{key}"]
        assert "axis=speed" in browser.state
        browser.open(one, "axis=size")
        browser.wait(lambda: browser.all("#x-size"))
        assert browser.wait(lambda: browser.one("#x-size").is_displayed())


# --- sorting and filtering


def test_sorting_moves_models_with_what_stands_below_them(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = shown(browser)
    assert sort(browser, "SciFact") == "descending"

    def heads() -> list[float]:
        cells = browser.run(
            "return [...document.querySelectorAll('#board tbody tr')].filter(r => !r.className.startsWith('l'))"
            ".map(r => r.cells[[...document.querySelectorAll('#heads th')].findIndex(t => "
            "t.querySelector('a')?.textContent == 'SciFact')].textContent.trim())"
        )
        return [float(c.split()[-2 if "±" in c else -1]) for c in cells if c]

    falling = heads()
    assert len(falling) > 5
    assert falling == sorted(falling, reverse=True)
    own = {f"{MINILM}@{rest}" for rest in ("fp32:paper", "int8:paper", "fp32:none")}
    sides = [tr.get_attribute("data-side") for tr in browser.all("#board tbody tr")]
    place = sides.index(f"{MINILM}@fp32:paper")
    assert set(sides[place : place + 3]) == own
    children = [float(c.replace("▼", "").split()[0]) for c in column(browser, "SciFact")[place + 1 : place + 3]]
    assert children == sorted(children, reverse=True)
    assert sort(browser, "SciFact") == "ascending"
    assert heads() == sorted(falling)
    assert sort(browser, "SciFact") == "none"
    assert shown(browser) == before


def test_a_row_without_the_value_stays_at_the_end(browser: Browser, page: Path) -> None:
    browser.open(page)
    for _ in range(2):
        sort(browser, "mscoco")  # nothing published has it
        cells = [c.strip() for c in column(browser, "mscoco")]
        assert cells[0]
        filled = [bool(c) for c in cells]
        assert filled == sorted(filled, reverse=True)


def test_filters_narrow_the_rows_and_say_how_many(browser: Browser, page: Path) -> None:
    browser.open(page)
    every = len(shown(browser))
    browser.one("#q").send_keys("other-MODEL")
    assert shown(browser) == [f"{folders.OTHER} | paper"]
    assert browser.text("#count") == f"1 of {every} rows"
    browser.click("#reset")
    assert len(shown(browser)) == every
    Select(browser.one("#variant")).select_by_visible_text("int8")
    assert shown(browser) == [f"{MINILM} · int8 | paper"]
    browser.click("#reset")
    browser.click("#published")
    assert len(shown(browser)) == 4
    browser.click("#reset")
    Select(browser.one("#family")).select_by_visible_text("plain")
    assert len(shown(browser)) == 4


def test_a_benchmark_narrows_the_columns(browser: Browser, page: Path) -> None:
    browser.open(page)
    Select(browser.one("#benchmark")).select_by_visible_text("billboard")
    seen = [th.text.split("\n")[0] for th in browser.all("#heads th") if th.is_displayed()]
    assert "mscoco" in seen
    assert "SciFact" not in seen
    widths = browser.run(
        "return [...document.querySelectorAll('#board tbody tr')].map(r => [...r.cells].filter(c => !c.hidden).length)"
    )
    assert set(widths) == {len(seen)}


def test_filtered_rows_are_sorted_as_they_are_seen(browser: Browser, page: Path) -> None:
    browser.open(page)
    Select(browser.one("#family")).select_by_visible_text("plain")
    assert sort(browser, "SciFact") == "descending"
    cells = [c for c in column(browser, "SciFact")]
    seen = [float(c.replace("▼", "").split()[0]) for c, row in zip(cells, browser.all("#board tbody tr"), strict=True)
            if row.is_displayed()]  # fmt: skip
    assert len(seen) == 4
    assert seen == sorted(seen, reverse=True)
    assert f"{MINILM} · int8 | paper" in shown(browser)


def test_a_mean_over_some_tasks_stands_behind_whole_ones(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.click("#heads button[aria-label='Sort by mean MTEB-56']")
    means = browser.run(
        "const at = [...document.querySelectorAll('#heads th')].findIndex(t => t.textContent.startsWith('MTEB-56'));"
        "return [...document.querySelectorAll('#board tbody tr[data-l=\"0\"]')].map(r => r.cells[at].textContent)"
    )
    partial = ["/" in mean for mean in means if mean.strip()]
    assert partial == sorted(partial)
    assert 0 < sum(partial) < len(partial)


def test_the_text_filter_knows_a_variant_by_its_model(browser: Browser, page: Path) -> None:
    browser.open(page, "q=minilm&variant=int8")
    assert shown(browser) == [f"{MINILM} · int8 | paper"]


# --- behind a cell


def test_a_cell_tells_all_that_is_behind_it(browser: Browser, page: Path, packed: Path, results: Path) -> None:
    score = next(
        s for s in Store(results).scores()
        if (s.task, s.model.name, s.model.variant, s.instructions.set) == ("SciFact", MINILM, "fp32", "paper")
    )  # fmt: skip
    items = Store(results).items(score)
    rising = sorted(zip(items["ndcg_at_10"], items["id"], strict=True))
    for one in (page, packed):
        browser.open(one)
        details = open_cell(browser, row_of(browser, MINILM, "fp32", "paper"), "SciFact")
        assert f"{100 * (score.score or 0):.2f}" in details
        assert "300 queries" in details
        assert "95 % interval" in details
        for value, name in rising[:3]:
            assert f"{name}{100 * value:.1f}" in details
        best = sorted(zip(items["ndcg_at_10"], items["id"], strict=True), key=lambda pair: (-pair[0], pair[1]))[:3]
        for value, name in best:
            assert f"{name}{100 * value:.1f}" in details
        assert "A processor" in details
        assert "torch 2.13.0" in details
        assert f"evaluate --model {MINILM}@main --variant fp32 --task SciFact" in details
        assert browser.run("return document.querySelector('#panel .hist path').getBBox().width") == 12
        assert browser.console == []


def test_packed_cells_are_those_that_lie_open(browser: Browser, page: Path, packed: Path) -> None:
    bodies: dict[Path, list[str]] = {}
    for one in (page, packed):
        browser.open(one)
        count = len(browser.all("td > button"))
        bodies[one] = browser.driver.execute_async_script(
            "const done = arguments[0]; (async () => { const all = [];"
            "const body = document.querySelector('#panel-body');"
            "for (const b of document.querySelectorAll('td > button')) {"
            "  const before = body.firstElementChild; b.click();"
            "  while (body.firstElementChild === before) await new Promise(r => setTimeout(r, 1));"
            "  all.push(body.innerHTML); }"
            "done(all); })()"
        )
        assert len(bodies[one]) == count > 30
        assert len(set(bodies[one])) > count // 2
    assert bodies[page] == bodies[packed]


def test_a_failed_score_tells_its_error(browser: Browser, page: Path) -> None:
    browser.open(page)
    details = open_cell(browser, row_of(browser, folders.OTHER, "fp32", "paper"), "SummEval")
    assert "failed: OutOfMemoryError: no room for a batch of 1" in details


def test_a_published_score_says_that_it_was_not_measured_here(browser: Browser, page: Path) -> None:
    browser.open(page)
    row = int(browser.all("#board tr[data-k=published]")[0].get_attribute("data-r") or -1)
    assert "published: measured by others" in open_cell(browser, row, "SciFact")


def test_the_command_is_copied(browser: Browser, page: Path) -> None:
    browser.open(page)
    allowed = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.driver.execute_cdp_cmd("Browser.grantPermissions", allowed)
    open_cell(browser, 0, "STS12")
    browser.one("#panel .copy").click()
    browser.wait(lambda: browser.one("#panel .copy").text == "Copied")
    read = "const done = arguments[0]; navigator.clipboard.readText().then(done)"
    command = "evaluate --model org/other-model@main --variant fp32 --task STS12"
    assert browser.driver.execute_async_script(read) == browser.text("#panel .cmd") == command
