"""A client that repeats `desired` without end keeps nobody from anything."""

import threading
from itertools import count
from pathlib import Path

from tests.kit.broker.brokers import mosquitto
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import CONTROL, MASS, MASS_PIPELINE, OFTEN, STREAM, serving
from tests.kit.waiting import eventually

ROWS = 500
FLOOD = 5_000
UNCONFIRMED = 500


class Flood(threading.Thread):
    """Publishes one `desired` document after the other, as fast as the broker takes them."""

    def __init__(self, client: PlantClient) -> None:
        super().__init__(name="flood", daemon=True)
        self.sent = 0
        self.enough = threading.Event()
        self._client = client

    def run(self) -> None:
        for number in count(2):
            if self.enough.is_set():
                return
            self._client.publish(
                CONTROL.desired(STREAM), {"stream": STREAM, "seq": number, "activity": str(number)}
            )
            self.sent += 1
            if self.sent % UNCONFIRMED == 0:
                self._client.flush()


def test_readings_are_answered_while_desired_documents_flood_in(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as broker:
        gateway = Gateway(tmp_path / "gw", broker.port, [MASS_PIPELINE], sections={"limits": OFTEN})
        gateway.keep(MASS)
        with PlantClient(broker.port) as operator, serving(gateway) as plant:
            flood = Flood(operator)
            flood.start()
            eventually(lambda: flood.sent > FLOOD, 60, "the flood to rise")
            plant.send(ROWS)
            plant.wait_for_answers()
            flood.enough.set()
            flood.join(60)
            operator.flush()
            last = str(flood.sent + 1)
            plant.wait_for_feedback(activity=last)
            metrics = plant.wait_for_metrics(received=ROWS, predicted=ROWS)
            told = plant.client.count("feedback")
            assert told < flood.sent / 10, "feedback is limited like the documents that it answers"
            assert metrics["desired_superseded"] > flood.sent / 2
            assert gateway.log.count("desired documents come faster") == 1
