"""What is not there is waited for: said once, outlived, and gone on after without a hand."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from models.bundle.package import Bundle, pack_bundle
from serving.store import Store
from tests.kit.broker.brokers import free_port, mosquitto
from tests.kit.broker.certificates import make_certificates
from tests.kit.bundles.factories import REFERENCE
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.gateway.notify_socket import NotifySocket
from tests.kit.gateway.plant import FILTERS, MASS, MASS_PIPELINE, OFTEN, STREAM, Plant, serving
from tests.kit.waiting import eventually

OUTPUT = "plant/l1/p1/_inference/mass"
READ_ONLY = (
    f"topic readwrite plant/+/+/telemetry\ntopic readwrite millhand/#\ntopic read {OUTPUT}\n"
)
PERMITTED = READ_ONLY.replace("topic read ", "topic readwrite ")


@pytest.fixture
def systemd() -> Iterator[NotifySocket]:
    with NotifySocket() as listening:
        yield listening


@pytest.fixture
def published(tmp_path: Path) -> Published:
    made = Published.create(tmp_path)
    made.publish(MASS)
    return made


def make_gateway(folder: Path, port: int, **broker: object) -> Gateway:
    """A gateway that keeps `MASS`, and tries again several times a second."""
    sections = {"limits": OFTEN, "broker": {"reconnect_max_s": 0.2} | broker}
    gateway = Gateway(folder / "gw", port, [MASS_PIPELINE], sections=sections)
    gateway.keep(MASS)
    return gateway


def make_follower(folder: Path, port: int, published: Published) -> Gateway:
    """A gateway that looks into a registry all the time."""
    return Gateway(
        folder / "gw",
        port,
        [MASS_PIPELINE],
        registry=published.url,
        root=published.keys.root,
        sections={"limits": OFTEN, "registry": {"poll_s": 0.5}},
    )


def wait_until_told_once(gateway: Gateway, systemd: NotifySocket, text: str) -> None:
    """Wait until `STATUS=` says it, and for a second in which the log does not repeat it."""
    eventually(lambda: text in systemd.status, 20, f"{text} in STATUS=")
    pings = systemd.pings
    eventually(lambda: systemd.pings >= pings + 1, message="the loop to turn meanwhile")
    assert text in systemd.status
    told = [line for line in gateway.log.splitlines() if text in line]
    assert sum(line.startswith("WARNING waiting ") for line in told) == 1, gateway.log
    assert sum(line.startswith("WARNING update failed ") for line in told) <= 1, gateway.log
    assert len(told) <= 2, gateway.log


def test_agent_started_before_its_broker_serves_once_that_is_there(
    tmp_path: Path, systemd: NotifySocket
) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        broker.stop()
        with make_gateway(tmp_path, broker.port) as gateway:
            gateway.environment = systemd.environment
            gateway.start()
            wait_until_told_once(gateway, systemd, "Connection refused")
            broker.start()
            with PlantClient(broker.port, FILTERS) as client:
                plant = Plant(gateway, client)
                plant.wait_until_online()
                plant.send(3)
                assert len(plant.wait_for_answers()) == 3
            eventually(lambda: "Connection refused" not in systemd.status)


def test_broker_that_has_forgotten_the_session_is_subscribed_to_again(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        serving(make_gateway(tmp_path, broker.port)) as plant,
    ):
        plant.send(3)
        plant.wait_for_answers()
        broker.restart()
        plant.wait_for_metrics(connects=2)
        plant.send(3)
        plant.wait_for_answers()
        plant.wait_for_metrics(received=6, predicted=6, waiting=0, sessions_lost=1)
    assert plant.gateway.log.count("session lost") == 1


def test_session_on_a_killed_broker_is_taken_up_again(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker", durable=True) as broker,
        serving(make_gateway(tmp_path, broker.port)) as plant,
    ):
        plant.send(3)
        plant.wait_for_answers()
        broker.kill()
        broker.start()
        plant.wait_for_metrics(connects=2, sessions_lost=0)
        plant.send(3)
        plant.wait_for_answers()
        metrics = plant.wait_for_metrics(predicted=6, waiting=0)
        # The broker may have forgotten the last acknowledgements, and then delivers again.
        assert metrics["dropped"].keys() <= {"late", "duplicate"}
    assert plant.gateway.log.count("session=true") == 1


def test_broker_that_hangs_is_noticed_by_keep_alive_and_the_loop_goes_on(
    tmp_path: Path, systemd: NotifySocket
) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        gateway = make_gateway(tmp_path, broker.port, keepalive_s=5)
        gateway.environment = systemd.environment
        with serving(gateway) as plant:
            pings = systemd.pings
            with broker.frozen():
                gateway.wait_for_log("Keep alive timeout")
                eventually(lambda: "Keep alive timeout" in systemd.status)
                assert systemd.pings >= pings + 5
            plant.wait_for_metrics(connects=2)
            plant.send(3)
            plant.wait_for_answers()


def test_wrong_password_is_told_and_the_right_one_is_taken_up(
    tmp_path: Path, systemd: NotifySocket
) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter-wrong")
    login: dict[str, Any] = {"username": "gw1", "password_file": str(secret)}
    with (
        mosquitto(
            tmp_path / "broker", logins={"gw1": "hunter-right"}, allow_anonymous=True
        ) as broker,
        PlantClient(broker.port, FILTERS) as client,
        make_gateway(tmp_path, broker.port, **login) as gateway,
    ):
        gateway.environment = systemd.environment
        gateway.start()
        wait_until_told_once(gateway, systemd, "Not authorized")
        secret.unlink()
        gateway.wait_for_log(f"{secret}: No such file or directory")
        secret.write_text("hunter-right\n")
        plant = Plant(gateway, client)
        plant.wait_until_online()
        plant.send()
        plant.wait_for_answers()
        assert "hunter" not in gateway.log


def test_wrong_authority_is_told_and_the_right_one_is_taken_up(
    tmp_path: Path, systemd: NotifySocket
) -> None:
    right, wrong = make_certificates(tmp_path / "right"), make_certificates(tmp_path / "wrong")
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(wrong.ca_file.read_bytes())
    with (
        mosquitto(tmp_path / "broker", tls=right) as broker,
        PlantClient(broker.port, FILTERS, ca_file=right.ca_file) as client,
        make_gateway(tmp_path, broker.port, ca_file=str(trusted)) as gateway,
    ):
        gateway.environment = systemd.environment
        gateway.start()
        wait_until_told_once(gateway, systemd, f"TLS with 127.0.0.1:{broker.port} fails: ")
        trusted.write_bytes(right.ca_file.read_bytes())
        plant = Plant(gateway, client)
        plant.wait_until_online()
        plant.send(1000)  # more than one TLS record holds
        assert len(plant.wait_for_answers()) == 1000


def test_refused_predictions_are_held_back_over_all_crashes_until_they_are_permitted(
    tmp_path: Path, systemd: NotifySocket
) -> None:
    with mosquitto(tmp_path / "broker", acl=READ_ONLY, durable=True) as broker:
        gateway = make_gateway(tmp_path, broker.port)
        gateway.environment = systemd.environment
        with serving(gateway) as plant:
            plant.send(5)
            wait_until_told_once(gateway, systemd, "0x87")
            gateway.kill()
            gateway.start()  # and has it all again: nothing was acknowledged
            gateway.wait_for_log(f"{OUTPUT} is refused", times=2)
            broker.kill()  # and forgets what is on its way, but the agent does not
            broker.start()
            plant.wait_for_metrics(received=5, waiting=5, predicted=0, connects=2)
            assert plant.client.count("_inference") == 0
            broker.write_acl(PERMITTED)
            broker.reload()
            plant.wait_for_answers()
            plant.send(5)
            plant.wait_for_answers()
            plant.wait_for_metrics(received=10, predicted=10, waiting=0)
            eventually(lambda: OUTPUT not in systemd.status)


def test_update_arrives_by_itself_when_the_registry_is_back(
    tmp_path: Path, systemd: NotifySocket, published: Published
) -> None:
    port = free_port()
    with mosquitto(tmp_path / "broker") as broker:
        gateway = make_follower(tmp_path, broker.port, published)
        gateway.registry = f"http://127.0.0.1:{port}"
        gateway.environment = systemd.environment
        with serving(gateway) as plant:
            plant.wait_for_feedback(state="waiting", error="registry_unreachable")
            wait_until_told_once(gateway, systemd, "Connection refused")
            with web_server(published.folder, port):
                plant.wait_for_feedback(state="activated", seq=1)
            plant.send(3)
            assert len(plant.wait_for_answers()) == 3


def test_full_disk_refuses_the_update_until_there_is_room(
    tmp_path: Path, systemd: NotifySocket, published: Published
) -> None:
    """A limit on the size of files stands for the full disk.

    It needs no rights, and fails the same writes of the same process: with EFBIG, where a full
    disk says ENOSPC.
    """
    with mosquitto(tmp_path / "broker") as broker:
        gateway = make_follower(tmp_path, broker.port, published)
        gateway.environment = systemd.environment
        with serving(gateway) as plant:
            plant.wait_for_feedback(state="activated", seq=1)
            limit_file_size(gateway, 1 << 20)
            published.publish(heavy_bundle(2, report_bytes=2 << 20))
            push(plant.client, STREAM, 2)
            word = plant.wait_for_feedback(seq=2, state="waiting", error="disk_full")
            assert word["message"]
            wait_until_told_once(gateway, systemd, "no room")
            plant.send(3)
            assert {answer["seq"] for answer in plant.wait_for_answers()} == {1}
            bundles = gateway.state_dir / "bundles"
            assert list(bundles.glob("*.zip")) == [bundles / f"{MASS.sha256}.zip"]
            limit_file_size(gateway, resource.RLIM_INFINITY)
            plant.wait_for_feedback(seq=2, state="activated")
            plant.send()
            assert plant.wait_for_answers()[-1]["seq"] == 2
            eventually(lambda: systemd.status == "serving mass 1.0.2")


def test_swap_that_cannot_be_recorded_serves_and_is_recorded_later(
    tmp_path: Path, published: Published
) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        gateway = make_follower(tmp_path, broker.port, published)
        record = gateway.state_dir / "active" / f"{STREAM}.json"
        record.mkdir(parents=True)  # a folder in the place of the file stops root too
        with serving(gateway) as plant:
            plant.wait_for_feedback(state="waiting", error="storage")
            plant.send(3)
            plant.wait_for_answers()
            record.rmdir()
            plant.wait_for_feedback(state="activated", seq=1)

            def says_that_it_serves() -> bool:  # a moment after the feedback
                current = plant.client.documents("current/mass")[-1]
                return (current["state"], current["seq"]) == ("serving", 1)

            plant.wait(says_that_it_serves, "current to say what serves")
            kept = Store(gateway.state_dir, keep=3).active(STREAM)
            assert kept is not None
            assert (kept.serving.seq, kept.pinned) == (1, None)


@contextmanager
def web_server(folder: Path, port: int) -> Iterator[None]:
    """Serve `folder` at a port that was known before."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as in http.server
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def limit_file_size(gateway: Gateway, size_bytes: int) -> None:
    """Limit the files that the agent, and children it starts from now on, can write."""
    assert gateway.process is not None
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))


def heavy_bundle(seq: int, report_bytes: int) -> Bundle:
    """A bundle of `STREAM` that takes room."""
    bundle = linear_bundle(STREAM, seq, [1.0, 10.0])
    members = {
        "model.onnx": bundle.model,
        "golden.npz": bundle.golden,
        "reference.json": REFERENCE,
        "report.html": os.urandom(report_bytes),
    }
    return pack_bundle(bundle.manifest, members)
