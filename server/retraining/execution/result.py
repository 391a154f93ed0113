"""What a training has given: its bundle, and how it compares with the champion."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle.package import load_bundle
from models.errors import BundleError
from models.files import write_atomically
from models.training import Outcome
from server.retraining.errors import RetrainingError
from server.retraining.proposal import Bundle

DOCUMENT: Final = "result.json"
OUTCOME: Final = "outcome.json"
_MAX_BYTES: Final = 1 << 20


class Result(BaseModel):
    """The result of a training.

    Attributes:
        bundle: the bundle that was trained.
        file: name of its file in the folder of the proposal.
        verdict: `better`, `worse` or `not shown to be better` than the champion; `not compared`
            where there was none, or the command has not said.
        said: the comparison in words.
        trouble: why no plan of a rollout could be made; empty where one was, or none is asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Bundle
    file: Annotated[str, Field(max_length=200)]
    verdict: str = "not compared"
    said: str = ""
    trouble: str = ""

    def write(self, folder: Path) -> None:
        """Write it into the folder of its proposal.

        Raises:
            OSError: the disk is full.
        """
        write_atomically(folder / DOCUMENT, self.model_dump_json(indent=2).encode())


def read_result(folder: Path) -> Result | None:
    """The result in the folder of a proposal; None where there is none."""
    try:
        return Result.model_validate_json((folder / DOCUMENT).read_bytes())
    except (OSError, ValidationError):
        return None


def trained(folder: Path, stream: str, seq: int) -> Result:
    """What a training has left in its folder.

    Args:
        folder: the folder of the proposal.
        stream: stream that the bundle must be of.
        seq: seq that it must have.

    Raises:
        RetrainingError: `training_failed`.
    """
    path = folder / f"{stream}-{seq}.zip"
    try:
        bundle = load_bundle(path)
    except (OSError, BundleError) as exc:
        raise RetrainingError(
            "training_failed", f"the command has left no bundle {path} that can be used: {exc}"
        ) from exc
    found = (bundle.manifest.stream, bundle.manifest.seq)
    if found != (stream, seq):
        raise RetrainingError(
            "training_failed",
            f"{path} is {found[0]}#{found[1]}, and {stream}#{seq} was asked for: give the command "
            "{seq}, and the recipe of this stream",
        )
    outcome = _outcome(folder / OUTCOME, bundle.sha256)
    comparison = outcome.comparison if outcome is not None else None
    one = Bundle(seq=seq, sha256=bundle.sha256)
    if comparison is None:
        return Result(bundle=one, file=path.name)
    return Result(bundle=one, file=path.name, verdict=comparison.verdict, said=comparison.said)


def _outcome(path: Path, sha256: str) -> Outcome | None:
    """What the trainer has said of this bundle; None where it has not."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        found = Outcome.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.sha256 == sha256 else None
