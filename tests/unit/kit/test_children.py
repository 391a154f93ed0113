"""Child processes end with their context, and say why where they end before."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.kit.children import Child, python, run
from tests.kit.errors import KitError

STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)\n"
    "while True: signal.pause()"
)
WAITING = "import signal; print(1, flush=True); signal.pause()"


def script(text: str, log: Path) -> Child:
    return Child("pump", [sys.executable, "-c", text], log)


def test_child_ends_with_its_context(tmp_path: Path) -> None:
    with script(WAITING, tmp_path / "log") as child:
        assert child.exit_code is None
    assert child.exit_code == -signal.SIGTERM


def test_child_that_dies_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with (
        script("import sys; print('no oil'); sys.exit(4)", tmp_path / "log") as child,
        pytest.raises(KitError, match=r"^pump: .*\b4\n  no oil$"),
    ):
        child.wait_until(lambda: False, timeout_s=20.0)


def test_child_that_is_never_ready_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with script(WAITING, log) as child:
        child.wait_until(lambda: log.stat().st_size > 0, timeout_s=20.0)
        with pytest.raises(KitError, match=r"^pump: .*\n  1$"):
            child.wait_until(lambda: False, timeout_s=0.0)


def test_failure_shows_the_log_of_the_last_start_only(tmp_path: Path) -> None:
    with script("print('yesterday')", tmp_path / "log") as before:
        before.wait()
    child = script("print('today'); raise SystemExit(1)", tmp_path / "log")
    child.start()
    with pytest.raises(KitError, match=r"^pump: [^\n]*\n  today$"):
        child.wait()


def test_child_can_be_started_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = script("print('here')", log)
    for _ in range(2):
        child.start()
        child.wait()
    assert log.read_text() == "here\nhere\n"


def test_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(KitError, match=r"^pump: /no/such/program "):
        Child("pump", ["/no/such/program"], tmp_path / "log").start()


def test_child_that_was_not_started_has_no_process() -> None:
    child = Child("pump", ["/bin/true"])
    assert child.stop()
    with pytest.raises(KitError, match=r"^pump "):
        _ = child.pid


def test_child_gets_further_variables(tmp_path: Path) -> None:
    text = "import os; print(os.environ['OIL'], 'PATH' in os.environ)"
    command = [sys.executable, "-c", text]
    with Child("pump", command, tmp_path / "log", environment={"OIL": "none"}) as child:
        child.wait()
    assert (tmp_path / "log").read_text() == "none True\n"


def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = script(STUBBORN, log)
    child.start()
    child.wait_until(lambda: log.stat().st_size > 0, timeout_s=20.0)
    assert not child.stop(timeout_s=0.2)
    assert child.exit_code == -signal.SIGKILL


def test_program_that_fails_says_so() -> None:
    with pytest.raises(KitError, match=r" 3:\nno good"):
        run([sys.executable, "-c", "print('no good'); raise SystemExit(3)"], 60.0)


def test_program_that_does_not_end_is_named() -> None:
    with pytest.raises(KitError, match=sys.executable):
        run([sys.executable, "-c", WAITING], 0.5)


def test_module_is_run_by_this_interpreter() -> None:
    assert run(python("this"), 60.0).startswith("The Zen of Python")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT interrupts: a shell ignores it in what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("moment_us", range(200, 700, 50))
def test_an_interrupt_while_a_child_starts_leaves_none(moment_us: int, tmp_path: Path) -> None:
    interrupt = threading.Timer(moment_us / 1e6, os.kill, (os.getpid(), signal.SIGINT))
    before = set(psutil.Process().children())

    def interrupted() -> None:
        interrupt.start()
        with Child("pump", ["/bin/sleep", "60"], tmp_path / "log") as child:
            child.wait()

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert set(psutil.Process().children()) == before
