"""`python -m benchmarks.lists`: lists of tags beside plain JSON with as many signals.

A message has a value of each of 20 or 50 signals of one asset, all of one time. The model is a
weighted sum of the newest row of a window of ten, so every message is answered. The messages wait
in the broker's session when the agent starts; measured is the time from the first answer to the
last, and the processor time that the agent takes meanwhile. Processor time is the figure that other
work on the machine disturbs least. Each round runs all formats, and ratios are of one round.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.errors import BenchmarkError
from benchmarks.experiments.costs import cpu_seconds
from benchmarks.load.broker import running_broker
from benchmarks.machine import machine_line
from benchmarks.report.views import spread
from models.sparkplug.datatype import DataType
from models.sparkplug.encoder import encode
from models.sparkplug.payload import Metric, Payload
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import MqttClient
from tests.kit.waiting import eventually

_ASSETS, _LENGTH, _STREAM = 5, 10, "lists"
_BASE_MS: Final = 1_700_000_000_000
_DRAIN_S: Final = 120.0
_TOPIC: Final = "plant/l1/{asset}/telemetry"
_NODE: Final = "spBv1.0/plant/{type}/line/{asset}"
_PREFIX: Final = "Channel1.Device1."
_SEQUENCE: Final = 256


class Format(NamedTuple):
    """A payload format with a number of signals."""

    name: str
    width: int

    @property
    def base(self) -> "Format":
        """What it is compared with."""
        return Format("json", self.width)


FORMATS = (
    Format("json", 50),
    Format("kepware", 50),
    Format("json", 20),
    Format("opcua", 20),
    Format("sparkplug", 20),
    Format("sitewise", 20),
)


class Figures(NamedTuple):
    """What one run has shown."""

    values_rate: float
    cpu_us: float  # of the agent, a message


class _Scada(MqttClient):
    """Notes when each prediction for the last asset came, which is one in five."""

    def __init__(self, port: int) -> None:
        self.at_s: list[float] = []
        super().__init__(port, [f"plant/l1/p{_ASSETS - 1}/_inference/#"])

    def take(self, topic: str, payload: bytes) -> None:  # noqa: ARG002  only the time counts
        """Note the time of one prediction."""
        self.at_s.append(time.monotonic())


def source(form: Format) -> dict[str, Any]:
    """The input of the agent's configuration."""
    names = [f"c{index}" for index in range(form.width)]
    if form.name == "json":
        return {"topic": _TOPIC, "timestamp": "timestamp"}
    if form.name == "sparkplug":
        return {"topic": _NODE, "dialect": form.name}
    prefix = {"kepware": _PREFIX, "sitewise": "/line/"}.get(form.name, "")
    return {
        "topic": _TOPIC,
        "dialect": form.name,
        "signals": {name: prefix + name for name in names},
    }


def messages(form: Format, count: int) -> Iterator[tuple[str, bytes]]:
    """Topic and payload of so many messages, behind the births of a node if there is one."""
    dice, names = random.Random(1), [f"c{index}" for index in range(form.width)]
    if form.name == "sparkplug":
        yield from _births(names)
    for number in range(count):
        asset, at_ms = f"p{number % _ASSETS}", _BASE_MS + number
        values = {name: round(dice.uniform(0.0, 100.0), 3) for name in names}
        if form.name == "sparkplug":
            topic = _NODE.format(type="DDATA", asset=asset)
            yield topic, _ddata(values, at_ms, (number + _ASSETS + 1) % _SEQUENCE)
            continue
        document = _DOCUMENTS[form.name](values, at_ms)
        yield _TOPIC.format(asset=asset), json.dumps(document, separators=(",", ":")).encode()


def _births(names: list[str]) -> Iterator[tuple[str, bytes]]:
    session = Metric("bdSeq", datatype=DataType.INT64, value=0, timestamp_ms=_BASE_MS)
    node = Payload(_BASE_MS, [session], 0)
    yield "spBv1.0/plant/NBIRTH/line", encode(node, is_birth=True)
    metrics = [
        Metric(name, alias, _BASE_MS, DataType.DOUBLE, None) for alias, name in enumerate(names)
    ]
    for number in range(_ASSETS):
        born = Payload(_BASE_MS, metrics, number + 1)
        yield _NODE.format(type="DBIRTH", asset=f"p{number}"), encode(born, is_birth=True)


def _ddata(values: Mapping[str, float], at_ms: int, seq: int) -> bytes:
    metrics = [
        Metric(None, alias, at_ms, DataType.DOUBLE, value)
        for alias, value in enumerate(values.values())
    ]
    return encode(Payload(at_ms, metrics, seq), is_birth=False)


def _json(values: Mapping[str, float], at_ms: int) -> object:
    return {"timestamp": at_ms, **values}


def _kepware(values: Mapping[str, float], at_ms: int) -> object:
    tags = [
        {"id": _PREFIX + name, "v": value, "q": True, "t": at_ms} for name, value in values.items()
    ]
    return {"timestamp": at_ms, "values": tags}


def _opcua(values: Mapping[str, float], at_ms: int) -> object:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    at = moment.replace("+00:00", "Z")
    fields = {name: {"Value": value, "SourceTimestamp": at} for name, value in values.items()}
    message = {"DataSetWriterId": 1, "SequenceNumber": 1, "Timestamp": at, "Payload": fields}
    return {"MessageId": "1", "MessageType": "ua-data", "Messages": [message]}


def _sitewise(values: Mapping[str, float], at_ms: int) -> object:
    at = {"timeInSeconds": at_ms // 1000, "offsetInNanos": at_ms % 1000 * 1_000_000}
    return {
        "entries": [
            {
                "entryId": name,
                "propertyAlias": f"/line/{name}",
                "propertyValues": [
                    {"value": {"doubleValue": value}, "timestamp": at, "quality": "GOOD"}
                ],
            }
            for name, value in values.items()
        ]
    }


_DOCUMENTS = {"json": _json, "kepware": _kepware, "opcua": _opcua, "sitewise": _sitewise}


def measure(folder: Path, form: Format, count: int) -> Figures:
    """The figures of an agent that drains a session with so many messages.

    Raises:
        BenchmarkError: not every message was answered.
    """
    pipeline: dict[str, object] = {
        "stream": _STREAM,
        "inputs": [source(form)],
        "output": {"topic": "plant/l1/{asset}/_inference/{stream}"},
    }
    folder.mkdir()
    with running_broker(folder) as port:
        gateway = Gateway(folder / "gateway", port, [pipeline])
        gateway.keep(linear_bundle(_STREAM, 1, [1.0] * form.width, length=_LENGTH))
        with gateway, _Scada(port) as scada, MqttClient(port) as plant:
            gateway.start_serving()
            gateway.stop()
            for topic, payload in messages(form, count):
                plant.publish(topic, payload)
            plant.flush()
            return _drained(gateway, scada, form.width, count)


def _drained(gateway: Gateway, scada: _Scada, width: int, count: int) -> Figures:
    wanted = count // _ASSETS - _LENGTH + 1
    gateway.start_serving()
    try:
        eventually(lambda: scada.at_s, _DRAIN_S, "the first answer")
        assert gateway.process is not None  # noqa: S101  it has answered
        before_s, seen = cpu_seconds(gateway.process.pid), len(scada.at_s)
        eventually(lambda: len(scada.at_s) >= wanted, _DRAIN_S, f"{wanted} answers")
    except AssertionError as exc:
        raise BenchmarkError(str(exc)) from exc
    spent_s = cpu_seconds(gateway.process.pid) - before_s
    rate = (wanted - 1) * _ASSETS / (scada.at_s[-1] - scada.at_s[0])
    return Figures(rate * width, 1e6 * spent_s / ((wanted - seen) * _ASSETS))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lists", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="that wait (20000)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each format (5)")
    options = parser.parse_args()
    found: dict[Format, list[Figures]] = {form: [] for form in FORMATS}
    with tempfile.TemporaryDirectory(prefix="millhand-lists-") as name:
        for number in range(options.rounds):
            for form, figures in found.items():
                folder = Path(name) / f"{number}-{form.name}-{form.width}"
                figures.append(measure(folder, form, options.messages))
    print("| format | signals | values/s | x JSON | agent's CPU us a message | x JSON |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for form, figures in found.items():
        print(f"| {form.name} | {form.width} | {' | '.join(_cells(figures, found[form.base]))} |")
    print(f"\nMachine: {machine_line()}.")


def _cells(figures: list[Figures], base: list[Figures]) -> Iterator[str]:
    for own, others in zip(zip(*figures, strict=True), zip(*base, strict=True), strict=True):
        yield spread(own)
        ratios = [one / other for one, other in zip(own, others, strict=True)]
        yield (
            "" if figures is base else f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
