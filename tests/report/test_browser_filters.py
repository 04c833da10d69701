"""The page's filters in Chromium: rows, columns and dots; links that bring them back; narrow windows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import folders
import pytest
from browsing import Browser
from made_results import MINILM
from many_rows import fill, page_of
from reading import shown
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from instructor_eval.results.score import Score

pytestmark = pytest.mark.browser


def heads(browser: Browser) -> list[str]:
    """Names of the columns that are seen."""
    return browser.run(
        "return [...document.querySelectorAll('#heads th')].filter(t => t.offsetParent)"
        ".map(t => t.querySelector('a')?.textContent ?? t.firstChild.textContent)"
    )


def choose(browser: Browser, field: str, text: str) -> None:
    Select(browser.one(f"#{field}")).select_by_visible_text(text)


def check_table(browser: Browser) -> None:
    """All rows of the table have as many cells as there are columns, those above several columns counted by these."""
    widths = browser.run(
        "return [...document.querySelectorAll('#board tr')].filter(r => r.offsetParent).map(r => "
        "[...r.cells].filter(c => !c.hidden).reduce((sum, c) => sum + c.colSpan, 0))"
    )
    assert len(set(widths)) == 1, widths


def test_a_task_type_narrows_the_columns(browser: Browser, page: Path) -> None:
    browser.open(page)
    choose(browser, "type", "STS")
    assert heads(browser) == ["Model", "Rank", "Instructions", "STS12"]
    check_table(browser)
    choose(browser, "type", "PromptRetrieval")
    assert {"RTE", "Amazon"} <= set(heads(browser))
    assert "STS12" not in heads(browser)
    check_table(browser)
    assert "columns" in browser.text("#count")
    browser.click("#reset")
    assert browser.text("#count") == ""
    check_table(browser)


def test_a_domain_narrows_the_columns_to_its_tasks(browser: Browser, page: Path) -> None:
    browser.open(page)
    choose(browser, "domain", "financial")
    assert heads(browser)[3:] == ["Banking77Classification"]
    check_table(browser)


def test_filters_of_columns_go_together(browser: Browser, page: Path) -> None:
    browser.open(page, "benchmark=prompt-retrieval&type=STS")
    assert heads(browser) == ["Model", "Rank", "Instructions"]
    check_table(browser)


def test_a_size_narrows_the_rows(browser: Browser, page: Path) -> None:
    browser.open(page)
    choose(browser, "size", "at most 25 MB")
    assert shown(browser) == [f"{MINILM} · int8 | paper"]
    choose(browser, "size", "at most 100 MB")
    assert folders.OTHER not in " ".join(shown(browser))
    assert len(shown(browser)) == 2  # of the row under other instructions no size is known


def test_columns_can_be_hidden_and_a_link_keeps_that(browser: Browser, page: Path, packed: Path) -> None:
    for one in (page, packed):
        browser.open(one)
        browser.click("#columns summary")
        labels = {label.text: label for label in browser.all("#shown label")}
        assert {"Rank", "Instructions", "mean MTEB-56", "SciFact"} <= set(labels)
        for name in ("Rank", "SciFact", "mean MTEB-56"):
            labels[name].find_element(By.TAG_NAME, "input").click()
        seen = heads(browser)
        assert not {"Rank", "SciFact", "MTEB-56"} & set(seen)
        check_table(browser)
        choose(browser, "variant", "int8")
        state, rows = browser.state, shown(browser)
        browser.open(one, state)
        assert heads(browser) == seen
        assert shown(browser) == rows
        assert browser.state == state
        browser.click("#reset")
        assert {"Rank", "SciFact"} <= set(heads(browser))
        check_table(browser)
        assert browser.console == []


def test_a_link_to_columns_that_are_gone_hides_none(browser: Browser, page: Path) -> None:
    browser.open(page)
    every = heads(browser)
    browser.open(page, "hide=Nothing,%2525,&type=Gone&size=x&domain=%3Cb%3E")
    assert browser.console == []
    browser.open(page, "hide=Nothing,%2525,")
    assert heads(browser) == every
    assert browser.console == []


def test_filtered_rows_fade_in_the_charts(browser: Browser, page: Path, packed: Path) -> None:
    faded = "return [...document.querySelectorAll('.chart .dot')].map(d => d.classList.contains('off'))"
    for one in (page, packed):
        browser.open(one, "variant=int8")
        browser.wait(lambda: len(browser.all(".chart")) == 3)
        browser.wait(lambda: sum(browser.run(faded)) == 2 * 3)  # of three rows with costs, in three drawings
        browser.click("#reset")
        assert not any(browser.run(faded))


def test_the_link_is_copied(browser: Browser, page: Path) -> None:
    browser.open(page, "type=STS")
    allowed = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.driver.execute_cdp_cmd("Browser.grantPermissions", allowed)
    browser.click("#link")
    browser.wait(lambda: browser.one("#link").text == "Copied")
    read = "const done = arguments[0]; navigator.clipboard.readText().then(done)"
    assert browser.driver.execute_async_script(read) == f"{page.as_uri()}#type=STS"


def test_without_javascript_no_filter_is_seen(browser: Browser, page: Path) -> None:
    browser.script(on=False)
    browser.open(page)
    assert not any(field.is_displayed() for field in browser.all("#controls select, #columns, #link"))
    assert browser.one("#t-SciFact").is_displayed()


# On a phone


def test_on_a_phone_scores_stand_beside_the_name(browser: Browser, page: Path) -> None:
    browser.size(390, 844)
    browser.open(page)
    seen = heads(browser)
    assert seen[0] == "Model"
    assert not {"Rank", "Instructions"} & set(seen)
    edge, first, width = browser.run(
        "const row = document.querySelector('#board tbody tr');"
        "const score = [...row.cells].find(c => c.offsetParent && c.cellIndex > 0 && c.textContent.trim());"
        "const box = document.querySelector('.board').getBoundingClientRect();"
        "return [score.getBoundingClientRect().right, score.cellIndex, box.right]"
    )
    assert edge <= width
    assert first >= 3
    said = browser.run(
        "return [...document.querySelectorAll('#board tbody th')].map(t => getComputedStyle(t, '::after').content)"
    )
    assert json.loads(said[0]).startswith("rank 1")
    assert any("none" in text for text in said)  # the other instruction set
    browser.run("document.querySelector('.board').scrollLeft = 300")
    name, box = browser.run(
        "return ['#board tbody th', '.board'].map(c => document.querySelector(c).getBoundingClientRect().left)"
    )
    assert abs(name - box) <= 2


def test_on_a_phone_the_tasks_are_folded(browser: Browser, page: Path) -> None:
    browser.size(390, 844)
    browser.open(page)
    assert browser.one("#tasklist").get_attribute("open") is None
    assert not browser.one("#t-STS12").is_displayed()
    browser.click("#tasklist > summary")
    assert browser.one("#t-STS12").is_displayed()
    browser.open(page, "t-STS12")  # a link to one of them unfolds them
    assert browser.one("#t-STS12").is_displayed()
    assert browser.run("return Math.abs(document.getElementById('t-STS12').getBoundingClientRect().top) < 60")
    browser.size(1400)
    browser.open(page)
    assert browser.one("#t-STS12").is_displayed()


def test_a_constant_instruction_set_is_not_said_on_a_phone(
    browser: Browser, tmp_path: Path, make_score: Callable[..., Score]
) -> None:
    fill(tmp_path / "results", make_score, 4)
    page = tmp_path / "page.html"
    page.write_text(page_of(tmp_path / "results"), encoding="utf-8")
    browser.size(390)
    browser.open(page)
    said = browser.run(
        "return [...document.querySelectorAll('#board tbody th')].map(t => getComputedStyle(t, '::after').content)"
    )
    assert not any("paper" in text for text in said)


# Rows by task type


def lanes(browser: Browser) -> dict[str, str]:
    """The rows that the drawing of types shows, with their classes."""
    return browser.run(
        "return Object.fromEntries([...document.querySelectorAll('#profile g[data-p]')]"
        ".filter(g => getComputedStyle(g).display !== 'none').map(g => [g.dataset.name, g.getAttribute('class')]))"
    )


def test_the_reader_chooses_the_rows_by_type(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = lanes(browser)
    assert sorted(before.values()) == ["p0", "p1", "p2", "p3"]
    browser.click("#profile .head summary")
    boxes = browser.all("#profile-rows label")
    gone = boxes[0].text
    boxes[0].find_element(By.TAG_NAME, "input").click()
    after = lanes(browser)
    assert before.keys() - after.keys() == {gone}
    assert sorted(after.values()) == ["p0", "p1", "p2"]
    assert [item.text.strip() for item in browser.all("#profile ul li")] == sorted(after, key=lambda name: after[name])
    state = browser.state
    assert "profile=" in state
    browser.open(page, state)
    assert lanes(browser) == after
    for link in ("profile=gone,gone", "profile=,"):
        browser.open(page, link)
        assert lanes(browser) == before
    assert browser.console == []


def test_at_most_five_rows_are_shown_by_type(
    browser: Browser, tmp_path: Path, make_score: Callable[..., Score]
) -> None:
    fill(tmp_path / "results", make_score, 22)
    page = tmp_path / "page.html"
    page.write_text(page_of(tmp_path / "results"), encoding="utf-8")
    browser.open(page)
    assert len(lanes(browser)) == 5
    assert len(browser.all("#profile-rows input:disabled")) == 17
    browser.script(on=False)
    browser.open(page)
    assert len(lanes(browser)) == 5
    assert not browser.one("#profile-rows").is_displayed()
