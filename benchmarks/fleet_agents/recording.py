"""What a fleet has said, in the order in which the broker has passed it on."""

import time
from collections import Counter, defaultdict
from typing import Any, Final, NamedTuple

import orjson
from paho.mqtt.client import Client, MQTTMessage

from benchmarks.fleet_agents.plant import BASE_MS, STEP_MS
from tests.kit.gateway.mqtt_client import MqttClient, Session

_SESSION_S: Final = 3600
_LEVELS: Final = 4
_COUNTER: Final = "$SYS/broker/publish/messages/received"


class Answer(NamedTuple):
    """A prediction.

    Attributes:
        row: number of the row that it answers.
        seq: number of the bundle.
        is_alarm: whether it is an alarm.
        id: its identity.
        at_s: monotonic seconds at which it came.
    """

    row: int
    seq: int
    is_alarm: bool
    id: str
    at_s: float


class Said(NamedTuple):
    """A document of the control plane.

    Attributes:
        document: the document; empty where it was taken back.
        at_s: monotonic seconds at which it came.
        is_repeated: whether the broker has sent it again, so that it may be old.
    """

    document: dict[str, Any]
    at_s: float
    is_repeated: bool


class Recording(MqttClient):
    """Hears all predictions and all of the control plane, also over a restart of the broker.

    Args:
        port: port of the broker on the loopback.

    Attributes:
        answers: predictions by gateway.
        said: documents by kind, such as `current`, and gateway.
        passed: messages that the broker has received since it was started, as it counts them.
    """

    def __init__(self, port: int) -> None:
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self.said: dict[tuple[str, str], list[Said]] = defaultdict(list)
        self.passed = 0
        filters = ["plant/+/+/_inference/#", "millhand/#", _COUNTER]
        super().__init__(port, filters, Session(client_id="recording", expiry_s=_SESSION_S))

    def latest(self, kind: str, gateway: str) -> dict[str, Any]:
        """The newest document of a kind; empty without one."""
        found = self.said.get((kind, gateway))
        return found[-1].document if found else {}

    def count(self) -> Counter[str]:
        """Number of documents by kind."""
        counted: Counter[str] = Counter()
        for (kind, _), said in list(self.said.items()):
            counted[kind] += len(said)
        return counted

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        now_s, levels = time.monotonic(), message.topic.split("/")
        if levels[0] == "plant":
            self._answered(levels[1], orjson.loads(message.payload), now_s)
        elif message.topic == _COUNTER:
            self.passed = int(message.payload)
        elif len(levels) in (_LEVELS - 1, _LEVELS):
            document = orjson.loads(message.payload) if message.payload else {}
            said = Said(document, now_s, message.dup or message.retain)
            self.said[levels[2], levels[1]].append(said)

    def _answered(self, gateway: str, document: dict[str, Any], now_s: float) -> None:
        row = (document["timestamp"] - BASE_MS) // STEP_MS
        is_alarm = document["value"] == 1
        answer = Answer(row, document["seq"], is_alarm, document["id"], now_s)
        self.answers[gateway].append(answer)
