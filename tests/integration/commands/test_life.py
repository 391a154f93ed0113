"""What the log tells of an agent's start and end, and which signals do not end it."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from serving.errors import EXIT_CONFIG, EXIT_LATER
from serving.program.early_signals import RELOADING
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.plant import MASS, MASS_PIPELINE, OFTEN, serving
from tests.kit.gateway.start_signals import signal_at_each_import
from tests.kit.waiting import eventually
from tests.kit.wording import names


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def gateway(tmp_path: Path, broker: Mosquitto) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "gw", broker.port, [MASS_PIPELINE], sections={"limits": OFTEN})
    gateway.keep(MASS)
    with gateway:
        yield gateway


def ended(gateway: Gateway) -> int:
    """The exit code of an agent that ends by itself."""
    process = gateway.process
    assert process is not None
    return process.wait(timeout=20)


def test_first_line_tells_what_runs_where(gateway: Gateway) -> None:
    gateway.start_serving()
    assert gateway.process is not None
    wanted = (
        f'version="{version("millhand")}"',
        f'config="{gateway.config}"',
        'gateway="gw1"',
        f'host="{socket.gethostname()}"',
        f'broker="127.0.0.1:{gateway.port}"',
        f'python="{sys.version.split()[0]}"',
        f'onnxruntime="{version("onnxruntime")}"',
        f"pid={gateway.process.pid}",
    )
    first = gateway.log.splitlines()[0]
    assert first.startswith("INFO starting ")
    assert names(first, *wanted)


def test_last_line_tells_the_signal_and_what_has_become_of_all_messages(gateway: Gateway) -> None:
    with serving(gateway) as plant:
        plant.send(7)
        plant.client.publish("plant/l1/p1/telemetry", {"ts": "no time"})
        plant.wait_for_answers()
        plant.wait_for_metrics(received=8)
        assert gateway.stop() == 0
    last = gateway.log.splitlines()[-1]
    assert last.startswith('INFO stopped reason="SIGTERM" uptime_s=')
    assert last.endswith("received=8 predicted=7 windowed=0 dropped=1 waiting=0")


def test_last_line_tells_a_bug_before_its_traceback(gateway: Gateway) -> None:
    gateway.environment = {"PYTHONPATH": str(bug(gateway.folder))}
    gateway.start()
    assert ended(gateway) == 70
    lines = gateway.log.splitlines()
    stopped = next(number for number, line in enumerate(lines) if " stopped " in line)
    assert lines[stopped].startswith('ERROR stopped reason="ZeroDivisionError: ')
    assert lines[stopped + 1].startswith("Traceback ")
    assert lines[-1].startswith("ZeroDivisionError: ")


def bug(folder: Path) -> Path:
    """A folder whose sitecustomize makes the selector raise what nobody expects."""
    patched = folder / "patched"
    patched.mkdir()
    patched.joinpath("sitecustomize.py").write_text(
        "import selectors\nselectors.DefaultSelector.select = lambda *_: 1 / 0\n"
    )
    return patched


@pytest.mark.parametrize("number", RELOADING)
def test_signal_to_read_files_again_does_not_end_the_agent(
    gateway: Gateway, number: signal.Signals
) -> None:
    with serving(gateway) as plant:
        assert gateway.process is not None
        for _ in range(5):
            gateway.process.send_signal(number)
        gateway.wait_for_log(f'WARNING signal ignored signal="{number.name}" remedy=')
        plant.send(3)
        plant.wait_for_answers()
        assert gateway.log.count("signal ignored") == 1
        assert gateway.stop() == 0


@pytest.mark.parametrize(
    "reaction",
    ["raise", "raise ImportError('initialization failed') from error", "pass"],
    ids=["is interrupted", "raises an error of its own", "goes on"],
)
def test_signal_before_the_loop_turns_ends_the_agent_in_order(
    gateway: Gateway, reaction: str
) -> None:
    """Libraries in C turn what interrupts them into an error, and onnxruntime does so."""
    slow = slow_import("agent.app", 60, gateway.folder, reaction)
    gateway.environment = {"PYTHONPATH": str(slow)}
    gateway.start()
    gateway.wait_for_log("slow import")
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGHUP)
    assert gateway.stop() == 0
    assert 'INFO stopped reason="SIGTERM" uptime_s=' in gateway.log
    assert "ERROR" not in gateway.log


def test_signals_to_read_files_again_at_each_import_do_not_end_a_start(gateway: Gateway) -> None:
    gateway.environment = {"PYTHONPATH": str(signal_at_each_import(gateway.folder, *RELOADING))}
    with serving(gateway) as plant:
        plant.send(3)
        plant.wait_for_answers()
        assert "Traceback" not in gateway.log


def slow_import(module: str, seconds: float, folder: Path, reaction: str) -> Path:
    """A folder whose sitecustomize makes the import of a module take long.

    Args:
        module: its name.
        seconds: how long.
        folder: where the folder is made.
        reaction: the statement that follows where a signal interrupts it.
    """
    patched = folder / "patched"
    patched.mkdir()
    patched.joinpath("sitecustomize.py").write_text(
        f"""\
import sys, threading

class Slow:
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            print("slow import", flush=True)
            try:
                threading.Event().wait({seconds})
            except BaseException as error:
                {reaction}

sys.meta_path.insert(0, Slow())
"""
    )
    return patched


def test_second_agent_on_a_state_folder_waits_for_the_first(gateway: Gateway) -> None:
    gateway.start_serving()
    assert gateway.process is not None
    second = Gateway(gateway.folder, gateway.port, gateway.pipelines)
    second.start()
    assert ended(second) == EXIT_LATER
    assert names(second.log, str(gateway.state_dir), str(gateway.process.pid))
    gateway.kill()
    with second:
        second.start_serving()


@pytest.mark.parametrize("level", ["warning", "error"])
def test_level_is_chosen_in_the_configuration(
    gateway: Gateway, broker: Mosquitto, level: str
) -> None:
    gateway.sections["log"] = {"level": level}
    broker.stop()
    gateway.start()
    if level == "warning":
        gateway.wait_for_log("WARNING waiting")
    else:
        lock = gateway.state_dir / "agent.lock"
        eventually(lock.exists, 20, "the agent to be there")
    assert gateway.stop() == 0
    assert "INFO" not in gateway.log
    assert level == "warning" or not gateway.log


def test_journal_gets_the_priority_of_every_line(gateway: Gateway, broker: Mosquitto) -> None:
    with (gateway.folder / "agent.log").open("ab") as file:
        status = os.fstat(file.fileno())
    gateway.environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    broker.stop()
    gateway.start()
    gateway.wait_for_log("<4>WARNING waiting")
    assert gateway.stop() == 0
    assert gateway.log.startswith("<6>INFO starting ")
    gateway.environment["PYTHONPATH"] = str(bug(gateway.folder))
    gateway.start()
    assert ended(gateway) == 70
    gateway.sections["broker"] = {"port": 0}
    gateway.start()
    assert ended(gateway) == EXIT_CONFIG
    lines = gateway.log.splitlines()
    assert [line for line in lines if line[:3] not in ("<3>", "<4>", "<6>")] == []
    assert lines[-1].startswith("<3>")
    assert "broker.port" in lines[-1]
    assert "<3>ZeroDivisionError: division by zero" in lines


def test_other_standard_error_than_the_journals_gets_no_priority(gateway: Gateway) -> None:
    status = gateway.folder.stat()
    gateway.environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    gateway.start_serving()
    assert gateway.log.startswith("INFO starting ")
