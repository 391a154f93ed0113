"""A gateway whose registry demands a login, moves, or disappears behind a login page."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.broker.certificates import make_certificates
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.mirrors import Fault, Mirror, mirror
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.gateway.notify_socket import NotifySocket
from tests.kit.waiting import eventually
from tests.kit.wording import names

WEIGHTS = [1.0, 10.0]
SECRET = "s3cr3t-t0ken"  # noqa: S105  of a server that lives as long as one test
LOGIN_PAGE = b"<!DOCTYPE html><title>Guest network</title>" * 1000


@dataclass
class Plant:
    """A gateway that serves seq 1 of a registry which demands a token."""

    gateway: Gateway
    published: Published
    server: Mirror
    client: PlantClient
    token_file: Path
    systemd: NotifySocket

    def publish(self, seq: int) -> None:
        self.published.publish(linear_bundle("mass", seq, WEIGHTS))

    def push(self, seq: int) -> str:
        return push(self.client, "mass", seq)

    def told(self, activity: str, state: str) -> dict[str, Any]:
        """The first answer to a push with this state."""

        def found() -> dict[str, Any] | None:
            answers = self.client.documents("feedback")
            return next(
                (one for one in answers if (one["activity"], one["state"]) == (activity, state)),
                None,
            )

        answer = eventually(found, 60, f"feedback '{state}':\n{self.gateway.log}")
        assert answer is not None
        return answer

    def check(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "agent", "check", "--connect"]
        command += ["--config", str(self.gateway.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def assert_no_secret_was_told(self, *more: str) -> None:
        feedback = json.dumps(self.client.documents("feedback"))
        status = "\n".join(self.systemd.assignments)
        for text in (feedback, self.gateway.log, status, *more):
            assert "s3cr3t" not in text


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, WEIGHTS))
    certificates = make_certificates(tmp_path / "certificates")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    token_file = tmp_path / "token"
    token_file.write_text(SECRET)
    token_file.chmod(0o600)
    registry: dict[str, object] = {
        "ca_file": str(certificates.ca_file),
        "token_file": str(token_file),
    }
    with (
        mosquitto(tmp_path / "broker") as broker,
        mirror(published.folder, context) as server,
        NotifySocket() as systemd,
        PlantClient(broker.port, ["millhand/gw1/#"]) as client,
        Gateway(
            tmp_path / "gw",
            broker.port,
            [telemetry_pipeline("mass")],
            registry=server.url,
            root=published.keys.root,
            sections={"registry": registry},
            environment=systemd.environment,
        ) as gateway,
    ):
        server.login = f"Bearer {SECRET}"
        gateway.start_serving()
        running = Plant(gateway, published, server, client, token_file, systemd)
        running.told(running.push(1), "activated")
        yield running


def test_token_that_expires_is_replaced_without_a_restart(plant: Plant) -> None:
    plant.server.login = "Bearer s3cr3t-and-new"
    plant.publish(2)
    activity = plant.push(2)
    waiting = plant.told(activity, "waiting")
    assert waiting["error"] == "access_denied"
    assert names(waiting["message"], "401", str(plant.token_file))
    eventually(lambda: "HTTP status 401" in plant.systemd.status, 20)
    checked = plant.check()
    assert names(checked.stdout, "FAIL", "401", str(plant.token_file))
    plant.token_file.write_text("s3cr3t-and-new")
    plant.told(activity, "activated")
    plant.assert_no_secret_was_told(checked.stdout, checked.stderr)


def test_login_page_of_a_network_is_waited_for_and_a_strangers_signature_refused(
    plant: Plant, tmp_path: Path
) -> None:
    plant.publish(2)
    metadata = plant.published.folder / "metadata"
    for name in (*(path.name for path in metadata.iterdir()), "2.root.json"):
        plant.server.faults[name] = Fault(page=LOGIN_PAGE)
    activity = plant.push(2)
    waiting = plant.told(activity, "waiting")
    assert waiting["error"] == "unexpected_answer"
    assert names(waiting["message"], "captive portal")
    plant.server.faults.clear()
    plant.told(activity, "activated")

    stranger = Published.create(tmp_path / "stranger")
    for seq in (1, 2, 3):
        stranger.publish(linear_bundle("mass", seq, WEIGHTS))
    for path in (stranger.folder / "metadata").glob("*"):
        if "root" not in path.name:
            (metadata / path.name).write_bytes(path.read_bytes())
    assert plant.told(plant.push(3), "refused")["error"] == "unsigned"


def test_redirect_is_told_with_its_target_and_what_to_set(plant: Plant) -> None:
    plant.publish(2)
    plant.server.faults["timestamp.json"] = Fault(
        location="https://user:s3cr3t@cdn.example/t.json?signature=s3cr3t"
    )
    activity = plant.push(2)
    assert plant.told(activity, "waiting")["error"] == "redirected"
    plant.server.faults["timestamp.json"] = Fault(
        location="https://cdn.example:8443/t.json?signature=s3cr3t"
    )
    checked = plant.check()
    wanted = ("FAIL", "https://cdn.example:8443/t.json", "allowed_origins", "redirected")
    assert names(checked.stdout, *wanted)
    plant.assert_no_secret_was_told(checked.stdout, checked.stderr)


def test_secret_that_others_may_read_is_warned_of(plant: Plant) -> None:
    assert "registry.token_file" not in plant.check().stdout
    plant.token_file.chmod(0o644)
    checked = plant.check()
    assert checked.returncode == 0
    assert names(checked.stdout, "warn", "registry.token_file", f"chmod o-rwx {plant.token_file}")
    plant.gateway.stop()
    plant.gateway.start_serving()
    assert names(plant.gateway.log, "WARNING", "registry.token_file")
