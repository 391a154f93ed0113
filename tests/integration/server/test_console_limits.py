"""The page's limits: restarts, a damaged file, slow and many browsers, more assets than allowed."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.kit.broker.brokers import HOST, Mosquitto, mosquitto
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.http.noise import PAGE_REQUESTS, make_noise
from tests.kit.model_server import ModelServer
from tests.kit.plant_page import (
    STREAM,
    Browser,
    history,
    overview,
    page_server,
    prediction,
    shown_of,
)
from tests.kit.waiting import eventually

EVENTS = b"GET /console/api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
FILE = "console.sqlite3"
CURRENT = f"millhand/gw1/current/{STREAM}"
MOST = 1_000
"""Changes after which a browser that does not read has got more than any buffer holds."""


class Site(NamedTuple):
    """A broker, and a client of it that publishes predictions."""

    broker: Mosquitto
    client: PlantClient

    def publish(self, asset: str, value: float, **more: object) -> None:
        topic = f"plant/{asset}/_inference/{STREAM}"
        self.client.publish(topic, prediction(asset, value, **more))

    def run(self, seq: int) -> None:
        current = {"stream": STREAM, "state": "serving", "seq": seq, "version": f"1.0.{seq}"}
        self.client.publish(CURRENT, current | {"sha256": "0123456789abcdef" * 4}, retain=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    with mosquitto(folder / "broker") as broker, PlantClient(broker.port) as client:
        yield Site(broker, client)


def connected(server: ModelServer) -> ModelServer:
    """A server that was started, once its page is connected to the broker."""
    server.start()
    eventually(lambda: overview(server)["broker"]["connected"], 20.0)
    return server


def kept_values(server: ModelServer, asset: str) -> list[float]:
    values: list[float] = history(server, asset)["points"]["value"]
    return values


def test_history_survives_a_stop_and_a_kill(site: Site, tmp_path: Path) -> None:
    with page_server(tmp_path, site.broker.port, points_per_minute=60) as server:
        connected(server)
        site.publish("l1/pump7", 3.0, unit="h")
        site.publish("l1/valve", 2, label="worn", score=0.75)
        eventually(lambda: shown_of(server, "l1/pump7") and shown_of(server, "l1/valve"))
        assert server.stop() == 0
        connected(server)
        assert kept_values(server, "l1/pump7") == [3.0]
        shown = eventually(lambda: shown_of(server, "l1/pump7"))
        assert (shown["value"], shown["unit"], shown["sparkline"]) == (3.0, "h", [3.0])
        assert shown_of(server, "l1/valve")["sparkline"] == [0.75]
        site.publish("l1/pump7", 4.0)
        eventually(lambda: kept_values(server, "l1/pump7") == [3.0, 4.0], 20.0)
        server.kill()
        connected(server)
        assert kept_values(server, "l1/pump7") == [3.0, 4.0]


def test_model_exchanged_while_the_server_was_away_is_marked_once(
    site: Site, tmp_path: Path
) -> None:
    with page_server(tmp_path, site.broker.port) as server:
        connected(server)
        site.run(1)
        eventually(lambda: runs(server) == 1)
        assert history(server, "l1/pump7")["marks"] == []
        assert server.stop() == 0
        site.run(2)
        connected(server)
        (mark,) = eventually(lambda: history(server, "l1/pump7")["marks"])
        assert (mark["gateway"], mark["seq"], mark["version"]) == ("gw1", 2, "1.0.2")
        assert server.stop() == 0
        connected(server)
        eventually(lambda: runs(server) == 2)
        assert history(server, "l1/pump7")["marks"] == [mark]
    site.client.publish(CURRENT, b"", retain=True)


def runs(server: ModelServer) -> int | None:
    """Number of the model that the gateway runs, as far as the page knows."""
    gateways = server.request("GET", "/console/api/gateways").document["gateways"]
    return next((one["streams"][0]["seq"] for one in gateways), None)


def test_points_are_few_and_keep_the_extremes(site: Site, tmp_path: Path) -> None:
    with page_server(tmp_path, site.broker.port, points_per_minute=1) as server:
        connected(server)
        minute = prediction("l1/many", 0.0)["timestamp"]
        assert isinstance(minute, int)
        minute -= minute % 60_000 + 60_000
        for number in range(200):
            quality = "BAD" if number == 50 else "GOOD"
            site.publish("l1/many", number % 100, timestamp=minute + number, quality=quality)
        eventually(lambda: shown_of(server, "l1/many") and last(server) == 99)
        server.stop()
        connected(server)
        points = history(server, "l1/many")["points"]
    assert points["value"] == [0.0, 99.0]
    assert points["quality"] == [2, 2]


def last(server: ModelServer) -> float:
    value: float = shown_of(server, "l1/many")["value"]
    return value


def test_damaged_history_is_set_aside_and_the_page_goes_on(site: Site, tmp_path: Path) -> None:
    with page_server(tmp_path, site.broker.port, points_per_minute=60) as server:
        server.state_dir.mkdir(parents=True)
        (server.state_dir / FILE).write_bytes(b"this is no database" * 1000)
        connected(server)
        site.publish("l1/pump7", 5.0)
        eventually(lambda: kept_values(server, "l1/pump7") == [5.0], 20.0)
        assert "console history is begun anew" in server.log
        assert (server.state_dir / f"{FILE}.damaged").is_file()


def test_history_that_cannot_be_kept_is_said_and_everything_else_works(
    site: Site, tmp_path: Path
) -> None:
    with page_server(tmp_path, site.broker.port, points_per_minute=60) as server:
        (server.state_dir / FILE).mkdir(parents=True)
        connected(server)
        site.publish("l1/pump7", 6.0)
        eventually(lambda: shown_of(server, "l1/pump7"))
        eventually(lambda: "unable to open" in overview(server)["history"]["reason"])
        assert overview(server)["history"]["kept"] is False
        question = f"/console/api/history?stream={STREAM}&asset=l1/pump7"
        assert server.request("GET", question).status == 503
        (server.state_dir / FILE).rmdir()
        eventually(lambda: overview(server)["history"]["kept"], 20.0)
        site.publish("l1/pump7", 7.0)
        eventually(lambda: 7.0 in kept_values(server, "l1/pump7"), 20.0)


def test_only_so_many_browsers_listen_and_a_place_becomes_free(site: Site, tmp_path: Path) -> None:
    with page_server(tmp_path, site.broker.port, max_clients=2) as server:
        connected(server)
        with Browser(server.port) as one, Browser(server.port) as two:
            assert (one.answer.status, two.answer.status) == (200, 200)
            reply = server.request("GET", "/console/api/events")
            assert (reply.status, "max_clients" in reply.error) == (429, True)
        eventually(lambda: listens(server))


def test_noise_on_the_paths_of_the_page_disturbs_nobody(site: Site, tmp_path: Path) -> None:
    with page_server(tmp_path, site.broker.port) as server:
        connected(server)
        noise = make_noise(server.port, seed=1, seconds=2.0, requests=PAGE_REQUESTS)
        assert noise.faults == []
        assert noise.connections > 0
        site.publish("l1/after", 9.0)
        eventually(lambda: shown_of(server, "l1/after"))
        eventually(lambda: listeners(server) == 0, 20.0)
        assert "Traceback" not in server.log


def listens(server: ModelServer) -> bool:
    """Whether one more browser is sent events."""
    with Browser(server.port) as browser:
        return browser.answer.status == 200


def test_browser_that_does_not_read_is_cut_off_and_costs_no_memory(
    site: Site, tmp_path: Path
) -> None:
    limits = {"client_s": 1.0}
    with page_server(tmp_path, site.broker.port, limits=limits, max_assets=300) as server:
        connected(server)
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((HOST, server.port))
            deaf.sendall(EVENTS)
            memory = psutil.Process(server.process.pid).memory_info
            before = memory().rss
            with Browser(server.port) as reader:
                value = 0
                while listeners(server) > 1 and value < MOST:
                    value += 1
                    for number in range(300):
                        site.publish(f"l1/pump{number}", value, label="x" * 200)
                    site.client.flush()
                    reader.wait_for("plant", lambda _: True)
            assert value < MOST, value
            assert memory().rss - before < 50 << 20
            assert is_cut_off(deaf)


def test_browser_that_went_without_a_word_gives_up_its_place(site: Site, tmp_path: Path) -> None:
    """What it does not take fits into the system's buffer, so that the server waits for nothing."""
    with page_server(tmp_path, site.broker.port, limits={"client_s": 1.0}, max_clients=1) as server:
        connected(server)
        with socket.socket() as gone:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            gone.connect((HOST, server.port))
            gone.sendall(EVENTS)
            eventually(lambda: listeners(server) == 1)
            assert server.request("GET", "/console/api/events").status == 429
            for number in range(300):
                site.publish(f"l1/pump{number}", number, label="x" * 200)
            eventually(lambda: listeners(server) == 0, 20.0)
            assert listens(server)


def listeners(server: ModelServer) -> int:
    """How many connections of browsers there are."""
    connections = psutil.Process(server.process.pid).net_connections("tcp")
    here = [one for one in connections if one.laddr.port == server.port]
    return sum(one.status == "ESTABLISHED" for one in here)


def is_cut_off(client: socket.socket) -> bool:
    """Whether the connection ends before the stream has ended."""
    client.settimeout(10.0)
    found = b""
    try:
        while part := client.recv(1 << 16):
            found = found[-5:] + part
    except ConnectionResetError:
        return True
    return not found.endswith(b"0\r\n\r\n")


def test_stop_ends_the_streams_in_order(site: Site, tmp_path: Path) -> None:
    with page_server(tmp_path, site.broker.port) as server:
        connected(server)
        with socket.create_connection((HOST, server.port), timeout=20.0) as client:
            client.sendall(EVENTS)
            assert b" 200 " in client.recv(1 << 16)
            assert server.stop() == 0
            assert not is_cut_off(client)
        assert "bug" not in server.log


def test_more_assets_than_allowed_push_out_those_silent_for_longest(
    site: Site, tmp_path: Path
) -> None:
    with page_server(tmp_path, site.broker.port, max_assets=20) as server:
        connected(server)
        for number in range(500):
            site.publish(f"l1/made-up-{number}", number)
        site.client.flush()
        eventually(lambda: shown_of(server, "l1/made-up-499"))
        found = overview(server)
        assert len(found["assets"]) == 20
        assert found["forgotten"] == 480


def test_broker_that_is_not_there_keeps_nobody_from_an_answer(tmp_path: Path) -> None:
    with page_server(tmp_path, 1) as server:
        server.start_serving()
        eventually(lambda: "cannot be reached" in overview(server)["broker"]["reason"])
        found = overview(server)["broker"]
        assert (found["connected"], found["address"]) == (False, f"{HOST}:1")
        reply = server.request("GET", f"/v2/models/{STREAM}/ready")
        assert reply.status == 200
