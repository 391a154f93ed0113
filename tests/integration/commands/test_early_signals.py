"""Signals that come while a program imports what it needs."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from serving.errors import EXIT_CONFIG
from serving.program.early_signals import RELOADING
from tests.kit.children import python
from tests.kit.gateway.start_signals import signal_at_each_import

pytestmark = pytest.mark.parametrize("program", ["agent", "server"])


def start(program: str, folder: Path, *numbers: int) -> subprocess.CompletedProcess[str]:
    """Start a program without a configuration; it gets signals at each import."""
    patched = str(signal_at_each_import(folder, *numbers))
    return subprocess.run(
        python(program, "run", "--config", folder / "absent.toml"),
        env={**os.environ, "PYTHONPATH": patched},
        capture_output=True,
        text=True,
        check=False,
    )


def test_signals_to_read_files_again_change_nothing(program: str, tmp_path: Path) -> None:
    run = start(program, tmp_path, *RELOADING)
    assert run.returncode == EXIT_CONFIG
    assert "absent.toml" in run.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_end_is_followed_without_a_word(
    program: str, number: signal.Signals, tmp_path: Path
) -> None:
    run = start(program, tmp_path, number)
    assert run.returncode == -number
    assert (run.stdout, run.stderr) == ("", "")
