"""The agent's commands as an operator runs them, and how `run` starts and ends."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from models.bundle.package import Bundle
from serving.errors import EXIT_CONFIG
from serving.store import Store
from tests.kit.broker.brokers import Mosquitto, amqtt, free_port, mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import MASS, MASS_PIPELINE, OFTEN, serving
from tests.kit.waiting import eventually
from tests.kit.wording import names

NEWER = linear_bundle("mass", 2, [1.0, 10.0])
BURST = 2_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as running:
        yield running


@pytest.fixture
def gateway(tmp_path: Path, broker: Mosquitto) -> Iterator[Gateway]:
    """Keeps seq 2, which serves, and seq 1 from before."""
    gateway = Gateway(
        tmp_path / "gw", broker.port, [MASS_PIPELINE], sections={"limits": OFTEN, "broker": {}}
    )
    gateway.keep(MASS)
    gateway.keep(NEWER)
    with gateway:
        yield gateway


def agent(command: str, gateway: Gateway, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "agent", command, *options]
    arguments += ["--config", str(gateway.write_config())]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)


def damage(gateway: Gateway, bundle: Bundle) -> None:
    path = Store(gateway.state_dir, keep=3).path(bundle.ref)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(content)


def test_check_shows_what_is_read_and_written(gateway: Gateway) -> None:
    checked = agent("check", gateway)
    assert checked.returncode == 0
    assert checked.stderr == ""
    wanted = (
        ("gateway", "gw1", str(gateway.state_dir)),
        ("broker", f"127.0.0.1:{gateway.port}", "TLS off"),
        ("registry", "file:///nonexistent"),
        ("stream", "mass", "plant/{line}/{asset}/_inference/{stream}"),
        ("input", "plant/+/+/telemetry", "json", "QoS 1"),
    )
    shown = zip(checked.stdout.splitlines(), wanted, strict=False)
    assert [names(line, *values) for line, values in shown] == [True] * 5


def test_check_refuses_inputs_that_a_broker_would_deliver_twice(gateway: Gateway) -> None:
    wide = {"topic": "plant/{line}/{asset}/{signal}", "dialect": "scalar"}
    gateway.pipelines.append({"stream": "other", "inputs": [wide]})
    checked = agent("check", gateway)
    assert checked.returncode == EXIT_CONFIG
    assert names(checked.stderr, "'plant/+/+/+'", "'plant/+/+/telemetry'")


def test_models_shows_what_serves_what_is_kept_and_what_is_damaged(gateway: Gateway) -> None:
    gateway.pipelines.append({"stream": "flow", "inputs": MASS_PIPELINE["inputs"]})
    damage(gateway, NEWER)
    shown = agent("models", gateway)
    assert shown.returncode == 0
    newer, older, flow = shown.stdout.splitlines()
    assert newer.startswith(
        f"mass  seq 2  1.0.2  {NEWER.sha256[:12]}  active, pinned to 2, DAMAGED: "
    )
    assert older == f"mass  seq 1  1.0.1  {MASS.sha256[:12]}  kept"
    assert names(flow, "flow")


def test_check_asks_broker_and_registry_and_disturbs_nobody(
    gateway: Gateway, tmp_path: Path
) -> None:
    published = Published.create(tmp_path)
    published.publish(MASS)
    gateway.registry, gateway.root = published.url, published.keys.root
    with serving(gateway) as plant:
        assert gateway.process is not None
        checked = agent("check", gateway, "--connect")
        assert (checked.returncode, checked.stderr) == (0, "")
        lines = [line for line in checked.stdout.splitlines() if line.startswith("ok  ")]
        wanted = (
            ("model", "mass", "seq 2"),
            ("broker", f"127.0.0.1:{gateway.port}", "MQTT 5", "20"),
            ("agent", f"process {gateway.process.pid}"),
            ("subscribe", "millhand/gw1/desired/+"),
            ("subscribe", "plant/+/+/telemetry"),
            ("publish", "millhand/gw1/status", "millhand/gw1/current/mass"),
            ("publish", "_inference/mass"),
            ("1200 messages",),
            ("in flight", "200 readings", "20 predictions"),
            ("registry", published.url, "mass", "seq 1"),
        )
        told = [names(line, *values) for line, values in zip(lines, wanted, strict=True)]
        assert told == [True] * len(wanted)
        plant.send(3)
        plant.wait_for_answers()
        plant.wait_for_metrics(predicted=3, connects=1)


def test_check_writes_nothing_that_the_service_could_not_replace(
    gateway: Gateway, tmp_path: Path
) -> None:
    published = Published.create(tmp_path)
    published.publish(MASS)
    gateway.registry, gateway.root = published.url, published.keys.root
    before = {path: path.stat().st_mtime_ns for path in gateway.state_dir.rglob("*")}
    checked = agent("check", gateway, "--connect")
    assert f"ok    registry {published.url}: mass would run seq 1" in checked.stdout
    after = {path: path.stat().st_mtime_ns for path in gateway.state_dir.rglob("*")}
    assert after == before


def test_check_remembers_what_the_agent_has_trusted(gateway: Gateway, tmp_path: Path) -> None:
    """Metadata older than what the agent has accepted is refused by the check too."""
    published = Published.create(tmp_path)
    published.publish(MASS)
    older = tmp_path / "older"
    shutil.copytree(tmp_path / "registry", older)
    published.publish(NEWER)
    gateway.registry, gateway.root = published.url, published.keys.root
    gateway.sections["updates"] = {"allow_downgrade": True}
    with serving(gateway) as plant:
        plant.client.publish(
            "millhand/gw1/desired/mass", {"activity": "a", "stream": "mass", "seq": 1}
        )
        plant.wait_for_feedback(state="activated", seq=1)
    gateway.registry = older.as_uri()
    (refused,) = failures(agent("check", gateway, "--connect"))
    assert refused.endswith("(rollback)")


def test_check_tells_a_refusal_of_broker_and_registry(gateway: Gateway, tmp_path: Path) -> None:
    with mosquitto(tmp_path / "closed", logins={"gw1": "right"}) as closed:
        gateway.port = closed.port
        checked = agent("check", gateway, "--connect")
    assert checked.returncode == 1
    broker_answer, registry_answer = failures(checked)
    assert names(broker_answer, "Not authorized")
    assert registry_answer.endswith("(trust_anchor_invalid)")


def test_check_tells_that_broker_and_registry_are_not_there(
    gateway: Gateway, tmp_path: Path
) -> None:
    gateway.port = free_port()
    gateway.registry = f"http://127.0.0.1:{free_port()}"
    gateway.root = Published.create(tmp_path).keys.root
    checked = agent("check", gateway, "--connect")
    assert checked.returncode == 1
    broker_answer, registry_answer = failures(checked)
    assert names(broker_answer, "Connection refused")
    assert registry_answer.endswith("(registry_unreachable)")


def test_check_finds_out_that_a_broker_speaks_3_1_1_only(gateway: Gateway, tmp_path: Path) -> None:
    with amqtt(tmp_path / "amqtt") as old:
        gateway.port = old.port
        gateway.sections["broker"] = {"connect_timeout_s": 1.0}
        checked = agent("check", gateway, "--connect")
    assert f"ok    broker 127.0.0.1:{old.port}: MQTT 3.1.1" in checked.stdout


def failures(checked: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in checked.stdout.splitlines() if line.startswith("FAIL")]


def test_stop_under_load_answers_what_was_taken_and_leaves_the_rest(gateway: Gateway) -> None:
    with serving(gateway) as plant:
        plant.send(BURST)
        plant.wait(lambda: plant.client.count("_inference") > BURST // 10, "answers to begin")
        assert gateway.stop() == 0
        assert retained_state(gateway) == "offline"
        gateway.start_serving()
        plant.wait_for_answers()  # each once: what was answered had been acknowledged as well
        assert retained_state(gateway) == "online"


def test_stop_without_a_broker_is_a_good_end(gateway: Gateway, broker: Mosquitto) -> None:
    gateway.start_serving()
    broker.kill()
    gateway.wait_for_log("waiting")
    assert gateway.stop() == 0


def test_death_is_told_by_the_will(gateway: Gateway) -> None:
    gateway.start_serving()
    eventually(lambda: retained_state(gateway) == "online")
    gateway.kill()
    assert eventually(lambda: retained_state(gateway) == "offline")


def retained_state(gateway: Gateway) -> str:
    with PlantClient(gateway.port, ["millhand/gw1/status"]) as late_comer:
        return str(late_comer.wait_for("status")[0]["state"])


def test_damaged_bundle_is_passed_over_for_the_one_before(gateway: Gateway) -> None:
    damage(gateway, NEWER)
    with serving(gateway) as plant:
        plant.send(3)
        assert {answer["seq"] for answer in plant.wait_for_answers()} == {1}
        current = plant.client.latest("millhand/gw1/current/mass")
        assert current is not None
        assert (current["state"], current["seq"]) == ("serving", 1)
    assert 'ERROR kept bundle refused stream="mass" seq=2' in gateway.log


def test_agent_with_nothing_but_damaged_bundles_waits_for_a_sound_one(
    gateway: Gateway, tmp_path: Path
) -> None:
    for bundle in (MASS, NEWER):
        damage(gateway, bundle)
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 3, [1.0, 10.0]))
    gateway.registry, gateway.root = published.url, published.keys.root
    with serving(gateway) as plant:
        current = plant.client.wait_for("current/mass")[0]
        assert (current["state"], current["seq"]) == ("waiting", None)
        plant.client.publish(
            "millhand/gw1/desired/mass", {"activity": "a", "stream": "mass", "seq": 3}
        )
        plant.wait_for_feedback(state="activated", seq=3)
        plant.send()
        plant.wait_for_answers()


def test_session_that_another_client_takes_is_taken_back(gateway: Gateway) -> None:
    with serving(gateway) as plant:
        plant.send()
        plant.wait_for_answers()
        intruder = Client(
            CallbackAPIVersion.VERSION2,
            client_id="millhand-gw1",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        intruder.connect("127.0.0.1", gateway.port)
        gateway.wait_for_log("connection lost")
        plant.wait_for_metrics(connects=2)
        intruder.disconnect()
        plant.send()
        assert len(plant.wait_for_answers()) == 2
