"""What the tests do with the page and read off it: rows as they are seen, columns, a cell opened."""

from __future__ import annotations

from browsing import Browser


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
