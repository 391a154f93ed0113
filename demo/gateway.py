"""The gateway of the demo: the agent's configuration, and its state by its control topics."""

import json
from pathlib import Path

from demo.link import Arrival
from demo.telemetry import PATHS, PREDICTION_TOPIC, STREAM, TELEMETRY_TOPIC
from models.control.topics import ControlTopics
from tests.kit.broker.brokers import HOST, Broker

GATEWAY = "demo"
TOPICS = ControlTopics(GATEWAY)
STATUS_TOPIC = TOPICS.status
DESIRED_TOPIC, CURRENT_TOPIC = TOPICS.desired(STREAM), TOPICS.current(STREAM)
FEEDBACK_TOPIC = TOPICS.feedback
CONTROL_TOPICS = [STATUS_TOPIC, DESIRED_TOPIC, CURRENT_TOPIC, FEEDBACK_TOPIC]

_CONFIGURATION = """\
[gateway]
id = "{gateway}"
state_dir = "{state}"

[broker]
host = "{host}"
port = {port}
protocol = "{protocol}"

[registry]
url = "{registry}"
root = "{root}"

[[pipelines]]
stream = "{stream}"

[pipelines.output]
topic = "{output}"

[[pipelines.inputs]]
topic = "{input}"
dialect = "json"
timestamp = "ts"
timestamp_unit = "ms"

[pipelines.inputs.signals]
{signals}
"""


def configuration(broker: Broker, *, state: Path, registry: Path, root: Path) -> str:
    """Return the agent's configuration as TOML."""
    return _CONFIGURATION.format(
        gateway=GATEWAY,
        state=state,
        host=HOST,
        port=broker.port,
        # amqtt does not answer a CONNECT of MQTT 5 with a will: to try MQTT 5 costs a timeout.
        protocol="3.1.1" if broker.name == "amqtt" else "auto",
        registry=registry.as_uri(),
        root=root,
        stream=STREAM,
        input=TELEMETRY_TOPIC,
        output=PREDICTION_TOPIC,
        signals="\n".join(f'{name} = "{path}"' for name, path in PATHS.items()),
    )


class Gateway:
    """The state of the agent, as its control topics show it.

    Attributes:
        online: whether the status of the agent is online.
        seq: number of the bundle that the agent serves; 0: none.
        desired_seq: number of the bundle that it was last asked to serve; 0: none.
        refusal: error code and message of an update that the agent refused; empty: none.
    """

    def __init__(self) -> None:
        self.online = False
        self.seq = 0
        self.desired_seq = 0
        self.refusal = ""

    def receive(self, arrival: Arrival) -> None:
        """Take one message on a control topic into account."""
        document = json.loads(arrival.payload or b"{}")
        match arrival.topic:
            case topic if topic == STATUS_TOPIC:
                self.online = document.get("state") == "online"
            case topic if topic == DESIRED_TOPIC:
                self.desired_seq = document.get("seq", 0)
            case topic if topic == CURRENT_TOPIC:
                serves = document.get("state") in {"serving", "degraded"}
                self.seq = document.get("seq", 0) if serves else 0
            case topic if topic == FEEDBACK_TOPIC and document.get("state") == "refused":
                self.refusal = f"{document.get('error')}: {document.get('message')}"
