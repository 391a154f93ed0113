"""A proposal to train a model again, as everybody can read it: a JSON document that never changes.

What becomes of it stands in the ledger, see `server.retraining.states`.
"""

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.bundle.manifest import Name, Sha256
from models.control.document import Seq
from models.rollout.stage import MAX_REASON

MAX_NAMED: Final = 100
"""Most gateways, and most patterns of recordings, that a proposal names."""
Trigger = Literal["drift", "labels", "person"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bundle(_Document):
    """A bundle of the stream.

    Attributes:
        seq: number of the bundle.
        sha256: digest of the bundle.
    """

    seq: Seq
    sha256: Sha256


class Recordings(_Document):
    """What the recipe would be trained on.

    Attributes:
        named: the patterns of files that the recipe's `[data]` has, as absolute paths; empty where
            it names a database.
        files: files that there are.
        size_bytes: bytes of all of them.
        newer: files that are newer than the bundle that serves.
        newest: when the newest was written; None where there is no file.
    """

    named: Annotated[tuple[str, ...], Field(max_length=MAX_NAMED)] = ()
    files: int = 0
    size_bytes: int = 0
    newer: int = 0
    newest: AwareDatetime | None = None


class Witness(_Document):
    """What one gateway says of the bundle that serves.

    Attributes:
        gateway: id of the gateway.
        seq: number of the bundle that serves there; None where it has not said.
        sha256: digest of this bundle; None likewise.
        drift_s: seconds for which it has said that there is drift; 0 where there is none.
        worst: the signal, or `score`, that is furthest from the training data.
        view: what of it is compared.
        asset: the asset that shows it.
        ratio: its distance as a multiple of its limit.
        labels: late labels that were compared with the bundle.
        error: mean over these of its error; None before the first.
    """

    gateway: Name
    seq: Seq | None = None
    sha256: Sha256 | None = None
    drift_s: float = 0.0
    worst: str | None = None
    view: str | None = None
    asset: str | None = None
    ratio: float | None = None
    labels: int = 0
    error: float | None = None


class Proposal(_Document):
    """A proposal.

    Attributes:
        schema_version: version of this format.
        id: identity of the proposal; a rollout of its bundle has the same.
        stream: stream whose model would be trained.
        time: when it was proposed.
        answer_by: until when a person may answer.
        trigger: what has caused it: `drift`, `labels`, or a `person`.
        reason: why, in words.
        by: who or what proposes.
        recipe: path of the recipe.
        recordings: what it would be trained on.
        champion: the bundle that serves, which the new one is compared with; None for none.
        gateways: what gateways have said; those that have caused it come first.
    """

    schema_version: Literal[1] = 1
    id: Name
    stream: Name
    time: AwareDatetime
    answer_by: AwareDatetime
    trigger: Trigger
    reason: Annotated[str, Field(max_length=MAX_REASON)]
    by: Annotated[str, Field(max_length=128)]
    recipe: str
    recordings: Recordings
    champion: Bundle | None = None
    gateways: Annotated[tuple[Witness, ...], Field(max_length=MAX_NAMED)] = ()
