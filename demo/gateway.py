"""The demo's gateway: the agent's configuration, and what it says of itself on its topics."""

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
        # amqtt leaves a CONNECT of MQTT 5 with a will unanswered, so that asking costs a timeout.
        protocol="3.1.1" if broker.name == "amqtt" else "auto",
        registry=registry.as_uri(),
        root=root,
        stream=STREAM,
        input=TELEMETRY_TOPIC,
        output=PREDICTION_TOPIC,
        signals="\n".join(f'{name} = "{path}"' for name, path in PATHS.items()),
    )


class Gateway:
    """What the agent has said of itself.

    Attributes:
        online: Whether its status is online.
        seq: The version that it serves; 0: none.
        desired_seq: The version that it was last told to serve; 0: none.
        refusal: Why it refused an update, in its words; empty: it did not.
    """

    def __init__(self) -> None:
        self.online = False
        self.seq = 0
        self.desired_seq = 0
        self.refusal = ""

    def hear(self, arrival: Arrival) -> None:
        """Take in one message on a control topic."""
        said = json.loads(arrival.payload or b"{}")
        match arrival.topic:
            case topic if topic == STATUS_TOPIC:
                self.online = said.get("state") == "online"
            case topic if topic == DESIRED_TOPIC:
                self.desired_seq = said.get("seq", 0)
            case topic if topic == CURRENT_TOPIC:
                self.seq = said.get("seq", 0) if said.get("state") == "serving" else 0
            case topic if topic == FEEDBACK_TOPIC and said.get("state") == "refused":
                self.refusal = f"{said.get('error')}: {said.get('message')}"
