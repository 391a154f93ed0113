"""Signing keys: a folder of Ed25519 keys, one PEM file each, and the trusted root beside them.

    <folder>/root.json             the newest root metadata: public; to be installed on gateways
    <folder>/<role>-<id>.pem       a private key (PKCS#8), readable by its owner only

The folder can be split: a machine that only signs the timestamp anew needs online-*.pem and
root.json, one that publishes needs targets-*.pem as well, and root-*.pem belong offline. The root
metadata decides which key may sign what; the names of the files do not.

The root is read from this folder and not from the registry, because others may be able to write to
the registry: a root found there could make us sign what we never published.
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
    """A key is missing, unreadable or locked; the message has the folder and the remedy."""

    code: ClassVar[str] = "keys"


@dataclass(frozen=True, slots=True)
class Keys:
    """A folder of keys.

    Attributes:
        folder: path of the folder; the first `create` makes it, with mode 0700.
        passphrase_file: path of a file whose first line is the passphrase of the keys; None for
            keys without a passphrase.
    """

    folder: Path
    passphrase_file: Path | None = None

    @property
    def root(self) -> Path:
        """Path of the trusted root, which is to be installed on every gateway."""
        return self.folder / "root.json"

    def create(self, role: str) -> CryptoSigner:
        """Make a key for a role, and write it to the folder; an existing file is never replaced.

        Raises:
            KeysError: the folder cannot be written, or the passphrase cannot be read.
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

    def signers(self) -> dict[str, CryptoSigner]:
        """All keys of the folder, ready to sign, by key id.

        Raises:
            KeysError: a file cannot be read or unlocked, or is not an Ed25519 key.
        """
        signers = [self._signer(path) for path in sorted(self.folder.glob("*.pem"))]
        return {signer.public_key.keyid: signer for signer in signers}

    def _signer(self, path: Path) -> CryptoSigner:
        try:
            with path.open("rb") as file:
                private = load_pem_private_key(file.read(_MAX_KEY_BYTES), self._passphrase())
        except OSError as exc:
            raise KeysError(f"{path} cannot be read: {exc.strerror}") from exc
        except TypeError as exc:  # a locked key without a passphrase, or the reverse
            raise KeysError(f"{path}: {exc}; see --passphrase-file") from exc
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise KeysError(f"{path} is not a PEM private key, or the passphrase is wrong") from exc
        if not isinstance(private, Ed25519PrivateKey):
            raise KeysError(f"{path} is another kind of key; allowed is Ed25519")
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
