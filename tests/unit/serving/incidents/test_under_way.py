"""What a process that was killed leaves behind, and what is not taken for a death by a model."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving.incidents.under_way import Death, UnderWay
from tests.kit.children import ROOT

MODEL = "ab" * 32
INPUT = bytes(range(16))


def killed_while(folder: Path, statement: str) -> Death | None:
    """What is found after a process has made a note and was killed."""
    page = folder / "under-way"
    program = (
        "import os, pathlib, signal\n"
        "from serving.incidents.under_way import UnderWay\n"
        f"page = UnderWay(pathlib.Path({str(page)!r}))\n"
        f"{statement}\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    return UnderWay(page).death


@pytest.mark.parametrize(
    ("statement", "death"),
    [
        (f"page.infer(bytes.fromhex('{MODEL}'))", Death(MODEL)),
        (f"page.infer(bytes.fromhex('{MODEL}'), {INPUT!r})", Death(MODEL, input=INPUT)),
        (f"page.load('{MODEL}')", Death(MODEL, is_loading=True)),
        (f"page.infer(bytes.fromhex('{MODEL}')); page.done()", None),
        (f"page.load('{MODEL}'); page.loaded()", None),
        ("pass", None),
    ],
)
def test_death_names_what_was_under_way(
    tmp_path: Path, statement: str, death: Death | None
) -> None:
    assert killed_while(tmp_path, statement) == death


def test_death_is_found_once(tmp_path: Path) -> None:
    assert killed_while(tmp_path, f"page.load('{MODEL}')") is not None
    assert UnderWay(tmp_path / "under-way").death is None


def test_input_of_an_earlier_inference_is_not_taken_for_that_of_a_later_one(tmp_path: Path) -> None:
    noted = f"page.infer(bytes.fromhex('{MODEL}'), {INPUT!r}); page.done()"
    later = f"page.infer(bytes.fromhex('{'cd' * 32}'))"
    assert killed_while(tmp_path, f"{noted}; {later}") == Death("cd" * 32)


def test_page_of_an_earlier_boot_is_no_death(tmp_path: Path) -> None:
    page = tmp_path / "under-way"
    UnderWay(page).load(MODEL)
    content = bytearray(page.read_bytes())
    content[0] ^= 0xFF
    page.write_bytes(content)
    assert UnderWay(page).death is None


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 10_000])
def test_any_other_file_is_no_death(tmp_path: Path, content: bytes) -> None:
    page = tmp_path / "under-way"
    page.write_bytes(content)
    assert UnderWay(page).death is None


def test_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "key"
    target.write_text("secret")
    (tmp_path / "under-way").symlink_to(target)
    with pytest.raises(OSError, match=os.strerror(40)):
        UnderWay(tmp_path / "under-way")
    assert target.read_text() == "secret"
