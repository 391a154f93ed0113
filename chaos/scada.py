"""The SCADA system: it receives every prediction, in a session that survives all restarts."""

import json
import time
from typing import Any

from chaos.ledger import Answer
from chaos.traffic import Key
from models.control.topics import PREFIX
from tests.kit.gateway.mqtt_client import MqttClient, Session

_EXPIRY_S = 3600
_RECONNECT_S = 1
_QUICKLY_S = 0.1
_FILTERS = ("plant/+/+/_inference/#", f"{PREFIX}/#")


class Scada(MqttClient):
    """Subscribes to predictions and to the control topics of the gateway.

    Args:
        port: port of the broker on the loopback.
        login: user and password.

    Attributes:
        answers: every prediction in the order of arrival, repetitions among them.
        metrics: the newest counters of the gateway; empty until the first have arrived.
        current: the newest `current` document of each stream.
    """

    def __init__(self, port: int, login: tuple[str, str]) -> None:
        self.answers: list[Answer] = []
        self.metrics: dict[str, Any] = {}
        self.current: dict[str, dict[str, Any]] = {}
        session = Session(client_id=login[0], login=login, expiry_s=_EXPIRY_S)
        super().__init__(port, _FILTERS, session)
        self.paho.reconnect_delay_set(_RECONNECT_S, _RECONNECT_S)
        self.paho._reconnect_min_delay = _QUICKLY_S  # type: ignore[assignment] # noqa: SLF001 - a whole second would be SCADA's, not the agent's
        self.paho._reconnect_max_delay = _QUICKLY_S  # type: ignore[assignment] # noqa: SLF001 - as above

    def of(self, stream: str, first: int = 0) -> list[Answer]:
        """The predictions of one stream among all answers from number `first` on."""
        return [answer for answer in self.answers[first:] if answer.key.stream == stream]

    def dropped(self, reason: str) -> int:
        """The number of inputs that the gateway says it has dropped for a reason."""
        counted: dict[str, int] = self.metrics.get("dropped", {})
        return counted.get(reason, 0)

    def take(self, topic: str, payload: bytes) -> None:
        """Keep what one message says."""
        at_s = time.monotonic()
        document = json.loads(payload) if payload else {}
        level = topic.split("/")[2]
        if "/_inference/" in topic:
            key = Key(document["stream"], document["asset"], document["timestamp"])
            self.answers.append(Answer(key, document["value"], document["id"], at_s))
        elif level == "metrics":
            self.metrics = document
        elif level == "current":
            self.current[document["stream"]] = document
