"""What has become of the proof of each bundle, on disk: <state_dir>/proofs/<sha256>.json.

A record is written before the proof begins, and again with its outcome. So a start loads at once
what has passed before, a bundle that has failed is neither downloaded nor proven again, and a proof
that takes the machine down is remembered.

A record holds under the conditions that it names: another version of onnxruntime, or other limits,
make it void. A damaged one counts as none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.files import write_atomically
from serving.proof.settings import Proof

MAX_REFUSED: Final = 64
"""Records of refused bundles that are kept, the newest; 4 kB of digests in a request to pull."""


class Conditions(BaseModel):
    """What the outcome of a proof depends on, beside the bundle.

    Attributes:
        runtime: version of onnxruntime.
        batch: number of windows in the largest batch.
        limits: the limits of the proof.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: str
    batch: int
    limits: Proof


class Record(BaseModel):
    """The file of one bundle.

    Attributes:
        conditions: what the outcome depends on.
        state: `begun` while the proof is under way; it stays where the machine or the program ended
            during the proof. `passed` or `refused` afterwards.
        tries: number of proofs under these conditions that have begun and did not pass.
        error: code of the refusal; empty without one.
        message: the refusal in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    conditions: Conditions
    state: Literal["begun", "passed", "refused"]
    tries: Annotated[int, Field(ge=0)] = 0
    error: str = ""
    message: str = ""


class Records:
    """The records of all bundles under the present conditions.

    Args:
        folder: folder of the records; it is made when the first is written.
        conditions: the present ones.
    """

    def __init__(self, folder: Path, conditions: Conditions) -> None:
        self.conditions = conditions
        self._folder = folder

    def find(self, sha256: str) -> Record | None:
        """The record of a bundle; None without one that holds under the present conditions."""
        try:
            record = Record.model_validate_json(self._path(sha256).read_bytes())
        except (OSError, ValidationError):
            return None
        return record if record.conditions == self.conditions else None

    def write(self, sha256: str, record: Record) -> None:
        """Write the record of a bundle, so that it survives a power cut.

        Raises:
            OSError: the disk is full or broken; the record before stands.
        """
        write_atomically(self._path(sha256), record.model_dump_json(indent=1).encode())

    def remove(self, sha256: str) -> None:
        """Remove the record of a bundle, if there is one.

        Raises:
            OSError: the folder cannot be written.
        """
        self._path(sha256).unlink(missing_ok=True)

    def sweep(self, kept: set[str]) -> None:
        """Remove the records of bundles that are gone, but for the newest refusals.

        Args:
            kept: digests of the bundles that are on disk.

        Raises:
            OSError: the folder cannot be read or written.
        """
        gone = [sha256 for sha256 in self._newest_first() if sha256 not in kept]
        refused = [sha256 for sha256 in gone if not self._has_passed(sha256)]
        for sha256 in {*gone} - {*refused[:MAX_REFUSED]}:
            self.remove(sha256)

    def all(self) -> Iterator[tuple[str, Record]]:
        """Every record that holds under the present conditions, by its digest, the newest first."""
        for sha256 in self._newest_first():
            if (record := self.find(sha256)) is not None:
                yield sha256, record

    def _newest_first(self) -> list[str]:
        found = [(path.stat().st_mtime_ns, path.stem) for path in self._folder.glob("*.json")]
        return [sha256 for _, sha256 in sorted(found, reverse=True)]

    def _has_passed(self, sha256: str) -> bool:
        record = self.find(sha256)
        return record is None or record.state == "passed"

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.json"
