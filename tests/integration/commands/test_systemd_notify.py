"""What systemd hears of the agent: ready, alive, what it waits for, and that it stops."""

import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import psutil
import pytest

from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.notify_socket import NotifySocket
from tests.kit.gateway.plant import MASS, MASS_PIPELINE
from tests.kit.waiting import eventually

LONGEST_PAUSE_S = 5.0
"""Between two pings of a loop that turns, on a busy machine; the unit's WatchdogSec is 30."""
STILL_S = 2.5
"""In which a loop that turns sends two."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def systemd() -> Iterator[NotifySocket]:
    with NotifySocket() as listening:
        yield listening


@pytest.fixture
def gateway(tmp_path: Path, broker: Mosquitto, systemd: NotifySocket) -> Iterator[Gateway]:
    gateway = Gateway(
        tmp_path / "gw", broker.port, [MASS_PIPELINE], environment=systemd.environment
    )
    gateway.keep(MASS)
    with gateway:
        yield gateway


def wait_for_pings(systemd: NotifySocket, count: int) -> None:
    for _ in range(count):
        before = systemd.pings
        eventually(lambda: systemd.pings > before, LONGEST_PAUSE_S, "a ping")  # noqa: B023  at once


def test_ready_is_told_once_the_kept_model_serves(gateway: Gateway, systemd: NotifySocket) -> None:
    gateway.start_serving()
    eventually(lambda: systemd.status.startswith("serving mass 1.0.1"))
    assert systemd.assignments[0] == "READY=1"
    assert systemd.assignments.count("READY=1") == 1
    ready = gateway.log.index("serving kept bundle")
    assert ready < gateway.log.index("INFO connected")


def test_watchdog_is_fed_without_a_broker_and_with_it(
    gateway: Gateway, broker: Mosquitto, systemd: NotifySocket
) -> None:
    broker.stop()
    gateway.start()
    eventually(lambda: "READY=1" in systemd.assignments, 20, "READY=1 without a broker")
    wait_for_pings(systemd, 2)
    assert systemd.status.startswith("serving mass 1.0.1; waiting: 127.0.0.1:")
    broker.start()
    eventually(lambda: "127.0.0.1:" not in systemd.status)
    wait_for_pings(systemd, 2)


def test_watchdog_starves_when_the_loop_stands_still(
    gateway: Gateway, systemd: NotifySocket
) -> None:
    gateway.start_serving()
    wait_for_pings(systemd, 1)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        stopped = psutil.Process(gateway.process.pid)
        eventually(lambda: stopped.status() == psutil.STATUS_STOPPED)
        before = systemd.pings
        assert not Event().wait(STILL_S)
        assert systemd.pings <= before + 1, "one may have been on its way"
    finally:
        gateway.process.send_signal(signal.SIGCONT)
    wait_for_pings(systemd, 2)


def test_stop_is_told_and_nothing_after_it(gateway: Gateway, systemd: NotifySocket) -> None:
    gateway.start_serving()
    assert gateway.stop() == 0
    eventually(lambda: "STOPPING=1" in systemd.assignments)
    assert systemd.assignments[-2:] == ["STATUS=stopping", "STOPPING=1"]


def test_notification_socket_that_is_gone_does_not_stop_the_agent(
    gateway: Gateway, broker: Mosquitto
) -> None:
    gateway.environment = {"NOTIFY_SOCKET": str(broker.folder / "nobody.sock")}
    gateway.start_serving()
    assert gateway.stop() == 0
