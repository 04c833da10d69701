"""Firefox with the questions that the tests ask, over WebDriver BiDi: it speaks that itself, without a driver."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import websocket
from browsing import Window
from waiting import wait_for

_CALL = "async text => JSON.stringify(await (function () {{ {} }}).apply(null, JSON.parse(text)))"
_SECONDS = 60


class Firefox(Window):
    """A Firefox with one tab."""

    def __init__(self, address: str, empty: str) -> None:
        self._empty = empty
        """A page that is open before another: a link into the same page would not load it."""
        self._socket = websocket.create_connection(address, timeout=_SECONDS, suppress_origin=True)
        self._number = 0
        self._said: list[str] = []
        self._requests: list[str] = []
        self._send("session.new", capabilities={})
        self._tab = {"context": self._send("browsingContext.getTree")["contexts"][0]["context"]}
        self._send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])

    def _send(self, method: str, **parameters: Any) -> Any:
        """Return the answer to a command; what happened before it is noted."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("id") == self._number:
                assert said["type"] == "success", said
                return said["result"]
            if said.get("method") == "log.entryAdded":
                self._said.append(str(said["params"]["text"]))
            elif said.get("method") == "network.beforeRequestSent":
                self._requests.append(said["params"]["request"]["url"])

    def open(self, page: Path | str, state: str = "") -> None:
        self._send("browsingContext.navigate", **self._tab, url=self._empty, wait="complete")
        self._said.clear()
        self._requests.clear()
        url = page if isinstance(page, str) else page.as_uri()
        self._send("browsingContext.navigate", **self._tab, url=f"{url}{f'#{state}' if state else ''}", wait="complete")

    def run(self, script: str, *arguments: object) -> Any:
        text = {"type": "string", "value": json.dumps(arguments)}
        said = self._send(
            "script.callFunction", functionDeclaration=_CALL.format(script), arguments=[text], awaitPromise=True,
            target=self._tab, userActivation=True,
        )  # fmt: skip
        assert said["type"] == "success", said["exceptionDetails"]["text"]
        return json.loads(said["result"]["value"]) if said["result"]["type"] == "string" else None

    def click(self, css: str) -> None:
        x, y = self.run(
            "const [e, other] = document.querySelectorAll(arguments[0]); if (other) throw Error('more than one');"
            "e.scrollIntoView({block: 'center', inline: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.left + b.width / 2, b.top + b.height / 2].map(Math.round)",
            css,
        )
        press = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        self._do("pointer", {"type": "pointerMove", "x": x, "y": y}, *press)

    def press(self, keys: str) -> None:
        self._do("key", *({"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")))

    def _do(self, kind: str, *actions: dict[str, Any]) -> None:
        self._send("input.performActions", **self._tab, actions=[{"type": kind, "id": kind, "actions": actions}])

    @property
    def console(self) -> list[str]:
        """The console's messages since the page was opened."""
        self.run("")  # events come before the answer to it
        return self._said

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for since the page was opened."""
        self.run("")
        return self._requests

    def close(self) -> None:
        self._socket.close()

    def size(self, width: int, height: int = 900) -> None:
        self._send("browsingContext.setViewport", **self._tab, viewport={"width": width, "height": height})


@contextlib.contextmanager
def firefox() -> Iterator[Firefox]:
    """A fresh Firefox, with a profile of its own."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    assert path, "Firefox is needed: apt-get install firefox-esr"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        empty = Path(profile, "empty.html")
        empty.write_text("<!doctype html><title>empty</title>", encoding="utf-8")
        command = [path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        process = subprocess.Popen([*command, empty.as_uri()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            address = wait_for(lambda: _address(Path(profile)), "Firefox listens")
            with contextlib.closing(Firefox(address, empty.as_uri())) as found:
                found.size(1400)
                yield found
        finally:
            process.terminate()
            process.wait()


def _address(profile: Path) -> str:
    """Where it listens, which it writes into its profile when it does; empty before."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((profile / "WebDriverBiDiServer.json").read_text(encoding="utf-8"))
        return f"ws://{found['ws_host']}:{found['ws_port']}/session"
    return ""
