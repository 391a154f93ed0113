"""The sensors of the plant: readings at a steady rate and in order, over all disturbances.

paho's own queue is not used over a reconnect, as a publish between the TCP connect and CONNACK
would overtake those that are sent again (`chaos.stock_plant` has such sensors). So each connection
has a client of its own, which first sends again what the broker has not confirmed; without a
connection no readings are made.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from chaos.traffic import BASE_MS, Reading, tick
from tests.kit.broker.brokers import HOST
from tests.kit.gateway.mqtt_client import Session, paho_client
from tests.kit.waiting import eventually

TICKS_A_SECOND = 25
MAX_TICKS = 200_000

_CONNECT_S = 2.0
_PAUSE_S = 0.05
_CONFIRM_S = 60.0
_QOS_2, _MAX_AT_QOS_2 = 2, 8


class Plant(threading.Thread):
    """Publishes one tick after the other until `finish`.

    Args:
        port: port of the broker on the loopback.
        login: user and password.
        qos: QoS of the readings, 1 or 2.

    Attributes:
        sent: every reading by its topic and payload, in the order of the first publish.
        ticks: number of ticks that were published.
    """

    def __init__(self, port: int, login: tuple[str, str], qos: int = 1) -> None:
        super().__init__(name="plant", daemon=True)
        self.sent: dict[tuple[str, bytes], Reading] = {}
        self.ticks = 0
        self._port = port
        self._login = login
        self._qos = qos
        self._extra: deque[Reading] = deque()
        self._unconfirmed: dict[int, Reading] = {}
        self._enough = threading.Event()
        self._error: Exception | None = None

    @property
    def now_ms(self) -> int:
        """The source time of the newest reading."""
        return BASE_MS + self.ticks

    def add(self, reading: Reading) -> None:
        """Publish a further reading with the next tick."""
        self._extra.append(reading)

    def pass_ticks(self, count: int) -> None:
        """Wait until a number of further ticks were published."""
        wanted = self.ticks + count
        eventually(lambda: self._is_past(wanted), _CONFIRM_S, f"the plant to send {count} ticks")

    def finish(self) -> None:
        """End the thread once the broker has confirmed all readings."""
        self._enough.set()
        self.join(_CONFIRM_S)
        assert not self.is_alive(), f"the broker does not confirm {len(self._unconfirmed)} readings"
        self._is_past(0)

    def run(self) -> None:
        """Publish on one connection after the other."""
        try:
            while not self._enough.is_set() or self._unconfirmed:
                client = self._connected()
                if client is not None:
                    self._use(client)
        except Exception as exc:  # noqa: BLE001  the top of a thread; `_is_past` raises it
            self._error = exc

    def _is_past(self, wanted: int) -> bool:
        if self._error is not None:
            raise self._error
        return self.ticks >= wanted

    def _connected(self) -> Client | None:
        client = paho_client(Session(login=self._login))
        client.on_publish = self._on_publish
        try:
            client.connect(HOST, self._port)
        except OSError:
            threading.Event().wait(_PAUSE_S)
            return None
        deadline = time.monotonic() + _CONNECT_S
        while client.loop(_PAUSE_S) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if client.is_connected():
                return client
            if time.monotonic() > deadline:
                break
        return None

    def _use(self, client: Client) -> None:
        """Publish again what was not confirmed, and go on until the connection ends."""
        again, self._unconfirmed = list(self._unconfirmed.values()), {}
        self._publish(client, again)
        next_s = time.monotonic()
        while client.is_connected() and (self._unconfirmed or not self._enough.is_set()):
            is_due = time.monotonic() >= next_s and not self._enough.is_set()
            # Mosquitto drops what is published at QoS 2 beyond 20 in flight, and confirms it.
            if is_due and (self._qos < _QOS_2 or len(self._unconfirmed) < _MAX_AT_QOS_2):
                self._tick(client)
                next_s += 1 / TICKS_A_SECOND
            client.loop(min(_PAUSE_S, max(0.0, next_s - time.monotonic())))
        client.disconnect()

    def _tick(self, client: Client) -> None:
        """Publish the readings of the next moment."""
        self._publish(client, tick(self.ticks + 1))
        self.ticks += 1
        assert self.ticks < MAX_TICKS, "nobody has called finish"
        while self._extra:
            self._publish(client, [self._extra.popleft()])

    def _publish(self, client: Client, readings: Iterable[Reading]) -> None:
        for reading in readings:
            self.sent[reading.topic, reading.payload] = reading
            sent = client.publish(reading.topic, reading.payload, self._qos)
            self._unconfirmed[sent.mid] = reading

    def _on_publish(self, _client: Client, _userdata: object, packet_id: int, *_: object) -> None:
        self._unconfirmed.pop(packet_id, None)
