"""The server with its page, the broker that it watches, and what a browser would be sent."""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import detector_bundle
from tests.kit.bundles.published import Published
from tests.kit.errors import KitError
from tests.kit.model_server import ModelServer

STREAM = "pump-health"
EVENT_S = 20.0
_MAX_EVENTS = 10_000


def page_server(
    folder: Path, port: int, *, limits: Mapping[str, object] | None = None, **console: object
) -> ModelServer:
    """A server of the stream `pump-health`, which is not started yet, whose page shows a broker.

    Args:
        folder: folder for the registry and the server.
        port: port of the broker on the loopback.
        limits: keys of the section `[limits]`.
        **console: keys of the section `[console]`.
    """
    published = Published.create(folder)
    published.publish(detector_bundle(STREAM, 1, [1.0, 10.0], threshold=50.0))
    broker = {"host": HOST, "port": port, "reconnect_max_s": 0.5}
    sections: dict[str, Mapping[str, object]] = {"console": {"broker": broker, **console}}
    if limits:
        sections["limits"] = limits
    return ModelServer(folder / "home", published, [{"stream": STREAM}], sections)


class Event(NamedTuple):
    """One server-sent event.

    Attributes:
        name: its name.
        id: its id, empty without one.
        document: its data.
    """

    name: str
    id: str
    document: Any


class Browser:
    """Listens to the events of a server on a connection of its own.

    Args:
        port: port of the server.
        last_id: id of the last event that it has seen; empty if it has seen none.
    """

    def __init__(self, port: int, last_id: str = "") -> None:
        self.seen: list[Event] = []
        self._connection = http.client.HTTPConnection(HOST, port, timeout=EVENT_S)
        headers = {"Last-Event-ID": last_id} if last_id else {}
        self._connection.request("GET", "/console/api/events", headers=headers)
        self.answer = self._connection.getresponse()

    def __enter__(self) -> Self:
        """Return the browser, which listens already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.answer.close()
        self._connection.close()

    def events(self) -> Iterator[Event]:
        """The events as they come, until the server ends the stream."""
        fields: dict[str, str] = {}
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                event = Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
                self.seen.append(event)
                fields = {}
                yield event

    def wait_for(self, name: str, wanted: Callable[[Any], object]) -> Any:  # noqa: ANN401  any JSON value
        """The data of the first event of a name for which `wanted` is true.

        Raises:
            KitError: the stream has ended before.
        """
        for event in self.events():
            if event.name == name and wanted(event.document):
                return event.document
            if len(self.seen) > _MAX_EVENTS:
                break
        raise KitError(f"no such event '{name}' among {len(self.seen)}")


def asset_of(document: Mapping[str, Any], asset: str) -> Any:  # noqa: ANN401  as above
    """What a document says of an asset; None if it does not name it."""
    return next((one for one in document["assets"] if one["asset"] == asset), None)


def overview(server: ModelServer) -> Any:  # noqa: ANN401  as above
    """What the page asks first: all assets, and the state of the broker."""
    return server.request("GET", "/console/api/plant").document


def shown_of(server: ModelServer, asset: str) -> Any:  # noqa: ANN401  as above
    """What the page shows of an asset; None if it does not."""
    return asset_of(overview(server), asset)


def history(server: ModelServer, asset: str) -> Any:  # noqa: ANN401  as above
    """What the page shows of the last hour of an asset."""
    reply = server.request("GET", f"/console/api/history?stream={STREAM}&asset={asset}")
    if reply.status != http.HTTPStatus.OK:
        raise KitError(f"history: {reply.status} {reply.body!r}")
    return reply.document


def prediction(asset: str, value: float | None, **more: object) -> dict[str, object]:
    """A prediction of the stream as an agent publishes it, at this moment."""
    made = {"value": value, "quality": "GOOD", "timestamp": now_ms(), "asset": asset}
    return {**made, "stream": STREAM, "version": "1.0.1", "seq": 1, **more}


def now_ms() -> int:
    """The time of day, milliseconds since 1970."""
    return int(time.time() * 1000)
