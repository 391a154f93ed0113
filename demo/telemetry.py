"""The messages of the demo: telemetry of a pump, and the agent's predictions."""

import json
import math
from typing import Any

from demo.errors import DemoError
from demo.plant.simulation import Reading
from demo.promises.ledger import Answer

STREAM = "pump-health"
TELEMETRY_TOPIC = "plant/{line}/{asset}/telemetry"
PREDICTION_TOPIC = "plant/{line}/{asset}/_inference/{stream}"
PREDICTIONS = PREDICTION_TOPIC.format(line="+", asset="+", stream=STREAM)

# The path of each signal in the payload, with the groups that a controller would make.
PATHS = {
    "load": "demand.load",
    "speed": "drive.speed",
    "current": "drive.current",
    "motor_temperature": "drive.temperature",
    "pressure": "hydraulics.pressure",
    "flow": "hydraulics.flow",
    "valve": "hydraulics.valve",
    "bearing_temperature": "bearing.temperature",
    "vibration": "bearing.vibration",
}


def measured(reading: Reading) -> dict[str, float]:
    """Return the values that a reading carries, by signal; those of silent sensors are absent."""
    found = {name: reading.signals[name] for name in PATHS}
    return {name: round(value, 3) for name, value in found.items() if math.isfinite(value)}


def telemetry(reading: Reading, timestamp_ms: int) -> tuple[str, bytes]:
    """Return topic and payload of one reading."""
    payload: dict[str, Any] = {"ts": timestamp_ms}
    for name, value in measured(reading).items():
        group, leaf = PATHS[name].split(".")
        payload.setdefault(group, {})[leaf] = value
    topic = TELEMETRY_TOPIC.format(line=reading.line, asset=reading.pump)
    return topic, json.dumps(payload).encode()


def answer(payload: bytes) -> Answer:
    """Read a prediction.

    Raises:
        DemoError: the payload is not JSON, or a field is missing or not of its type.
    """
    try:
        fields = json.loads(payload)
        score = fields.get("score")
        return Answer(
            asset=str(fields["asset"]),
            timestamp_ms=int(fields["timestamp"]),
            id=str(fields["id"]),
            seq=int(fields["seq"]),
            version=str(fields["version"]),
            label=str(fields.get("label", fields["value"])),
            score=None if score is None else float(score),
            quality=str(fields["quality"]),
            latency_ms=float(fields["latency_ms"]),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise DemoError(f"this is no prediction ({exc!r}): {payload[:500]!r}") from exc
