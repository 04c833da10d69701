"""The page in Debian's Chromium: links, keyboard, two rows, downloads; without JavaScript, dark, narrow, printed."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import folders
import pytest
from browsing import Browser
from made_results import MINILM
from reading import open_cell, row_of, shown, sort
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from instructor_eval.cli.main import main

pytestmark = pytest.mark.browser


# --- links that keep what was seen


def test_a_deep_link_brings_back_sort_filters_and_the_open_cell(browser: Browser, page: Path, packed: Path) -> None:
    for one in (page, packed):
        browser.open(one)
        sort(browser, "STS12")
        browser.one("#q").send_keys("minilm")
        Select(browser.one("#benchmark")).select_by_visible_text("mteb")
        details = open_cell(browser, row_of(browser, MINILM, "int8", "paper"), "STS12")
        state, rows = browser.state, shown(browser)
        for word in ("sort=STS12", "q=minilm", "benchmark=mteb", "open="):
            assert word in state
        browser.open(one, state)
        browser.wait(lambda: browser.run("return document.querySelector('#panel').open"))
        assert browser.text("#panel-body") == details
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


def test_any_two_rows_have_differences_and_a_command(browser: Browser, page: Path) -> None:
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
    browser.wait(lambda: "Published and imported scores have no items" in browser.text("#pair"))


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
