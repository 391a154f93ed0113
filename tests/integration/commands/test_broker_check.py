"""`check --connect` finds out what a broker would lose, and costs a running agent nothing."""

import re
from pathlib import Path

import pytest

from tests.kit.broker.brokers import amqtt, mosquitto
from tests.kit.broker.early import early
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.commands import answers
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import FILTERS, MASS, MASS_PIPELINE, OFTEN, Plant, serving
from tests.kit.waiting import eventually
from tests.kit.wording import names

LOGINS = {"gw1": "right", "plant": "floor"}


def make_gateway(folder: Path, port: int, **broker: object) -> Gateway:
    sections: dict[str, dict[str, object]] = {"limits": OFTEN, "broker": broker}
    gateway = Gateway(folder / "gw", port, [MASS_PIPELINE], sections=sections)
    gateway.keep(MASS)
    return gateway


def warnings(gateway: Gateway, *options: str) -> list[str]:
    """What `check --connect` warns of; it must not say that the broker fails."""
    found = answers(gateway, *options)
    assert found.fail == []
    return found.warn


def test_queue_that_is_too_short_is_found_out(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker:  # its default: 1,000 queued, 20 in flight
        (warning,) = warnings(make_gateway(tmp_path, broker.port))
    kept = re.search(r".*1200 .* (\d+) are kept", warning)
    assert kept is not None
    assert int(kept[1]) in (1000, 1020), "whether those in flight count differs by version"


def test_broker_that_keeps_no_session_is_found_out(tmp_path: Path) -> None:
    with amqtt(tmp_path / "broker") as broker:
        gateway = make_gateway(tmp_path, broker.port, protocol="3.1.1")
        for _ in range(2):  # a session that was left would be taken for the agent's
            unknown, none_kept = warnings(gateway)
            assert names(unknown, "3.1.1", "reason codes")
            assert names(none_kept, "none of 1200 messages", "no sessions")


@pytest.mark.parametrize(("right", "why"), [("read", "not authorised"), ("write", "do not arrive")])
def test_topic_of_the_trial_that_is_not_permitted_is_named_as_the_cause(
    tmp_path: Path, right: str, why: str
) -> None:
    acl = f"topic readwrite plant/#\ntopic {right} millhand/#\n"
    with mosquitto(tmp_path / "broker", acl=acl, max_queued_messages=0) as broker:
        publishing, queue = warnings(make_gateway(tmp_path, broker.port))
    assert names(publishing, "millhand/gw1/check", why)
    assert "gateway that is away" in queue
    assert "config/mosquitto.conf" not in queue, "the queue is not the cause"


def test_output_topic_that_is_not_permitted_is_found_out(tmp_path: Path) -> None:
    acl = "topic readwrite millhand/#\ntopic readwrite plant/+/+/telemetry\ntopic read acme/#\n"
    with mosquitto(tmp_path / "broker", acl=acl, max_queued_messages=0) as broker:
        gateway = make_gateway(tmp_path, broker.port)
        (made_up,) = warnings(gateway)
        assert names(made_up, "0x87", "plant/+/+/_inference/mass", "made up")
        with PlantClient(broker.port, []) as plant:
            plant.publish("plant/l1/p1/telemetry", {"c0": 1.0}, retain=True)
            (refused,) = answers(gateway).fail
        assert names(refused, "plant/l1/p1/_inference/mass", "not authorised")
        gateway.pipelines = [{**MASS_PIPELINE, "assets": ["l2/p2"]}]
        (refused,) = answers(gateway).fail
        assert names(refused, "plant/l2/p2/_inference/mass")
        deep = [{"topic": "acme/{site}/{path...}"}]
        gateway.pipelines = [{"stream": "mass", "inputs": deep, "assets": ["s1/hall/p2"]}]
        (refused,) = answers(gateway).fail
        topic = "_inference/mass/acme/s1/hall/p2"
        assert names(refused, f"publish {topic}", "write _inference/mass/acme/+/#")


def test_control_topic_that_is_not_permitted_is_found_out(tmp_path: Path) -> None:
    acl = "topic readwrite plant/#\ntopic readwrite millhand/gw1/check\n"
    acl += "topic write millhand/gw1/status\ntopic write millhand/gw1/metrics\n"
    with mosquitto(tmp_path / "broker", acl=acl, max_queued_messages=0) as broker:
        refused = answers(make_gateway(tmp_path, broker.port)).fail
    assert [names(one, topic) for one, topic in zip(refused, UNWRITABLE, strict=True)] == [True] * 2


def test_nobody_receives_what_is_published_to_try_it(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker", max_inflight_messages=2) as broker,
        PlantClient(broker.port, ["#"]) as scada,
    ):
        gateway = make_gateway(tmp_path, broker.port)
        tried = answers(gateway).ok
        scada.flush()
        assert sum("publish" in one for one in tried) == 3
        assert {topic for topic, _ in scada.messages} <= {"millhand/gw1/check"}


def test_no_output_topic_is_touched_where_messages_are_handed_on_early(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker", max_queued_messages=0) as broker,
        early(broker.port) as port,
        PlantClient(broker.port, ["#"]) as scada,
    ):
        (warning,) = warnings(make_gateway(tmp_path, port))
        assert names(warning, "QoS 2", "before it is released")
        scada.flush()
        assert {topic for topic, _ in scada.messages} == {"millhand/gw1/check"}


def test_running_agent_is_seen_and_not_disturbed(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as broker:
        gateway = make_gateway(tmp_path, broker.port)
        with serving(gateway) as plant:
            plant.send(3)
            assert gateway.process is not None
            told = answers(gateway).ok
            assert any(names(one, "agent", str(gateway.process.pid)) for one in told)
            plant.send(3)
            plant.wait_for_answers()
            plant.wait_for_metrics(predicted=6, connects=1)
            elsewhere = make_gateway(tmp_path / "elsewhere", broker.port)
            (warning,) = warnings(elsewhere)
            assert names(warning, "gw1", "online")
            plant.wait_for_metrics(connects=1)


def test_window_of_one_is_warned_of(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as broker:
        gateway = make_gateway(tmp_path, broker.port, receive_maximum=1)
        (warning,) = warnings(gateway)
        assert names(warning, "1 readings", "broker.receive_maximum")
    with mosquitto(tmp_path / "strict", max_queued_messages=0, max_inflight_messages=1) as broker:
        (warning,) = warnings(make_gateway(tmp_path, broker.port))
        assert names(warning, "1 predictions", "max_inflight_messages")


def test_nothing_is_left_on_the_broker(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as broker:
        gateway = make_gateway(tmp_path, broker.port)
        assert warnings(gateway) == []
        assert warnings(gateway) == [], "a session that was left would be found now"


def test_session_of_the_login_is_left_to_the_agent(tmp_path: Path) -> None:
    """Mosquitto's use_username_as_clientid, as in the profile: one session whoever asks."""
    secret = tmp_path / "password"
    secret.write_text(LOGINS["gw1"])
    secret.chmod(0o600)
    with mosquitto(tmp_path / "broker", logins=LOGINS, use_username_as_clientid=True) as broker:
        gateway = make_gateway(tmp_path, broker.port, username="gw1", password_file=str(secret))
        assert [ONE_SESSION in one for one in warnings(gateway)] == [True]
        with PlantClient(broker.port, FILTERS, login=("plant", LOGINS["plant"])) as client, gateway:
            gateway.start_serving()
            plant = Plant(gateway, client)
            plant.wait_until_online()
            plant.send(3)
            (warning,) = warnings(gateway)
            assert gateway.process is not None
            assert names(warning, str(gateway.process.pid), "--interrupt")
            plant.send(3)
            assert len(plant.wait_for_answers()) == 6
            plant.wait_for_metrics(connects=1)
            assert [ONE_SESSION in one for one in warnings(gateway, "--interrupt")] == [True]
            plant.wait_for_metrics(connects=2)
            assert gateway.stop() == 0
            plant.send(4)
            client.flush()
            assert [ONE_SESSION in one for one in warnings(gateway)] == [True]
            gateway.start_serving()
            assert len(plant.wait_for_answers()) == 10


ONE_SESSION = "one session"
UNWRITABLE = ("millhand/gw1/feedback", "millhand/gw1/current/mass")


NODE: dict[str, object] = {"group_id": "works"}
NODE_ACL = "topic readwrite plant/#\ntopic readwrite millhand/#\n"


def test_edge_node_of_sparkplug_that_runs_is_asked_for_and_not_disturbed(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker", max_queued_messages=0) as broker,
        PlantClient(broker.port, ["spBv1.0/#"]) as host,
    ):
        gateway = make_gateway(tmp_path, broker.port)
        gateway.sections["sparkplug"] = NODE
        with serving(gateway) as plant:
            plant.send(1)
            eventually(lambda: host.count("spBv1.0/works/NBIRTH/gw1") == 1, 20.0, "a birth")
            found = answers(gateway)
            assert any(names(one, "spBv1.0/works/NDEATH/gw1", "allowed") for one in found.ok)
            assert any(names(one, "DDATA/gw1/millhand-check", "made-up") for one in found.ok)
            host.flush()
            assert {topic.split("/")[2] for topic, _ in host.messages} <= {
                *("NBIRTH", "DBIRTH", "DDATA")
            }, "no death, and no message of the check"
            assert host.count("spBv1.0/works/NBIRTH/gw1") == 1


def test_topics_of_sparkplug_that_are_not_permitted_are_found_out(tmp_path: Path) -> None:
    acl = NODE_ACL + "topic write spBv1.0/works/NBIRTH/gw1\ntopic write spBv1.0/works/NDATA/gw1\n"
    with mosquitto(tmp_path / "broker", acl=acl, max_queued_messages=0) as broker:
        gateway = make_gateway(tmp_path, broker.port)
        gateway.sections["sparkplug"] = NODE
        found = answers(gateway)
    assert any(names(one, "publish spBv1.0/works/NDEATH/gw1", "0x87") for one in found.fail)
    assert not any("NBIRTH" in one for one in found.fail)
    assert any(names(one, "DBIRTH/gw1/+", "made up") for one in found.warn)


def test_topic_of_home_assistant_that_is_not_permitted_is_found_out(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", acl=NODE_ACL, max_queued_messages=0) as broker:
        gateway = make_gateway(tmp_path, broker.port)
        gateway.pipelines = [{**MASS_PIPELINE, "assets": ["l1/p1"]}]
        gateway.sections["home_assistant"] = {"enabled": True}
        (refused,) = answers(gateway).fail
    assert names(refused, "homeassistant/device/gw1/config", "not authorised")
