"""Two agents with one id: both notice, tell it, wait longer, and call no prediction GOOD."""

import json
from operator import mul
from pathlib import Path

import numpy as np
import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.broker.packets import Message, paho_publish
from tests.kit.broker.scripted import PUBACK, SUBSCRIBE, ScriptedBroker
from tests.kit.bundles.graphs import history_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.notify_socket import NotifySocket
from tests.kit.gateway.plant import BASE_MS, OFTEN, TOPIC
from tests.kit.waiting import eventually

PROTOCOLS = ("5", "3.1.1")
TOLD = "ERROR client id is in use twice"
OVER = "no other client has connected"
WEIGHTS = (1, 10, 100, 1000)
SUM = history_bundle("sum", 1, np.array([[weight, 0] for weight in WEIGHTS], np.float32))
"""A weighted sum of the last four rows, so that a row too few or too many shows."""


def make_gateway(folder: Path, port: int, protocol: str, longest_s: float) -> Gateway:
    sections: dict[str, dict[str, object]] = {
        "limits": OFTEN,
        "broker": {"reconnect_max_s": longest_s, "protocol": protocol},
    }
    gateway = Gateway(folder, port, [telemetry_pipeline("sum")], sections=sections)
    gateway.keep(SUM)
    return gateway


class Line:
    """Sends numbered rows, and knows which sum belongs to each."""

    def __init__(self, client: PlantClient) -> None:
        self.client = client
        self.sent = 0

    def send(self, count: int = 1) -> None:
        for number in range(self.sent, self.sent + count):
            self.client.publish(TOPIC, {"ts": BASE_MS + number, "c0": value_of(number), "c1": 0.0})
        self.sent += count
        self.client.flush()

    def answers(self) -> list[dict[str, object]]:
        return [json.loads(payload) for _, payload in list(self.client.messages)]

    def is_good_again(self) -> bool:
        self.send()
        return self.answers()[-1]["quality"] == "GOOD"

    @staticmethod
    def is_right(answer: dict[str, object]) -> bool:
        last = int(str(answer["timestamp"])) - BASE_MS
        rows = range(last - 3, last + 1)
        return bool(answer["value"] == sum(map(mul, WEIGHTS, map(value_of, rows))))


def value_of(number: int) -> float:
    """The value of a row, other than that of its neighbours."""
    return float(number * 37 % 97)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_agents_with_one_id_are_told_and_no_mixed_window_is_good(
    tmp_path: Path, protocol: str
) -> None:
    with (
        NotifySocket() as systemd,
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ["plant/+/+/_inference/sum"]) as client,
        make_gateway(tmp_path / "first", broker.port, protocol, 4.0) as first,
        make_gateway(tmp_path / "second", broker.port, protocol, 4.0) as second,
    ):
        line = Line(client)
        first.environment = systemd.environment
        first.start_serving()
        line.send(10)
        client.wait_for("_inference", 7)
        assert {one["quality"] for one in line.answers()} == {"GOOD"}
        for name in ("session.json", "subscriptions.json"):  # the card was cloned
            (second.state_dir / name).write_bytes((first.state_dir / name).read_bytes())
        second.start()

        def both_told() -> bool:
            line.send()
            return TOLD in first.log and TOLD in second.log

        eventually(both_told, 30, "both agents to tell it")
        eventually(lambda: "another client connects as millhand-gw1" in systemd.status, 20)
        told_at = len(client.messages)
        connects = first.log.count("INFO connected"), second.log.count("INFO connected")

        def both_connected_again() -> bool:
            line.send()
            return (
                first.log.count("INFO connected") > connects[0] + 1
                and second.log.count("INFO connected") > connects[1] + 1
            )

        eventually(both_connected_again, 60, "both agents to connect again")
        answers = line.answers()
        wrong = [one for one in answers if not line.is_right(one)]
        assert wrong, "the agents did not share the readings, so nothing was tried"
        assert {one["quality"] for one in wrong} == {"UNCERTAIN"}
        assert {one["quality"] for one in answers[told_at:]} == {"UNCERTAIN"}
        for gateway in (first, second):
            assert gateway.log.count(TOLD) == 1
        second.kill()
        first.wait_for_log(OVER, timeout_s=60)
        line.send(10)

        eventually(line.is_good_again, 20, "predictions to be GOOD again")
        assert line.is_right(line.answers()[-1])
        eventually(lambda: "another client" not in systemd.status, 20)


def test_two_gateways_with_one_client_id_are_told_and_stay_in_doubt(tmp_path: Path) -> None:
    """The second waits longer between connections than the first."""
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ["plant/+/+/_inference/sum"]) as client,
        make_gateway(tmp_path / "first", broker.port, "5", 0.5) as first,
        make_gateway(tmp_path / "second", broker.port, "5", 3.0) as second,
    ):
        line = Line(client)
        second.id = "gw2"
        for gateway in (first, second):
            gateway.sections["broker"]["client_id"] = "twice"
            gateway.start()

        def both_told() -> bool:
            line.send()
            return TOLD in first.log and TOLD in second.log

        eventually(both_told, 60, "both agents to tell it")

        def wait_for_connections(count: int) -> None:
            before = second.log.count("INFO connected")

            def is_there() -> bool:
                line.send()
                return second.log.count("INFO connected") >= before + count

            eventually(is_there, 60, "the second agent to connect again")

        wait_for_connections(1)
        told_at = len(client.messages)
        wait_for_connections(3)
        answers = line.answers()[told_at:]
        assert [one for one in answers if not line.is_right(one)]
        assert {one["quality"] for one in answers} == {"UNCERTAIN"}
        assert OVER not in first.log + second.log
        second.kill()
        first.wait_for_log(OVER, timeout_s=60)
        line.send(10)
        eventually(line.is_good_again, 20, "predictions to be GOOD again")


def test_broker_that_says_so_is_believed_at_once(tmp_path: Path) -> None:
    with (
        ScriptedBroker(5) as broker,
        make_gateway(tmp_path / "gw", broker.port, "5", 0.2) as gateway,
    ):
        gateway.start_serving()
        broker.session_present = True
        broker.send(b"\xe0\x01\x8e")
        gateway.wait_for_log(TOLD)
        broker.wait_for(SUBSCRIBE, 2)
        for number in range(4):
            row = {"ts": BASE_MS + number, "c0": value_of(number), "c1": 0.0}
            payload = json.dumps(row).encode()
            broker.send(paho_publish(5, Message(TOPIC, payload, 1, number + 1)))
        broker.wait_for(PUBACK, 4)
        (answer,) = broker.published("plant/l1/p1/_inference/sum")
        assert b'"quality":"UNCERTAIN"' in answer
        gateway.wait_for_log(OVER)


def test_broker_that_closes_every_connection_at_once_is_told(tmp_path: Path) -> None:
    """MQTT 3.1.1 has no reason, and this broker does not let the agent read its own status."""
    with (
        ScriptedBroker(4) as broker,
        make_gateway(tmp_path / "gw", broker.port, "3.1.1", 0.2) as gateway,
    ):
        gateway.start_serving()
        broker.session_present = True
        for number in range(1, 4):
            broker.wait_for(SUBSCRIBE, number)
            assert TOLD not in gateway.log
            broker.cut()
        gateway.wait_for_log(TOLD)
        gateway.wait_for_log(OVER)
