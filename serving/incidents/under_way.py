"""Which model, and which input, was under way when the process died.

    hot thread   infer ──► onnxruntime ──► done        one byte each, a few nanoseconds
    worker       load  ──► onnxruntime ──► loaded
    next start   `death`: what the process before had begun and not ended

The notes stand in a page of a file that is mapped into memory and shared (mmap(2), MAP_SHARED). The
kernel keeps it when the process is killed, be it by a segmentation fault, by the watchdog or for
want of memory, so nothing has to be synced in the hot loop. A power cut loses the page, and the
boot id in it tells whether the machine was restarted: neither is the fault of a model.
"""

import mmap
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_DIGEST: Final = 32  # bytes of a SHA-256
INPUT_BYTES: Final = 16
"""Bytes of the digest by which an input is known."""

# Offsets in the page.
_BOOT: Final = 0
_INFERRING: Final = 16
_MODEL: Final = slice(_INFERRING + 1, _INFERRING + 1 + _DIGEST)
_HAS_INPUT: Final = _MODEL.stop
_INPUT: Final = slice(_HAS_INPUT + 1, _HAS_INPUT + 1 + INPUT_BYTES)
_LOADING: Final = _INPUT.stop
_LOADED: Final = slice(_LOADING + 1, _LOADING + 1 + _DIGEST)


@dataclass(frozen=True, slots=True)
class Death:
    """How the process before has ended, where a model was at work in that moment.

    Attributes:
        sha256: digest of the model's bundle, 64 hexadecimal digits.
        is_loading: whether the model was being loaded; if not, it was inferring.
        input: digest of the input that was inferred, `INPUT_BYTES` long; empty where it was not
            noted.
    """

    sha256: str
    is_loading: bool = False
    input: bytes = b""


class UnderWay:
    """Notes what is under way, where a later process finds it.

    `infer` and `done` belong to the hot thread, `load` and `loaded` to one thread at a time.

    Args:
        path: the file, which is created; None keeps the notes in memory only, for programs that
            need no memory of their death.

    Attributes:
        death: how the process before has ended; None if it ended in peace, while no model was at
            work, or before the machine was started.

    Raises:
        OSError: the file cannot be created, or is a symbolic link.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.death: Death | None = None
        self._model = b""
        if path is None:
            self._page = mmap.mmap(-1, mmap.PAGESIZE)
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            os.ftruncate(descriptor, mmap.PAGESIZE)
            self._page = mmap.mmap(descriptor, mmap.PAGESIZE)
        finally:
            os.close(descriptor)
        boot = _boot()
        if self._page[_BOOT : _BOOT + len(boot)] == boot:
            self.death = self._read()
        self._page[:] = boot.ljust(mmap.PAGESIZE, b"\0")

    def infer(self, sha256: bytes, input_digest: bytes = b"") -> None:
        """Note that a model is about to infer.

        Args:
            sha256: digest of its bundle, 32 bytes.
            input_digest: digest of the only input that is inferred, `INPUT_BYTES` long; empty if
                there are several, or none is suspected.
        """
        page = self._page
        if sha256 is not self._model:
            page[_MODEL] = self._model = sha256
        if input_digest:
            page[_INPUT] = input_digest
            page[_HAS_INPUT] = 1
        page[_INFERRING] = 1

    def done(self) -> None:
        """Note that the inference is over."""
        self._page[_INFERRING] = self._page[_HAS_INPUT] = 0

    def load(self, sha256: str) -> None:
        """Note that a bundle is about to be loaded; its digest in 64 hexadecimal digits."""
        self._page[_LOADED] = bytes.fromhex(sha256)
        self._page[_LOADING] = 1

    def loaded(self) -> None:
        """Note that the bundle was loaded or refused."""
        self._page[_LOADING] = 0

    def _read(self) -> Death | None:
        page = self._page
        if page[_LOADING]:
            return Death(page[_LOADED].hex(), is_loading=True)
        if page[_INFERRING]:
            return Death(page[_MODEL].hex(), input=page[_INPUT] if page[_HAS_INPUT] else b"")
        return None


def _boot() -> bytes:
    """The id of this run of the machine (random(4)), 16 bytes; zeros where there is none."""
    with suppress(OSError, ValueError):
        return UUID(_BOOT_ID.read_text().strip()).bytes
    return bytes(16)
