"""What the broker retains of the gateways, as far as rollouts need it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydantic import ValidationError

from models.control.document import Document
from models.control.documents import Current, Desired, Status
from models.control.rollout import Evidence
from models.control.topics import PREFIX, ControlTopics
from models.errors import MillhandError
from server.rollouts.rules.fleet import FleetView, Member
from serving.mqtt.packets import Received

PATIENCE_S: Final = 30.0
"""Seconds after which a `desired` that the broker does not send back counts as not published."""
MAX_STREAMS: Final = 64
"""Streams of a gateway: as many as an agent can have."""
_MAX_NAME: Final = 64
_Kind = TypeVar("_Kind", bound=Document)


@dataclass(slots=True)
class _Stream:
    current: Current | None = None
    evidence: Evidence | None = None
    desired: Desired | None = None
    published: Desired | None = None
    patient_until_s: float = 0.0

    def is_fresh(self, now_s: float) -> bool:
        """Whether what was published may still come back from the broker."""
        return self.published is not None and now_s < self.patient_until_s


@dataclass(slots=True)
class _Gateway:
    is_online: bool = False
    streams: dict[str, _Stream] = field(default_factory=dict)


class Retained:
    """Takes the retained documents of gateways. One thread owns it.

    Args:
        max_gateways: gateways that are known at a time.
        patience_s: seconds after which a `desired` that the broker does not send back counts as not
            published.

    Attributes:
        ignored: messages that could not be used, by reason.
        missing: why not everything is known; empty if it is.
    """

    def __init__(self, max_gateways: int, patience_s: float = PATIENCE_S) -> None:
        self._gateways: dict[str, _Gateway] = {}
        self._max_gateways, self._patience_s = max_gateways, patience_s
        self.ignored: Counter[str] = Counter()
        self.missing = "not connected to the broker yet"

    @staticmethod
    def filters() -> list[str]:
        """The topic filters of all that is read."""
        every = ControlTopics("+")
        return [every.status, every.desired("+"), every.current("+"), every.evidence("+")]

    def forget(self) -> None:
        """Begin anew with a new connection: what was retained may be gone."""
        self._gateways.clear()

    def take(self, message: Received) -> None:
        """Take one message."""
        prefix, _, rest = message.topic.partition("/")
        name, _, rest = rest.partition("/")
        kind, _, stream = rest.partition("/")
        if prefix != PREFIX or not 0 < len(name) <= _MAX_NAME or "/" in stream:
            return
        gateway = self._gateways.get(name)
        if gateway is None:
            if len(self._gateways) >= self._max_gateways:
                self.ignored["max_gateways"] += 1
                return
            gateway = self._gateways[name] = _Gateway()
        try:
            if stream:
                self._take_of_stream(gateway, kind, stream, message)
            else:
                _take_status(gateway, kind, message)
        except (ValidationError, MillhandError):
            self.ignored["document"] += 1

    def expect(self, gateway: str, desired: Desired, now_s: float) -> None:
        """Take what was published just now, until the broker sends it back, or does not.

        A broker confirms what its rights do not allow, and keeps nothing of it.

        Args:
            gateway: id of the gateway.
            desired: what was published.
            now_s: monotonic time, seconds.
        """
        if gateway in self._gateways or len(self._gateways) < self._max_gateways:
            known = self._gateways.setdefault(gateway, _Gateway())
            one = known.streams.setdefault(desired.stream, _Stream())
            one.published, one.patient_until_s = desired, now_s + self._patience_s

    def unkept(self, stream: str) -> list[str]:
        """Gateways whose `desired` was published, and has not come back from the broker."""
        found = []
        for name, gateway in sorted(self._gateways.items()):
            one = gateway.streams.get(stream)
            if one is not None and one.published is not None:
                found.append(name)
        return found

    def is_unkept(self, gateway: str, stream: str, now_s: float) -> bool:
        """Whether a `desired` was published so long ago that it should have come back."""
        known = self._gateways.get(gateway)
        one = known.streams.get(stream) if known is not None else None
        return one is not None and one.published is not None and not one.is_fresh(now_s)

    def view(self, stream: str, now_s: float) -> FleetView:
        """The gateways of a stream.

        Args:
            stream: name of the stream.
            now_s: monotonic time, seconds.
        """
        members = {}
        for name, gateway in self._gateways.items():
            one = gateway.streams.get(stream)
            if one is not None:
                desired = one.published if one.is_fresh(now_s) else one.desired
                members[name] = Member(name, gateway.is_online, one.current, one.evidence, desired)
        missing = self.missing
        if self.ignored["max_gateways"] and not missing:
            missing = (
                f"there are more gateways than rollouts.max_gateways, which is "
                f"{self._max_gateways}: raise it"
            )
        return FleetView(members, missing)

    def _take_of_stream(self, gateway: _Gateway, kind: str, name: str, message: Received) -> None:
        if name not in gateway.streams and len(gateway.streams) >= MAX_STREAMS:
            self.ignored["max_streams"] += 1
            return
        stream = gateway.streams.setdefault(name, _Stream())
        if kind == "current":
            stream.current = _read(Current, message)
        elif kind == "evidence":
            stream.evidence = _read(Evidence, message)
        elif kind == "desired":
            payload = message.payload
            stream.desired, stream.published = None, None
            stream.desired = Desired.read(name, payload) if payload else None


def _take_status(gateway: _Gateway, kind: str, message: Received) -> None:
    if kind == "status":
        status = _read(Status, message)
        gateway.is_online = status is not None and status.state == "online"


def _read(kind: type[_Kind], message: Received) -> _Kind | None:
    return kind.model_validate_json(message.payload) if message.payload else None
