"""`GET /metrics/fleet`: the metrics of all gateways, from what they say on the broker.

A gateway is in one of these states, of which the first that holds counts:

    unknown   it has no status, or none has come since the connection to the broker was lost
    gone      it is offline for longer than `metrics.fleet_gone_s`
    offline   by its status, which is its will: only that is told of it
    online    everything is told of it; of its counters, those of the last `metrics.fleet_silent_s`

Unknown and gone ones have no series. The work is done in parts, between which the event loop
answers other requests, since a large fleet has tens of thousands of series.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from models.control.exposition import MEDIA_TYPE, Exposition
from models.control.families import FAMILIES, ONLINE
from models.control.series import Sample, samples
from server.console.gateway import GatewayState
from server.console.gateways import Gateways
from server.console.mqtt.subscriber import BrokerState
from server.http.answer import Answer
from server.http.request import Handler, Request
from server.metrics import families
from server.metrics.settings import Metrics

Presence = Literal["unknown", "gone", "offline", "online"]
_PART: Final = 10
"""Gateways that are written at once: some milliseconds with three streams each."""
_FRESH: Final = ((b"cache-control", b"no-store"),)


class Fleet:
    """Answers Prometheus for all gateways.

    Args:
        gateways: what they have said.
        broker: whether there is a connection to the broker.
        settings: how long a gateway may be silent.
        clock: milliseconds since 1970.
    """

    def __init__(
        self,
        gateways: Gateways,
        broker: Callable[[], BrokerState],
        settings: Metrics,
        clock: Callable[[], int],
    ) -> None:
        self._gateways, self._broker, self._clock = gateways, broker, clock
        self._gone_ms = settings.fleet_gone_s * 1000
        self._silent_ms = settings.fleet_silent_s * 1000

    def table(self) -> Sequence[tuple[str, str, Handler]]:
        """Method, path and handler of what is answered here."""
        return (("GET", "/metrics/fleet", self._metrics),)

    def presence(self, state: GatewayState, now_ms: int) -> Presence:
        """The state that a gateway is in."""
        broker = self._broker()
        is_settled = now_ms - broker.since > self._silent_ms
        is_told = broker.connected and state.epoch == self._gateways.epoch
        if state.status is None or (is_settled and not is_told):
            return "unknown"
        if state.offline_ms is None:
            return "online"
        return "gone" if now_ms - state.offline_ms > self._gone_ms else "offline"

    async def _metrics(self, request: Request) -> Answer:
        request.query()
        exposition, found = Exposition((*families.FLEET, *FAMILIES)), Counter[Presence]()
        known = list(self._gateways.known.values())
        for begin in range(0, len(known), _PART):
            now_ms = self._clock()
            for state in known[begin : begin + _PART]:
                presence = self.presence(state, now_ms)
                found[presence] += 1
                exposition.add(self._of_gateway(state, presence, now_ms))
            await asyncio.sleep(0)
        exposition.add(self._of_fleet(found))
        return Answer(200, exposition.text(), MEDIA_TYPE.encode(), _FRESH)

    def _of_gateway(self, state: GatewayState, presence: Presence, now_ms: int) -> Iterator[Sample]:
        if presence in ("unknown", "gone"):
            return
        yield families.HEARD, (state.name,), state.heard_ms / 1000
        if presence == "offline":
            yield ONLINE, (state.name,), 0
            return
        is_silent = now_ms - state.metrics_ms > self._silent_ms
        yield from samples(state.said(has_counters=not is_silent))

    def _of_fleet(self, found: Counter[Presence]) -> Iterator[Sample]:
        for presence in ("online", "offline", "gone", "unknown"):
            yield families.GATEWAYS, (presence,), found[presence]
        yield families.BROKER, (), self._broker().connected
        yield families.CLEARED, (), self._gateways.cleared
        for reason in ("document", "max_gateways"):
            yield families.IGNORED, (reason,), self._gateways.ignored[reason]
