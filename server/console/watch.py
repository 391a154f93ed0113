"""Watches the plant: takes what the broker sends, keeps it, and tells browsers of what changes.

broker ──► Subscriber ──► Plant, Gateways ──► Hub ──► browsers        four times a second
└──────────► Keeper ──► SQLite         every few seconds
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from models.bundle.manifest import Manifest
from server.console.asset import AssetState
from server.console.events import Hub
from server.console.gateways import Gateways, Mark, Seen
from server.console.history.keeper import Keeper
from server.console.history.sqlite_file import Batch, Latest
from server.console.mqtt.subscriber import Subscriber
from server.console.plant import Plant
from server.console.settings import Console
from server.console.topics import PredictionTopic
from server.streams.served import ServedStreams
from serving.mqtt.packets import Received
from serving.worker import Workers

_TURN_S: Final = 0.25
_WRITE_TURNS: Final = 8  # two seconds
_LATEST_TURNS: Final = 240  # a minute
_MAX_ROUTES: Final = 20_000
_MAX_PENDING: Final = 10_000

Take = Callable[[Received], None]


class Folder(NamedTuple):
    """Where the history is kept.

    Attributes:
        state_dir: folder of what survives a restart.
        log_interval_s: seconds in which a fault is logged at most once.
    """

    state_dir: Path
    log_interval_s: float


class Watch:
    """Everything behind the page. The event loop's thread owns it.

    Args:
        console: the settings.
        folder: where the history is kept.
        workers: get two more: one opens connections, one reads and writes the history.
        served: the streams that this server serves.

    Attributes:
        console: as given.
        served: as given.
        plant: the assets.
        gateways: the gateways.
        keeper: the history.
        hub: the browsers that listen.
        subscriber: the connection to the broker.
    """

    def __init__(
        self, console: Console, folder: Folder, workers: Workers, served: ServedStreams
    ) -> None:
        self.console, self.served = console, served
        self.plant, self.gateways = Plant(console), Gateways(console.max_gateways)
        self.keeper = Keeper(
            console, folder.state_dir, workers.start("history"), folder.log_interval_s
        )
        self.hub = Hub(console.max_clients, self.broker, self.encoded)
        self.plant.forget = self.hub.forget
        self.subscriber = Subscriber(
            console, workers.start("broker"), self._take, self._tell_broker
        )
        self._predictions = [PredictionTopic(one) for one in console.predictions]
        self._routes: dict[str, Take] = {}
        self._marks: list[Any] = []
        self._drift: list[Any] = []
        self._seen: list[Any] = []
        self._turns = 0
        self._is_stopping = False

    def start(self) -> None:
        """Connect to the broker, show what was known before the restart, and go on."""
        self.keeper.restore(self._restore)
        self.subscriber.start()
        self._turn()

    def end_streams(self) -> None:
        """End what browsers listen to, so that the server can stop."""
        self.hub.close()

    def stop(self) -> None:
        """Disconnect, and have the rest of the history written."""
        self._is_stopping = True
        self.subscriber.stop()
        self._collect()
        self.keeper.close(self._batch(self.plant.close(), has_latest=True))

    def broker(self) -> Mapping[str, Any]:
        """The connection to the broker, as browsers are told of it."""
        broker = self.console.broker
        return {
            **self.subscriber.state._asdict(),
            "address": f"{broker.host}:{broker.port}",
            "topics": [one.filter for one in self._predictions],
        }

    def encoded(self, asset: AssetState) -> orjson.Fragment:
        """An asset as JSON."""
        stream = asset.stream
        manifest = self.manifest(stream, asset.document.get("seq"))
        return orjson.Fragment(asset.encoded(manifest, self.gateways.running.get(stream, "")))

    def manifest(self, stream: str, seq: object = None) -> Manifest | None:
        """The manifest of a version that this server serves of a stream; None if it does not.

        Args:
            stream: name of the stream.
            seq: number of the version; None for that which clients get by default.
        """
        slot = self.served.slots.get(stream)
        manifests = [one.model.manifest for one in slot.versions] if slot is not None else []
        return next((one for one in manifests if seq is None or one.seq == seq), None)

    def _take(self, received: Sequence[Received]) -> None:
        routes = self._routes
        for message in received:
            topic = message.topic
            take = routes.get(topic)
            if take is None:
                take = self._route(topic)
            take(message)

    def _route(self, topic: str) -> Take:
        """What takes the messages of a topic; found once."""
        take = self.gateways.reader(topic) or self._prediction(topic)
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        self._routes[topic] = take
        return take

    def _prediction(self, topic: str) -> Take:
        named = next(filter(None, (one.match(topic) for one in self._predictions)), None)
        if named is None:
            return _leave
        plant = self.plant
        return lambda message: plant.take(named, message)

    def _tell_broker(self) -> None:
        if not self.subscriber.state.connected:
            self.gateways.epoch += 1  # what is cleared meanwhile will not be heard
        self.hub.advance()
        self.hub.tell(has_broker=True)

    def _restore(self, known: Sequence[Latest], seen: Sequence[Seen]) -> None:
        self.gateways.restore(seen)
        for one in known:
            state = AssetState(one.stream, one.asset)
            state.restore(orjson.loads(one.document), one.received, one.values)
            self.plant.restore(state)

    def _turn(self) -> None:
        """What is done four times a second."""
        if self._is_stopping:
            return
        revision = self.hub.advance()
        assets, gateways = self.plant.changed(revision), self.gateways.changed(revision)
        marks = self._collect()
        if assets or gateways or marks:
            self.hub.tell(assets, gateways, marks)
        self._turns += 1
        if self._turns % _WRITE_TURNS == 0 and not self.keeper.is_busy:
            self._write()
        asyncio.get_running_loop().call_later(_TURN_S, self._turn)

    def _collect(self) -> Sequence[Mark]:
        """Have what gateways have said written with the next batch; returns the new marks."""
        marks, drift, seen = self.gateways.taken()
        self._marks = [*self._marks, *marks][-_MAX_PENDING:]
        self._drift = [*self._drift, *drift][-_MAX_PENDING:]
        self._seen = [*self._seen, *seen][-_MAX_PENDING:]
        return marks

    def _write(self) -> None:
        batch = self._batch(
            self.plant.points(), has_latest=self._turns % _LATEST_TURNS < _WRITE_TURNS
        )
        if any(batch) or self.keeper.trouble:  # an empty one shows whether the trouble is over
            self.keeper.write(batch)

    def _batch(self, points: Sequence[Any], *, has_latest: bool) -> Batch:
        """What is to be written now."""
        unsaved = [one for one in self.plant.assets.values() if not one.is_saved]
        latest = [
            Latest(one.stream, one.asset, one.received, orjson.dumps(one.document))
            for one in (unsaved if has_latest else ())
        ]
        if has_latest:
            for one in unsaved:
                one.is_saved = True
        marks, self._marks = self._marks, []
        drift, self._drift = self._drift, []
        seen, self._seen = self._seen, []
        return Batch(points, latest, marks, drift, seen)


def _leave(_message: Received) -> None:
    """Do nothing: the topic is neither a prediction's nor a gateway's."""
