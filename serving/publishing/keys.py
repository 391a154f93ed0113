"""Signing keys: a folder of Ed25519 keys, and what their owner has to remember, beside them.

    <folder>/root.json             the newest root metadata: public; to be installed on gateways
    <folder>/<role>-<id>.pem       a private key (PKCS#8), readable by its owner only
    <folder>/sealed.json           the newest metadata that was signed or seen here
    <folder>/audit.jsonl           a line for each publication, revocation, rotation and refresh
    <folder>/.lock                 lets one process at a time sign

The folder can be split: a machine that only signs the timestamp anew needs online-*.pem and
root.json, one that publishes needs targets-*.pem as well, and root-*.pem belong offline. The root
metadata decides which key may sign what; the names of the files do not.

All this is kept here and not in the registry, because others may be able to write to the registry:
a root found there could make us sign what we never published, and a lock that is a symbolic link
would have another file opened for writing.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # public, but not in an __all__

from models.errors import MillhandError
from models.files import sync_directory
from serving.publishing.locked_key import is_locked, locked

_ID_DIGITS: Final = 8
_MAX_KEY_BYTES: Final = 4096
_MAX_PASSPHRASE_BYTES: Final = 4096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LOCK_WAIT_S: Final = 60.0
_LOCK_LOOK_S: Final = 0.05


class KeysError(MillhandError):
    """A key is missing, unreadable or locked; the message has the folder and the remedy."""

    code: ClassVar[str] = "keys"


@dataclass(frozen=True, slots=True)
class Keys:
    """A folder of keys.

    Attributes:
        folder: path of the folder, which only its owner may read.
        passphrase_file: path of a file whose first line is the passphrase of the keys; None for
            keys without a passphrase.
        accepts_restored: whether a registry may be signed that is older than, or different from,
            what `sealed.json` remembers: for a registry that was restored from a backup.
    """

    folder: Path
    passphrase_file: Path | None = None
    accepts_restored: bool = False

    @property
    def root(self) -> Path:
        """Path of the trusted root, which is to be installed on every gateway."""
        return self.folder / "root.json"

    @property
    def sealed(self) -> Path:
        """Path of the record of what was signed or seen last."""
        return self.folder / "sealed.json"

    @property
    def audit(self) -> Path:
        """Path of the file with a line for each act."""
        return self.folder / "audit.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time sign with these keys.

        Raises:
            KeysError: the folder is missing or cannot be written, or another process signs for a
                minute.
        """
        path = self.folder / ".lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as exc:
            raise KeysError(f"{path} cannot be written: {exc.strerror}") from exc
        try:
            ends_at = time.monotonic() + _LOCK_WAIT_S
            while not _is_taken(descriptor):
                if time.monotonic() > ends_at:
                    raise KeysError(
                        f"another process is signing with the keys in {self.folder}; it holds"
                        f" {path}"
                    )
                time.sleep(_LOCK_LOOK_S)
            yield
        finally:
            os.close(descriptor)

    def make_folder(self) -> None:
        """Make the folder, readable by its owner only, unless it exists.

        Raises:
            KeysError: it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise KeysError(f"{self.folder} cannot be written: {exc.strerror}") from exc

    def create(self, role: str) -> CryptoSigner:
        """Make a key for a role, and write it to the folder; an existing file is never replaced.

        Raises:
            KeysError: the folder cannot be written, or the passphrase cannot be read.
        """
        private = Ed25519PrivateKey.generate()
        signer = CryptoSigner(private)
        content = self._written(private)
        self.make_folder()
        path = self.folder / f"{role}-{signer.public_key.keyid[:_ID_DIGITS]}.pem"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            sync_directory(self.folder)
        except OSError as exc:
            raise KeysError(f"{path} cannot be written: {exc.strerror}") from exc
        return signer

    def signers(self) -> dict[str, CryptoSigner]:
        """All keys of the folder, ready to sign, by key id.

        Raises:
            KeysError: a file cannot be read or unlocked, or is not an Ed25519 key.
        """
        signers = [self._signer(path) for path in self._files()]
        return {signer.public_key.keyid: signer for signer in signers}

    def warnings(self) -> tuple[str, ...]:
        """Sentences on keys that whoever reads the folder, or a copy of it, could sign with."""
        open_keys = [path.name for path in self._files() if not is_locked(_content(path))]
        shown = [path.name for path in self._files() if path.stat().st_mode & _OTHERS]
        return tuple(
            f"{self.folder}: {', '.join(names)} {what}"
            for names, what in (
                (open_keys, "kept without a passphrase: see docs/registry.md, 'Lock the keys'"),
                (shown, "may be read by other users: chmod 600"),
            )
            if names
        )

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.pem"))

    def _signer(self, path: Path) -> CryptoSigner:
        try:
            private = load_pem_private_key(_content(path), self._passphrase())
        except TypeError as exc:
            words = "has no passphrase, but one was given: the keys of a folder have one, or none"
            if is_locked(_content(path)):
                words = "is locked: give its passphrase by --passphrase-file"
            raise KeysError(f"{path} {words}") from exc
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise KeysError(f"{path} is not a PEM private key, or the passphrase is wrong") from exc
        if not isinstance(private, Ed25519PrivateKey):
            raise KeysError(f"{path} is another kind of key; allowed is Ed25519")
        return CryptoSigner(private)

    def _written(self, private: Ed25519PrivateKey) -> bytes:
        passphrase = self._passphrase()
        if passphrase is None:
            return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return locked(private, passphrase)

    def _passphrase(self) -> bytes | None:
        path = self.passphrase_file
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                lines = file.read(_MAX_PASSPHRASE_BYTES).splitlines()
        except OSError as exc:
            raise KeysError(f"{path} cannot be read: {exc.strerror}") from exc
        if mode & _OTHERS and not _is_credential(path):
            raise KeysError(
                f"{path} has the mode {stat.S_IMODE(mode):04o}, so other users may read the"
                f" passphrase: chmod 600 {path}"
            )
        if not lines or not lines[0]:
            raise KeysError(f"{path} is empty: its first line is the passphrase")
        return lines[0]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as exc:
        raise KeysError(f"{path} cannot be read: {exc.strerror}") from exc


def _is_credential(path: Path) -> bool:
    """Whether systemd put the file there: it may give a group's mode to an access list's mask.

    The folder itself is closed to other users (systemd.exec(5), LoadCredential=).
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and path.resolve().parent == Path(str(folder)).resolve()


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
