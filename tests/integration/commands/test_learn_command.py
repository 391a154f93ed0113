"""What `learn` does where there is little to learn, or too much."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.broker.brokers import Mosquitto, free_port, mosquitto
from tests.kit.broker.scripted import DISCONNECT, SUBSCRIBE, ScriptedBroker
from tests.kit.gateway.learning import ended, learn, learn_while, started
from tests.kit.gateway.mqtt_client import MqttClient
from tests.kit.wording import names


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker"), max_queued_messages=0) as one:
        yield one


def test_wire_on_which_nothing_comes(broker: Mosquitto) -> None:
    found = learn(broker.port, "nowhere/#", "--seconds", "0.5")
    assert found.code == 1
    assert found.pipelines == []
    assert names(found.comments, "Nothing arrived", "may not read")


def test_broker_that_is_not_there() -> None:
    found = learn(free_port(), "--seconds", "0.5")
    assert found.code == 75
    assert "cannot be reached" in found.notes
    assert found.draft == ""


def test_filter_that_the_broker_refuses() -> None:
    with ScriptedBroker(version=5) as one:
        one.granted = 0x87
        found = learn(one.port, "secret/#", "--seconds", "600")
    assert found.code == 78
    assert names(found.notes, "secret/#", "permit")
    assert found.draft == ""


def test_topics_that_a_login_may_not_read(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", acl="topic deny secret/#\ntopic readwrite #\n") as one:

        def hidden(plant: MqttClient, number: int) -> None:
            plant.publish("secret/p1", {"flow": number})

        found = learn_while(one.port, hidden, "secret/#", "--seconds", "0.5")
    assert found.code in (1, 78), "a broker may also refuse the subscription"
    assert "may not read" in found.comments or "permit" in found.notes


def test_session_of_the_agent_is_left_alone() -> None:
    with ScriptedBroker(version=5) as one:
        one.session_present = True  # as where each login has one session
        found = learn(one.port, "--seconds", "600")
        (goodbye,) = one.wait_for(DISCONNECT)
        assert one.sent(SUBSCRIBE) == []
    assert found.code == 78
    assert names(found.notes, "one session", "login of its own")
    assert goodbye.body == b"", "a session expiry would end the agent's session"


def test_lost_connection_ends_the_listening_with_what_there_is() -> None:
    with ScriptedBroker(version=5) as one, started(one.port, "a/#", "--seconds", "600") as process:
        one.wait_for(SUBSCRIBE)
        for number in range(3):
            body = b"\0\x04a/p1\0" + b'{"flow": %d.5}' % number
            one.send(bytes([0x30, len(body)]) + body)
        one.cut()
        found = ended(process)
    assert found.code == 0, found.notes
    assert "connection lost" in found.comments
    assert found.pipelines[0]["inputs"][0]["signals"] == {"flow": "flow"}


def test_garbage_is_left_out_and_never_shown(broker: Mosquitto) -> None:
    def garbage(plant: MqttClient, number: int) -> None:
        plant.publish("junk/binary", bytes(range(200, 233)))
        plant.publish("junk/text", "the password is hunter2, do not tell anybody of it")
        plant.publish("junk/cut", '{"a": [1, 2')
        plant.publish("junk/escape", "\x1b[2J\x1b]0;title\x07" * (number % 2 + 1))
        plant.publish("junk/deep", "[" * 500)
        plant.publish("junk/empty", b"")

    found = learn_while(broker.port, garbage, "junk/#", "--seconds", "1")
    assert found.code == 1
    assert found.pipelines == []
    assert "hunter2" not in found.draft
    assert "\x1b" not in found.draft
    assert "33 bytes that are no text" in found.comments


def test_interrupt_prints_what_there_is_so_far(broker: Mosquitto) -> None:
    with (
        MqttClient(broker.port) as plant,
        started(broker.port, "plant/#", "--seconds", "600") as process,
    ):
        assert process.stderr is not None
        assert names(process.stderr.readline(), "listening to plant/#", "Ctrl-C")
        for number in range(20):
            plant.publish("plant/pump7", {"pressure": number + 0.25, "flow": 31})
        plant.flush()
        process.send_signal(signal.SIGINT)
        found = ended(process)
    assert found.code == 0, found.notes
    assert "stopped by the user" in found.comments
    assert found.pipelines[0]["inputs"][0]["signals"] == {"pressure": "pressure", "flow": "flow"}


def test_ten_thousand_topics_become_one_input(broker: Mosquitto) -> None:
    def wide(plant: MqttClient, number: int) -> None:
        for line in range(number % 10, number % 10 + 1):
            for asset in range(100):
                for one in range(10):
                    plant.publish(f"wide/l{line}/a{asset}/s{one}", f"{number}.5", 0)

    found = learn_while(broker.port, wide, "wide/#", "--seconds", "8", "--topics", "9500")
    assert found.code == 0, found.notes
    (pipeline,) = found.pipelines
    (source,) = pipeline["inputs"]
    assert source["topic"] == "wide/{line}/{asset}/{signal}"
    assert set(source["signals"]) == {f"s{one}" for one in range(10)}
    assert "on topics beyond the first 9500" in found.comments


def test_limit_of_messages_ends_the_listening(broker: Mosquitto) -> None:
    def rows(plant: MqttClient, number: int) -> None:
        plant.publish("row/p1", {"flow": number + 0.5})

    found = learn_while(broker.port, rows, "row/#", "--seconds", "600", "--messages", "20")
    assert found.code == 0, found.notes
    assert "20 messages have arrived" in found.comments


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["a/#", "#"], "in common"),
        (["--stream", "a b"], "--stream a b"),
        (["--bundle", "nothing.zip"], "nothing.zip"),
        (["--username", "gw1", "--config", "nothing.toml"], "--username needs --broker"),
    ],
    ids=["filters that overlap", "stream", "bundle", "login without a broker"],
)
def test_option_that_cannot_be_meant(broker: Mosquitto, options: list[str], told: str) -> None:
    found = learn(broker.port, *options)
    assert found.code == 78
    assert told in found.notes
