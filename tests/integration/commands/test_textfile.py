"""A gateway without a port tells Prometheus by a file, and serves on where it cannot write it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

STREAM = "mass"
WITHOUT_OTHERS = ("/bin/sh", "-c", 'umask 077; exec "$@"', "sh")
"""As the unit starts the agent, by its UMask=."""
Found = Mapping[str, Mapping[frozenset[tuple[str, str]], float]]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker") as made:
        yield made


def gateway(folder: Path, broker: Mosquitto, textfile: Path) -> Gateway:
    """An agent that waits for nothing but its file: its registry has the bundle that it keeps."""
    bundle = linear_bundle(STREAM, 1, [1.0, 10.0])
    published = Published.create(folder)
    published.publish(bundle)
    made = Gateway(
        folder / "gw1",
        broker.port,
        [telemetry_pipeline(STREAM)],
        registry=published.url,
        root=published.keys.root,
        sections={
            "metrics": {"textfile": str(textfile), "textfile_s": 0.5},
            "limits": {"metrics_s": 0.5},
        },
        under=WITHOUT_OTHERS,
    )
    made.keep(bundle)
    return made


def read(textfile: Path) -> Found:
    """Values by labels, by the name of the sample."""
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(textfile.read_text()):
        for one in family.samples:
            found.setdefault(one.name, {})[frozenset(one.labels.items())] = one.value
    return found


def total(textfile: Path, name: str, **labels: str) -> float:
    """The sum of the samples of a name that have these labels; 0 as long as there is no file."""
    if not textfile.exists():
        return 0
    samples = read(textfile).get(name, {})
    return sum(value for has, value in samples.items() if set(labels.items()) <= has)


def test_file_has_what_the_agent_has_counted_and_runs(tmp_path: Path, broker: Mosquitto) -> None:
    folder = tmp_path / "node-exporter"
    folder.mkdir()
    textfile = folder / "millhand.prom"
    with (
        gateway(tmp_path, broker, textfile) as agent,
        PlantClient(broker.port, ["plant/+/+/_inference/#"]) as client,
    ):
        agent.start_serving()
        for number in range(5):
            reading = {"ts": 1_760_000_000_000 + number, "c0": 1.0, "c1": 2.0}
            client.publish("plant/l1/p1/telemetry", reading)
        client.publish("plant/l1/p1/telemetry", b"{")
        eventually(lambda: total(textfile, "millhand_readings_received_total") == 6)
        eventually(lambda: total(textfile, "millhand_waiting_readings") == 0)
        labels = {"gateway": "gw1", "stream": STREAM}
        assert total(textfile, "millhand_predictions_total", **labels, quality="GOOD") == 5
        assert total(textfile, "millhand_readings_total", outcome="predicted") == 5
        assert total(textfile, "millhand_readings_total", reason="not_json") == 1
        assert total(textfile, "millhand_gateway_online", gateway="gw1") == 1
        assert total(textfile, "millhand_gateway_model_info", **labels, seq="1") == 1
        assert total(textfile, "millhand_stream_state", **labels, state="serving") == 1
        assert textfile.stat().st_mode & 0o777 == 0o644
        broker.stop()
        eventually(lambda: total(textfile, "millhand_gateway_online") == 0)
        assert total(textfile, "millhand_readings_received_total") == 6


def test_folder_that_is_gone_stops_no_prediction_and_is_logged_once(
    tmp_path: Path, broker: Mosquitto
) -> None:
    textfile = tmp_path / "gone" / "millhand.prom"
    watched = ["plant/+/+/_inference/#", "millhand/+/metrics"]
    with (
        gateway(tmp_path, broker, textfile) as agent,
        PlantClient(broker.port, watched) as client,
    ):
        agent.start_serving()
        eventually(lambda: failures(client) > 1)
        client.publish("plant/l1/p1/telemetry", {"ts": 1_760_000_000_000, "c0": 1.0, "c1": 2.0})
        eventually(lambda: client.latest(f"plant/l1/p1/_inference/{STREAM}"))
        assert agent.log.count("metrics cannot be written") == 1
        assert "No such file or directory" in agent.log
        assert not textfile.parent.exists()
        textfile.parent.mkdir()
        eventually(lambda: total(textfile, "millhand_textfile_failures_total") > 1)
        eventually(lambda: "nothing left to wait for" in agent.log)


def failures(client: PlantClient) -> int:
    """How often the agent says on the broker that it could not write its file."""
    said = client.latest("millhand/gw1/metrics") or {}
    return int(said.get("textfile_failures", 0))
