"""SCADA: hears every prediction, over all restarts of the broker, in a session that survives."""

import json
import time
import uuid
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from chaos.ledger import Answer
from chaos.traffic import Key
from tests.kit.broker.brokers import HOST
from tests.kit.waiting import eventually

_EXPIRY_S = 3600
_RECONNECT_S = 1
_QUICKLY_S = 0.1


class Scada:
    """Subscribes to predictions and to what the gateway says of itself.

    Args:
        port: of the broker.
        login: user and password.

    Attributes:
        answers: every prediction in the order of arrival, repetitions among them.
        metrics: the newest counters of the gateway; empty until the first were heard.
        current: the newest word of each stream's model.
    """

    def __init__(self, port: int, login: tuple[str, str]) -> None:
        self.answers: list[Answer] = []
        self.metrics: dict[str, Any] = {}
        self.current: dict[str, dict[str, Any]] = {}
        self._is_subscribed = False
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=login[0],
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.username_pw_set(*login)
        self._client.reconnect_delay_set(_RECONNECT_S, _RECONNECT_S)
        self._client._reconnect_min_delay = _QUICKLY_S  # type: ignore[assignment] # noqa: SLF001 - a whole second would be SCADA's, not the agent's
        self._client._reconnect_max_delay = _QUICKLY_S  # type: ignore[assignment] # noqa: SLF001 - as above
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        expiry = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
        expiry.SessionExpiryInterval = _EXPIRY_S
        self._client.connect(HOST, port, clean_start=False, properties=expiry)

    def __enter__(self) -> Self:
        """Wait until it hears."""
        self._client.loop_start()
        eventually(lambda: self._is_subscribed, message="SCADA to be subscribed")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def of(self, stream: str, first: int = 0) -> list[Answer]:
        """The predictions of one stream, from the `first` answer of all on."""
        return [answer for answer in self.answers[first:] if answer.key.stream == stream]

    def dropped(self, reason: str) -> int:
        """Inputs that the gateway has counted as dropped for a reason, as far as was heard."""
        counted: dict[str, int] = self.metrics.get("dropped", {})
        return counted.get(reason, 0)

    def push(self, gateway: str, stream: str, seq: int) -> str:
        """Select a model, as `millhand-trainer push` does, and return the activity's id."""
        activity = uuid.uuid4().hex
        document = json.dumps({"activity": activity, "stream": stream, "seq": seq})
        self._client.publish(f"millhand/{gateway}/desired/{stream}", document, 1, retain=True)
        return activity

    def _on_connect(self, client: Client, *_: object) -> None:
        client.subscribe([("plant/+/+/_inference/#", 1), ("millhand/#", 1)])

    def _on_subscribe(self, *_: object) -> None:
        self._is_subscribed = True

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        at_s = time.monotonic()
        told = json.loads(message.payload) if message.payload else {}
        level = message.topic.split("/")[2]
        if "/_inference/" in message.topic:
            key = Key(told["stream"], told["asset"], told["timestamp"])
            self.answers.append(Answer(key, told["value"], told["id"], at_s))
        elif level == "metrics":
            self.metrics = told
        elif level == "current":
            self.current[told["stream"]] = told
