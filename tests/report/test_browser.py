"""The page in Debian's Chromium, as its readers use it."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import folders
import pytest
from browsing import Browser, chromium
from made_results import MINILM
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from instructor_eval.cli import main
from instructor_eval.report import page as pages
from instructor_eval.store import Store
from instructor_eval.types import Score

pytestmark = pytest.mark.browser
COLUMNS = ["SciFact", "STS12", "Banking77Classification"]


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
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Iterator[Browser]:
    yield one_browser
    one_browser.size(1400)
    one_browser.media()
    one_browser.script(on=True)


def shown(browser: Browser) -> list[str]:
    """Row labels in the order they are seen, with what stands in front of a child."""
    return browser.run(
        "return [...document.querySelectorAll('#board tbody tr')].filter(r => r.offsetParent)"
        ".map(r => r.cells[0].innerText.split('\\n')[0].trim() + ' | ' + r.cells[2].innerText)"
    )


def column(browser: Browser, name: str) -> list[str]:
    return browser.run(
        "const at = [...document.querySelectorAll('#heads th')].findIndex(t => t.querySelector('a')?.textContent == "
        "arguments[0]); return [...document.querySelectorAll('#board tbody tr')].map(r => r.cells[at].textContent)",
        name,
    )


def sort(browser: Browser, name: str) -> str:
    """Click a column's button; the order that the column then says."""
    browser.click(f"#heads button[aria-label='Sort by {name}']")
    heads = {th.text.split("\n")[0].replace(" ", ""): th.get_attribute("aria-sort") for th in browser.all("#heads th")}
    said = [order for order in heads.values() if order != "none"]
    return str(said[0]) if said else "none"


def open_cell(browser: Browser, row: int, task: str) -> str:
    """Click a cell; the text of the panel."""
    button = browser.run(
        "const at = [...document.querySelectorAll('#heads th')].findIndex(t => t.querySelector('a')?.textContent == "
        "arguments[1]); return document.querySelector(`#board tr[data-r='${arguments[0]}']`).cells[at].firstChild",
        row,
        task,
    )
    browser.run("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", button)
    button.click()
    browser.wait(lambda: browser.run("return document.querySelector('#panel').open"))
    return browser.text("#panel-body")


def row_of(browser: Browser, model: str, variant: str, instructions: str) -> int:
    return int(browser.one(f'#board tr[data-side="{model}@{variant}:{instructions}"]').get_attribute("data-r") or -1)


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


def test_the_verdict_stands_first_and_the_chart_and_the_table_follow(browser: Browser, page: Path) -> None:
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
        if (s.task, s.model["name"], s.model["variant"], s.instructions["set"]) == ("SciFact", MINILM, "fp32", "paper")
    )  # fmt: skip
    items = Store(results).items(score)
    rising = sorted(zip(items["ndcg_at_10"], items["id"], strict=True))
    for one in (page, packed):
        browser.open(one)
        told = open_cell(browser, row_of(browser, MINILM, "fp32", "paper"), "SciFact")
        assert f"{100 * (score.score or 0):.2f}" in told
        assert "300 queries" in told
        assert "95 % interval" in told
        for value, name in rising[:3]:
            assert f"{name}{100 * value:.1f}" in told
        best = sorted(zip(items["ndcg_at_10"], items["id"], strict=True), key=lambda pair: (-pair[0], pair[1]))[:3]
        for value, name in best:
            assert f"{name}{100 * value:.1f}" in told
        assert "A processor" in told
        assert "torch 2.13.0" in told
        assert "evaluate --task SciFact" in told
        assert browser.run("return document.querySelector('#panel .hist path').getBBox().width") == 12
        assert browser.console == []


def test_packed_cells_are_those_that_lie_open(browser: Browser, page: Path, packed: Path) -> None:
    told: dict[Path, list[str]] = {}
    for one in (page, packed):
        browser.open(one)
        count = len(browser.all("td > button"))
        told[one] = browser.driver.execute_async_script(
            "const done = arguments[0]; (async () => { const all = [];"
            "const body = document.querySelector('#panel-body');"
            "for (const b of document.querySelectorAll('td > button')) {"
            "  const before = body.firstElementChild; b.click();"
            "  while (body.firstElementChild === before) await new Promise(r => setTimeout(r, 1));"
            "  all.push(body.innerHTML); }"
            "done(all); })()"
        )
        assert len(told[one]) == count > 30
        assert len(set(told[one])) > count // 2
    assert told[page] == told[packed]


def test_a_failed_score_tells_its_error(browser: Browser, page: Path) -> None:
    browser.open(page)
    told = open_cell(browser, row_of(browser, folders.OTHER, "fp32", "paper"), "SummEval")
    assert "failed: OutOfMemoryError: no room for a batch of 1" in told


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
    assert browser.driver.execute_async_script(read) == browser.text("#panel .cmd") == "evaluate --task STS12"


# --- links that keep what was seen


def test_a_deep_link_brings_back_sort_filters_and_the_open_cell(browser: Browser, page: Path, packed: Path) -> None:
    for one in (page, packed):
        browser.open(one)
        sort(browser, "STS12")
        browser.one("#q").send_keys("minilm")
        Select(browser.one("#benchmark")).select_by_visible_text("mteb")
        told = open_cell(browser, row_of(browser, MINILM, "int8", "paper"), "STS12")
        state, rows = browser.state, shown(browser)
        for word in ("sort=STS12", "q=minilm", "benchmark=mteb", "open="):
            assert word in state
        browser.open(one, state)
        browser.wait(lambda: browser.run("return document.querySelector('#panel').open"))
        assert browser.text("#panel-body") == told
        assert shown(browser) == rows
        assert browser.one("#q").get_attribute("value") == "minilm"
        assert [th.get_attribute("aria-sort") for th in browser.all("#heads th")].count("descending") == 1
        assert browser.state == state


def test_links_to_sections_keep_the_state(browser: Browser, page: Path) -> None:
    browser.open(page, "q=minilm")
    browser.click("#heads a[href='#t-SciFact']")
    assert "q=minilm" in browser.state
    assert browser.run("return document.activeElement.id") == "t-SciFact"
    top = "return Math.abs(document.getElementById('t-SciFact').getBoundingClientRect().top) < 60"
    assert browser.run(top)
    browser.open(page, "t-SciFact")
    assert browser.run(top)


@pytest.mark.parametrize(
    "state", ["open=nothing/there", "sort=Nothing&dir=asc", "variant=none", "a=x&b=y", "%", "q=%E0%A4%A"]
)
def test_a_link_that_means_nothing_any_more_shows_the_page(browser: Browser, page: Path, state: str) -> None:
    browser.open(page, state)
    assert browser.all("td > button")
    assert browser.console == []


def test_back_closes_the_panel_and_undoes_a_jump(browser: Browser, page: Path) -> None:
    browser.open(page, "q=minilm")
    open_cell(browser, row_of(browser, MINILM, "fp32", "paper"), "SciFact")
    browser.driver.back()
    browser.wait(lambda: not browser.run("return document.querySelector('#panel').open"))
    assert browser.state == "q=minilm"
    browser.driver.forward()
    browser.wait(lambda: browser.run("return document.querySelector('#panel').open"))
    browser.driver.back()
    browser.click("#heads a[href='#t-SciFact']")
    assert "at=t-SciFact" in browser.state
    browser.driver.back()
    browser.wait(lambda: browser.state == "q=minilm")


# --- by keyboard alone


def test_everything_is_reached_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)

    def press(*keys: str) -> None:
        browser.driver.switch_to.active_element.send_keys(*keys)

    def focus() -> str:
        return str(
            browser.run(
                "const e = document.activeElement; return e.getAttribute('aria-label') || e.id || e.textContent.trim()"
            )
        )

    browser.one("body").send_keys(Keys.TAB)
    assert focus() == "Skip to the table"
    press(Keys.ENTER)
    assert browser.run("return document.activeElement.matches('td > button')")
    for _ in range(60):
        press(Keys.SHIFT + Keys.TAB)
        if focus() == "Sort by SciFact":
            break
    press(Keys.ENTER)
    assert browser.one("#heads th[aria-sort=descending]").text.startswith("SciFact")
    for _ in range(60):
        press(Keys.TAB)
        if browser.run("return document.activeElement.matches('td > button')"):
            break
    first = browser.driver.switch_to.active_element
    press(Keys.ARROW_RIGHT)
    press(Keys.ARROW_DOWN)
    second = browser.driver.switch_to.active_element
    assert first != second
    assert browser.run("return document.querySelectorAll('td > button[tabindex=\"0\"]').length") == 1
    press(Keys.ENTER)
    browser.wait(lambda: browser.run("return document.querySelector('#panel').open"))
    assert browser.run("return document.activeElement.closest('#panel') !== null")
    press(Keys.ESCAPE)
    browser.wait(lambda: not browser.run("return document.querySelector('#panel').open"))
    assert browser.driver.switch_to.active_element == second
    assert "open=" not in browser.state


@pytest.mark.parametrize("state", ["variant=int8", "benchmark=billboard", "q=other"])
def test_a_filter_leaves_a_cell_for_the_tab_key(browser: Browser, page: Path, state: str) -> None:
    browser.open(page, state)
    [reached] = browser.all('td > button[tabindex="0"]')
    assert reached.is_displayed()


def test_the_focused_cell_is_not_behind_the_first_column(browser: Browser, page: Path) -> None:
    browser.size(390)
    browser.open(page)
    browser.all("td > button")[3].click()
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    browser.wait(lambda: not browser.run("return document.querySelector('#panel').open"))
    for _ in range(3):
        browser.driver.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    left, edge = browser.run(
        "const e = document.activeElement; return [e.getBoundingClientRect().left,"
        " e.closest('tr').cells[0].getBoundingClientRect().right]"
    )
    assert left >= edge - 1


# --- two rows


def test_a_variant_beside_its_baseline_has_intervals(browser: Browser, page: Path, packed: Path) -> None:
    for one in (page, packed):
        browser.open(one)
        Select(browser.one("#a")).select_by_visible_text(f"{MINILM}@fp32:paper")
        Select(browser.one("#b")).select_by_visible_text(f"{MINILM}@int8:paper")
        browser.wait(lambda: f"{MINILM} (int8)" in browser.text("#pair"))
        deltas = [td.text for td in browser.all("#pair tbody td:nth-child(4)")]
        assert len(deltas) == 10
        assert all("[" in d for d in deltas)
        values = [float(d.split()[0]) for d in deltas[1:]]
        assert values == sorted(values)
        assert browser.all("#pair .iv")


def test_any_two_rows_have_their_differences_and_the_command_for_more(browser: Browser, page: Path) -> None:
    browser.open(page)
    Select(browser.one("#a")).select_by_visible_text(f"{MINILM}@fp32:paper")
    Select(browser.one("#b")).select_by_visible_text(f"{folders.OTHER}@fp32:paper")
    browser.wait(lambda: folders.OTHER in browser.text("#pair"))
    rows = {r.find_element(By.TAG_NAME, "th").text: [d.text for d in r.find_elements(By.TAG_NAME, "td")]
            for r in browser.all("#pair tbody tr")}  # fmt: skip
    assert len(rows) == 9  # eight in common, and their mean
    for name, (a, b, delta, _) in rows.items():
        if not name.startswith("mean"):
            assert float(b) - float(a) == pytest.approx(float(delta), abs=0.011)
    command = browser.text("#pair .cmd").split()
    assert command[:2] == ["evaluate", "compare"]
    assert main(command[1:]) == 0
    state = browser.state
    browser.open(page, state)
    browser.wait(lambda: folders.OTHER in browser.text("#pair"))


def test_the_other_way_round_and_one_row_with_itself(browser: Browser, page: Path) -> None:
    browser.open(page)
    Select(browser.one("#a")).select_by_visible_text(f"{MINILM}@int8:paper")
    Select(browser.one("#b")).select_by_visible_text(f"{MINILM}@fp32:paper")
    browser.wait(lambda: "the other way round" in browser.text("#pair"))
    assert browser.all("#pair .iv")
    Select(browser.one("#a")).select_by_visible_text(f"{MINILM}@fp32:paper")
    browser.wait(lambda: browser.text("#pair") == "Choose two different rows.")
    published = browser.one("#board tr[data-side='published:hkunlp/instructor-large']").get_attribute("data-side")
    Select(browser.one("#b")).select_by_visible_text(str(published))
    browser.wait(lambda: "Published scores have no items" in browser.text("#pair"))


def test_what_instructions_are_worth(browser: Browser, page: Path, packed: Path) -> None:
    for one in (page, packed):
        browser.open(one)
        details = browser.one("section[aria-labelledby=h-worth] details")
        if not details.get_attribute("open"):
            browser.click("section[aria-labelledby=h-worth] summary")
        browser.wait(lambda: browser.all("section[aria-labelledby=h-worth] .forest tbody tr"))
        rows = browser.all("section[aria-labelledby=h-worth] .forest tbody tr")
        assert len(rows) == 10
        assert "none" in browser.text("section[aria-labelledby=h-worth] caption")


# --- downloads


def download(browser: Browser, folder: Path, button: str, name: str) -> bytes:
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    browser.click(button)
    browser.wait(lambda: (folder / name).exists())
    return (folder / name).read_bytes()


def test_downloads_are_the_terminals_numbers(
    browser: Browser, page: Path, packed: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["leaderboard", "--results", str(results), "--format", "csv"]) == 0
    wanted = capsys.readouterr().out
    for n, one in enumerate((page, packed)):
        browser.open(one)
        folder = tmp_path / str(n)
        folder.mkdir()
        assert download(browser, folder, "#csv", "leaderboard.csv").decode() == wanted
        objects: list[dict[str, Any]] = json.loads(download(browser, folder, "#json", "leaderboard.json"))
        for line, value in zip(csv.DictReader(io.StringIO(wanted)), objects, strict=True):
            assert [key for key in value if not key.endswith("_coverage")] == list(line)
            for key, text in line.items():
                mean = re.fullmatch(r"([\d.]+)\*? \((\d+/\d+)\)", text)
                number = mean[1] if mean else text
                assert value[key] == (float(number) if isinstance(value[key], int | float) else text or None)
                assert value.get(f"{key}_coverage") == (mean[2] if mean else None)
        assert isinstance(objects[0]["SciFact"], float)
        assert (type(objects[0]["MTEB-56"]), objects[0]["MTEB-56_coverage"]) == (float, "5/56")
        assert browser.console == []


# --- without JavaScript, in the dark, narrow, wide, on paper


def test_without_javascript_all_is_there_and_nothing_is_dead(browser: Browser, page: Path) -> None:
    browser.script(on=False)
    browser.open(page)
    driver = browser.driver
    assert driver.find_element(By.ID, "board").is_displayed()
    assert not driver.find_element(By.ID, "controls").is_displayed()
    assert not driver.find_element(By.ID, "compare").is_displayed()
    assert driver.find_elements(By.CSS_SELECTOR, "#heads button, .copy, td > button") == []
    assert "Sorting, filters and downloads need JavaScript" in driver.find_element(By.TAG_NAME, "body").text
    driver.find_element(By.CSS_SELECTOR, "[name=axis][value=size]").click()
    assert [c.get_attribute("id") for c in driver.find_elements(By.CSS_SELECTOR, ".chart") if c.is_displayed()] == [
        "x-size"
    ]
    driver.find_element(By.CSS_SELECTOR, "#t-SciFact summary").click()
    cell = driver.find_element(By.CSS_SELECTOR, "#t-SciFact .cell")
    assert cell.is_displayed()
    assert "300 queries" in cell.text
    assert "Lowest" in cell.text


def test_dark_and_light_follow_the_reader(browser: Browser, page: Path) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    for scheme, dark in (("dark", True), ("light", False)):
        browser.media(prefers_color_scheme=scheme)
        browser.open(page)
        assert (max(browser.run(ground)) < 60) is dark


@pytest.mark.parametrize("width", [390, 768, 1920])
def test_the_page_is_never_wider_than_the_window(browser: Browser, page: Path, width: int) -> None:
    browser.size(width)
    browser.open(page)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.run("return document.scrollingElement.scrollWidth") <= width
    open_cell(browser, 0, "SciFact")
    assert browser.run("const p = document.querySelector('#panel'); return p.scrollWidth <= p.clientWidth + 1")


def test_header_and_first_column_stay_in_sight(browser: Browser, page: Path) -> None:
    browser.size(700, 500)
    browser.open(page)
    browser.run("const b = document.querySelector('.board'); b.scrollTop = 300; b.scrollLeft = 400")
    same = browser.run(
        "const b = document.querySelector('.board').getBoundingClientRect();"
        "const head = document.querySelector('#board thead').getBoundingClientRect();"
        "const name = document.querySelectorAll('#board tbody th')[6].getBoundingClientRect();"
        "return [head.top - b.top, name.left - b.left]"
    )
    assert all(abs(gap) <= 2 for gap in same)


def test_on_paper_there_are_no_controls(browser: Browser, page: Path) -> None:
    browser.media(media="print")
    browser.open(page)
    assert not browser.one("#controls").is_displayed()
    assert not any(b.is_displayed() for b in browser.all(".sort, .copy"))
    assert browser.one("#board").is_displayed()
    assert browser.driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
