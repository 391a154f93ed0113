"""The bundle: one reproducible archive of a manifest and the members whose digests it has."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from models.bundle.archive import read_archive, write_archive
from models.bundle.identity import BundleRef
from models.bundle.manifest import Manifest, MemberFile
from models.bundle.manifest_json import read_manifest, write_manifest
from models.errors import BundleError, DigestMismatchError, ManifestError
from models.files import write_atomically

MANIFEST: Final = "manifest.json"
CAPS: Final = {
    MANIFEST: 1 << 20,
    "model.onnx": (2 << 30) - (128 << 20),
    "golden.npz": 64 << 20,
    "reference.json": 16 << 20,
    "report.html": 32 << 20,
}
"""The members of a bundle, in their order, and the bytes that each of them may have at most."""
MAX_BUNDLE_BYTES: Final = (2 << 30) - 1
"""Neither a ZIP archive without the extension ZIP64 nor a message of protobuf is longer."""


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """A bundle whose members have the digests that its manifest names.

    That is no proof of origin: only the registry's signatures say whether a bundle may be trusted.

    Attributes:
        manifest: manifest of the bundle.
        model: bytes of model.onnx.
        golden: bytes of golden.npz.
        reference: bytes of reference.json.
        report: bytes of report.html.
        sha256: digest of the whole archive, 64 hexadecimal digits.
        size: bytes of the whole archive, which are not kept: a large model is in memory only once.
    """

    manifest: Manifest
    model: bytes = field(repr=False)
    golden: bytes = field(repr=False)
    reference: bytes = field(repr=False)
    report: bytes = field(repr=False)
    sha256: str
    size: int

    @property
    def ref(self) -> BundleRef:
        """The reference to this bundle."""
        manifest = self.manifest
        return BundleRef(manifest.stream, manifest.seq, self.sha256, self.size, manifest.version)


@dataclass(frozen=True, slots=True)
class Bundle(StoredBundle):
    """A bundle together with the bytes of its archive.

    Attributes:
        content: bytes of the whole archive.
    """

    content: bytes = field(repr=False)


def write_bundle(path: Path, manifest: Manifest, members: dict[str, bytes]) -> Bundle:
    """Pack a bundle, and write it atomically to a file.

    Args:
        path: path of the file; its folder is made if it does not exist.
        manifest: manifest of the bundle; its `files` are filled in here.
        members: content of each member other than the manifest, by its name.

    Raises:
        BundleError: see `pack_bundle`.
        OSError: see `write_atomically`.
    """
    bundle = pack_bundle(manifest, members)
    write_atomically(path, bundle.content)
    return bundle


def pack_bundle(manifest: Manifest, members: dict[str, bytes]) -> Bundle:
    """Pack a bundle in memory, and read it back as a gateway does.

    Args:
        manifest: manifest of the bundle; its `files` are filled in here.
        members: content of each member other than the manifest, by its name.

    Raises:
        BundleError: a member is missing, unknown or too large.
    """
    expected = [name for name in CAPS if name != MANIFEST]
    if sorted(members) != sorted(expected):
        raise BundleError(f"a bundle has the members {expected}, given were {sorted(members)}")
    files = tuple(
        MemberFile(name=name, sha256=_sha256(members[name]), size=len(members[name]))
        for name in expected
    )
    head = write_manifest(manifest.model_copy(update={"files": files}))
    return read_bundle(write_archive({MANIFEST: head, **{n: members[n] for n in expected}}))


def read_bundle(content: bytes) -> Bundle:
    """Read a bundle from the bytes of its archive.

    Raises:
        BundleError: the content is not a ZIP archive, or its members or sizes are not allowed.
        ManifestError: see `read_manifest`.
        DigestMismatchError: a member has another digest or size than the manifest says.
    """
    one = _read(io.BytesIO(content), len(content))
    parts = (one.manifest, one.model, one.golden, one.reference, one.report, one.sha256, one.size)
    return Bundle(*parts, content)


def load_bundle(path: Path) -> StoredBundle:
    """Read a bundle from its file, with each member in memory once.

    Raises:
        BundleError, ManifestError, DigestMismatchError: see `read_bundle`.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return _read(file, path.stat().st_size)


def _read(file: BinaryIO, size: int) -> StoredBundle:
    if size > MAX_BUNDLE_BYTES:
        raise BundleError(f"the bundle has {size} bytes, cap {MAX_BUNDLE_BYTES}")
    archive = read_archive(file, CAPS, name="the bundle")
    members = archive.members
    manifest = read_manifest(members[MANIFEST])
    _check_digests(manifest, members)
    return StoredBundle(
        manifest=manifest,
        model=members["model.onnx"],
        golden=members["golden.npz"],
        reference=members["reference.json"],
        report=members["report.html"],
        sha256=archive.sha256,
        size=archive.size,
    )


def _check_digests(manifest: Manifest, members: Mapping[str, bytes]) -> None:
    promised = [file.name for file in manifest.files]
    expected = [name for name in CAPS if name != MANIFEST]
    if sorted(promised) != sorted(expected):
        raise ManifestError(f"manifest.json: files must list {expected}, found {promised[:10]}")
    for file in manifest.files:
        found = _sha256(members[file.name])
        if (found, len(members[file.name])) != (file.sha256, file.size):
            raise DigestMismatchError(
                f"{file.name} has sha256 {found} and {len(members[file.name])} bytes, "
                f"the manifest says {file.sha256} and {file.size}"
            )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
