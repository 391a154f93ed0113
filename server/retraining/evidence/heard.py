"""What gateways say of the bundles that serve: how long there has been drift, and how many labels.

Drift counts from the first counters in which a gateway has said so, and goes on while it says so
without a pause of more than `silent_s` seconds. It begins anew with another bundle. Over a start of
the server it goes on where the gateway says so again before such a pause is over.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from models.control.documents import Current, Drift, LabelMetrics, Metrics
from models.control.topics import PREFIX, ControlTopics
from models.errors import MillhandError
from server.retraining.evidence.drift_file import MAX_LASTING, Lasting
from server.retraining.proposal import Witness
from server.retraining.settings import Retraining
from serving.mqtt.packets import Received

_NS: Final = 1e9


@dataclass(slots=True)
class _Stream:
    seq: int | None = None
    sha256: str | None = None
    drift: Drift | None = None
    labels: LabelMetrics | None = None
    began_ns: int | None = None
    heard_ns: int = 0


class Heard:
    """Takes `current` and `metrics` of gateways. One thread owns it.

    Args:
        streams: the streams that are asked about; of others nothing is kept.
        max_gateways: gateways that are known at a time; further ones are left out.
        silent_s: seconds without counters after which drift counts anew.

    Attributes:
        ignored: messages that could not be used, by reason.
        missing: why not everything is known; empty if it is.
    """

    def __init__(self, streams: Collection[str], max_gateways: int, silent_s: float) -> None:
        self._streams = frozenset(streams)
        self._gateways: dict[str, dict[str, _Stream]] = {}
        self._max_gateways, self._silent_ns = max_gateways, silent_s * _NS
        self._before: dict[tuple[str, str], Lasting] = {}
        self.ignored: Counter[str] = Counter()
        self.missing = "not connected to the broker yet"

    @classmethod
    def of(cls, settings: Retraining) -> "Heard":
        """What the settings ask for."""
        return cls(settings.by_stream, settings.max_gateways, settings.silent_s)

    @staticmethod
    def filters() -> list[str]:
        """The topic filters of all that is read."""
        every = ControlTopics("+")
        return [every.current("+"), every.metrics]

    def forget(self) -> None:
        """Keep everything with a new connection: a short one that was lost ends no drift."""

    def take(self, message: Received) -> None:
        """Take one message."""
        prefix, _, rest = message.topic.partition("/")
        name, _, rest = rest.partition("/")
        kind, _, stream = rest.partition("/")
        if prefix != PREFIX or not message.payload:
            return
        try:
            if kind == "metrics" and not stream:
                self._take_metrics(name, message)
            elif kind == "current" and stream:
                self._take_current(name, message)
        except (ValidationError, MillhandError):
            self.ignored["document"] += 1

    def witnesses(self, stream: str) -> Sequence[Witness]:
        """What each gateway says of a stream, by the ids of the gateways."""
        found = []
        for name, gateway in sorted(self._gateways.items()):
            if (one := gateway.get(stream)) is not None:
                found.append(_witness(name, one))
        return found

    def go_on(self, before: Iterable[Lasting]) -> None:
        """Let drift go on that was told before the server's start, where it is told again."""
        self._before = {(one.gateway, one.stream): one for one in before}

    def lasting(self, now_ns: int) -> tuple[Lasting, ...]:
        """The drift that is told now, or was before the server's start and may go on.

        Args:
            now_ns: time of day, nanoseconds since 1970.
        """
        told = [
            Lasting(
                gateway=name,
                stream=stream,
                sha256=one.sha256,
                began_ns=one.began_ns,
                heard_ns=one.heard_ns,
            )
            for name, gateway in self._gateways.items()
            for stream, one in gateway.items()
            if one.began_ns is not None
        ]
        before = (one for one in self._before.values() if self._goes_on(one, now_ns))
        return (*told, *before)[:MAX_LASTING]

    def _goes_on(self, before: Lasting, now_ns: int) -> bool:
        return 0 <= now_ns - before.heard_ns <= self._silent_ns

    def _take_metrics(self, name: str, message: Received) -> None:
        metrics = Metrics.model_validate_json(message.payload)
        for stream, said in metrics.streams.items():
            one = self._stream(name, stream)
            if one is None:
                continue
            is_late = message.at_ns - one.heard_ns > self._silent_ns
            before = self._before.pop((name, stream), None)
            if said.drift is None or not said.drift.alarm:
                one.began_ns = None
            elif before is not None and self._is_same(before, one, message.at_ns):
                one.began_ns, one.sha256 = before.began_ns, one.sha256 or before.sha256
            elif one.began_ns is None or is_late:
                one.began_ns = message.at_ns
            one.drift, one.labels, one.heard_ns = said.drift, said.labels, message.at_ns

    def _is_same(self, before: Lasting, one: _Stream, now_ns: int) -> bool:
        """Whether drift of before the server's start goes on, with the same bundle."""
        is_other = None not in (one.sha256, before.sha256) and one.sha256 != before.sha256
        return self._goes_on(before, now_ns) and not is_other

    def _take_current(self, name: str, message: Received) -> None:
        current = Current.model_validate_json(message.payload)
        one = self._stream(name, current.stream)
        if one is None:
            return
        if one.sha256 not in (None, current.sha256):  # what was counted is of another bundle
            one.began_ns = one.drift = one.labels = None
        one.seq, one.sha256 = current.seq, current.sha256

    def _stream(self, name: str, stream: str) -> _Stream | None:
        """What is known of a stream of a gateway; None where nothing of it is kept."""
        if stream not in self._streams:
            return None
        Witness(gateway=name)  # refuses what is no name
        gateway = self._gateways.get(name)
        if gateway is None:
            if len(self._gateways) >= self._max_gateways:
                self.ignored["max_gateways"] += 1
                return None
            gateway = self._gateways[name] = {}
        return gateway.setdefault(stream, _Stream())


def _witness(name: str, one: _Stream) -> Witness:
    drift, labels = one.drift, one.labels
    since_s = (one.heard_ns - one.began_ns) / _NS if one.began_ns is not None else 0.0
    return Witness(
        gateway=name,
        seq=one.seq,
        sha256=one.sha256,
        drift_s=since_s,
        worst=drift.worst if drift is not None else None,
        view=drift.view if drift is not None else None,
        asset=drift.asset if drift is not None else None,
        ratio=drift.ratio if drift is not None else None,
        labels=labels.episodes if labels is not None else 0,
        error=labels.error if labels is not None else None,
    )
