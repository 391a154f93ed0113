"""What the documents of a gateway say, as samples of the families in `models.control.families`.

The documents may come from a broker that others write to, so nothing of them becomes a label
without a limit: reasons, qualities and states are those that there are, everything else is `other`;
a gateway has 64 streams at most, each of which has a proper name; texts are cut.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from itertools import accumulate, islice, pairwise
from math import inf, isfinite
from re import compile as pattern
from typing import Final, NamedTuple, TypeVar, get_args

from models.control import families
from models.control.documents import (
    Current,
    Drift,
    Feedback,
    FeedbackState,
    Metrics,
    SparkplugMetrics,
    StreamMetrics,
)
from models.control.families import Family
from models.control.histogram import HistogramMetrics
from models.control.rollout import Evidence
from models.input.quality import NAMES
from models.input.reasons import BAD_REASONS, REASONS

MAX_STREAMS: Final = 64
"""Streams of a gateway that have samples: as many as an agent can have."""
MAX_GATES: Final = 16
"""Gates of a stream that have samples."""
MAX_TEXT: Final = 64
"""Characters of a label whose value is a text, such as a semantic version."""
CHAMPION: Final = "champion"
"""The role of the model whose predictions are published."""
OTHER: Final = "other"
"""Stands for every value of a label that is not known."""
_NAME: Final = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SPARKPLUG_KINDS: Final = frozenset({"NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA"})
"""Kinds of messages that an edge node publishes."""
SPARKPLUG_DROPPED: Final = frozenset(
    {"waiting_full", "no_device", "device_taken", "device_invalid", "too_large"}
)
"""Why the edge node has given up predictions (docs/sparkplug.md)."""
_VIEWS: Final = frozenset({"level", "relation", "condition", ""})
_OUTCOMES: Final = frozenset({"made", "left_out", "failed"})
_UPDATE_STATES: Final = frozenset(get_args(FeedbackState))

_Any = TypeVar("_Any")


class Buckets(NamedTuple):
    """The value of a histogram.

    Attributes:
        cumulative: each bound, infinity at last, and how many values are not above it.
        total: sum of all values.
    """

    cumulative: tuple[tuple[float, int], ...]
    total: float


Sample = tuple[Family, tuple[str, ...], float | Buckets]
"""A family, the values of its labels in their order, and the value of the sample."""


class Said(NamedTuple):
    """What a gateway has said last.

    Attributes:
        gateway: id of the gateway.
        online: whether its agent is connected to the broker.
        release: release of millhand that the agent runs; empty where it is not known.
        metrics: its counters; None while it has told none.
        current: what its streams run, by the stream.
        outcomes: how the last update of each stream went, by the stream.
        evidence: how models in the shadow compare, by the stream.
    """

    gateway: str
    online: bool
    release: str
    metrics: Metrics | None
    current: Mapping[str, Current]
    outcomes: Mapping[str, Feedback]
    evidence: Mapping[str, Evidence]


def samples(said: Said) -> Iterator[Sample]:
    """All samples of one gateway, in no particular order."""
    gateway = said.gateway
    yield families.ONLINE, (gateway,), said.online
    if said.release:
        yield families.AGENT, (gateway, said.release[:MAX_TEXT]), 1
    if said.metrics is not None:
        yield from _of_gateway(gateway, said.metrics)
        for stream, counted in _named(said.metrics.streams):
            yield from _counted(gateway, stream, counted)
            if counted.drift is not None:
                yield from _drifted(gateway, stream, counted.drift)
    for stream, current in _named(said.current):
        yield from _running(gateway, stream, current)
    for stream, outcome in _named(said.outcomes):
        state = outcome.state if outcome.state in _UPDATE_STATES else OTHER
        yield families.UPDATE, (gateway, stream, state), 1
    for stream, evidence in _named(said.evidence):
        yield from _compared(gateway, stream, evidence)


def bounded(counts: Mapping[str, int], allowed: Collection[str]) -> dict[str, int]:
    """The counts by the keys that are allowed; those of all others are added up as `other`."""
    found: dict[str, int] = {}
    for name, count in counts.items():
        key = name if name in allowed else OTHER
        found[key] = found.get(key, 0) + count
    return found


def _named(streams: Mapping[str, _Any]) -> Iterator[tuple[str, _Any]]:
    proper = ((name, one) for name, one in streams.items() if _NAME.fullmatch(name))
    return islice(proper, MAX_STREAMS)


def _of_gateway(gateway: str, metrics: Metrics) -> Iterator[Sample]:
    started = _seconds(metrics.since)
    if started is not None:
        yield families.START, (gateway,), started
    yield families.RECEIVED, (gateway,), metrics.received
    yield families.READINGS, (gateway, "predicted", ""), metrics.predicted
    yield families.READINGS, (gateway, "windowed", ""), metrics.windowed
    for reason, count in bounded(metrics.dropped, REASONS).items():
        yield families.READINGS, (gateway, "dropped", reason), count
    yield families.WAITING, (gateway,), metrics.waiting
    yield families.REDELIVERED, (gateway,), metrics.redelivered
    yield families.CONNECTS, (gateway,), metrics.connects
    yield families.SESSIONS_LOST, (gateway,), metrics.sessions_lost
    if metrics.textfile_failures is not None:
        yield families.TEXTFILE_FAILURES, (gateway,), metrics.textfile_failures
    if (age_s := metrics.metadata_age_s) is not None and isfinite(age_s):
        yield families.METADATA_AGE, (gateway,), age_s
    if metrics.sparkplug is not None:
        yield from _sparkplug(gateway, metrics.sparkplug)


def _sparkplug(gateway: str, counted: SparkplugMetrics) -> Iterator[Sample]:
    yield families.SPARKPLUG_CONNECTS, (gateway,), counted.connects
    yield families.SPARKPLUG_WAITING, (gateway,), counted.waiting
    for kind, count in bounded(counted.messages, SPARKPLUG_KINDS).items():
        yield families.SPARKPLUG_MESSAGES, (gateway, kind), count
    yield families.SPARKPLUG_PREDICTIONS, (gateway, "published", ""), counted.predictions
    yield families.SPARKPLUG_PREDICTIONS, (gateway, "unchanged", ""), counted.unchanged
    for reason, count in bounded(counted.dropped, SPARKPLUG_DROPPED).items():
        yield families.SPARKPLUG_PREDICTIONS, (gateway, "dropped", reason), count
    refused = sum(counted.commands_refused.values())
    yield families.SPARKPLUG_REFUSED, (gateway,), refused


def _counted(gateway: str, stream: str, counted: StreamMetrics) -> Iterator[Sample]:
    key = gateway, stream
    for quality, count in bounded(counted.predictions, NAMES).items():
        yield families.PREDICTIONS, (*key, CHAMPION, quality), count
    for reason, count in bounded(counted.bad, BAD_REASONS).items():
        yield families.BAD, (*key, reason), count
    for reason, count in bounded(counted.refused, REASONS).items():
        yield families.REFUSED, (*key, reason), count
    for outcome, count in bounded(counted.explanations, _OUTCOMES).items():
        yield families.EXPLANATIONS, (*key, outcome), count
    yield families.MISSING, key, sum(counted.missing.values())
    yield families.SHED, key, counted.shed
    yield families.FORGOTTEN, key, counted.forgotten_assets
    if isfinite(counted.batch_ms):
        yield families.BATCH, key, counted.batch_ms / 1000
    if (durations := _buckets(counted.duration_us, 1e6)) is not None:
        yield families.DURATION, key, durations
    if (ages := _buckets(counted.age_ms, 1e3)) is not None:
        yield families.AGE, key, ages


def _buckets(found: HistogramMetrics | None, per_s: float) -> Buckets | None:
    """A histogram in seconds; None where there is none, or where it is not one."""
    if found is None or len(found.counts) != len(found.bounds) + 1:
        return None
    bounds = [one / per_s for one in found.bounds]
    if any(second <= first for first, second in pairwise(bounds)):
        return None
    return Buckets(
        tuple(zip((*bounds, inf), accumulate(found.counts), strict=True)), found.total / per_s
    )


def _drifted(gateway: str, stream: str, drift: Drift) -> Iterator[Sample]:
    view = drift.view or ""
    labels = gateway, stream, view if view in _VIEWS else OTHER
    yield families.DRIFT_ALARM, labels, drift.alarm
    if drift.ratio is not None and isfinite(drift.ratio):
        yield families.DRIFT_RATIO, labels, drift.ratio


def _running(gateway: str, stream: str, current: Current) -> Iterator[Sample]:
    yield families.STATE, (gateway, stream, current.state), 1
    yield families.QUARANTINED, (gateway, stream), len(current.quarantined)
    if current.seq is not None:
        version, digest = current.version[:MAX_TEXT], current.sha256 or ""
        labels = gateway, stream, CHAMPION, str(current.seq), version, digest
        yield families.MODEL, labels, 1
    if (part := current.rollout) is not None:
        yield families.ROLLOUT, (gateway, stream, part.id, part.group[:MAX_TEXT], part.state), 1


def _compared(gateway: str, stream: str, evidence: Evidence) -> Iterator[Sample]:
    key = gateway, stream
    yield families.SHADOW_WINDOWS, (*key, "compared"), evidence.compared
    yield families.SHADOW_WINDOWS, (*key, "left_out"), sum(evidence.left_out.values())
    for name, gate in islice(evidence.gates.items(), MAX_GATES):
        if _NAME.fullmatch(name):
            yield families.SHADOW_BLOCKS, (*key, name), gate.hits + gate.misses
            yield families.DISCORDANT, (*key, name), gate.hits
            yield families.LOG_E, (*key, name), gate.log_e


def _seconds(time: str) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp()
    except (ValueError, OverflowError):
        return None
