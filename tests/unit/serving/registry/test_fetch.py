"""Fetching and downloading: what a registry's server may do to us, and what it may not."""

import errno
import resource
import ssl
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from models.errors import DigestMismatchError
from serving.registry import download as downloading
from serving.registry.download import ATTEMPTS, MAX_PARTS, Promised, download
from serving.registry.fetch import Fetcher, Pace
from serving.registry.refusals import (
    DiskFullError,
    NotServedError,
    OversizedError,
    StorageError,
    TooSlowError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tests.kit.broker.certificates import Certificates, make_certificates
from tests.kit.bundles.mirrors import Fault, Mirror, mirror
from tests.kit.wording import naming

CONTENT = bytes(range(256)) * 4096  # 1 MiB
NAME = "bundle.zip"
IMPATIENT = Pace(silence_s=0.3)
DEMANDING = Pace(lowest_rate=1000.0, rate_window_s=0.1)


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
def fetcher() -> Iterator[Fetcher]:
    with Fetcher() as running:
        yield running


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "certificates")


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "bundles" / NAME


def promised(url: str, content: bytes = CONTENT) -> Promised:
    return Promised(f"{url}/{NAME}", sha256(content).hexdigest(), len(content))


def bring(wanted: Promised, destination: Path, fetcher: Fetcher) -> list[tuple[int, int]]:
    progress: list[tuple[int, int]] = []
    download(wanted, destination, fetcher=fetcher, on_progress=lambda *told: progress.append(told))
    return progress


def files_beside(destination: Path) -> list[str]:
    return sorted(path.name for path in destination.parent.iterdir())


# --- fetching -----------------------------------------------------------------------------------


def test_file_and_http_give_the_same_bytes(served: Mirror, fetcher: Fetcher) -> None:
    for base in (served.url, served.folder.as_uri()):
        assert fetcher.read(f"{base}/{NAME}", len(CONTENT)) == CONTENT


def test_file_url_may_have_spaces_and_umlauts(tmp_path: Path, fetcher: Fetcher) -> None:
    path = tmp_path / "Werk Süd 100%" / "metadata.json"
    path.parent.mkdir()
    path.write_bytes(b"{}")
    assert fetcher.read(path.as_uri(), 100) == b"{}"


@pytest.mark.parametrize("offset", [1, 1000, len(CONTENT) - 1])
def test_stream_begins_at_the_offset(served: Mirror, fetcher: Fetcher, offset: int) -> None:
    for base in (served.url, served.folder.as_uri()):
        with fetcher.open(f"{base}/{NAME}", offset) as stream:
            assert (stream.offset, b"".join(stream.chunks)) == (offset, CONTENT[offset:])


@pytest.mark.parametrize("ranges", ["ignored", "refused", "wrong"])
def test_server_that_cannot_resume_starts_over(
    served: Mirror, fetcher: Fetcher, ranges: str
) -> None:
    served.faults[NAME] = Fault(ranges=ranges)
    with fetcher.open(f"{served.url}/{NAME}", 1000) as stream:
        assert (stream.offset, b"".join(stream.chunks)) == (0, CONTENT)


def test_offset_beyond_the_end_starts_over(served: Mirror, fetcher: Fetcher) -> None:
    for base in (served.url, served.folder.as_uri()):
        with fetcher.open(f"{base}/{NAME}", len(CONTENT) + 1) as stream:
            assert (stream.offset, b"".join(stream.chunks)) == (0, CONTENT)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
def test_client_error_is_final_and_asked_once(
    served: Mirror, fetcher: Fetcher, status: int
) -> None:
    served.faults[NAME] = Fault(status=status)
    with pytest.raises(NotServedError, match=str(status)) as refused:
        fetcher.read(f"{served.url}/{NAME}", 10)
    assert refused.value.status == status


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_error_is_transient(served: Mirror, fetcher: Fetcher, status: int) -> None:
    served.faults[NAME] = Fault(status=status)
    with pytest.raises(UnreachableError, match=str(status)):
        fetcher.read(f"{served.url}/{NAME}", 10)


def test_missing_file_is_not_served(tmp_path: Path, fetcher: Fetcher) -> None:
    with pytest.raises(NotServedError) as refused:
        fetcher.read((tmp_path / "nothing").as_uri(), 10)
    assert refused.value.status == 404


def test_file_that_the_system_cannot_look_up_is_unreachable(fetcher: Fetcher) -> None:
    with pytest.raises(UnreachableError, match="File name too long"):
        fetcher.read(f"file:///{'x' * 300}", 10)


def test_folder_is_no_file(tmp_path: Path, fetcher: Fetcher) -> None:
    with pytest.raises(NotServedError, match="regular file"):
        fetcher.read(tmp_path.as_uri(), 10)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "gopher:x", "/etc/hostname", ""])
def test_other_scheme_is_refused(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(NotServedError, match="allowed are"):
        fetcher.read(url, 10)


@pytest.mark.parametrize("url", ["http://[::1/x", "file://server/share/x", "http:///x"])
def test_mistaken_url_is_told(fetcher: Fetcher, url: str) -> None:
    with pytest.raises((NotServedError, UnreachableError)):
        fetcher.read(url, 10)


def test_nobody_listening_is_unreachable(fetcher: Fetcher, served: Mirror) -> None:
    gone = served.url.rpartition(":")[0] + ":1"
    with pytest.raises(UnreachableError, match="refused"):
        fetcher.read(f"{gone}/{NAME}", 10)


def test_cut_transfer_is_unreachable_while_iterating(served: Mirror, fetcher: Fetcher) -> None:
    served.faults[NAME] = Fault(cut_after=1000)
    with pytest.raises(UnreachableError, match="broke off"):
        fetcher.read(f"{served.url}/{NAME}", len(CONTENT))


def test_endless_file_is_read_up_to_its_cap(served: Mirror, fetcher: Fetcher) -> None:
    served.faults[NAME] = Fault(endless=True)
    assert len(fetcher.read(f"{served.url}/{NAME}", 2_000_000)) == 2_000_000


def test_server_that_keeps_the_pace_is_heard_out(served: Mirror) -> None:
    every_chunk_is_a_window = Pace(lowest_rate=1.0, rate_window_s=0.0)
    with Fetcher(every_chunk_is_a_window) as fetcher:
        assert fetcher.read(f"{served.url}/{NAME}", len(CONTENT)) == CONTENT


def test_dripping_server_is_too_slow(served: Mirror) -> None:
    served.faults[NAME] = Fault(drip_s=0.01)
    with Fetcher(DEMANDING) as fetcher, pytest.raises(TooSlowError, match=naming("1000")):
        fetcher.read(f"{served.url}/{NAME}", len(CONTENT))


def test_silent_server_is_unreachable(served: Mirror) -> None:
    served.faults[NAME] = Fault(stall_after=1)
    with Fetcher(IMPATIENT) as fetcher, pytest.raises(UnreachableError, match="TimeoutError"):
        fetcher.read(f"{served.url}/{NAME}", len(CONTENT))


def test_redirect_is_followed_with_its_range(served: Mirror, fetcher: Fetcher) -> None:
    served.faults["old.zip"] = Fault(location=f"/{NAME}")
    with fetcher.open(f"{served.url}/old.zip", 1000) as stream:
        assert (stream.offset, b"".join(stream.chunks)) == (1000, CONTENT[1000:])


def test_certificate_of_a_stranger_is_refused(
    served: Mirror, certificates: Certificates, fetcher: Fetcher
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    with (
        mirror(served.folder, context) as secure,
        pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        fetcher.read(f"{secure.url}/{NAME}", len(CONTENT))


@pytest.mark.parametrize(
    "url", ["http://user:secret@127.0.0.1:1/x.json?token=secret", "ftp://u:secret@h/x?secret"]
)
def test_message_hides_credentials_and_query(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(NotServedError) as refused:
        fetcher.read(url, 10)
    assert "secret" not in str(refused.value)


def test_proxy_of_the_environment_is_not_asked(
    served: Mirror, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetcher.read(f"{served.url}/{NAME}", len(CONTENT)) == CONTENT


# --- downloading --------------------------------------------------------------------------------


def test_download_leaves_the_bundle_and_nothing_else(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    progress = bring(promised(served.url), destination, fetcher)
    assert destination.read_bytes() == CONTENT
    assert files_beside(destination) == [NAME]
    assert progress[-1] == (len(CONTENT), len(CONTENT))


def test_bundle_that_is_there_is_not_fetched_again(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    destination.parent.mkdir()
    destination.write_bytes(CONTENT)
    assert bring(promised(served.url), destination, fetcher) == []
    assert served.requests == []


def test_part_that_is_a_link_is_not_followed(
    served: Mirror, fetcher: Fetcher, destination: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"as it was")
    destination.parent.mkdir()
    Path(f"{destination}.part").symlink_to(victim)
    bring(promised(served.url), destination, fetcher)
    assert victim.read_bytes() == b"as it was"
    assert destination.read_bytes() == CONTENT


def test_damaged_bundle_that_is_there_is_replaced(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    destination.parent.mkdir()
    destination.write_bytes(CONTENT[:-1] + b"?")
    bring(promised(served.url), destination, fetcher)
    assert destination.read_bytes() == CONTENT


def test_broken_transfers_add_up_to_each_byte_once(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    served.faults[NAME] = Fault(cut_after=len(CONTENT) // 4)
    bring(promised(served.url), destination, fetcher)
    assert destination.read_bytes() == CONTENT
    assert served.sent_of(NAME) == len(CONTENT)
    assert [asked for _, asked, _ in served.requests] == [
        "",
        "bytes=262144-",
        "bytes=524288-",
        "bytes=786432-",
    ]


def test_next_pull_continues_what_the_last_left(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    served.faults[NAME] = Fault(cut_after=1000)
    with pytest.raises(UnreachableError):
        bring(promised(served.url), destination, fetcher)
    assert len(served.requests) == ATTEMPTS
    assert files_beside(destination) == [f"{NAME}.part"]
    served.faults.clear()
    bring(promised(served.url), destination, fetcher)
    assert served.requests[-1] == (
        f"/{NAME}",
        f"bytes={1000 * ATTEMPTS}-",
        len(CONTENT) - 1000 * ATTEMPTS,
    )


def test_server_without_ranges_gives_the_whole_again(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    part = destination.with_name(f"{NAME}.part")
    part.parent.mkdir()
    part.write_bytes(CONTENT[:5000])
    served.faults[NAME] = Fault(ranges="ignored")
    bring(promised(served.url), destination, fetcher)
    assert destination.read_bytes() == CONTENT


@pytest.mark.parametrize("left", [bytes(5000), bytes(len(CONTENT)), CONTENT + b"more"])
def test_spoilt_rest_of_a_power_cut_is_fetched_again(
    served: Mirror, fetcher: Fetcher, destination: Path, left: bytes
) -> None:
    part = destination.with_name(f"{NAME}.part")
    part.parent.mkdir()
    part.write_bytes(left)
    bring(promised(served.url), destination, fetcher)
    assert destination.read_bytes() == CONTENT


def test_finished_rest_is_not_fetched_again(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    part = destination.with_name(f"{NAME}.part")
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    bring(promised(served.url), destination, fetcher)
    assert served.requests == []
    assert files_beside(destination) == [NAME]


def test_other_bytes_are_refused_and_thrown_away(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    (served.folder / NAME).write_bytes(b"?" + CONTENT[1:])
    with pytest.raises(DigestMismatchError, match=naming(promised(served.url).sha256)):
        bring(promised(served.url), destination, fetcher)
    assert files_beside(destination) == []


def test_endless_bundle_is_refused_and_thrown_away(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    served.faults[NAME] = Fault(endless=True)
    with pytest.raises(OversizedError, match=naming(str(len(CONTENT)))):
        bring(promised(served.url), destination, fetcher)
    assert files_beside(destination) == []


def test_dripping_bundle_is_given_up_and_kept(served: Mirror, destination: Path) -> None:
    served.faults[NAME] = Fault(drip_s=0.01)
    with Fetcher(DEMANDING) as fetcher, pytest.raises(TooSlowError):
        bring(promised(served.url), destination, fetcher)
    assert len(served.requests) <= 1
    assert files_beside(destination) == [f"{NAME}.part"]


def test_client_error_is_not_tried_again(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    with pytest.raises(NotServedError):
        bring(Promised(f"{served.url}/nothing", "0" * 64, 1), destination, fetcher)


def test_short_bundle_is_waited_for_before_its_bytes_are_taken(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    (served.folder / NAME).write_bytes(CONTENT[:-1])
    for url in (served.url, served.folder.as_uri()):
        with pytest.raises(UnexpectedAnswerError, match=naming(str(len(CONTENT)))):
            bring(promised(url), destination, fetcher)
        assert files_beside(destination) == []


def test_transfer_of_unknown_length_that_ends_early_is_continued(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    served.faults[NAME] = Fault(endless=True, cut_after=len(CONTENT) // 2)
    bring(promised(served.url), destination, fetcher)
    assert served.sent_of(NAME) == len(CONTENT)


def test_disk_that_fills_up_is_said_and_the_part_removed(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENT) // 2, limits[1]))  # EFBIG, as ENOSPC
    try:
        with pytest.raises(DiskFullError, match="no room"):
            bring(promised(served.url), destination, fetcher)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files_beside(destination) == []


def test_bundle_larger_than_the_disk_is_not_begun(
    served: Mirror, fetcher: Fetcher, destination: Path
) -> None:
    huge = Promised(f"{served.url}/{NAME}", "0" * 64, 1 << 60)
    with pytest.raises(DiskFullError) as refused:
        bring(huge, destination, fetcher)
    assert isinstance(refused.value.__cause__, OSError)
    assert refused.value.__cause__.errno == errno.ENOSPC
    assert served.requests == []


def test_folder_that_cannot_be_written_is_said(
    served: Mirror, fetcher: Fetcher, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="Not a directory"):
        bring(promised(served.url), tmp_path / "file" / NAME, fetcher)


def test_forgotten_parts_are_bounded(served: Mirror, fetcher: Fetcher, destination: Path) -> None:
    destination.parent.mkdir()
    for number in range(2 * MAX_PARTS):
        (destination.parent / f"{number}.zip.part").write_bytes(b"x")
    bring(promised(served.url), destination, fetcher)
    assert len(files_beside(destination)) == MAX_PARTS
