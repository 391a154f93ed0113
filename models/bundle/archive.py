"""ZIP archives with fixed members; each member is held in memory once.

Members are stored without compression and with a fixed date, so that the same members give the
same bytes on every machine, whatever its version of zlib. Reading does not trust the archive: the
size of its directory is checked before `zipfile` makes objects of it, members are read by known
names and never written to paths, and compressed members are refused, so that a small archive cannot
unpack to gigabytes (a ZIP bomb).
"""

import hashlib
import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from models.errors import BundleError

MAX_DIRECTORY_BYTES: Final = 4096
"""Bytes of the central directory at most; that of a bundle, with five members, takes about 300."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest date that ZIP can express
_END: Final = struct.Struct("<4s4H2LH")
"""End of central directory, .ZIP File Format Specification 6.3.10, section 4.3.16."""
_LOCAL: Final = struct.Struct("<26s2H")
"""Local file header with the lengths of name and extra field (section 4.3.7)."""
_ZIP64_LOCATOR_BYTES: Final = 20
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,  # an offset of ZIP64 that is too large to seek to
    ValueError,
    struct.error,
)
"""All that `zipfile` raises for bytes that are no archive, or a damaged one."""


class Archive(NamedTuple):
    """An archive that was read.

    Attributes:
        members: content of each member, by its name.
        sha256: digest of the whole archive, 64 hexadecimal digits.
        size: bytes of the whole archive.
    """

    members: Mapping[str, bytes]
    sha256: str
    size: int


def write_archive(members: Mapping[str, bytes]) -> bytes:
    """Pack members into a ZIP archive; the same members in the same order give the same bytes.

    Args:
        members: content of each member, by its name.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, member in members.items():
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.create_system = 3  # Unix, on whichever system this runs
            info.external_attr = 0o644 << 16
            archive.writestr(info, member)
    return content.getvalue()


def read_archive(file: BinaryIO, caps: Mapping[str, int], *, name: str) -> Archive:
    """Read all members of an archive.

    Args:
        file: the archive, which is read from its start.
        caps: the members that it must have, no more and no fewer, with the bytes that each of them
            may have at most.
        name: name of the archive in messages.

    Raises:
        BundleError: the content is not a ZIP archive, or one with other members, too large,
            compressed or encrypted ones.
        OSError: the file cannot be read.
    """
    _check_end(file, name)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check_members(infos, caps, name)
            members = {member: archive.read(member) for member in caps}
    except _UNREADABLE as exc:
        raise BundleError(f"{name} is not a ZIP archive that can be read: {exc}") from exc
    return Archive(members, *_digest(file, infos, members, name))


def read_member(path: Path, name: str, size: int) -> bytes:
    """Read one member of an archive on disk, without the others.

    Args:
        path: path of the archive, which `read_archive` has accepted before.
        name: name of the member.
        size: bytes that it must have.

    Raises:
        BundleError: the file is gone or cannot be read, or the member is not there, compressed or
            of another size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(name)
            if (info.file_size, info.compress_type) != (size, zipfile.ZIP_STORED):
                raise BundleError(f"{name} in {path} has {info.file_size} bytes, not {size}")
            return archive.read(info)
    except (*_UNREADABLE, OSError, KeyError) as exc:
        raise BundleError(f"{name} in {path} cannot be read: {exc}") from exc


def _digest(
    file: BinaryIO, infos: list[zipfile.ZipInfo], members: Mapping[str, bytes], name: str
) -> tuple[str, int]:
    """SHA-256 and size of an archive, with the members as they are in memory.

    Only what is around them is read from the file once more. So the digest is that of the members
    which are used, even if somebody has written to the file in between.
    """
    digest, at = hashlib.sha256(), 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        file.seek(info.header_offset)
        lengths = _LOCAL.unpack(file.read(_LOCAL.size))[1:]
        begin = info.header_offset + _LOCAL.size + sum(lengths)
        if info.header_offset < at:
            raise BundleError(f"{name} is not a ZIP archive that can be read: members overlap")
        file.seek(at)
        digest.update(file.read(begin - at))
        digest.update(members[info.filename])
        at = begin + len(members[info.filename])
    file.seek(at)
    rest = file.read()
    digest.update(rest)
    return digest.hexdigest(), at + len(rest)


def _check_end(file: BinaryIO, name: str) -> None:
    """Refuse an archive whose directory is larger than that of a bundle, before it is read.

    `zipfile` makes an object of each entry, and millions of them fit into the size of a bundle. It
    would also find a directory by way of an archive comment or of ZIP64, so both are refused.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END.size - _ZIP64_LOCATOR_BYTES))
    tail = file.read()
    end, locator = tail[-_END.size :], tail[: -_END.size][-_ZIP64_LOCATOR_BYTES:][:4]
    if len(end) < _END.size or end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise BundleError(f"{name} does not end as a ZIP archive does: truncated, or not a ZIP")
    size = _END.unpack(end)[5]
    if locator == b"PK\x06\x07" or size > MAX_DIRECTORY_BYTES:
        raise BundleError(f"{name} has a directory of {size} bytes, cap {MAX_DIRECTORY_BYTES}")


def _check_members(infos: list[zipfile.ZipInfo], caps: Mapping[str, int], name: str) -> None:
    names = [info.filename for info in infos]
    if sorted(names) != sorted(caps):
        raise BundleError(f"{name} has exactly the members {list(caps)}, found {names}")
    for info in infos:
        if info.file_size > caps[info.filename]:
            cap = caps[info.filename]
            raise BundleError(f"{info.filename} has {info.file_size} bytes, cap {cap}")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise BundleError(f"{info.filename} is compressed; members of {name} are stored")
        if info.flag_bits & 0x1:
            raise BundleError(f"{info.filename} is encrypted; bundles are signed, not encrypted")
