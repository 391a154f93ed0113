"""kill -9 under load: the broker is the buffer, so nothing is lost."""

import json
import random
from collections.abc import Callable
from pathlib import Path

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.flow import Flow
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

KILLS = 20
RATE = 500
ASSETS = 4
MAX_BETWEEN = 400


def test_twenty_kills_under_load_lose_nothing(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    dice = random.Random(7)  # noqa: S311 - ten moments, spread the same way every time
    with (
        mosquitto(tmp_path / "broker", max_queued_messages=0) as broker,
        PlantClient(broker.port, ["plant/+/+/_inference/mass"]) as scada,
        PlantClient(broker.port) as plant,
        Gateway(tmp_path / "gw", broker.port, [telemetry_pipeline("mass")]) as gateway,
    ):
        gateway.keep(linear_bundle("mass", 1, [1.0, 10.0]))
        gateway.start_serving()
        flow = Flow(plant, RATE, ASSETS)
        flow.start()
        for _ in range(KILLS):
            # The backlog of the time it was away, the live rows, or between the two.
            scada.wait_for("_inference", len(scada.messages) + dice.randrange(1, MAX_BETWEEN))
            gateway.kill()
            gateway.start_serving()
        flow.finish()
        answers = Answers(scada)
        eventually(lambda: answers.inputs() == set(flow.sent), 60, "every input to be answered")
    ids = answers.ids
    assert answers.values == {21.0}
    assert all(len(same) == 1 for same in ids.values()), "a repeat came with another id"
    assert len(set.union(*ids.values())) == len(flow.sent), "two inputs share an id"
    repeats = answers.count - len(flow.sent)
    figure(f"kill -9: {KILLS} kills, {len(flow.sent)} inputs, 0 lost, {repeats} repeats, same ids")


class Answers:
    """The predictions that SCADA has seen, each looked at once."""

    def __init__(self, scada: PlantClient) -> None:
        self.ids: dict[tuple[str, int], set[str]] = {}
        self.values: set[float] = set()
        self.count = 0
        self._scada = scada

    def inputs(self) -> set[tuple[str, int]]:
        """Asset and timestamp of every input that is answered by now."""
        for _, payload in self._scada.messages[self.count :]:
            document = json.loads(payload)
            key = (document["asset"], document["timestamp"])
            self.ids.setdefault(key, set()).add(document["id"])
            self.values.add(document["value"])
            self.count += 1
        return set(self.ids)
