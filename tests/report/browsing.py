"""Chromium as a reader has it: a window of some size and theme, with or without JavaScript, and what it had to say."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

NODE_MODULES = Path(__file__).parent / "node_modules"
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


class Window:
    """The questions asked of a page in any browser: `run` and what is built on it. Firefox: firefox.py."""

    def run(self, script: str, *arguments: object) -> Any:
        """The value that the body of a function returns in the page."""
        raise NotImplementedError

    def text(self, css: str) -> str:
        """All text of the one element, seen or not."""
        return str(self.run("return document.querySelector(arguments[0]).textContent", css))

    def wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self, 10, 0.02).until(lambda _window: condition())

    @property
    def state(self) -> str:
        return str(self.run("return location.hash")).removeprefix("#")

    def choose(self, css: str, text: str) -> None:
        """Select an option by what it says."""
        self.run(
            "const e = document.querySelector(arguments[0]);"
            "e.value = [...e.options].find(o => o.text.trim() == arguments[1]).value;"
            "for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, {bubbles: true}))",
            css,
            text,
        )

    def axe(self) -> list[str]:
        """All that axe-core finds serious or critical."""
        self.run((NODE_MODULES / "axe-core" / "axe.min.js").read_text("utf-8"))
        found = self.run(
            "return axe.run(document, {resultTypes: ['violations']}).then(r => r.violations"
            ".map(v => [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200)).join(' ')]))"
        )
        return [f"{rule}: {nodes}" for impact, rule, nodes in found if impact in ("serious", "critical")]


class Browser(Window):
    """A Chromium with the questions that the tests ask."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        driver.set_script_timeout(120)

    def open(self, page: Path | str, state: str = "") -> None:
        """Load a page, also where it is open already; the log of before is forgotten."""
        url = page if isinstance(page, str) else page.as_uri()
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(f"{url}{f'#{state}' if state else ''}")

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        found = self.all(css)
        assert len(found) == 1, (css, len(found))
        return found[0]

    def click(self, css: str) -> None:
        self.run("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", self.one(css))
        self.one(css).click()

    def press(self, keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(keys)

    @property
    def console(self) -> list[str]:
        """The console's messages since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for since the page was opened."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def size(self, width: int, height: int = 900) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def media(self, **features: str) -> None:
        """`prefers_color_scheme="dark"`, or `media="print"`."""
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items() if k != "media"]
        settings = {"media": features.get("media", ""), "features": named}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", settings)

    def script(self, *, on: bool) -> None:
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not on})


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A fresh Chromium, with a profile of its own."""
    paths = [shutil.which(name) for name in ("chromium", "chromedriver")]
    assert all(paths), "chromium and chromium-driver are needed: apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = str(paths[0])
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(paths[1]))
        try:
            browser = Browser(driver)
            browser.size(1400)
            yield browser
        finally:
            driver.quit()
