import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from demo.plant.simulation import ASSETS
from tests.kit.broker.brokers import installed
from tests.kit.children import ROOT
from tests.kit.wording import names

MARK = "DEMO_TEST_RUN"
LIMIT_S = 400.0
PROMISES = (
    "nothing lost",
    "once and in order",
    "a missing signal is reported",
    "faults found while they last",
    "swapped under load",
    "the same answer over HTTP",
)


class Run:
    """One run of the demo as a process; its descendants carry its mark in their environment."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], seconds: str) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo", *arguments],
            cwd=ROOT,
            env=_without_coverage()
            | {
                MARK: self.mark,
                "DEMO_SECONDS": seconds,
                "TMPDIR": os.fspath(folder),
                "COLUMNS": "160",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> tuple[int, str]:
        """Wait for its end; return exit code and the output that was not read yet."""
        output, _ = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, output

    def read_until(self, part: str) -> None:
        """Read its output up to a line with `part`."""
        assert self.process.stdout is not None
        read = []
        for line in self.process.stdout:
            read.append(line)
            if part in line:
                return
        pytest.fail(f"no line with '{part}' in:\n{''.join(read)}")

    def left(self) -> list[int]:
        """Return the process ids of its descendants that still run."""
        return [
            process.pid
            for process in psutil.process_iter()
            if _environment(process).get(MARK) == self.mark
        ]


def _without_coverage() -> dict[str, str]:
    """The demo is run at the speed that its users see."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except psutil.Error:
        return {}


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start runs that keep their work in `tmp_path`, and see that they leave nothing behind."""
    runs: list[Run] = []

    def started(*arguments: str, seconds: str = "") -> Run:
        runs.append(Run(tmp_path, arguments, seconds))
        return runs[-1]

    yield started
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
        run.process.communicate(timeout=60)
        assert run.left() == []
    assert list(tmp_path.glob("millhand-demo-*")) == []


def test_the_demo_keeps_every_promise_on_either_broker_and_ends_by_itself(
    start: Start, tmp_path: Path
) -> None:
    brokers = ("mosquitto", "amqtt") if installed("mosquitto") else ("amqtt",)
    # Both at once: the plant has the same pace as for its users, and mostly waits.
    runs = {
        broker: start(
            *("--broker", broker, "--hours", "12", "--export-table", f"{tmp_path}/{broker}.svg"),
            seconds="20",
        )
        for broker in brokers
    }
    for broker, run in runs.items():
        exit_code, output = run.wait()
        assert exit_code == 0, output
        assert f"{broker} listens on 127.0.0.1:" in output
        for promise in PROMISES:
            (line,) = (line for line in output.splitlines() if f" {promise} " in line)
            assert " kept " in line
        assert "push to serving" in output
        shown = (tmp_path / f"{broker}.svg").read_text().replace("&#160;", " ")
        for words in (*ASSETS, "predicts", "1.1.0", "0 lost", "after its push"):
            assert words in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_preparation_ends_all_at_once(
    number: signal.Signals, start: Start
) -> None:
    run = start("--broker", "amqtt")
    run.read_until("amqtt listens on")
    run.process.send_signal(number)
    assert run.wait()[0] == 130


def test_a_wrong_duration_is_told_before_anything_starts(start: Start) -> None:
    exit_code, output = start(seconds="5").wait()
    assert exit_code == 2
    assert names(output, "'5'", "20")
