"""What one gateway has said about itself, by the documents of the control plane."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from models.control.documents import Current, Desired, Feedback, Metrics, Status
from models.control.rollout import Evidence
from models.control.series import Said
from server.console.evidence import comparison
from server.console.remedies import REMEDIES

MAX_STREAMS: Final = 64
"""Streams of a gateway that are shown: as many as an agent can have."""
_MAX_FEEDBACK: Final = 20
_UNFINISHED: Final = frozenset({"refused", "waiting", "rolled_back"})


@dataclass(slots=True)
class GatewayStream:
    """One stream of a gateway.

    Attributes:
        current: what it runs.
        desired: what it should run.
        outcome: how its last update went.
        evidence: how the model in its shadow compares; None without one.
    """

    current: Current | None = None
    desired: Desired | None = None
    outcome: Feedback | None = None
    evidence: Evidence | None = None


class GatewayState:
    """One gateway.

    Args:
        name: id of the gateway.

    Attributes:
        name: as given.
        streams: its streams by name.
        metrics: its counters, as they came last.
        revision: number of the last change that browsers are told of.
        status: whether it is there; None while nothing was said of it.
        heard_ms: when something of it arrived last, milliseconds since 1970.
        metrics_ms: when its counters arrived last; 0 while they have not.
        offline_ms: since when it is known to be offline; None while it is online or not known.
        epoch: number of the connection to the broker over which it was heard last.
        is_gone: whether its status was cleared, so that browsers forget it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.streams: dict[str, GatewayStream] = {}
        self.metrics: Metrics | None = None
        self.revision = 0
        self.status: Status | None = None
        self.heard_ms = self.metrics_ms = 0
        self.offline_ms: int | None = None
        self.epoch = 0
        self.is_gone = False
        self._feedback: deque[Feedback] = deque(maxlen=_MAX_FEEDBACK)

    def stream(self, name: str) -> GatewayStream:
        """One of its streams; what is beyond `MAX_STREAMS` is kept by nobody."""
        found = self.streams.get(name, GatewayStream())
        if len(self.streams) < MAX_STREAMS:
            self.streams[name] = found
        return found

    def clear(self, name: str, document: Literal["current", "desired", "evidence"]) -> None:
        """Forget a retained document of a stream, and with the last of them the stream."""
        found = self.streams.get(name)
        if found is None:
            return
        setattr(found, document, None)
        if found.current is None and found.desired is None and found.evidence is None:
            del self.streams[name]

    def set_status(self, document: Status, at_ms: int) -> None:
        """Take whether it is there, as said at a time in milliseconds since 1970."""
        self.status = document
        if document.state == "online":
            self.offline_ms = None
        elif self.offline_ms is None:
            self.offline_ms = at_ms

    def said(self, *, has_counters: bool) -> Said:
        """What it has said last, with or without its counters."""
        status, streams = self.status, self.streams.items()
        return Said(
            self.name,
            online=status is not None and status.state == "online",
            release=status.version if status is not None else "",
            metrics=self.metrics if has_counters else None,
            current={name: one.current for name, one in streams if one.current is not None},
            outcomes={name: one.outcome for name, one in streams if one.outcome is not None},
            evidence={name: one.evidence for name, one in streams if one.evidence is not None},
        )

    def add_feedback(self, document: Feedback) -> None:
        """Take how an update goes; the progress of one download is one entry."""
        last = self._feedback[-1] if self._feedback else None
        if last is not None and _is_same_step(last, document):
            self._feedback.pop()
        self._feedback.append(document)
        self.stream(document.stream).outcome = document

    def document(self) -> dict[str, Any]:
        """The gateway as the page is told of it."""
        status, metrics = self.status, self.metrics
        return {
            "gateway": self.name,
            "gone": self.is_gone,
            "heard": self.heard_ms or None,
            "online": status is not None and status.state == "online",
            "since": milliseconds(status.since) if status is not None else None,
            "version": status.version if status is not None else "",
            "counters": None if metrics is None else counters(metrics),
            "streams": [self._stream(name, one) for name, one in sorted(self.streams.items())],
            "feedback": [_told(one) for one in reversed(self._feedback)],
        }

    def _stream(self, name: str, stream: GatewayStream) -> dict[str, Any]:
        current, desired, outcome = stream.current, stream.desired, stream.outcome
        counted = self.metrics.streams.get(name) if self.metrics is not None else None
        quarantined = current.quarantined if current is not None else ()
        return {
            "stream": name,
            "seq": current.seq if current is not None else None,
            "version": current.version if current is not None else "",
            "sha256": current.sha256 if current is not None else None,
            "state": current.state if current is not None else "unknown",
            "reason": current.reason if current is not None else "",
            "message": current.message if current is not None else "",
            "wanted_seq": desired.seq if desired is not None else None,
            "counters": None if counted is None else counted.model_dump(exclude={"drift"}),
            "drift": counted.drift.model_dump() if counted is not None and counted.drift else None,
            "rollout": current.rollout.model_dump() if current and current.rollout else None,
            "evidence": comparison(stream.evidence) if stream.evidence is not None else None,
            "refused": _told(outcome) if outcome and outcome.state in _UNFINISHED else None,
            "quarantined": [
                {**one.model_dump(), "remedy": REMEDIES.get(one.code, "")} for one in quarantined
            ],
        }


def counters(metrics: Metrics) -> dict[str, Any]:
    """The counters of a gateway, and whether they balance."""
    dropped = sum(metrics.dropped.values())
    sides = metrics.predicted + metrics.windowed + dropped + metrics.waiting
    return {
        "received": metrics.received,
        "predicted": metrics.predicted,
        "windowed": metrics.windowed,
        "dropped": metrics.dropped,
        "waiting": metrics.waiting,
        "redelivered": metrics.redelivered,
        "balances": metrics.received == sides,
        "timestamp": milliseconds(metrics.time),
        "since": milliseconds(metrics.since),
    }


def milliseconds(time: str) -> int | None:
    """A time of a document, milliseconds since 1970; None where it cannot be read."""
    try:
        return int(datetime.fromisoformat(time).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _told(document: Feedback) -> Mapping[str, Any]:
    code = document.error or document.warning
    return {
        "timestamp": milliseconds(document.time),
        "stream": document.stream,
        "seq": document.seq,
        "state": document.state,
        "code": code,
        "message": document.message,
        "remedy": REMEDIES.get(code, ""),
        "progress": document.progress,
    }


def _is_same_step(last: Feedback, new: Feedback) -> bool:
    of_last = last.stream, last.seq, last.state, last.error
    return of_last == (new.stream, new.seq, new.state, new.error)
