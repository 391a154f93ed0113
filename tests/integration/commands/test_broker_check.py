"""`check --connect` finds out what a broker would lose, and costs a running agent nothing."""

import re
import subprocess
import sys
from pathlib import Path

from tests.kit.broker.brokers import amqtt, mosquitto
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import FILTERS, MASS, MASS_PIPELINE, OFTEN, Plant
from tests.kit.wording import names

LOGINS = {"gw1": "right", "plant": "floor"}


def make_gateway(folder: Path, port: int, **broker: object) -> Gateway:
    sections: dict[str, dict[str, object]] = {"limits": OFTEN, "broker": broker}
    gateway = Gateway(folder / "gw", port, [MASS_PIPELINE], sections=sections)
    gateway.keep(MASS)
    return gateway


def warnings(gateway: Gateway) -> list[str]:
    """What `check --connect` warns of; it must not say that the broker fails."""
    command = [sys.executable, "-m", "agent", "check", "--connect"]
    command += ["--config", str(gateway.write_config())]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = checked.stdout.splitlines()
    assert not [line for line in lines if line.startswith("FAIL  broker")], checked.stdout
    return [line.removeprefix("warn  ") for line in lines if line.startswith("warn")]


def test_queue_that_is_too_short_is_found_out(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker:  # its default: 1,000 queued, 20 in flight
        (warning,) = warnings(make_gateway(tmp_path, broker.port))
    kept = re.search(r".*1200 .* (\d+) are kept", warning)
    assert kept is not None
    assert int(kept[1]) in (1000, 1020), "whether those in flight count differs by version"


def test_broker_that_keeps_no_session_is_found_out(tmp_path: Path) -> None:
    with amqtt(tmp_path / "broker") as broker:
        (warning,) = warnings(make_gateway(tmp_path, broker.port, protocol="3.1.1"))
    assert names(warning, "1200", "0")


def test_topic_of_the_trial_may_be_refused(tmp_path: Path) -> None:
    acl = "topic readwrite plant/#\ntopic read millhand/#\n"
    with mosquitto(tmp_path / "broker", acl=acl) as broker:
        (warning,) = warnings(make_gateway(tmp_path, broker.port))
    assert names(warning, "millhand/gw1/check")


def test_nothing_is_left_on_the_broker(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as broker:
        gateway = make_gateway(tmp_path, broker.port)
        assert warnings(gateway) == []
        assert warnings(gateway) == [], "a session that was left would be found now"


def test_session_of_the_login_is_left_to_the_agent(tmp_path: Path) -> None:
    """Mosquitto's use_username_as_clientid, as in the profile: one session whoever asks."""
    secret = tmp_path / "password"
    secret.write_text(LOGINS["gw1"])
    with mosquitto(tmp_path / "broker", logins=LOGINS, use_username_as_clientid=True) as broker:
        gateway = make_gateway(tmp_path, broker.port, username="gw1", password_file=str(secret))
        assert [ONE_SESSION in one for one in warnings(gateway)] == [True]
        with PlantClient(broker.port, FILTERS, login=("plant", LOGINS["plant"])) as client, gateway:
            gateway.start_serving()
            plant = Plant(gateway, client)
            plant.wait_until_online()
            plant.send(3)
            assert [ONE_SESSION in one for one in warnings(gateway)] == [True]
            plant.send(3)
            assert len(plant.wait_for_answers()) == 6
            assert gateway.stop() == 0
            plant.send(4)
            client.flush()
            assert [ONE_SESSION in one for one in warnings(gateway)] == [True]
            gateway.start_serving()
            assert len(plant.wait_for_answers()) == 10


ONE_SESSION = "one session"
