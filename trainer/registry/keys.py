"""Signing keys: a folder of Ed25519 keys, one PEM file each, and the trusted root beside them.

    <folder>/root.json             the newest root metadata: public; what gateways are given
    <folder>/<role>-<id>.pem       a private key (PKCS#8), readable by its owner only

The folder can be split: whoever only re-signs the timestamp needs online-*.pem and root.json, and
whoever publishes targets-*.pem as well; root-*.pem belong offline. Which key may sign what is told
by the root, never by the file's name.

The root is read from here and not from the registry, because the registry is a place that others
can write: a root found there could make us sign what we never published.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # public, but not in an __all__

from models.errors import MillhandError
from models.files import sync_directory

_ID_DIGITS: Final = 8
_MAX_KEY_BYTES: Final = 4096


class KeysError(MillhandError):
    """A key is missing, unreadable or locked; the message names the folder and what to do."""

    code: ClassVar[str] = "keys"


@dataclass(frozen=True, slots=True)
class Keys:
    """A folder of keys.

    Attributes:
        folder: where they are; made with mode 0700 by the first `create`.
        passphrase_file: a file whose first line unlocks them; None for keys without a passphrase.
    """

    folder: Path
    passphrase_file: Path | None = None

    @property
    def root(self) -> Path:
        """The trusted root: install this file on every gateway."""
        return self.folder / "root.json"

    def create(self, role: str) -> CryptoSigner:
        """Make a key for a role and keep it; an existing file is never replaced.

        Raises:
            KeysError: the folder cannot be written, or the passphrase not be read.
        """
        private = Ed25519PrivateKey.generate()
        signer = CryptoSigner(private)
        content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, self._encryption())
        path = self.folder / f"{role}-{signer.public_key.keyid[:_ID_DIGITS]}.pem"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            sync_directory(self.folder)
        except OSError as exc:
            raise KeysError(f"{path} cannot be written: {exc.strerror}") from exc
        return signer

    def held(self) -> dict[str, CryptoSigner]:
        """All keys of the folder, by key id.

        Raises:
            KeysError: a file cannot be read or unlocked, or holds another kind of key.
        """
        signers = [self._signer(path) for path in sorted(self.folder.glob("*.pem"))]
        return {signer.public_key.keyid: signer for signer in signers}

    def _signer(self, path: Path) -> CryptoSigner:
        try:
            with path.open("rb") as file:
                private = load_pem_private_key(file.read(_MAX_KEY_BYTES), self._passphrase())
        except OSError as exc:
            raise KeysError(f"{path} cannot be read: {exc.strerror}") from exc
        except TypeError as exc:  # one is locked and no passphrase was given, or the reverse
            raise KeysError(f"{path}: {exc}; see --passphrase-file") from exc
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise KeysError(
                f"{path} is no PEM private key, or the passphrase is not the right one"
            ) from exc
        if not isinstance(private, Ed25519PrivateKey):
            raise KeysError(f"{path} holds another kind of key; allowed is Ed25519")
        return CryptoSigner(private)

    def _passphrase(self) -> bytes | None:
        if self.passphrase_file is None:
            return None
        try:
            lines = self.passphrase_file.read_bytes().splitlines()
        except OSError as exc:
            raise KeysError(f"{self.passphrase_file} cannot be read: {exc.strerror}") from exc
        if not lines or not lines[0]:
            raise KeysError(f"{self.passphrase_file} is empty: its first line is the passphrase")
        return lines[0]

    def _encryption(self) -> KeySerializationEncryption:
        passphrase = self._passphrase()
        return NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
