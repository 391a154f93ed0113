"""The page's form for a model with signals of states: they are chosen, not typed."""

import json
from pathlib import Path

from models.bundle.manifest import Channel
from tests.kit.broker.brokers import HOST
from tests.kit.browser import browser
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_server import ModelServer
from tests.kit.waiting import eventually

VALVE = Channel(name="valve", codes={"closed": 0.0, "it's open": 10.0})


def test_state_is_chosen_and_sent_as_its_text(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    channels = [VALVE, Channel(name="p")]
    published.publish(linear_bundle("valves", 1, [1.0, 100.0], channels=channels))
    # There is no broker: the form needs none.
    sections = {"console": {"broker": {"host": HOST, "port": 1}}}
    with (
        ModelServer(tmp_path / "home", published, [{"stream": "valves"}], sections) as server,
        browser(tmp_path / "profile") as chromium,
    ):
        server.start_serving()
        chromium.open(f"http://{HOST}:{server.port}/#/try/valves", 1000)
        choose = (
            "(() => { const field = document.getElementById('signal-valve');"
            "if (!field) return '';"
            "field.value = \"it's open\"; field.dispatchEvent(new Event('change'));"
            "return field.tagName; })()"
        )
        eventually(lambda: chromium.evaluate(choose) == "SELECT", 20.0)
        chromium.evaluate("document.getElementById('signal-p').select()")
        chromium.ask("Input.insertText", text="2.5")
        chromium.evaluate("document.querySelector('main form').requestSubmit()")
        shown = "document.querySelector('[aria-live] .facts')?.innerText ?? ''"
        eventually(lambda: "260" in chromium.evaluate(shown), 20.0)
        body = json.dumps({"readings": {"valve": "ajar", "p": 1}}).encode()
        refused = server.request("POST", "/v1/streams/valves/predict", body)
        assert refused.status == 400
        assert "allowed are null and the states closed, it's open" in refused.error
