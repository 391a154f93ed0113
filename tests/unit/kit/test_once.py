"""What the workers of a run share is made by one of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.children import ROOT
from tests.kit.once import RUN, once

ASKS = """
import os, sys
from tests.kit.once import once

def made():
    with open(sys.argv[1], "a") as file:
        file.write("made\\n")
    return str(os.getpid()).encode()

print(once("thing", made).decode())
"""


def test_processes_that_ask_at_once_get_the_same_of_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN, str(tmp_path))
    command = [sys.executable, "-c", ASKS, str(tmp_path / "log")]
    asking = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = {process.communicate()[0] for process in asking}
    assert len(said) == 1
    assert (tmp_path / "log").read_text() == "made\n"


def test_what_could_not_be_made_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN, str(tmp_path))

    def broken() -> bytes:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        once("thing", broken)
    assert once("thing", lambda: b"made") == b"made"


def test_nothing_is_kept_outside_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN)
    assert [once("thing", lambda: b"one"), once("thing", lambda: b"two")] == [b"one", b"two"]
