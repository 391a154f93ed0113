"""Why a broker does not accept a connection is told in words, by `check` and in the log."""

import select
from pathlib import Path

import pytest

from agent.config.settings import ConnectionSettings
from agent.mqtt.connection import Connection, Will
from serving.mqtt.packets import MQTT_3_1_1, MQTT_5
from tests.kit.broker.brokers import free_port, mosquitto
from tests.kit.broker.certificates import Certificates, make_certificates
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.commands import answers, check
from tests.kit.gateway.plant import MASS, MASS_PIPELINE
from tests.kit.wording import names

LOGINS = {"gw1": "right"}


def gateway_with(folder: Path, port: int, **broker: object) -> Gateway:
    settings = {name: str(value) if name != "tls" else value for name, value in broker.items()}
    sections: dict[str, dict[str, object]] = {"broker": {"connect_timeout_s": 5.0, **settings}}
    gateway = Gateway(folder / "gw", port, [MASS_PIPELINE], sections=sections)
    gateway.keep(MASS)
    return gateway


def failure(gateway: Gateway) -> str:
    """The one thing that keeps the agent from working."""
    (found,) = answers(gateway).fail
    return found


def logged(gateway: Gateway) -> str:
    """What the running agent says that it waits for."""
    with gateway:
        gateway.start()
        gateway.wait_for_log("WARNING waiting")
    return next(line for line in gateway.log.splitlines() if "WARNING waiting" in line)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "certificates")


def test_plain_text_to_a_port_for_tls(tmp_path: Path, certificates: Certificates) -> None:
    with mosquitto(tmp_path / "broker", tls=certificates) as broker:
        told = failure(gateway_with(tmp_path, broker.port))
    assert names(told, str(broker.port), "speaks TLS", "broker.ca_file")


def test_tls_to_a_port_for_plain_text(tmp_path: Path, certificates: Certificates) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        told = failure(gateway_with(tmp_path, broker.port, ca_file=certificates.ca_file))
    assert names(told, str(broker.port), "without TLS", "broker.tls")


def test_client_certificate_that_is_demanded(tmp_path: Path, certificates: Certificates) -> None:
    with mosquitto(tmp_path / "broker", tls=certificates, require_certificate=True) as broker:
        gateway = gateway_with(tmp_path, broker.port, ca_file=certificates.ca_file)
        for told in (failure(gateway), logged(gateway)):
            assert names(told, "client certificate", "broker.cert_file")


@pytest.mark.parametrize("version", [MQTT_5, MQTT_3_1_1])
def test_refusal_that_comes_before_connect_is_sent_is_told(
    tmp_path: Path, certificates: Certificates, version: int
) -> None:
    with mosquitto(tmp_path / "broker", tls=certificates, require_certificate=True) as broker:
        settings = ConnectionSettings(
            host="127.0.0.1", port=broker.port, ca_file=certificates.ca_file, username="gw1"
        )
        connection = Connection(settings, "gw1", Will("status", b""), version)
        connection.open()
        poll = select.poll()
        poll.register(connection.fileno() or 0, select.POLLRDHUP)
        assert poll.poll(10_000)  # the broker has said why, and is gone
        connection.flush()
        connection.read(1)
    assert names(connection.lost, "client certificate", "broker.cert_file")


def test_client_certificate_of_an_authority_that_the_broker_does_not_know(
    tmp_path: Path, certificates: Certificates
) -> None:
    stranger = make_certificates(tmp_path / "stranger")
    with mosquitto(tmp_path / "broker", tls=certificates, require_certificate=True) as broker:
        gateway = gateway_with(
            tmp_path,
            broker.port,
            ca_file=certificates.ca_file,
            cert_file=stranger.cert_file,
            key_file=stranger.key_file,
        )
        for told in (failure(gateway), logged(gateway)):
            assert names(told, "authority", "broker.cert_file")


def test_client_certificate_that_is_known_is_accepted(
    tmp_path: Path, certificates: Certificates
) -> None:
    with mosquitto(tmp_path / "broker", tls=certificates, require_certificate=True) as broker:
        gateway = gateway_with(
            tmp_path,
            broker.port,
            ca_file=certificates.ca_file,
            cert_file=certificates.cert_file,
            key_file=certificates.key_file,
        )
        assert answers(gateway).fail == []


def test_authority_that_has_not_signed_the_broker(
    tmp_path: Path, certificates: Certificates
) -> None:
    other = make_certificates(tmp_path / "other")
    with mosquitto(tmp_path / "broker", tls=certificates) as broker:
        gateway = gateway_with(tmp_path, broker.port, ca_file=other.ca_file)
        for told in (failure(gateway), logged(gateway)):
            assert names(told, "not signed by an authority", "broker.ca_file")


def test_certificate_of_another_host(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "certificates", "192.0.2.1")
    with mosquitto(tmp_path / "broker", tls=certificates) as broker:
        gateway = gateway_with(tmp_path, broker.port, ca_file=certificates.ca_file)
        for told in (failure(gateway), logged(gateway)):
            assert names(told, "127.0.0.1", "broker.host")


def test_certificate_that_has_expired(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "certificates", is_expired=True)
    with mosquitto(tmp_path / "broker", tls=certificates) as broker:
        gateway = gateway_with(tmp_path, broker.port, ca_file=certificates.ca_file)
        for told in (failure(gateway), logged(gateway)):
            assert names(told, "expired", "clock")


def test_password_that_is_wrong(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong")
    with mosquitto(tmp_path / "broker", logins=LOGINS) as broker:
        told = failure(gateway_with(tmp_path, broker.port, username="gw1", password_file=secret))
    assert names(told, "broker.username", "broker.password_file")


def test_login_that_is_demanded(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", logins=LOGINS) as broker:
        told = failure(gateway_with(tmp_path, broker.port))
    assert names(told, "demands a login", "broker.username")


def warned(folder: Path, gateway: Gateway) -> list[str]:
    gateway.root = folder / "root.json"
    gateway.root.write_text("{}")
    lines = check(gateway).stdout.splitlines()
    return [line.removeprefix("warn  ") for line in lines if line.startswith("warn")]


@pytest.fixture
def login(tmp_path: Path) -> dict[str, object]:
    secret = tmp_path / "password"
    secret.write_text("right")
    secret.chmod(0o600)
    return {"username": "gw1", "password_file": secret}


@pytest.mark.parametrize("host", ["broker.example", "192.0.2.1", "10.0.0.1"])
def test_password_in_plain_text_to_another_host_is_warned_of(
    tmp_path: Path, login: dict[str, object], host: str
) -> None:
    gateway = gateway_with(tmp_path, free_port(), host=host, **login)
    (warning,) = warned(tmp_path, gateway)
    assert names(warning, "password", host, "broker.ca_file")
    gateway.sections["broker"] |= {"tls": True}
    assert warned(tmp_path, gateway) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_password_in_plain_text_stays_on_the_gateway_itself(
    tmp_path: Path, login: dict[str, object], host: str
) -> None:
    assert warned(tmp_path, gateway_with(tmp_path, free_port(), host=host, **login)) == []


def test_registry_in_plain_text_on_another_host_is_warned_of(tmp_path: Path) -> None:
    gateway = gateway_with(tmp_path, free_port())
    gateway.registry = "http://registry.example/bundles"
    (warning,) = warned(tmp_path, gateway)
    assert names(warning, "registry.url", "registry.example", "https")
    for url in ("https://registry.example/bundles", "http://127.0.0.1:8000/bundles"):
        gateway.registry = url
        assert warned(tmp_path, gateway) == []
