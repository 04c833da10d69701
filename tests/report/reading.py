"""Steps of the tests on the page, and what they read off it: rows as they are seen, columns, a cell opened."""

from __future__ import annotations

from browsing import Window


def shown(browser: Window) -> list[str]:
    """Row labels in the order they are seen, with what stands in front of a child."""
    return browser.run(
        "return [...document.querySelectorAll('#board tbody tr')].filter(r => r.offsetParent)"
        ".map(r => r.cells[0].innerText.split('\\n')[0].trim() + ' | ' + r.cells[2].innerText)"
    )


def column(browser: Window, name: str) -> list[str]:
    return browser.run(
        "const at = [...document.querySelectorAll('#heads th')].findIndex(t => t.querySelector('a')?.textContent == "
        "arguments[0]); return [...document.querySelectorAll('#board tbody tr')].map(r => r.cells[at].textContent)",
        name,
    )


def sort(browser: Window, name: str) -> str:
    """Click a column's button; the order that the column then says."""
    browser.click(f"#heads button[aria-label='Sort by {name}']")
    said = browser.run(
        "return [...document.querySelectorAll('#heads th')].map(t => t.ariaSort).filter(s => s && s != 'none')"
    )
    return str(said[0]) if said else "none"


def open_cell(browser: Window, row: int, task: str) -> str:
    """Click a cell; the text of the panel."""
    place = browser.run(
        "return [...document.querySelectorAll('#heads th')].findIndex(t => t.querySelector('a')?.textContent == "
        "arguments[0])",
        task,
    )
    browser.click(f"#board tr[data-r='{row}'] > :nth-child({place + 1}) > button")
    browser.wait(lambda: browser.run("return document.querySelector('#panel').open"))
    return browser.text("#panel-body")


def row_of(browser: Window, model: str, variant: str, instructions: str) -> int:
    side = f"{model}@{variant}:{instructions}"
    return int(browser.run("return document.querySelector(`#board tr[data-side='${arguments[0]}']`).dataset.r", side))
