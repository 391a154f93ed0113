"""What hosts know of one asset: a device, and for each stream the metrics of its predictions."""

from collections.abc import Iterator, Sequence

from agent.sparkplug.shape import QUALITIES, Kind
from agent.sparkplug.topics import NodeTopics, device_id
from models.input.quality import Quality
from models.sparkplug.payload import Metric, Value
from serving.prediction import Prediction


class Device:
    """One asset.

    Args:
        asset: key of the asset.
        topics: topics of the node.

    Attributes:
        asset: as given.
        id: name of the device.
        birth_topic: topic of DBIRTH; those of DDATA and DDEATH are beside it.
        slots: the streams that have predictions for the asset, by name.
        is_alive: whether its inputs arrive.
        is_born: whether hosts have its birth.
    """

    def __init__(self, asset: str, topics: NodeTopics) -> None:
        self.asset, self.id = asset, device_id(asset)
        self.birth_topic = topics.of("DBIRTH", self.id)
        self.data_topic = topics.of("DDATA", self.id)
        self.death_topic = topics.of("DDEATH", self.id)
        self.slots: dict[str, Slot] = {}
        self.is_alive = True
        self.is_born = False

    def birth(self) -> Iterator[Metric]:
        """All metrics that the device has, with the newest values."""
        for slot in self.slots.values():
            yield from slot.birth()


class Slot:
    """The metrics of one stream at one asset.

    Args:
        device: the asset.
        stream: name of the stream.
        kinds: the metrics.
        aliases: the alias of each.
        prediction: the first prediction.

    Attributes:
        device: as given.
        stream: as given.
        kinds: as given.
        latest: the prediction with the newest event time.
        heard_ns: when an input has arrived last, nanoseconds by the caller's clock.
        is_stale: whether hosts were told that no inputs arrive any more.
    """

    def __init__(
        self,
        device: Device,
        stream: str,
        kinds: Sequence[Kind],
        aliases: Sequence[int],
        prediction: Prediction,
    ) -> None:
        self.device, self.stream = device, stream
        self.kinds, self.latest = kinds, prediction
        self.heard_ns = 0
        self.is_stale = False
        self._names = [f"{stream}/{kind.name}" for kind in kinds]
        self._aliases = aliases
        self._born_with: Prediction | None = None
        self._newest_ms = -1
        self._sent: list[tuple[Value, Quality]] = []

    def birth(self) -> Iterator[Metric]:
        """All metrics, with their names, types, units and newest values."""
        latest = self.latest
        self._born_with, self._newest_ms = latest, latest.timestamp_ms
        self._sent = []
        for kind, name, alias in zip(self.kinds, self._names, self._aliases, strict=True):
            value = kind.value(latest)
            quality = latest.quality if kind.has_quality else Quality.GOOD
            properties = {**kind.properties, **QUALITIES[quality]}
            self._sent.append((value, quality))
            yield Metric(
                name,
                alias,
                latest.timestamp_ms,
                kind.datatype,
                value,
                is_transient=kind.is_transient,
                properties=properties,
            )

    def news(self, prediction: Prediction) -> list[Metric]:
        """The metrics that a prediction has changed, none where it says nothing new.

        One that is older than what was sent says how things were: it is historical, and whole.
        """
        at_ms = prediction.timestamp_ms
        if prediction is self._born_with:
            return []
        if at_ms < self._newest_ms:
            return list(self._metrics(prediction, prediction.quality, is_historical=True))
        self._newest_ms = at_ms
        return list(self._metrics(prediction, prediction.quality))

    def stale(self) -> list[Metric]:
        """The answers as they were, with the quality that says that they are no more."""
        self.is_stale = True
        metrics = self._metrics(self.latest, Quality.UNCERTAIN)
        return [metric for metric in metrics if not metric.is_transient]

    def _metrics(
        self, prediction: Prediction, quality: Quality, *, is_historical: bool = False
    ) -> Iterator[Metric]:
        """The metrics of a prediction; those whose value is told already are left out."""
        transient, is_new = None, False
        for index, (kind, alias) in enumerate(zip(self.kinds, self._aliases, strict=True)):
            told = kind.value(prediction), quality if kind.has_quality else Quality.GOOD
            metric = Metric(
                None,
                alias,
                prediction.timestamp_ms,
                kind.datatype,
                told[0],
                is_historical,
                kind.is_transient,
                QUALITIES[told[1]],
            )
            if kind.is_transient:
                transient = metric
            elif is_historical or self._sent[index] != told:
                is_new = True
                if not is_historical:
                    self._sent[index] = told
                yield metric
        if transient is not None and is_new and not is_historical:
            yield transient
