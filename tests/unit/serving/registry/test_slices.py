"""A web server or a proxy that answers with a part of a bundle, or with another part than asked."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from models.errors import DigestMismatchError
from serving.errors import TransientError
from serving.registry import download as downloading
from serving.registry.download import ATTEMPTS, Promised, download
from serving.registry.fetch import CHUNK_BYTES, Fetcher
from serving.registry.refusals import (
    OversizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tests.kit.bundles.mirrors import Fault, Mirror, mirror
from tests.kit.wording import naming

MAGIC = b"PK\x03\x04"
CONTENT = MAGIC + bytes(range(251)) * 4096  # 1 MB, and no two ranges of it are alike
NAME = "bundle.zip"
RECEIVED = 5000
LOGIN_PAGE = b"<!DOCTYPE html><html><title>Guest network</title></html>"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "_FIRST_PAUSE_S", 0.001)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Mirror]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    with mirror(folder) as running:
        yield running


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """What an earlier pull has received."""
    path = tmp_path / "bundles" / f"{NAME}.part"
    path.parent.mkdir()
    path.write_bytes(CONTENT[:RECEIVED])
    return path


def bring(served: Mirror, part: Path) -> bytes:
    wanted = Promised(f"{served.url}/{NAME}", sha256(CONTENT).hexdigest(), len(CONTENT), MAGIC)
    destination = part.with_suffix("")
    with Fetcher() as fetcher:
        download(wanted, destination, fetcher=fetcher, on_progress=lambda *_: None)
    return destination.read_bytes()


@pytest.mark.parametrize("ranges", ["sliced", "shrunk", "unsaid", "wrong", "lying", "ignored"])
def test_range_that_is_answered_wrongly_ends_in_the_whole_file(
    served: Mirror, part: Path, ranges: str
) -> None:
    served.faults[NAME] = Fault(ranges=ranges)
    assert bring(served, part) == CONTENT
    assert [path.name for path in part.parent.iterdir()] == [NAME]


@pytest.mark.parametrize("ranges", ["sliced", "shrunk", "unsaid", "wrong"])
def test_what_has_arrived_is_kept_until_something_better_comes(
    served: Mirror, part: Path, ranges: str
) -> None:
    served.faults[NAME] = Fault(ranges=ranges, cut_after=0)
    with pytest.raises(UnreachableError):
        bring(served, part)
    assert part.read_bytes() == CONTENT[:RECEIVED]


def test_server_that_sends_less_than_the_range_is_asked_again(served: Mirror, part: Path) -> None:
    served.faults[NAME] = Fault(at_most=2 * CHUNK_BYTES)
    assert bring(served, part) == CONTENT
    assert len(served.requests) > ATTEMPTS
    assert served.sent_of(NAME) == len(CONTENT) - RECEIVED


def test_server_that_sends_next_to_nothing_is_given_up(served: Mirror, part: Path) -> None:
    served.faults[NAME] = Fault(at_most=10)
    with pytest.raises(UnreachableError, match=naming(str(len(CONTENT)))):
        bring(served, part)
    assert part.read_bytes() == CONTENT[: RECEIVED + 10 * ATTEMPTS]


@pytest.mark.parametrize("repeated", [1, 100_000], ids=["short", "longer than the bundle"])
def test_login_page_is_waited_for_and_keeps_what_has_arrived(
    served: Mirror, part: Path, repeated: int
) -> None:
    served.faults[NAME] = Fault(page=LOGIN_PAGE * repeated)
    with pytest.raises(UnexpectedAnswerError, match=naming("HTML")):
        bring(served, part)
    assert part.read_bytes() == CONTENT[:RECEIVED]
    served.faults.clear()
    assert bring(served, part) == CONTENT
    assert (f"/{NAME}", f"bytes={RECEIVED}-", len(CONTENT) - RECEIVED) in served.requests


def test_unfinished_upload_is_waited_for(served: Mirror, part: Path) -> None:
    (served.folder / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(UnexpectedAnswerError, match=naming(str(len(CONTENT)))) as waiting:
        bring(served, part)
    assert isinstance(waiting.value, TransientError)
    (served.folder / NAME).write_bytes(CONTENT)
    assert bring(served, part) == CONTENT


@pytest.mark.parametrize("has_part", [False, True])
def test_whole_file_with_other_bytes_is_refused(
    served: Mirror,
    part: Path,
    has_part: bool,  # noqa: FBT001  pytest passes it by name
) -> None:
    if not has_part:
        part.unlink()
    (served.folder / NAME).write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(DigestMismatchError):
        bring(served, part)
    assert list(part.parent.iterdir()) == []


def test_longer_bundle_is_refused(served: Mirror, part: Path) -> None:
    (served.folder / NAME).write_bytes(CONTENT + b"more")
    with pytest.raises(OversizedError):
        bring(served, part)
    assert list(part.parent.iterdir()) == []


def test_pieces_that_never_fit_are_waited_for(served: Mirror, part: Path) -> None:
    served.faults[NAME] = Fault(ranges="lying", cut_after=len(CONTENT) // 2)
    with pytest.raises(UnexpectedAnswerError, match="pieces"):
        bring(served, part)
    served.faults.clear()
    assert bring(served, part) == CONTENT
