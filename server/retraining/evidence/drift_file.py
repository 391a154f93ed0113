"""How long drift has lasted, over a start of the server: the file `drift.json`.

It is written every minute while there is drift, and when the server stops; so a server that is
killed forgets a minute at most. Where it cannot be read, drift counts from the next word on.
"""

from pathlib import Path
from time import monotonic
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle.manifest import Name, Sha256
from models.files import write_atomically
from serving import log

DOCUMENT: Final = "drift.json"
MAX_LASTING: Final = 100_000
"""Most entries of the file."""
_MAX_BYTES: Final = 64 << 20
_MOST_S: Final = 60.0


class Lasting(BaseModel):
    """Drift that a gateway has told of a stream until now.

    Attributes:
        gateway: id of the gateway.
        stream: name of the stream.
        sha256: digest of the bundle that serves; None where the gateway has not said.
        began_ns: when it was first told, nanoseconds since 1970.
        heard_ns: when it was last told, likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: Name
    stream: Name
    sha256: Sha256 | None = None
    began_ns: int
    heard_ns: int


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    lasting: Annotated[tuple[Lasting, ...], Field(max_length=MAX_LASTING)]


class DriftFile:
    """The file. One thread owns it.

    Args:
        folder: its folder.
        silent_s: seconds without a word of a gateway after which its drift counts anew.
        log_interval_s: seconds in which a trouble is logged at most once.
    """

    def __init__(self, folder: Path, silent_s: float, log_interval_s: float) -> None:
        self._path = folder / DOCUMENT
        self._every_s, self._due_s = min(_MOST_S, silent_s / 4), 0.0
        self._written: tuple[Lasting, ...] = ()
        self._log = log.Limited(log_interval_s)

    @property
    def is_due(self) -> bool:
        """Whether it is time to write it."""
        return monotonic() >= self._due_s

    def read(self) -> tuple[Lasting, ...]:
        """What was written before the server's start; empty where it cannot be read."""
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_BYTES)  # what is cut off is no JSON
            self._written = _Content.model_validate_json(content).lasting
        except FileNotFoundError:
            pass
        except (OSError, ValidationError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is damaged"
            log.warning("drift counts anew", file=self._path, reason=reason)
        return self._written

    def write(self, lasting: tuple[Lasting, ...]) -> None:
        """Replace it by what there is now; where it cannot be written, that is logged."""
        self._due_s = monotonic() + self._every_s
        if lasting == self._written:
            return
        try:
            content = _Content(lasting=lasting).model_dump_json().encode()
            write_atomically(self._path, content, mode=0o600)
        except OSError as exc:
            self._log.warning(
                "drift", "drift will count anew", file=self._path, reason=exc.strerror
            )
            return
        self._written = lasting
