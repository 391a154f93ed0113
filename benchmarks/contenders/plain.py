"""The plain way: a paho callback, json, a pickled scikit-learn forest, one `predict` for a message.

Most first versions of such a program look like this. Usage: `python -m benchmarks.contenders.plain
MODEL PORT QOS`.
"""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.load.workload import ROWS, SIGNALS, answer_topic


def main() -> None:
    """Serve until the process is ended."""
    model_path, port, qos = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    model = pickle.loads(model_path.read_bytes())  # noqa: S301  the benchmark wrote it a moment ago

    def on_connect(client: mqtt.Client, *_: Any) -> None:  # noqa: ANN401  paho's other arguments
        client.subscribe(ROWS.readings, qos)

    def on_message(client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        reading = json.loads(message.payload)
        row = [[reading[signal] for signal in SIGNALS]]
        prediction = {"value": int(model.predict(row)[0]), "timestamp": reading["timestamp"]}
        client.publish(answer_topic(message.topic), json.dumps(prediction), qos)

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main()
