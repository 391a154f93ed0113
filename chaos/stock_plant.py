"""Sensors as most people write them: one client of paho's, used as its documentation shows.

It goes on publishing while there is no connection, and leaves reconnecting, and what waits for it,
to paho. With more than 20 messages waiting, a publish after the reconnect is sent before older ones
of paho's queue (paho-mqtt 2.2, `Client.publish`: only the number in flight is looked at). So
readings of an asset arrive out of order, by as much as the backlog is long.
"""

from collections.abc import Iterable
from threading import Event

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from chaos.plant import TICKS_A_SECOND, Plant
from chaos.traffic import Reading
from tests.kit.broker.brokers import HOST

_PAUSE_S = 1 / TICKS_A_SECOND
_NEVER_SET = Event()


class StockPlant(Plant):
    """Publishes one tick after the other until `finish`, with or without a connection."""

    _published = _confirmed = 0

    def run(self) -> None:
        """Publish by one client."""
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(*self._login)
        client.on_publish = self._on_publish
        client.connect(HOST, self._port)
        client.loop_start()
        try:
            while not self._enough.wait(_PAUSE_S):
                self._tick(client)
            while self._confirmed < self._published:
                _NEVER_SET.wait(_PAUSE_S)
        except Exception as exc:  # noqa: BLE001  the top of a thread; `pass_ticks` raises it
            self._error = exc
        finally:
            client.disconnect()
            client.loop_stop()

    def _publish(self, client: Client, readings: Iterable[Reading]) -> None:
        for reading in readings:
            self.sent[reading.topic, reading.payload] = reading
            client.publish(reading.topic, reading.payload, self._qos)
            self._published += 1

    def _on_publish(self, *_: object) -> None:
        self._confirmed += 1  # on paho's thread alone
