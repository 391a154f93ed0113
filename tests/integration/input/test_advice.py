"""What a setting would cure is said in the log, with the name of the setting."""

import json
from pathlib import Path

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.plant import BASE_MS, MASS_PIPELINE, OFTEN, STREAM, TOPIC, serving


def test_late_readings_and_made_up_assets_name_what_helps(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as broker:
        limits = OFTEN | {"max_assets": 5}
        gateway = Gateway(
            tmp_path / "gw", broker.port, [MASS_PIPELINE], sections={"limits": limits}
        )
        gateway.keep(linear_bundle(STREAM, 1, [1.0, 10.0], length=2))
        with serving(gateway) as plant:
            for number in (5, 6, 3, 4, 7):
                row = {"ts": BASE_MS + number, "c0": 1.0, "c1": 1.0}
                plant.client.publish(TOPIC, row)
            plant.wait_for_metrics(dropped={"late": 2})
            plant.gateway.wait_for_log("set disorder_ms")
            for number in range(50):
                row = {"ts": BASE_MS, "c0": 1.0, "c1": 1.0}
                plant.client.publish(f"plant/l1/made-up-{number}/telemetry", json.dumps(row))
            plant.gateway.wait_for_log("list the real ones as assets")
            plant.wait_for_metrics(received=55, waiting=0)
        assert gateway.log.count("set disorder_ms") == 1


def test_late_reading_that_another_stream_answers_is_counted_by_stream(tmp_path: Path) -> None:
    pipelines = [MASS_PIPELINE, telemetry_pipeline("rows")]
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as broker:
        gateway = Gateway(tmp_path / "gw", broker.port, pipelines, sections={"limits": OFTEN})
        gateway.keep(linear_bundle(STREAM, 1, [1.0, 10.0], length=2))
        gateway.keep(linear_bundle("rows", 1, [1.0, 10.0]))
        with serving(gateway) as plant:
            for number in (5, 6, 3, 4, 7):
                row = {"ts": BASE_MS + number, "c0": 1.0, "c1": 1.0}
                plant.client.publish(TOPIC, row)
            streams = plant.wait_for_metrics(predicted=5, dropped={})["streams"]
    assert streams[STREAM]["refused"] == {"late": 2}
    assert streams["rows"]["refused"] == {}
