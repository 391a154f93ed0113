"""ZIP archives with fixed members, in memory only.

Written stored (not deflated) and with fixed dates, so that the same members give the same bytes on
every machine and every zlib. Read so that nothing in an archive can choose a path or a size: its
directory is bounded before an object is made of it, members are asked for by name, and a compressed
one is refused, so none unpacks to more than the archive holds.
"""

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Final

from models.errors import BundleError

MAX_DIRECTORY_BYTES: Final = 4096
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_END: Final = struct.Struct("<4s4H2LH")
"""End of central directory, .ZIP File Format Specification 6.3.10, section 4.3.16."""
_ZIP64_LOCATOR_BYTES: Final = 20


def write_archive(members: Mapping[str, bytes]) -> bytes:
    """Pack `members` in their order; the same members give the same bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, member in members.items():
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, member)
    return content.getvalue()


def read_archive(content: bytes, caps: Mapping[str, int], *, name: str) -> dict[str, bytes]:
    """Unpack the members named by `caps`, none of which may have more bytes than its cap.

    Args:
        content: the whole archive.
        caps: the members it must have, no more and no fewer, and the most bytes of each.
        name: what the archive is, for messages.

    Raises:
        BundleError: not such an archive.
    """
    _check_end(content, name)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive.infolist(), caps, name)
            return {member: archive.read(member) for member in caps}
    except (
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        OverflowError,  # of a ZIP64 offset
        ValueError,
        struct.error,
    ) as exc:
        raise BundleError(f"{name} is not a ZIP archive that can be read: {exc}") from exc


def _check_end(content: bytes, name: str) -> None:
    """Refuse a directory that is larger than a bundle's, before it is read.

    `zipfile` would make an object of every entry: millions fit into a bundle's size. It looks for
    the end behind a comment and for a ZIP64 locator too, so neither is let through.
    """
    end, locator = content[-_END.size :], content[-_END.size - _ZIP64_LOCATOR_BYTES :][:4]
    if len(end) < _END.size or end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise BundleError(f"{name} does not end as a ZIP archive does: truncated, or not a ZIP")
    size = _END.unpack(end)[5]
    if locator == b"PK\x06\x07" or size > MAX_DIRECTORY_BYTES:
        raise BundleError(f"{name} has a directory of {size} bytes, cap {MAX_DIRECTORY_BYTES}")


def _check_members(infos: list[zipfile.ZipInfo], caps: Mapping[str, int], name: str) -> None:
    found = [info.filename for info in infos]
    if sorted(found) != sorted(caps):
        raise BundleError(f"{name} has exactly the members {list(caps)}, found {found}")
    for info in infos:
        if info.file_size > caps[info.filename]:
            cap = caps[info.filename]
            raise BundleError(f"{info.filename} has {info.file_size} bytes, cap {cap}")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise BundleError(f"{info.filename} is compressed; members of {name} are stored")
        if info.flag_bits & 0x1:
            raise BundleError(f"{info.filename} is encrypted; bundles are signed, not encrypted")
