"""The controller's own client of the broker: it reads what gateways say, and publishes `desired`.

It has a thread of its own, so its calls may block. A lost connection is made again after a wait
that is drawn at random up to a limit that doubles.
"""

import random
import secrets
import select
from time import monotonic
from typing import Final

from models.control.documents import Desired
from models.control.topics import ControlTopics
from server.mqtt.connection import Connection
from server.rollouts.retained import Retained
from server.rollouts.rules.fleet import FleetView
from server.rollouts.settings import Rollouts
from serving import log
from serving.mqtt.errors import BrokerError
from serving.mqtt.packets import MQTT_3_1_1, MQTT_5

_LEAST_WAIT_S: Final = 0.05
_FIRST_WAIT_S: Final = 1.0
_TICK_S: Final = 1.0
_BLOCK_S: Final = 0.2


class Link:
    """The connection, over as many `Connection` objects as it takes.

    Args:
        settings: the broker, and the limits.
    """

    def __init__(self, settings: Rollouts) -> None:
        self._settings = settings
        self._known = Retained(settings.max_gateways)
        self._client_id = settings.broker.client_id or f"millhand-rollouts-{secrets.token_hex(4)}"
        self._version = MQTT_3_1_1 if settings.broker.protocol == "3.1.1" else MQTT_5
        self._connection: Connection | None = None
        self._attempts = 0
        self._was_subscribed = False
        self._again_s = self._quiet_s = self._opened_s = self._tick_s = 0.0

    @property
    def missing(self) -> str:
        """Why not everything is known; empty if it is."""
        return self._known.missing

    def view(self, stream: str) -> FleetView:
        """The gateways of a stream."""
        return self._known.view(stream)

    def publish(self, gateway: str, desired: Desired) -> None:
        """Publish the retained `desired` of a gateway; without a connection it does nothing."""
        if self._connection is not None:
            topic = ControlTopics(gateway).desired(desired.stream)
            self._connection.publish(topic, desired.to_json())
            self._known.expect(gateway, desired)

    def turn(self, seconds: float) -> None:
        """Read what arrives for some seconds; connect where there is no connection."""
        ends_s = monotonic() + seconds
        while (left_s := ends_s - monotonic()) > 0:
            if self._connection is None and monotonic() >= self._again_s:
                self._open()
            descriptor = self._connection.fileno() if self._connection is not None else None
            readable = [descriptor] if descriptor is not None else []
            select.select(readable, [], [], min(left_s, _BLOCK_S))
            self._read()

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> None:
        broker = self._settings.broker
        connection = Connection(
            broker,
            self._client_id,
            self._version,
            Retained.filters(),
            self._settings.max_payload_bytes,
        )
        try:
            connection.open()
        except BrokerError as exc:
            self._fail(str(exc))
            return
        self._connection, self._opened_s, self._was_subscribed = connection, monotonic(), False
        self._known.forget()

    def _read(self) -> None:
        connection = self._connection
        if connection is None:
            return
        received, _ = connection.read()
        now_s = monotonic()
        for message in received:
            self._known.take(message)
            if message.retained:
                self._quiet_s = now_s
        if now_s >= self._tick_s:
            self._tick_s = now_s + _TICK_S
            connection.tick()
        if connection.lost:
            self._fail(connection.lost)
        elif connection.is_subscribed:
            self._settle(connection, now_s)
        elif now_s > self._opened_s + self._settings.broker.connect_timeout_s:
            connection.close()
            self._fail("the broker does not answer")

    def _settle(self, connection: Connection, now_s: float) -> None:
        """Note that everything is known, once no retained message has come for a while."""
        if not self._was_subscribed:
            self._was_subscribed, self._attempts = True, 0
            self._quiet_s = now_s
            log.info("rollouts connected to the broker", client_id=self._client_id)
        if connection.refused_filters:
            refused = ", ".join(connection.refused_filters)
            self._known.missing = f"the broker refuses the topic filters {refused}"
        elif now_s < self._quiet_s + self._settings.settle_s:
            self._known.missing = "what gateways have said is still arriving from the broker"
        else:
            self._known.missing = ""

    def _fail(self, reason: str) -> None:
        self._connection = None
        reason = f"no connection to the broker: {reason}"
        if self._known.missing != reason:
            log.warning("rollouts have no connection to the broker", reason=reason)
        self._known.missing = reason
        limit_s = min(_FIRST_WAIT_S * 2**self._attempts, self._settings.broker.reconnect_max_s)
        self._attempts = min(self._attempts + 1, 32)
        self._again_s = monotonic() + random.uniform(_LEAST_WAIT_S, limit_s)  # noqa: S311  jitter
        if self._settings.broker.protocol == "auto" and not self._was_subscribed:
            self._version = MQTT_5 if self._version == MQTT_3_1_1 else MQTT_3_1_1
