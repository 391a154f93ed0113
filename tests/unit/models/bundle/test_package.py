import contextlib
import io
import os
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundle.archive import MAX_DIRECTORY_BYTES, write_archive
from models.bundle.manifest_json import read_manifest, write_manifest
from models.bundle.package import (
    CAPS,
    MANIFEST,
    MAX_BUNDLE_BYTES,
    StoredBundle,
    load_bundle,
    pack_bundle,
    read_bundle,
    write_bundle,
)
from models.errors import BundleError, DigestMismatchError, ManifestError
from tests.kit.bundles.factories import make_bundle, make_manifest, make_members
from tests.kit.wording import naming

if TYPE_CHECKING:
    from models.bundle.manifest import MemberFile

ROOT = Path(__file__).parents[4]
BUNDLE = make_bundle()
CONTENT = BUNDLE.content
END = len(CONTENT) - 22
DIRECTORY = int.from_bytes(CONTENT[END + 16 : END + 20], "little")
"""Where the end of central directory and the directory start; golden.npz has its own."""
PRINT_DIGEST = "from tests.kit.bundles.factories import make_bundle; print(make_bundle().sha256)"


def members_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def parts(bundle: StoredBundle) -> tuple[object, ...]:
    return (bundle.manifest, bundle.model, bundle.golden, bundle.reference, bundle.report)


def zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive as anybody's ZIP program writes it, repeated names and all."""
    content = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(content, "w", compression) as archive:
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of a repeated name
        for name, member in members:
            archive.writestr(name, member)
    return content.getvalue()


def test_the_same_members_give_the_same_bytes() -> None:
    assert make_bundle().content == CONTENT


@pytest.mark.parametrize("seed", ["0", "1"])
def test_another_process_zone_and_hash_seed_give_the_same_bytes(seed: str) -> None:
    environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": "Asia/Kolkata", "LC_ALL": "C"}
    printed = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert printed.stdout.decode().strip() == BUNDLE.sha256


def test_the_order_in_which_members_are_given_does_not_matter() -> None:
    manifest = make_manifest()
    backwards = dict(reversed(make_members(manifest).items()))
    assert pack_bundle(manifest, backwards).content == CONTENT


def test_a_written_bundle_is_read_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "out" / "pump.zip"
    written = write_bundle(path, make_manifest(), make_members(make_manifest()))
    assert path.read_bytes() == written.content
    assert read_bundle(path.read_bytes()) == written
    assert members_of(written.content).keys() == CAPS.keys()


def test_the_manifest_lists_every_member_with_its_size() -> None:
    members = make_members(make_manifest())
    assert {file.name: file.size for file in BUNDLE.manifest.files} == {
        name: len(member) for name, member in members.items()
    }


def test_a_bundle_is_named_by_stream_and_seq_and_does_not_print_its_bytes() -> None:
    assert str(BUNDLE.ref) == "pump-health#1"
    assert "no graph" not in repr(BUNDLE)


@pytest.mark.parametrize("name", [name for name in CAPS if name != MANIFEST])
def test_a_member_that_is_not_given_is_told(name: str) -> None:
    members = make_members(make_manifest())
    del members[name]
    with pytest.raises(BundleError, match="given were"):
        pack_bundle(make_manifest(), members)


def test_a_member_that_no_bundle_has_is_not_packed() -> None:
    members = make_members(make_manifest()) | {"model.pkl": b""}
    with pytest.raises(BundleError, match=r"model\.pkl"):
        pack_bundle(make_manifest(), members)


def test_a_member_beyond_its_cap_is_not_written(tmp_path: Path) -> None:
    members = make_members(make_manifest()) | {"report.html": bytes(CAPS["report.html"] + 1)}
    with pytest.raises(BundleError, match=naming("report.html", "33554433", "33554432")):
        write_bundle(tmp_path / "pump.zip", make_manifest(), members)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_beyond_the_cap_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    path.touch()
    os.truncate(path, MAX_BUNDLE_BYTES + 1)  # a hole takes no room on the disk
    with pytest.raises(BundleError, match=f"cap {MAX_BUNDLE_BYTES}"):
        load_bundle(path)


def test_the_members_together_fit_into_the_cap_of_a_bundle() -> None:
    assert sum(CAPS.values()) < MAX_BUNDLE_BYTES


def test_a_bundle_cut_off_at_any_byte_is_refused() -> None:
    for length in range(len(CONTENT)):
        with pytest.raises(BundleError):
            read_bundle(CONTENT[:length])


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_is_refused_or_changes_no_member(flip: int) -> None:
    refused = 0
    for position in range(len(CONTENT)):
        flipped = bytearray(CONTENT)
        flipped[position] ^= flip
        try:
            assert parts(read_bundle(bytes(flipped))) == parts(BUNDLE), position
        except BundleError:
            refused += 1
    assert refused > sum(len(member) for member in members_of(CONTENT).values())


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        read_bundle(content)


@given(
    st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.binary(max_size=8)), min_size=1),
    st.integers(0, 64),
)
def test_a_bundle_with_any_damage_is_refused_or_has_the_same_members(
    damages: list[tuple[int, bytes]], cut: int
) -> None:
    damaged = bytearray(CONTENT)
    for position, piece in damages:
        damaged[position : position + len(piece)] = piece
    content = bytes(damaged[: len(damaged) - cut])
    with contextlib.suppress(BundleError):
        assert parts(read_bundle(content)) == parts(BUNDLE)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "model.onnx/", "a/../model.onnx", "MODEL.ONNX", "x" * 4000]
)
def test_a_member_by_any_other_name_is_refused_and_nothing_is_unpacked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    members = members_of(CONTENT)
    for content in (
        zipped([*members.items(), (name, b"evil")]),
        zipped([(name if n == "model.onnx" else n, member) for n, member in members.items()]),
    ):
        with pytest.raises(BundleError, match=r"members|directory"):
            read_bundle(content)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CAPS)
def test_a_bundle_without_one_of_its_members_is_refused(name: str) -> None:
    rest = [(n, member) for n, member in members_of(CONTENT).items() if n != name]
    with pytest.raises(BundleError, match="members"):
        read_bundle(zipped(rest))


@pytest.mark.parametrize("name", CAPS)
def test_a_repeated_member_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="members"):
        read_bundle(zipped([*members_of(CONTENT).items(), (name, b"second")]))


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_member_is_refused_whatever_it_unpacks_to(compression: int) -> None:
    members = members_of(CONTENT) | {"report.html": bytes(CAPS["report.html"])}
    content = zipped(list(members.items()), compression)
    assert len(content) < 1 << 20
    with pytest.raises(BundleError, match="compressed"):
        read_bundle(content)


def test_a_member_that_claims_more_bytes_than_its_cap_is_refused() -> None:
    content = bytearray(CONTENT)
    content[DIRECTORY + 24 : DIRECTORY + 28] = (CAPS[MANIFEST] + 1).to_bytes(4, "little")
    with pytest.raises(BundleError, match=naming("manifest.json", "1048577", "1048576")):
        read_bundle(bytes(content))


def test_an_encrypted_member_is_refused() -> None:
    content = bytearray(CONTENT)
    content[DIRECTORY + 8] |= 1
    content[6] |= 1
    with pytest.raises(BundleError, match="is encrypted"):
        read_bundle(bytes(content))


def test_an_archive_of_very_many_members_is_refused_before_its_directory_is_read() -> None:
    directory = CONTENT[DIRECTORY:END] * 20_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 5, 5, len(directory), 0, 0)
    with pytest.raises(BundleError, match=f"cap {MAX_DIRECTORY_BYTES}"):
        read_bundle(directory + end)


def test_a_zip64_directory_is_refused() -> None:
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    with pytest.raises(BundleError, match="directory"):
        read_bundle(CONTENT[:END] + locator + CONTENT[END:])


def test_a_member_that_claims_to_start_beyond_all_memory_is_refused() -> None:
    name_end = DIRECTORY + 46 + len(MANIFEST)
    offset = struct.pack("<HHQ", 1, 8, 2**64 - 1)  # ZIP64: where the local header really is
    entry = bytearray(CONTENT[DIRECTORY:name_end])
    entry[30:32] = len(offset).to_bytes(2, "little")
    entry[42:46] = b"\xff" * 4
    directory = bytes(entry) + offset + CONTENT[name_end:END]
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 5, 5, len(directory), DIRECTORY, 0)
    with pytest.raises(BundleError, match="read"):
        read_bundle(CONTENT[:DIRECTORY] + directory + tail)


@pytest.mark.parametrize("tail", [b"\0", b"PK", b"x" * 100], ids=["zero", "PK", "text"])
def test_bytes_after_the_end_are_refused(tail: bytes) -> None:
    with pytest.raises(BundleError, match="ZIP"):
        read_bundle(CONTENT + tail)


@pytest.mark.parametrize("name", [name for name in CAPS if name != MANIFEST])
def test_a_member_that_was_replaced_is_refused_with_both_digests(name: str) -> None:
    members = members_of(CONTENT) | {name: b"another"}
    with pytest.raises(DigestMismatchError, match="manifest") as caught:
        read_bundle(write_archive(members))
    assert caught.value.code == "digest_mismatch"
    assert name in str(caught.value)


@pytest.mark.parametrize("kept", [0, 3, 5])
def test_a_manifest_that_does_not_list_every_member_once_is_refused(kept: int) -> None:
    members = members_of(CONTENT)
    manifest = read_manifest(members[MANIFEST])
    files: tuple[MemberFile, ...] = (manifest.files + manifest.files[:1])[:kept]
    members[MANIFEST] = write_manifest(manifest.model_copy(update={"files": files}))
    with pytest.raises(ManifestError, match="files"):
        read_bundle(write_archive(members))


def test_a_bundle_of_an_unknown_schema_is_refused_as_a_manifest_error() -> None:
    members = members_of(CONTENT)
    members[MANIFEST] = members[MANIFEST].replace(b'"schema_version": 1', b'"schema_version": 9')
    with pytest.raises(ManifestError, match=naming("schema_version 9", "1")):
        read_bundle(write_archive(members))


def test_bundle_of_a_file_is_in_memory_once(tmp_path: Path) -> None:
    path, size = tmp_path / "large.zip", 16 << 20
    written = write_bundle(path, make_manifest(), make_members(make_manifest(), bytes(size)))
    tracemalloc.start()
    try:
        loaded = load_bundle(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (parts(loaded), loaded.sha256) == (parts(written), written.sha256)
    assert loaded.size == len(written.content)
    assert size < peak < 1.5 * size


def test_digest_of_a_file_is_that_of_the_members_that_were_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pump.zip"
    write_bundle(path, make_manifest(), make_members(make_manifest()))
    read = zipfile.ZipFile.read

    def read_and_overwrite(archive: zipfile.ZipFile, name: str) -> bytes:
        content = read(archive, name)
        if name == "report.html":  # the last of them
            at = path.read_bytes().index(b"no graph")
            with path.open("r+b") as file:
                file.seek(at)
                file.write(b"evil one")
        return content

    monkeypatch.setattr(zipfile.ZipFile, "read", read_and_overwrite)
    loaded = load_bundle(path)
    assert (loaded.model, loaded.sha256) == (b"no graph", BUNDLE.sha256)
    assert b"evil one" in path.read_bytes()


def test_overlapping_members_are_refused() -> None:
    content = bytearray(CONTENT)
    other = DIRECTORY + 46 + len(MANIFEST)
    content[other + 42 : other + 46] = (1).to_bytes(4, "little")  # the second begins in the first
    with pytest.raises(BundleError, match="read"):
        read_bundle(bytes(content))
