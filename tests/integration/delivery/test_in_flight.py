"""A broker that sends few messages ahead of the acknowledgements is as good as one that sends many.

Readings that enter windows are acknowledged once they are on disk. If each waited for the next
regular write, a second later, a broker with one message in flight would deliver one a second.
"""

from pathlib import Path

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.plant import BASE_MS, MASS_PIPELINE, STREAM, TOPIC, serving

ROWS = 400
LENGTH = 3


@pytest.mark.parametrize(
    ("of_the_broker", "of_the_agent", "protocol"),
    [(1, 200, "3.1.1"), (20, 1, "5")],  # with MQTT 5, Mosquitto goes by the Receive Maximum alone
    ids=["limit-of-the-broker", "receive-maximum"],
)
def test_few_messages_in_flight_delay_no_answer_by_a_tick(
    of_the_broker: int, of_the_agent: int, protocol: str, tmp_path: Path
) -> None:
    sections: dict[str, dict[str, object]] = {
        "broker": {"receive_maximum": of_the_agent, "protocol": protocol}
    }
    with mosquitto(
        tmp_path / "broker", max_queued_messages=0, max_inflight_messages=of_the_broker
    ) as broker:
        gateway = Gateway(tmp_path / "gw", broker.port, [MASS_PIPELINE], sections=sections)
        gateway.keep(linear_bundle(STREAM, 1, [1.0, 10.0], length=LENGTH))
        with serving(gateway) as plant:
            for number in range(ROWS):
                plant.client.publish(TOPIC, {"ts": BASE_MS + number, "c0": 1.0, "c1": 1.0})
            wanted = ROWS - LENGTH + 1
            plant.wait(lambda: plant.client.count("_inference") >= wanted, f"{wanted} answers")
            times = [one["timestamp"] - BASE_MS for one in plant.client.documents("_inference")]
            assert times == list(range(LENGTH - 1, ROWS))
