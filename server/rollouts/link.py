"""The controller's own client of the broker: it reads what gateways say, and publishes `desired`.

It has a thread of its own, so its calls may block. A lost connection is made again after a wait
that is drawn at random up to a limit that doubles.
"""

import random
import secrets
import select
from time import monotonic
from typing import Final, Protocol

from models.control.documents import Desired
from models.control.topics import ControlTopics
from server.mqtt.connection import Connection
from server.rollouts.retained import PATIENCE_S, Retained
from server.rollouts.rules.fleet import FleetView
from server.rollouts.settings import Rollouts
from serving import log
from serving.mqtt.errors import BrokerError
from serving.mqtt.packets import MQTT_3_1_1, MQTT_5, Received

_LEAST_WAIT_S: Final = 0.05
_FIRST_WAIT_S: Final = 1.0
_TICK_S: Final = 1.0
_BLOCK_S: Final = 0.2
_SELDOM_S: Final = 60.0
REMEDY: Final = "the user of [rollouts.broker] needs the right to write millhand/+/desired/#"


class Known(Protocol):
    """What is made of the messages that arrive.

    Attributes:
        missing: why not everything is known; empty if it is.
    """

    missing: str

    @staticmethod
    def filters() -> list[str]:
        """The topic filters of all that is read."""

    def forget(self) -> None:
        """Begin anew with a new connection."""

    def take(self, message: Received) -> None:
        """Take one message."""


class Listening:
    """A connection, over as many `Connection` objects as it takes.

    Args:
        settings: the broker, and the limits.
        known: takes the messages.
        role: what the connection is for, which stands in its client id and in the log.
    """

    def __init__(self, settings: Rollouts, known: Known, role: str) -> None:
        self._settings, self._heard, self._role = settings, known, role
        self._client_id = f"millhand-{role}-{secrets.token_hex(4)}"
        self._version = MQTT_3_1_1 if settings.broker.protocol == "3.1.1" else MQTT_5
        self._connection: Connection | None = None
        self._attempts = 0
        self._was_subscribed = False
        self._again_s = self._quiet_s = self._opened_s = self._tick_s = 0.0

    @property
    def missing(self) -> str:
        """Why not everything is known; empty if it is."""
        return self._heard.missing

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
            self._heard.filters(),
            self._settings.max_payload_bytes,
        )
        try:
            connection.open()
        except BrokerError as exc:
            self._fail(str(exc))
            return
        self._connection, self._opened_s, self._was_subscribed = connection, monotonic(), False
        self._heard.forget()

    def _read(self) -> None:
        connection = self._connection
        if connection is None:
            return
        received, _ = connection.read()
        now_s = monotonic()
        for message in received:
            self._heard.take(message)
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
            log.info("connected to the broker", role=self._role, client_id=self._client_id)
        if connection.refused_filters:
            refused = ", ".join(connection.refused_filters)
            self._heard.missing = f"the broker refuses the topic filters {refused}"
        elif now_s < self._quiet_s + self._settings.settle_s:
            self._heard.missing = "what gateways have said is still arriving from the broker"
        else:
            self._heard.missing = ""

    def _fail(self, reason: str) -> None:
        self._connection = None
        reason = f"no connection to the broker: {reason}"
        if self._heard.missing != reason:
            log.warning("no connection to the broker", role=self._role, reason=reason)
        self._heard.missing = reason
        limit_s = min(_FIRST_WAIT_S * 2**self._attempts, self._settings.broker.reconnect_max_s)
        self._attempts = min(self._attempts + 1, 32)
        self._again_s = monotonic() + random.uniform(_LEAST_WAIT_S, limit_s)  # noqa: S311  jitter
        if self._settings.broker.protocol == "auto" and not self._was_subscribed:
            self._version = MQTT_5 if self._version == MQTT_3_1_1 else MQTT_3_1_1


class Link(Listening):
    """The connection of the controller of rollouts.

    Args:
        settings: the broker, and the limits.
        patience_s: seconds after which a `desired` that the broker does not send back counts as not
            published.
    """

    def __init__(self, settings: Rollouts, patience_s: float = PATIENCE_S) -> None:
        self._known = Retained(settings.max_gateways, patience_s)
        super().__init__(settings, self._known, "rollouts")
        self._client_id = settings.broker.client_id or self._client_id
        self._log = log.Limited(_SELDOM_S)

    def view(self, stream: str) -> FleetView:
        """The gateways of a stream."""
        return self._known.view(stream, monotonic())

    def unkept(self, stream: str) -> list[str]:
        """Gateways whose `desired` was published, and has not come back from the broker."""
        return self._known.unkept(stream)

    def publish(self, gateway: str, desired: Desired) -> None:
        """Publish the retained `desired` of a gateway; without a connection it does nothing."""
        if self._connection is None:
            return
        if self._known.is_unkept(gateway, desired.stream, monotonic()):
            self._log.warning(
                "unkept",
                "the broker does not keep what gateways are told",
                gateway=gateway,
                remedy=REMEDY,
            )
        topic = ControlTopics(gateway).desired(desired.stream)
        self._connection.publish(topic, desired.to_json())
        self._known.expect(gateway, desired, monotonic())
