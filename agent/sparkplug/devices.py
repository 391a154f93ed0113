"""All devices of the node, and the predictions that wait to be published as their metrics."""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from agent.sparkplug.device import Device, Slot
from agent.sparkplug.stream import Stream
from agent.sparkplug.topics import NodeTopics
from models.input.topics import MAX_TOPIC_BYTES
from serving.log import Limited
from serving.prediction import Prediction


class Bounds(NamedTuple):
    """How much is remembered.

    Attributes:
        max_assets: devices; beyond, the one that is longest without a prediction makes room.
        max_waiting: predictions that may wait; beyond, the oldest are dropped.
        max_age_ns: nanoseconds without an input after which a device is dead.
        log_interval_s: seconds in which a warning of one kind is logged at most once.
    """

    max_assets: int
    max_waiting: int
    max_age_ns: float
    log_interval_s: float


class Devices:
    """Keeps what hosts have to be told, until the node can tell it; does not block.

    Args:
        streams: the streams of the gateway.
        topics: topics of the node.
        alias: returns the next alias of the node.
        bounds: how much is remembered.
        clock: nanoseconds of a clock that nobody sets.

    Attributes:
        waiting: predictions to publish, in the order in which they were made.
        unborn: devices whose birth is to be published, by id.
        dying: devices whose death is to be published.
        dropped: predictions that were dropped, by reason.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        topics: NodeTopics,
        alias: Callable[[], int],
        bounds: Bounds,
        clock: Callable[[], int],
    ) -> None:
        self.waiting: deque[tuple[Slot, Prediction]] = deque()
        self.unborn: OrderedDict[str, Device] = OrderedDict()
        self.dying: deque[Device] = deque()
        self.dropped: Counter[str] = Counter()
        self._streams, self._topics = streams, topics
        self._alias, self._bounds, self._clock = alias, bounds, clock
        self._by_id: OrderedDict[str, Device] = OrderedDict()  # longest silent first
        self._log = Limited(bounds.log_interval_s)

    def note(self, stream: Stream, prediction: Prediction) -> None:
        """Take a prediction, on the hot path."""
        slot = stream.slots.get(prediction.asset)
        if slot is None or slot.kinds is not stream.kinds:
            slot = self._open(stream, prediction)
            if slot is None:
                return
        device = slot.device
        self._by_id.move_to_end(device.id)
        if prediction.timestamp_ms >= slot.latest.timestamp_ms:
            slot.latest = prediction
        slot.heard_ns, slot.is_stale, device.is_alive = self._clock(), False, True
        if not device.is_born:
            self.unborn[device.id] = device
        if len(self.waiting) >= self._bounds.max_waiting:
            self.waiting.popleft()
            self.dropped["waiting_full"] += 1
        self.waiting.append((slot, prediction))

    def heard(self, stream: Stream, asset: str) -> None:
        """Note that an input of an asset has arrived."""
        slot = stream.slots.get(asset)
        if slot is not None:
            slot.heard_ns = self._clock()

    def bear_all(self) -> None:
        """Have the birth of every living device published (again)."""
        self.dying.clear()
        for device in self._by_id.values():
            device.is_born = False
        self.unborn = OrderedDict(
            (device.id, device) for device in self._by_id.values() if device.is_alive
        )

    def age(self) -> Iterator[Slot]:
        """Let devices die whose inputs are gone; the streams that are gone at a living device."""
        oldest_ns = self._clock() - self._bounds.max_age_ns
        for device in [one for one in self._by_id.values() if one.is_alive]:
            silent = [slot for slot in device.slots.values() if slot.heard_ns < oldest_ns]
            if len(silent) == len(device.slots):
                self._end(device)
            elif device.is_born:
                yield from (slot for slot in silent if not slot.is_stale)

    def _end(self, device: Device) -> None:
        device.is_alive = False
        self.unborn.pop(device.id, None)
        if device.is_born:
            device.is_born = False
            self.dying.append(device)

    def _open(self, stream: Stream, prediction: Prediction) -> Slot | None:
        """The place of a stream's predictions at an asset, None where it cannot be a device."""
        asset = prediction.asset
        device = Device(asset, self._topics)
        known = self._by_id.get(device.id)
        is_valid = device.id.isprintable() and not set("+#") & set(device.id)
        if known is not None and known.asset != asset:
            self._refuse("device_taken", asset)
            return None
        if not is_valid or len(device.birth_topic.encode()) > MAX_TOPIC_BYTES - 1:
            self._refuse("device_invalid", asset)
            return None
        if known is None:
            self._make_room()
            known = self._by_id[device.id] = device
        aliases = [self._alias() for _ in stream.kinds]
        slot = Slot(known, stream.name, stream.kinds, aliases, prediction)
        known.slots[stream.name] = stream.slots[asset] = slot
        known.is_born = False  # a birth has all metrics, so those of a further stream need another
        return slot

    def _make_room(self) -> None:
        while len(self._by_id) >= self._bounds.max_assets:
            _, device = self._by_id.popitem(last=False)
            self._end(device)
            for stream in self._streams:
                stream.slots.pop(device.asset, None)

    def _refuse(self, reason: str, asset: str) -> None:
        self.dropped[reason] += 1
        self._log.warning(reason, "asset cannot be a device", reason=reason, asset=asset[:256])
