"""The ledger of the demo: it compares every input that was sent with every prediction received.

An input is one message of one asset; its asset and its event time identify it. The first `warm_up`
inputs of an asset complete no window and need no prediction. Each later one must be answered
exactly once, in order, by a version that is never older than the one before, and never with the
quality GOOD where a signal was missing.

The ledger reads no clock, does no input and output, and its size is bounded: it forgets answered
inputs, and the ids of predictions after a while.
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

MAX_WAITING = 100_000
MAX_IDS = 20_000
MAX_LATENCIES = 20_000


@dataclass(frozen=True, slots=True)
class Input:
    """One message that was sent.

    Args:
        asset: name of the pump, as `line/pump`.
        timestamp_ms: event time, milliseconds since 1970; it rises for each asset.
        sent_s: when the message was sent, seconds of the monotonic clock.
        condition: true condition of the pump.
        complete: whether every signal had a value.
    """

    asset: str
    timestamp_ms: int
    sent_s: float
    condition: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One prediction that was received, with the fields that the agent publishes."""

    asset: str
    timestamp_ms: int
    id: str
    seq: int
    version: str
    label: str
    score: float | None
    quality: str
    latency_ms: float


@dataclass(slots=True)
class _Asset:
    """What the ledger remembers of one asset."""

    sent: int = 0
    waiting: OrderedDict[int, Input] = field(default_factory=OrderedDict)
    newest_ms: int = -1
    seq: int = 0
    changes: int = 0


class Ledger:
    """Counts inputs, predictions and broken promises.

    Args:
        warm_up: number of the first inputs of each asset that complete no window.

    Attributes:
        sent: number of inputs that were sent, those of the warm-up among them.
        answered: number of inputs that were answered.
        incomplete: number of answered inputs that lacked a signal.
        repeated: number of predictions with an id that came before, which a redelivery may cause.
        broken: number of broken promises by kind: `unasked` (a prediction for which no input waits:
            never sent, in the warm-up, or answered with another id), `reordered` (out of order),
            `version_back` (an older version after a newer one), `outdated` (a version older than
            the required one), `hidden` (GOOD although a signal was missing).
        latencies_s: seconds from sending an input to receiving its prediction, the newest ones.
        agent_latencies_s: seconds of these that the agent reports for itself, the newest ones.
    """

    def __init__(self, warm_up: int) -> None:
        self.sent = 0
        self.answered = 0
        self.incomplete = 0
        self.repeated = 0
        self.broken: Counter[str] = Counter()
        self.latencies_s: deque[float] = deque(maxlen=MAX_LATENCIES)
        self.agent_latencies_s: deque[float] = deque(maxlen=MAX_LATENCIES)
        self._warm_up = warm_up
        self._assets: dict[str, _Asset] = {}
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._required_seq = 0
        self._required_from_s = 0.0
        self._overflowed = 0

    @property
    def due(self) -> int:
        """The number of inputs that must be answered."""
        return sum(max(asset.sent - self._warm_up, 0) for asset in self._assets.values())

    @property
    def lost(self) -> int:
        """The number of inputs without an answer of whose asset a later input has one."""
        passed_over = sum(
            timestamp_ms < asset.newest_ms
            for asset in self._assets.values()
            for timestamp_ms in asset.waiting
        )
        return passed_over + self._overflowed

    @property
    def waiting(self) -> int:
        """The number of inputs that wait for their answer; at the end of the demo they are lost."""
        return sum(len(asset.waiting) for asset in self._assets.values()) + self._overflowed

    @property
    def version_changes(self) -> dict[str, int]:
        """The number of version changes by asset."""
        return {name: asset.changes for name, asset in self._assets.items()}

    def send(self, sent: Input) -> None:
        """Enter an input, before its message is published."""
        asset = self._assets.setdefault(sent.asset, _Asset())
        self.sent += 1
        asset.sent += 1
        if asset.sent <= self._warm_up:
            return
        asset.waiting[sent.timestamp_ms] = sent
        if len(asset.waiting) > MAX_WAITING:
            asset.waiting.popitem(last=False)
            self._overflowed += 1

    def require(self, seq: int, since_s: float) -> None:
        """Require version `seq` or a newer one for inputs that are sent from `since_s` on."""
        self._required_seq = seq
        self._required_from_s = since_s

    def receive(self, answer: Answer, received_s: float) -> Input | None:
        """Enter a prediction, and return the input that it answers, or None."""
        asset = self._assets.setdefault(answer.asset, _Asset())
        if self._is_repeated(answer.id):
            self.repeated += 1
            return None
        sent = asset.waiting.pop(answer.timestamp_ms, None)
        if sent is None:
            self.broken["unasked"] += 1
            return None
        self.answered += 1
        self.latencies_s.append(received_s - sent.sent_s)
        self.agent_latencies_s.append(answer.latency_ms / 1000)
        self._check_order(asset, answer)
        if sent.sent_s >= self._required_from_s:
            self.broken["outdated"] += answer.seq < self._required_seq
        self.incomplete += not sent.complete
        self.broken["hidden"] += answer.quality == "GOOD" and not sent.complete
        return sent

    def _is_repeated(self, prediction_id: str) -> bool:
        if prediction_id in self._ids:
            return True
        self._ids[prediction_id] = None
        if len(self._ids) > MAX_IDS:
            self._ids.popitem(last=False)
        return False

    def _check_order(self, asset: _Asset, answer: Answer) -> None:
        if answer.timestamp_ms < asset.newest_ms:
            self.broken["reordered"] += 1
        asset.newest_ms = max(asset.newest_ms, answer.timestamp_ms)
        if answer.seq < asset.seq:
            self.broken["version_back"] += 1
        asset.changes += 0 < asset.seq != answer.seq
        asset.seq = answer.seq
