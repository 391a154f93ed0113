"""What gateways say of a rollout, and the parts of other documents that belong to one.

A rollout itself is a signed document of the registry, see `models.rollout`. What is said here is
believed for nothing that a gateway could not check there.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from models.bundle.manifest import Finite, Name
from models.control.document import Count, Document, Message, Seq, Time

MAX_ANSWERS: Final = 500
"""Most answers of both models that evidence carries."""
Number = Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)]


class RolloutHint(Document):
    """How far a rollout is, as its controller says: a reason to look into the registry now.

    Attributes:
        id: identity of the rollout.
        epoch: as in `models.rollout.stage.Stage`.
        stage: as in `models.rollout.stage.Stage`.
        state: as in `models.rollout.stage.Stage`; `held` is obeyed at once, since it only delays.
    """

    id: Name
    epoch: Number
    stage: Number
    state: Literal["running", "held", "reverted", "done"] = "running"


class RolloutState(Document):
    """What a gateway does in a rollout.

    Attributes:
        id: identity of the rollout.
        epoch: of the newest signed stage that the gateway knows.
        stage: of the newest signed stage that the gateway knows.
        group: group of the plan that the gateway belongs to; empty for none.
        state: `waiting` until the group is opened; `shadow` while the new bundle answers beside the
            one that serves; `probation` while it serves, but has not served for long enough;
            `serving` after that; `failed` where a gate of this gateway has brought the former
            bundle back, or the new one was refused; `returned` where the rollout was reverted;
            `pinned` where a person has chosen another bundle here, so that the gateway takes no
            part.
        former: number of the bundle that served before; None where there was none.
        gate: code of the gate that has ended the trial; empty for none.
        message: the reason of the state in words.
    """

    id: Name
    epoch: Number
    stage: Number
    group: str = ""
    state: Literal["waiting", "shadow", "probation", "serving", "failed", "returned", "pinned"]
    former: Seq | None = None
    gate: str = ""
    message: Message = ""


class GateEvidence(Document):
    """Counters of one statistical gate, from which anybody can compute its e-value again.

    Attributes:
        kind: `rate` where a hit may have at most the probability `limit`; `sign` where a hit and a
            miss are equally likely unless one of the models is worse.
        hits: blocks of time that speak against the candidate.
        misses: blocks of time that do not.
        limit: probability of a hit that is allowed.
        log_e: natural logarithm of the e-value against "the candidate is no worse".
    """

    kind: Literal["rate", "sign"]
    hits: Count
    misses: Count
    limit: Finite = 0.5
    log_e: Finite = 0.0


class Evidence(Document):
    """What a gateway has seen of two models that answer the same windows; retained.

    Attributes:
        stream: name of the stream.
        rollout: identity of the rollout; empty where the shadow was configured or pushed.
        champion: number of the bundle that serves.
        candidate: number of the bundle in its shadow.
        since: when the comparison began.
        time: when this was written.
        block_s: seconds of a block of time, of which each counts once.
        compared: windows that both models have answered.
        left_out: windows that the candidate did not answer, by reason.
        gates: counters by statistical gate.
        answers: answers of both models to the same windows, evenly chosen from all that were
            compared since the gateway began: milliseconds since 1970 of the window's end, the
            score of the champion and that of the candidate, or their values without a score.
        verdict: `worse`, `different` or `no worse` where that is shown; else `open`.
        tripped: code of the hard gate that has ended the comparison; empty for none.
        message: the same in words.
    """

    stream: Name
    rollout: str = ""
    champion: Seq
    candidate: Seq
    since: Time = ""
    time: Time = ""
    block_s: Finite
    compared: Count
    left_out: dict[str, Count] = Field(default={})
    gates: dict[str, GateEvidence] = Field(default={})
    answers: Annotated[tuple[tuple[Count, Finite, Finite], ...], Field(max_length=MAX_ANSWERS)] = ()
    verdict: Literal["worse", "different", "no worse", "open"] = "open"
    tripped: str = ""
    message: Message = ""
