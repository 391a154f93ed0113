import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from models.files import append_durably, open_to_append, sync_directory, write_atomically
from tests.kit.waiting import eventually

ROOT = Path(__file__).parents[3]
OLD, NEW = b"old", b"new"
WRITE_BEYOND_A_LIMIT = """
import resource, sys
from pathlib import Path
from models.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # the kernel says EFBIG, as it says ENOSPC
try:
    write_atomically(Path(sys.argv[1]), bytes(1 << 20))
except OSError as exc:
    print(type(exc).__name__, exc.errno)
"""
WRITE_FOR_EVER = """
import sys
from pathlib import Path
from models.files import write_atomically
while True:
    for letter in (b"a", b"b"):
        write_atomically(Path(sys.argv[1]), letter * 300_000)
"""


def run(code: str, path: Path) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return finished.stdout.decode().strip()


def test_a_file_is_written_and_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "state" / "deep" / "active.json"
    write_atomically(path, OLD)
    write_atomically(path, NEW)
    assert path.read_bytes() == NEW
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_can_be_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "empty", b"")
    assert (tmp_path / "empty").read_bytes() == b""


@pytest.mark.parametrize(("wanted", "given"), [(0o644, 0o644), (0o600, 0o600), (0o666, 0o644)])
def test_permissions_are_those_asked_for_less_the_umask(
    wanted: int, given: int, tmp_path: Path
) -> None:
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "file", NEW, mode=wanted)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == given


def test_a_folder_in_the_way_stays_and_no_part_is_left(tmp_path: Path) -> None:
    path = tmp_path / "active.json"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_atomically(path, NEW)
    assert list(tmp_path.iterdir()) == [path]


def test_a_parent_that_is_a_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file" / "active.json", NEW)
    assert (tmp_path / "file").read_bytes() == OLD


def test_a_folder_that_takes_no_files_is_an_os_error() -> None:
    with pytest.raises(OSError, match="/proc/self"):  # not even root may make a file there
        write_atomically(Path("/proc/self/active.json"), NEW)


def test_a_disk_that_takes_no_more_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "active.json"
    write_atomically(path, OLD)
    assert run(WRITE_BEYOND_A_LIMIT, path) == f"OSError {errno.EFBIG}"
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_cannot_be_synced_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "missing")
    with pytest.raises(OSError, match="Invalid argument"):  # /proc has no fsync
        sync_directory(Path("/proc"))


def test_a_reader_sees_the_old_bytes_or_the_new_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "active.json"
    contents = [bytes([letter]) * 200_000 for letter in b"ab"]
    write_atomically(path, contents[0])
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    try:
        for turn in range(50):
            write_atomically(path, contents[turn % 2])
    finally:
        done.set()
        reader.join()
    assert seen <= set(contents)


def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "active.json"
    with subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], cwd=ROOT) as writer:
        try:
            eventually(path.exists, message="the first write")
            first = path.stat().st_ino
            eventually(lambda: path.stat().st_ino != first, message="a replacement")
        finally:
            writer.kill()
    assert path.read_bytes() in {b"a" * 300_000, b"b" * 300_000}


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(OLD)
    link.symlink_to(victim)
    write_atomically(link, NEW)
    assert (victim.read_bytes(), link.read_bytes()) == (OLD, NEW)
    assert not link.is_symlink()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_folder_below_that_is_a_link_is_not_entered(tmp_path: Path, depth: int) -> None:
    elsewhere, top = tmp_path / "elsewhere", tmp_path / "top"
    elsewhere.mkdir()
    link = top.joinpath(*"abc"[:depth])
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    with pytest.raises(OSError, match=f"'{link.name}' is a symbolic link"):
        write_atomically(top / "a" / "b" / "c" / "file", NEW, below=top)
    assert list(elsewhere.iterdir()) == []
    write_atomically(link / "file", NEW)
    assert (elsewhere / "file").read_bytes() == NEW


def test_folders_below_are_made(tmp_path: Path) -> None:
    path = tmp_path / "top" / "a" / "b" / "file"
    for content in (OLD, NEW):
        write_atomically(path, content, below=tmp_path / "top")
        assert path.read_bytes() == content


def test_a_line_is_appended_and_never_through_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "trail", tmp_path / "link"
    for content in (OLD, NEW):
        append_durably(path, content, mode=0o600)
    assert path.read_bytes() == OLD + NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    link.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        append_durably(link, NEW)
    with pytest.raises(OSError, match="symbolic links"):
        open_to_append(link)
    assert path.read_bytes() == OLD + NEW
