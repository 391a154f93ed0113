"""Headless Chromium, whose DevTools protocol shows what a page has requested and logged."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.kit.children import Child
from tests.kit.errors import KitError

_START_S, _ANSWER_S = 60.0, 60.0
_LISTENS = re.compile(r"DevTools listening on (ws://\S+)")
_TOLD = {
    "Log.entryAdded",
    "Runtime.consoleAPICalled",
    "Runtime.exceptionThrown",
    "Audits.issueAdded",
}


@dataclass
class Browser:
    """One page in a browser.

    Attributes:
        connection: connection of the DevTools protocol.
        session: id of the protocol's session with the page.
        requests: every address that was requested.
        complaints: every message on the console: errors, warnings, violations of the policy.
    """

    connection: Connection
    session: str = ""
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _loaded: int = 0
    _number: int = 0

    def open(self, url: str, width: int) -> None:
        """Open a page at a width in pixels, and wait until all of it is loaded."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        loaded = self._loaded
        self.ask("Page.navigate", url=url)
        while self._loaded == loaded:
            self._take()

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401  whatever the page answers
        """The value of a JavaScript expression in the page; the page's policy does not apply.

        A promise is waited for.
        """
        found = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        return found["result"].get("value")

    def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.connection.send(json.dumps(message))
        while True:
            answer = self._take()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _take(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.connection.recv(timeout=_ANSWER_S))
        method, parameters = message.get("method", ""), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method in _TOLD:
            self.complaints.append(json.dumps(parameters))
        elif method == "Page.loadEventFired":
            self._loaded += 1
        return message


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Run Chromium with a profile in a folder until the context is left."""
    program = shutil.which("chromium")
    if program is None:
        raise KitError("chromium is missing; on Debian: apt install chromium")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0")
    # What Chromium requests for itself (updates, field trials) is not to be seen as the page's.
    quiet = ("--disable-background-networking", "--disable-component-update", "--no-first-run")
    command = [program, *flags, *quiet, f"--user-data-dir={folder}", "about:blank"]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "chromium.log"
    with Child("chromium", command, log) as child:
        child.wait_until(lambda: _LISTENS.search(log.read_text()), _START_S)
        with connect(_LISTENS.findall(log.read_text())[0], max_size=None) as connection:
            yield _attached(Browser(connection))


def _attached(found: Browser) -> Browser:
    target = found.ask("Target.createTarget", url="about:blank")["targetId"]
    session = found.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    found.session = session
    for domain in ("Page", "Network", "Log", "Runtime", "Audits"):
        found.ask(f"{domain}.enable")
    return found
