"""The page of a server in Chromium: what a person sees of it, and what they do with it."""

import json
from importlib.resources import files
from typing import Any, NamedTuple

from tests.kit.broker.brokers import HOST, Mosquitto
from tests.kit.browser import Browser
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.model_server import ModelServer
from tests.kit.waiting import eventually

VIEWS = ("#/plant", "#/stream", "#/fleet", "#/gateways", "#/try")
"""The views of the page, as its address names them."""

STREAM = "pump-health"
_SERIOUS = ("serious", "critical")


class PlantView(NamedTuple):
    """A page that shows what a client publishes.

    Attributes:
        chromium: the browser.
        server: the server of the page.
        broker: the broker that it watches.
        client: publishes what agents would.
    """

    chromium: Browser
    server: ModelServer
    broker: Mosquitto
    client: PlantClient

    @property
    def origin(self) -> str:
        """Scheme, host and port of the page."""
        return f"http://{HOST}:{self.server.port}"

    def open(self, view: str = "#/plant", width: int = 1400) -> None:
        """Load the page anew at a view, and wait until it is connected."""
        self.chromium.open("about:blank", width)
        self.chromium.requests.clear()
        self.chromium.complaints.clear()
        self.chromium.open(f"{self.origin}/{view}", width)
        self.wait_for_text(".connection", "live")

    def go(self, view: str) -> None:
        """Go to another view without loading the page anew."""
        self.chromium.evaluate(f"location.hash = {json.dumps(view)}")

    def predict(self, asset: str, score: float, **fields: object) -> None:
        """Publish a prediction of an asset, as an agent would; the threshold is 50."""
        is_above = score > 50
        document = {
            "value": int(is_above),
            "label": ("normal", "abnormal")[is_above],
            "score": score,
            "quality": "GOOD",
            "stream": STREAM,
            "version": "1.0.1",
            "seq": 1,
            "asset": asset,
        }
        self.client.publish(f"plant/{asset}/_inference/{STREAM}", document | fields)

    def run(self, seq: int, gateway: str = "gw1") -> None:
        """Say what a gateway runs from now on, as its agent would."""
        current = {"stream": STREAM, "state": "serving", "seq": seq, "version": f"1.0.{seq}"}
        topic = f"millhand/{gateway}/current/{STREAM}"
        self.client.publish(topic, current | {"sha256": "0123456789abcdef" * 4}, retain=True)

    @property
    def label(self) -> str:
        """What a screen reader says of the upper curve; empty without one."""
        found: str = self.chromium.evaluate(
            "document.querySelector('.chart')?.getAttribute('aria-label') ?? ''"
        )
        return found

    def text(self, selector: str) -> str:
        """What is to be read in the first element of a selector; empty without one."""
        return next(iter(self.texts(selector)), "")

    def texts(self, selector: str) -> list[str]:
        """What is to be read in all elements of a selector, with single blanks."""
        found: list[str] = self.chromium.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.innerText)"
        )
        return [" ".join(one.split()) for one in found]

    def wait_for_text(self, selector: str, part: str) -> None:
        """Wait until an element says something."""
        what = f"'{part}' in {selector}"
        eventually(lambda: part in self.text(selector), 20.0, what)

    def wait_for_row(self, asset: str, part: str = "") -> None:
        """Wait until the row of an asset is there and says something."""
        eventually(lambda: asset in (row := self.row(asset)) and part in row, 20.0, part)

    def row(self, asset: str) -> str:
        """What is to be read in the row of an asset; empty without one."""
        rows = self.texts(".assets tbody tr")
        return next((one for one in rows if asset in one), "")

    @property
    def beside(self) -> list[str]:
        """What begins the tables of which a part is only seen by scrolling sideways."""
        found: list[str] = self.chromium.evaluate(
            "[...document.querySelectorAll('.scroll')]"
            ".filter(one => one.scrollWidth > one.clientWidth)"
            ".map(one => one.innerText.slice(0, 40))"
        )
        return found

    def accessibility(self) -> list[str]:
        """What axe-core finds serious or critical: rule, reason and elements."""
        engine = files("axe_core_python").joinpath("axe.min.js").read_text()
        self.chromium.evaluate(engine)
        found: dict[str, Any] = self.chromium.evaluate("axe.run(document)")
        assert len(found["passes"]) > 5, found
        return [
            f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']]}"
            for one in found["violations"]
            if one["impact"] in _SERIOUS
        ]
