"""What runs, or ran, in the shadow of a stream, on disk: enough to go on without a network.

<state_dir>/shadow/<stream>.json
"""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle.identity import BundleRef
from models.bundle.manifest import Name, Sha256
from models.control.document import Activity, Message
from models.files import write_atomically
from models.rollout.plan import Gates
from serving import log

_Seq = Annotated[int, Field(ge=1)]
_FOLDER: Final = "shadow"


class Selection(BaseModel):
    """Which bundle is to run in the shadow of a stream, and who has asked for it.

    Attributes:
        seq: number of the bundle; None for the newest that is published.
        activity: identity of the push that has asked for it; empty if none did.
        rollout: identity of the rollout that has asked for it; empty if none did.
        gates: statistical gates of the rollout; None for those of the settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: _Seq | None = None
    activity: Activity = ""
    rollout: str = ""
    gates: Gates | None = None


class EndedTrial(BaseModel):
    """A trial that a gate has ended.

    Attributes:
        sha256: digest of the bundle.
        seq: number of the bundle.
        code: code of the gate.
        message: the reason in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Sha256
    seq: _Seq
    code: str
    message: Message = ""


class ShadowRecord(BaseModel):
    """The file of one stream.

    Attributes:
        stream: name of the stream.
        selection: what is to run in the shadow.
        seq: number of the bundle that does; None while none does.
        version: its semantic version.
        sha256: its digest.
        ended: the trial of this selection that a gate has ended last; None for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: Name
    selection: Selection
    seq: _Seq | None = None
    version: str = ""
    sha256: Sha256 | None = None
    ended: EndedTrial | None = None

    @property
    def ref(self) -> BundleRef | None:
        """The bundle in the shadow; None while there is none."""
        if self.seq is None or self.sha256 is None:
            return None
        return BundleRef(self.stream, self.seq, self.sha256, version=self.version)

    @classmethod
    def of(
        cls, stream: str, selection: Selection, ref: BundleRef | None, ended: EndedTrial | None
    ) -> "ShadowRecord":
        """The record of a stream."""
        fields = {"stream": stream, "selection": selection, "ended": ended}
        if ref is not None:
            fields |= {"seq": ref.seq, "version": ref.version, "sha256": ref.sha256}
        return cls.model_validate(fields)


def read_record(state_dir: Path, stream: str) -> ShadowRecord | None:
    """What the stream had in its shadow last; None if nothing, or if the file is damaged."""
    try:
        content = (state_dir / _FOLDER / f"{stream}.json").read_bytes()
        return ShadowRecord.model_validate_json(content)
    except (OSError, ValidationError):
        return None


def write_record(state_dir: Path, stream: str, record: ShadowRecord | None) -> None:
    """Replace the file of a stream; None removes it. Where that fails, the log says so."""
    path = state_dir / _FOLDER / f"{stream}.json"
    try:
        if record is None:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, record.model_dump_json(indent=1).encode())
    except OSError as exc:
        log.warning("shadow cannot be recorded", stream=stream, reason=exc.strerror)
