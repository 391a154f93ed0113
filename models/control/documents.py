"""The documents of the control plane: JSON objects on the topics of `models.control.topics`.

A reader ignores keys that it does not know, so that gateways and tools of different releases
understand each other. A writer leaves a key out where it has nothing to say; `null` says that there
is no value. Times are ISO 8601 in UTC, with milliseconds.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field
from pydantic_core import from_json

from models.bundle.manifest import Name, Sha256
from models.control.bundles import QuarantinedBundle, ShadowBundle
from models.control.document import Activity, Count, Document, Message, Seq, Time
from models.control.histogram import HistogramMetrics
from models.control.rollout import Evidence, RolloutHint, RolloutState
from models.errors import IncompatibleBundleError
from models.input.reasons import BAD_REASONS

MAX_DESIRED_BYTES: Final = 4096

BadReason = Annotated[str, Field(json_schema_extra={"enum": list(BAD_REASONS)})]
"""A code of `models.input.reasons.BAD_REASONS`; a reader takes those of later releases as well."""
FeedbackState = Literal[
    "downloading", "verifying", "activated", "superseded", "waiting", "refused", "rolled_back"
]


class Status(Document):
    """Whether the agent of a gateway is there.

    Attributes:
        state: `online`, or `offline` after a stop; the broker publishes `offline` as the will.
        version: release of millhand that the agent runs.
        since: when the agent started.
    """

    state: Literal["online", "offline"]
    version: str = ""
    since: Time = ""


class Desired(Document):
    """Which bundle a stream should run: a selection among what is signed, and no more than that.

    Attributes:
        stream: name of the stream.
        seq: number of the bundle; None follows the newest that is published.
        activity: identity of the push, repeated in the answers to it.
        rollout: how far a rollout of the stream is; the gateway looks into the registry for what is
            signed of it. Left out where there is none.
        shadow: whether the bundle runs in the shadow of the one that serves, which goes on.
    """

    activity: Activity = ""
    stream: Name
    seq: Seq | None = None
    rollout: RolloutHint | None = None
    shadow: bool = False

    @classmethod
    def read(cls, stream: str, payload: bytes) -> "Desired":
        """Read the document on the `desired` topic of a stream; an empty one follows the newest.

        Raises:
            IncompatibleBundleError: it is not JSON, is for another stream, or has no `seq` from 1;
                also where it is longer than 4,096 bytes.
        """
        if not payload:
            return cls.model_construct(stream=stream)
        try:
            fields: Any = from_json(payload[:MAX_DESIRED_BYTES])
            document = cls.model_validate({"stream": stream, **fields})
        except (ValueError, TypeError) as exc:
            raise _refused(stream) from exc
        if document.stream != stream or (document.seq is None and document.rollout is None):
            raise _refused(stream)
        return document


class Current(Document):
    """What a stream really runs.

    Attributes:
        stream: name of the stream.
        state: `serving`; `degraded` while the bundle serves, but its model fails on live windows
            and no earlier bundle can serve in its place; `waiting` while there is no model.
        seq: number of the bundle that serves, None while waiting.
        version: its semantic version, for people.
        sha256: digest of the bundle that serves.
        activity: of the push that selected it; empty if none did.
        quarantined: bundles of the stream that must not serve here; left out if there are none.
        reason: why the model is degraded: a code that its predictions carry, too.
        message: the same in words, as the runtime has said it.
        failed_batches: batches in a row on which the model had failed when this was published.
        rollout: what the gateway does in a rollout of the stream; left out where there is none.
        shadow: the bundle in the shadow of the one that serves; left out where there is none.
    """

    stream: Name
    state: Literal["serving", "degraded", "waiting"]
    seq: Seq | None
    version: str = ""
    sha256: Sha256 | None = None
    activity: Activity = ""
    quarantined: tuple[QuarantinedBundle, ...] = ()
    reason: BadReason = ""
    message: Message = ""
    failed_batches: Count = 0
    rollout: RolloutState | None = None
    shadow: ShadowBundle | None = None


class Feedback(Document):
    """How the update of a stream goes, and how it ended.

    Attributes:
        activity: of the push that asked for it; empty if none did.
        stream: name of the stream.
        seq: number of the bundle that is desired, and once it is known of the one that was found.
        state: `downloading`, `verifying`, `activated`; `superseded` by a later push; `waiting` for
            something outside; `refused`; `rolled_back` because the model failed on live windows.
        error: code of the error, for `refused`, `waiting` and `rolled_back`.
        message: the error or the warning in words.
        warning: code of what speaks against a bundle that serves all the same; empty for nothing.
        progress: of a download, in per cent.
        time: when it was said.
    """

    activity: Activity = ""
    stream: Name
    seq: Seq | None = None
    state: FeedbackState
    error: str = ""
    message: Message = ""
    progress: int = 0
    warning: str = ""
    time: Time = ""


class Disorder(Document):
    """Readings of a stream that are put in order of event time, as `disorder_ms` allows.

    Attributes:
        waiting: readings that wait for older ones.
        early: readings that went before their time because too many waited.
        dropped: readings that were of no use once they had waited, by reason.
    """

    waiting: Count
    early: Count
    dropped: dict[str, Count]


class Drift(Document):
    """How far readings and scores of a stream are from the training data.

    Attributes:
        alarm: whether one of them is beyond its limit.
        worst: the signal, or `score`, that is furthest; None before the first comparison.
        view: what of it is compared.
        asset: the asset that shows it.
        ratio: its distance as a multiple of its limit; above 1 is an alarm.
        watched: assets that are watched.
        unwatched: assets for which there was no room.
    """

    alarm: bool
    worst: str | None
    view: str | None
    asset: str | None
    ratio: float | None
    watched: Count
    unwatched: Count


class LabelMetrics(Document):
    """Late labels of a stream, counted since its file of kept predictions was begun.

    Attributes:
        kept: predictions that wait for their labels.
        removed: predictions that made room for newer ones before `horizon_s` had passed.
        lost: predictions and labels that could not be written.
        waiting: labels whose span is not over.
        compared: labels that were compared with predictions.
        repeated: labels that had come before.
        unmatched: labels that are compared with nothing, by reason (`models.input.label`).
        episodes: labels that were compared with the bundle that serves.
        error: mean over these of its error: the mean absolute error of a regression, the share of
            wrong classes of any other model. None before the first.
    """

    kept: Count
    removed: Count
    lost: Count
    waiting: Count
    compared: Count
    repeated: Count
    unmatched: dict[str, Count]
    episodes: Count
    error: float | None


class StreamMetrics(Document):
    """Counters of one stream.

    Attributes:
        predictions: predictions that were made, by quality.
        bad: predictions of quality BAD, by the reason that they carry; left out by releases that
            gave none.
        missing: samples in which a signal was missing, by signal.
        refused: messages of which the stream could make no use, by reason; left out by releases
            that did not count them.
        unread: signals whose value could not be read and so was missing, by signal and reason;
            their messages were taken.
        unknown_states: texts that are none of a signal's states, by signal and text; left out by
            releases that read no states, as is `unread`.
        forgotten_assets: assets whose windows made room for those of others.
        disorder: where the stream puts readings in order, else left out.
        drift: where the bundle says how to tell, else left out.
        retained: retained messages that were held for their signals; left out by releases that
            held none.
        shed: readings that the overload policy gave up.
        explanations: predictions that were to be explained, by outcome: `made`, `left_out` for
            want of time, `failed`; left out where there was none.
        labels: where the stream takes late labels, else left out.
        batch_ms: time that a batch of windows takes, a moving average in milliseconds.
        duration_us: microseconds of the model for one window, of each that it has answered.
        age_ms: milliseconds from the time of a reading to its prediction.
    """

    predictions: dict[str, Count]
    bad: dict[BadReason, Count] = Field(default={})
    missing: dict[str, Count]
    refused: dict[str, Count] = Field(default={})
    unread: dict[str, dict[str, Count]] = Field(default={})
    unknown_states: dict[str, dict[str, Count]] = Field(default={})
    forgotten_assets: Count
    disorder: Disorder | None = None
    drift: Drift | None = None
    retained: Count = 0
    shed: Count
    explanations: dict[str, Count] = Field(default={})
    labels: LabelMetrics | None = None
    batch_ms: float
    duration_us: HistogramMetrics | None = None
    age_ms: HistogramMetrics | None = None


class SparkplugMetrics(Document):
    """Counters of the edge node of Sparkplug.

    Attributes:
        connects: connections that the broker accepted.
        messages: messages that were published, by kind.
        predictions: predictions whose metrics were published as data.
        unchanged: predictions that said nothing which hosts did not know.
        waiting: predictions that wait.
        dropped: predictions and messages that were dropped, by reason.
        commands_refused: commands of hosts that were not obeyed, by reason.
    """

    connects: Count
    messages: dict[str, Count]
    predictions: Count
    unchanged: Count
    waiting: Count
    dropped: dict[str, Count]
    commands_refused: dict[str, Count]


class Metrics(Document):
    """Counters of the agent since its start: received = predicted + windowed + dropped + waiting.

    Attributes:
        time: when they were read.
        since: when the agent started.
        received: messages that arrived; redeliveries of those at work are not counted again.
        predicted: messages whose predictions the broker has confirmed.
        windowed: messages that only filled windows.
        dropped: messages that were dropped, by reason (`models.input.reasons`).
        waiting: messages that are not finished.
        redelivered: messages that came again while they were at work.
        connects: connections that the broker accepted.
        sessions_lost: connections at which the broker had lost the session.
        desired_superseded: `desired` documents that were replaced by a newer one of their stream
            before they were acted on.
        streams: counters by stream.
        rebirths: requests to nodes of Sparkplug for their births, by what became of them: `asked`,
            or `put_off` by the limit of all together. Only where an input may ask.
        sparkplug: counters of the edge node of Sparkplug, where one is configured.
        textfile_failures: tries to write the text file of metrics that have failed, where one is
            configured.
        metadata_age_s: seconds since metadata of the registry were accepted last; left out before
            the first time.
    """

    time: Time = ""
    since: Time = ""
    received: Count
    predicted: Count
    windowed: Count
    dropped: dict[str, Count]
    waiting: Count
    redelivered: Count
    connects: Count
    sessions_lost: Count
    desired_superseded: Count = 0
    streams: dict[str, StreamMetrics]
    rebirths: dict[str, Count] | None = None
    sparkplug: SparkplugMetrics | None = None
    textfile_failures: Count | None = None
    metadata_age_s: float | None = None


DOCUMENTS: Final[dict[str, type[Document]]] = {
    "status": Status,
    "desired": Desired,
    "current": Current,
    "evidence": Evidence,
    "feedback": Feedback,
    "metrics": Metrics,
}
"""Every document by the level of its topic, as the schemas in config/ are called."""


def _refused(stream: str) -> IncompatibleBundleError:
    return IncompatibleBundleError(
        f"desired document of {stream} must be JSON with stream '{stream}' and a seq from 1"
    )
