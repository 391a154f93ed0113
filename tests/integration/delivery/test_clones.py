"""An agent that is started tells by its state folder whether another one has its ids."""

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.delivery.test_shared_id import OVER, TOLD, Line, make_gateway
from tests.kit.broker.brokers import mosquitto
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import BASE_MS
from tests.kit.waiting import eventually

ANSWERS = ["plant/+/+/_inference/sum"]
IN_USE = "in use twice"  # that it is, or that it may be
CLONES = (
    ("5", "empty"),
    ("5", "of now"),
    ("3.1.1", "of now"),
    ("3.1.1", "of an earlier run"),
)


def answered(line: Line, count: int) -> list[dict[str, object]]:
    """Send rows, and return their answers."""
    before = len(line.client.messages)
    line.send(count)
    eventually(lambda: len(line.client.messages) >= before + count, 20, "an answer to each row")
    return line.answers()[before:]


def qualities(answers: list[dict[str, object]]) -> set[object]:
    return {one["quality"] for one in answers}


def copy_state(of: Gateway, to: Gateway) -> None:
    shutil.rmtree(to.state_dir)
    shutil.copytree(of.state_dir, to.state_dir)


@pytest.mark.parametrize(("protocol", "folder"), CLONES)
def test_agent_that_is_started_beside_another_calls_no_reading_good(
    tmp_path: Path, protocol: str, folder: str
) -> None:
    """The first waits up to a second until it comes back, and gets no reading meanwhile."""
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ANSWERS) as client,
        make_gateway(tmp_path / "first", broker.port, protocol, 2.0) as first,
        make_gateway(tmp_path / "second", broker.port, protocol, 2.0) as second,
    ):
        line = Line(client)
        first.start_serving()
        line.send(10)
        client.wait_for("_inference", 7)
        if folder != "empty":
            copy_state(first, second)
        if folder == "of an earlier run":
            first.stop()
            first.start_serving()
        answered(line, 5)
        second.start()

        def is_connected() -> bool:
            line.send()
            return "INFO connected" in second.log

        eventually(is_connected, 20, "the second agent to connect")
        since_ms = BASE_MS + line.sent

        def both_told() -> bool:
            line.send()
            return TOLD in first.log and TOLD in second.log

        eventually(both_told, 40, "both agents to tell it")

        def late() -> list[dict[str, object]]:
            return [one for one in line.answers() if int(str(one["timestamp"])) >= since_ms]

        assert qualities(eventually(late, message="answers after both were there")) == {"UNCERTAIN"}
        wrong = [one for one in line.answers() if not line.is_right(one)]
        assert "GOOD" not in qualities(wrong)


def test_agent_that_is_alone_is_never_in_doubt_after_a_restart(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker", durable=True) as broker,
        PlantClient(broker.port, ANSWERS) as client,
        make_gateway(tmp_path / "gw", broker.port, "auto", 0.2) as gateway,
    ):
        line = Line(client)
        gateway.start_serving()
        line.send(10)
        client.wait_for("_inference", 7)

        def goes_on() -> None:
            gateway.start_serving()
            assert qualities(answered(line, 3)) == {"GOOD"}

        gateway.stop()
        goes_on()
        gateway.kill()
        goes_on()
        gateway.stop()
        forget_starts(gateway)  # as an earlier release has left the folder
        goes_on()
        connected = gateway.log.count("INFO subscribed")
        broker.kill()  # it has saved its state, in which the agent is online
        gateway.kill()
        broker.start()
        goes_on()  # once it is certain that no other agent comes back
        broker.restart()
        gateway.wait_for_log("INFO subscribed", connected + 2)
        eventually(line.is_good_again, 20, "the agent to go on")
        assert qualities(line.answers()) == {"GOOD"}
        assert IN_USE not in gateway.log


def forget_starts(gateway: Gateway) -> None:
    path = gateway.state_dir / "session.json"
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps({key: record[key] for key in ("host", "port", "client_id")}))


def test_windows_of_a_restored_state_folder_are_not_good(tmp_path: Path) -> None:
    """They lack the readings that were answered since the folder was copied."""
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ANSWERS) as client,
        make_gateway(tmp_path / "gw", broker.port, "5", 0.2) as gateway,
        make_gateway(tmp_path / "copy", broker.port, "5", 0.2) as copy,
    ):
        line = Line(client)
        gateway.start_serving()
        line.send(10)
        client.wait_for("_inference", 7)
        gateway.stop()
        copy_state(gateway, copy)
        gateway.start_serving()
        answered(line, 3)
        gateway.stop()
        copy.start_serving()
        answers = answered(line, 5)
        assert not all(map(line.is_right, answers))
        assert qualities(answers) == {"UNCERTAIN"}
        assert "ERROR client id may be in use twice" in copy.log
        copy.kill()
        before = len(client.messages)
        line.send()  # it waits at the broker, and is answered before the doubt can be over
        copy.start_serving()  # the doubt goes on
        eventually(lambda: len(client.messages) > before, 20, "an answer after the start")
        assert qualities(line.answers()[before:]) == {"UNCERTAIN"}
        copy.wait_for_log(OVER)
        eventually(line.is_good_again, 20, "predictions to be GOOD again")
