"""The page when something is away: the broker, the server, or every prediction."""

from collections.abc import Iterator

import pytest

from tests.kit.broker.brokers import free_port, mosquitto
from tests.kit.browser import browser
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.plant_page import history, page_server
from tests.kit.plant_view import STREAM, PlantView
from tests.kit.waiting import eventually


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlantView]:
    folder = tmp_path_factory.mktemp("page")
    with (
        mosquitto(folder / "broker") as broker,
        PlantClient(broker.port) as client,
        page_server(folder, broker.port) as server,
        browser(folder / "profile") as chromium,
    ):
        server.sections = {**server.sections, "server": {"port": free_port()}}
        server.start_serving()
        yield PlantView(chromium, server, broker, client)


def test_page_of_a_silent_plant_says_what_it_waits_for(view: PlantView) -> None:
    view.open()
    view.wait_for_text(".empty", "No prediction yet")
    assert f"connected to the broker 127.0.0.1:{view.broker.port}" in view.text(".empty")
    view.go("#/gateways")
    view.wait_for_text(".empty", "No gateway yet")
    view.go("#/stream")
    view.wait_for_text(".empty", "No prediction yet")


def test_outage_of_the_broker_is_said_with_its_reason_until_it_ends(view: PlantView) -> None:
    view.open()
    view.predict("l1/kept", 10.0)
    view.wait_for_row("l1/kept")
    view.broker.kill()
    view.wait_for_text(".notices", "no connection to the broker 127.0.0.1")
    view.wait_for_text(".connection", "no broker")
    assert view.row("l1/kept")
    view.broker.restart()
    view.wait_for_text(".connection", "live")
    eventually(lambda: not view.text(".notices"), 20.0)


def test_lost_server_is_said_and_the_page_comes_back_by_itself(view: PlantView) -> None:
    view.open()
    view.chromium.evaluate("window.isTheSame = true")
    view.server.kill()
    view.wait_for_text(".notices", "No connection to the server since")
    view.wait_for_text(".connection", "no server")
    view.server.start()
    view.wait_for_text(".connection", "live")
    eventually(lambda: not view.text(".notices"), 20.0)
    assert view.chromium.evaluate("window.isTheSame") is True


def test_exchange_while_the_server_was_away_is_marked_once_it_is_back(view: PlantView) -> None:
    view.predict("l1/away", 10.0)
    for gateway in ("gw1", "gw2"):
        view.run(1, gateway)
    view.open(f"#/stream/{STREAM}/l1%2Faway")
    eventually(lambda: "0 exchanges of the model" in view.label, 20.0)
    eventually(lambda: view.chromium.evaluate(RUNNING) == [1, 1], 20.0)
    view.server.stop()
    for gateway in ("gw1", "gw2"):
        view.run(2, gateway)
    view.server.start()
    eventually(lambda: "2 exchanges of the model" in view.label, 20.0)
    assert view.chromium.evaluate(RUNNING) == [2, 2]


RUNNING = (
    "fetch('/console/api/gateways').then(one => one.json())"
    ".then(all => all.gateways.flatMap(one => one.streams.map(stream => stream.seq)))"
)


def test_exchange_while_the_page_was_left_is_marked_on_the_way_back(view: PlantView) -> None:
    view.predict("l1/left", 10.0)
    view.run(3)
    view.open(f"#/stream/{STREAM}/l1%2Fleft")
    eventually(lambda: "of the model" in view.label, 20.0)
    before = view.label
    view.chromium.evaluate("window.isTheSame = true")
    view.chromium.evaluate("location.href = '/console/static/icon.svg'")
    eventually(lambda: view.chromium.evaluate("location.pathname").endswith(".svg"))
    view.run(4)
    eventually(lambda: marked(view, 4), 20.0)
    view.chromium.evaluate("history.back()")
    eventually(lambda: view.label not in ("", before), 20.0)
    assert view.chromium.evaluate("window.isTheSame") is True


def marked(view: PlantView, seq: int) -> bool:
    """Whether the history knows a model."""
    return any(one["seq"] == seq for one in history(view.server, "l1/left")["marks"])


def test_form_says_that_it_got_no_answer(view: PlantView) -> None:
    view.open(f"#/try/{STREAM}")
    eventually(lambda: len(view.texts(".field")) == 2, 10.0)
    view.server.kill()
    view.chromium.evaluate("document.querySelector('main form').requestSubmit()")
    view.wait_for_text("[aria-live] .problem", "The server gives no answer")
    assert not view.text("[aria-live] .facts")
    view.server.start()
