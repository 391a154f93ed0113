"""Three sites, each with a plant and a gateway: their telemetry, and what the gateways run."""

import itertools
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final, Self

import tomli_w

from demo.link import Link
from demo.rollout.scenario import PERIOD_MS, SCHEME, SITES, live_plants, sample
from demo.telemetry import PATHS, STREAM, telemetry
from models.control.topics import ControlTopics
from tests.kit.broker.brokers import HOST, Broker
from tests.kit.children import Child, python

PREDICTION_TOPIC: Final = "{site}/{line}/{asset}/_inference/{stream}"
PREDICTIONS: Final = PREDICTION_TOPIC.format(site="+", line="+", asset="+", stream=STREAM)


class Gateway:
    """The agent of one site.

    Args:
        name: its id, which is also the first level of the topics of its site.
        work: folder for its configuration, state and log.
        broker: the broker of all sites.
        registry: folder of the registry.
        root: root metadata that it trusts.
    """

    def __init__(self, name: str, work: Path, broker: Broker, registry: Path, root: Path) -> None:
        folder = work / name
        folder.mkdir()
        self.name = name
        config = folder / "agent.toml"
        document = {
            "gateway": {"id": name, "state_dir": str(folder / "state")},
            "broker": {"host": HOST, "port": broker.port},
            "registry": {"url": registry.as_uri(), "root": str(root), "poll_s": 30.0},
            # So that a step takes seconds here; the defaults are for plants.
            "updates": {"healthy_s": 5.0, "hint_s": 1.0},
            "shadow": {"evidence_s": 1.0, "probation_s": 10.0},
            "pipelines": [
                {
                    "stream": STREAM,
                    "output": {"topic": f"{name}/{{line}}/{{asset}}/_inference/{{stream}}"},
                    "inputs": [
                        {
                            "topic": f"{name}/{{line}}/{{asset}}/telemetry",
                            "dialect": "json",
                            "timestamp": "ts",
                            "timestamp_unit": "ms",
                            "signals": PATHS,
                        }
                    ],
                }
            ],
        }
        config.write_text(tomli_w.dumps(document), encoding="utf-8")
        command = python("agent", "run", "--config", config)
        self.child = Child(f"agent of {name}", command, folder / "agent.log")


class Readings:
    """The readings that were sent, and are not answered by a prediction yet.

    One thread sends, and another one takes predictions.

    Attributes:
        sent: number of readings that were sent.
    """

    def __init__(self) -> None:
        self.sent = 0
        self._before: Counter[str] = Counter()
        self._open: set[tuple[str, int]] = set()

    def send(self, topic: str, event_ms: int) -> None:
        """Note that a reading was sent; the first ones of a pump make no window yet."""
        pump = topic.removesuffix("/telemetry")
        self.sent += 1
        self._before[pump] += 1
        if self._before[pump] >= SCHEME.window:
            self._open.add((pump, event_ms))

    def answer(self, topic: str, event_ms: int) -> None:
        """Note that a prediction arrived."""
        self._open.discard((topic.removesuffix(f"/_inference/{STREAM}"), event_ms))

    def unanswered(self, until_ms: int) -> int:
        """The number of readings up to a time that have no prediction."""
        return sum(event_ms <= until_ms for _, event_ms in self._open.copy())


class Plants:
    """The plants of all sites, which publish telemetry until the context is left.

    Args:
        link: the connection by which they publish.
        readings: notes what was sent.

    Attributes:
        event_ms: event time of the last reading.
    """

    def __init__(self, link: Link, readings: Readings) -> None:
        self._link, self._readings = link, readings
        self._plants = live_plants()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plants")
        self.event_ms = 0

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        begun_s, begun_ms = time.monotonic(), time.time_ns() // 1_000_000
        for number in itertools.count(1):
            due_s = begun_s + number * PERIOD_MS / 1000
            if self._over.wait(max(0.0, due_s - time.monotonic())):
                return
            self._publish(begun_ms + number * PERIOD_MS)

    def _publish(self, event_ms: int) -> None:
        for site, plant in self._plants.items():
            for reading in sample(plant):
                topic, payload = telemetry(reading, event_ms)
                own = topic.replace("plant", site, 1)
                self._readings.send(own, event_ms)
                self._link.publish(own, payload)
        self.event_ms = event_ms


class Seen:
    """What the broker has delivered: what gateways run, and by which bundles they predict.

    Args:
        readings: notes what is answered.

    Attributes:
        current: what each gateway runs.
        predictions: number of predictions by the number of the bundle.
    """

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self.current: dict[str, dict[str, Any]] = {}
        self.predictions: Counter[int] = Counter()

    def take(self, link: Link, until_s: float) -> None:
        """Take what has arrived; waits for it until a monotonic time."""
        for arrival in link.arrivals(until_s):
            document = json.loads(arrival.payload or b"{}")
            if arrival.topic.startswith("millhand/"):
                self.current[ControlTopics.of(arrival.topic).gateway] = document
            else:
                self.predictions[int(document["seq"])] += 1
                self._readings.answer(arrival.topic, int(document["timestamp"]))

    def serves(self, seq: int) -> bool:
        """Whether every gateway serves a bundle."""
        return [self.current.get(site, {}).get("seq") for site in SITES] == [seq] * len(SITES)
