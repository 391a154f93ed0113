"""A private key as PKCS#8, locked by a passphrase.

`cryptography` 50 derives the key of the cipher with 2,048 rounds of PBKDF2, and lets nobody ask for
more: its `encryption_builder` is for OpenSSH and PKCS#12 only. So the envelope is written here: it
is the PBES2 of RFC 8018 (6.2, A.2, A.4) with PBKDF2-HMAC-SHA256 and AES-256-CBC, as in
`openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000`. `cryptography` and
OpenSSL read it.
"""

import os
from base64 import b64encode
from textwrap import wrap
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

ROUNDS: Final = 600_000
"""Rounds of PBKDF2-HMAC-SHA256, as OWASP's Password Storage Cheat Sheet asks for (2023)."""
_KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 16
# Tags of DER (X.690, 8) and the contents of the object identifiers (RFC 8018, appendix C).
_INTEGER, _OCTETS, _NULL, _OBJECT, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")
_HMAC_SHA256: Final = bytes.fromhex("2a864886f70d0209")
_AES256_CBC: Final = bytes.fromhex("60864801650304012a")
_LONG_FORM: Final = 0x80


def locked(private: Ed25519PrivateKey, passphrase: bytes) -> bytes:
    """The key as PEM, which only the passphrase opens.

    Args:
        private: the key.
        passphrase: the passphrase, at least one byte.
    """
    plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, start = os.urandom(_BLOCK_BYTES), os.urandom(_BLOCK_BYTES)
    key = PBKDF2HMAC(SHA256(), _KEY_BYTES, salt, ROUNDS).derive(passphrase)
    padder = PKCS7(8 * _BLOCK_BYTES).padder()
    cipher = Cipher(AES256(key), CBC(start)).encryptor()
    hidden = cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
    return _pem(_der(_SEQUENCE, _scheme(salt, start), _der(_OCTETS, hidden)))


def is_locked(content: bytes) -> bool:
    """Whether a PEM file says that a passphrase locks its key (RFC 7468, 11)."""
    return b"ENCRYPTED" in content


def _scheme(salt: bytes, start: bytes) -> bytes:
    """How the passphrase becomes a key, and the key opens the rest (RFC 8018, A.4)."""
    rounds = ROUNDS.to_bytes((ROUNDS.bit_length() + 8) // 8, "big")  # the first bit is the sign
    prf = _der(_SEQUENCE, _der(_OBJECT, _HMAC_SHA256), _der(_NULL))
    derivation = _der(_SEQUENCE, _der(_OCTETS, salt), _der(_INTEGER, rounds), prf)
    parts = (
        _der(_SEQUENCE, _der(_OBJECT, _PBKDF2), derivation),
        _der(_SEQUENCE, _der(_OBJECT, _AES256_CBC), _der(_OCTETS, start)),
    )
    return _der(_SEQUENCE, _der(_OBJECT, _PBES2), _der(_SEQUENCE, *parts))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1, "big")
    if len(content) >= _LONG_FORM:
        length = bytes([_LONG_FORM | len(length)]) + length
    return bytes([tag]) + length + content


def _pem(content: bytes) -> bytes:
    lines = wrap(b64encode(content).decode(), 64)
    head, tail = (f"-----{word} ENCRYPTED PRIVATE KEY-----" for word in ("BEGIN", "END"))
    return "\n".join([head, *lines, tail, ""]).encode()
