"""Late labels reach a running agent over MQTT and by its command, and are compared once each."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.bundle.package import Bundle
from serving.errors import EXIT_CONFIG
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import detector_bundle
from tests.kit.children import ROOT, python
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.commands import answers, check
from tests.kit.gateway.plant import BASE_MS, MASS, MASS_PIPELINE, OFTEN, Plant, serving

TOPIC = "plant/l1/p1/_label/mass"
SPAN = {"from": BASE_MS, "to": BASE_MS + 9}
# The answers within are 10 to 18.
VALUE, ERROR = 14.0, pytest.approx(20 / 9)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with mosquitto(tmp_path / "broker") as broker:
        yield broker.port


def gateway_on(port: int, folder: Path, bundle: Bundle = MASS, **labels: object) -> Gateway:
    pipeline = {**MASS_PIPELINE, "labels": labels}
    gateway = Gateway(folder / "gateway", port, [pipeline], sections={"limits": OFTEN})
    gateway.keep(bundle)
    return gateway


def send_label(plant: Plant, **fields: object) -> None:
    plant.client.publish(TOPIC, {**SPAN, "value": VALUE, **fields})


def wait_for_labels(plant: Plant, **wanted: object) -> dict[str, Any]:
    """Wait until the counters of the labels have these values; all counters have to balance."""

    def found() -> dict[str, Any] | None:
        metrics = plant.client.latest("millhand/gw1/metrics") or {}
        labels = dict(metrics.get("streams", {}).get("mass", {}).get("labels", {}))
        return labels if wanted.items() <= labels.items() else None

    labels = plant.wait(found, f"labels with {wanted}")
    plant.wait_for_metrics()
    assert labels is not None
    return labels


def hand_in(gateway: Gateway, content: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command `label` with a table of this content."""
    path = gateway.folder / "labels.csv"
    path.write_text(content, errors="surrogateescape")
    words = python("agent", "label", path, *options, "--config", gateway.config)
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("before", [0, 5, 10], ids=["before", "in between", "after"])
def test_a_label_is_compared_whenever_it_comes(port: int, tmp_path: Path, before: int) -> None:
    with serving(gateway_on(port, tmp_path)) as plant:
        plant.send(before)
        plant.wait_for_answers()
        send_label(plant)
        plant.send(10 - before)
        plant.wait_for_answers()
        labels = wait_for_labels(plant, compared=1, waiting=0, kept=10)
    assert (labels["episodes"], labels["error"]) == (1, ERROR)
    assert labels["unmatched"] == {}


def test_a_label_that_comes_again_counts_once(port: int, tmp_path: Path) -> None:
    with serving(gateway_on(port, tmp_path)) as plant:
        plant.send(10)
        plant.wait_for_answers()
        send_label(plant)
        wait_for_labels(plant, compared=1)
        send_label(plant)
        labels = wait_for_labels(plant, repeated=1)
    assert (labels["compared"], labels["episodes"], labels["error"]) == (1, 1, ERROR)


def test_labels_of_a_table_are_compared_while_the_agent_runs(port: int, tmp_path: Path) -> None:
    gateway = gateway_on(port, tmp_path)
    begin, end = "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.009Z"  # as SPAN
    with serving(gateway) as plant:
        plant.send(10)
        plant.wait_for_answers()
        table = f"asset;from;to;value\nl1/p1;{begin};{end};14\nl1/p1;{end};{begin};14\n"
        first = hand_in(gateway, table)
        labels = wait_for_labels(plant, compared=1)
        again = hand_in(gateway, table)
    assert (labels["error"], labels["unmatched"]) == (ERROR, {"malformed": 1})
    assert (first.returncode, again.returncode) == (1, 1)
    assert first.stdout.splitlines() == [
        f"{gateway.folder}/labels.csv: labels of mass: 1 taken, 1 malformed",
        "  line 3: malformed",
    ]
    assert "1 repeated, 1 malformed" in again.stdout


def test_a_table_is_kept_for_an_agent_that_is_not_running(port: int, tmp_path: Path) -> None:
    gateway = gateway_on(port, tmp_path)
    gateway.write_config()
    said = hand_in(gateway, f"asset,from,to,value\nl1/p1,{BASE_MS},{BASE_MS + 9},14\n")
    with serving(gateway) as plant:
        plant.send(10)
        plant.wait_for_answers()
        labels = wait_for_labels(plant, compared=1)
    assert (said.returncode, said.stderr) == (0, "")
    assert labels["error"] == ERROR


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "has no column from, to, value, asset"),
        ("asset,from,to\nl1/p1,1,2\n", "has no column value"),
        ("from,to,value\n1,2,3\n", "has no column asset"),
        ("asset,from,to,value\n\udcff", "cannot be read"),
    ],
    ids=["empty", "without values", "without assets", "not text"],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, content: str, told: str) -> None:
    gateway = gateway_on(1, tmp_path)
    gateway.write_config()
    gateway.state_dir.mkdir(exist_ok=True)
    said = hand_in(gateway, content)
    assert said.returncode == EXIT_CONFIG
    assert told in said.stderr


def test_what_cannot_be_read_is_counted_and_acknowledged(port: int, tmp_path: Path) -> None:
    unreadable = ["", "14", '{"from": 1, "to": 2}', '{"from": 1, "to": 2, "value": NaN}']
    with serving(gateway_on(port, tmp_path)) as plant:
        for payload in unreadable:
            plant.client.publish(TOPIC, payload)
        plant.send(10)
        plant.wait_for_answers()
        send_label(plant)
        labels = wait_for_labels(plant, compared=1)
        assert plant.wait_for_metrics(waiting=0)["received"] == 10
    assert labels["unmatched"] == {"malformed": len(unreadable)}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"asset": "l1/p9"}, "unknown_asset"),
        ({"from": BASE_MS - 9, "to": BASE_MS}, "no_prediction"),
        ({"value": "normal"}, "not_a_number"),
        ({"from": "2999-01-01T00:00:00Z", "to": "2999-01-02T00:00:00Z"}, "outside_horizon"),
    ],
    ids=["asset", "span", "text", "future"],
)
def test_a_label_for_nothing_is_counted_by_its_reason(
    port: int, tmp_path: Path, fields: dict[str, object], reason: str
) -> None:
    with serving(gateway_on(port, tmp_path, settle_s=0.1)) as plant:
        plant.send(10)
        plant.wait_for_answers()
        send_label(plant, **fields)
        labels = wait_for_labels(plant, unmatched={reason: 1})
    assert (labels["compared"], labels["error"], labels["waiting"]) == (0, None, 0)


def test_labels_of_classes_are_compared_by_name_or_by_number(port: int, tmp_path: Path) -> None:
    detector = detector_bundle("mass", 1, [1.0, 0.0], threshold=5.5)  # abnormal from 6 on
    with serving(gateway_on(port, tmp_path, detector)) as plant:
        plant.send(10)
        plant.client.wait_for("_inference", 10)
        send_label(plant, to=BASE_MS + 4, value="normal")
        send_label(plant, **{"from": BASE_MS + 4}, to=BASE_MS + 8, value=1)
        send_label(plant, **{"from": BASE_MS + 8}, value="abnorml")
        labels = wait_for_labels(plant, compared=2, unmatched={"unknown_class": 1})
    assert labels["error"] == pytest.approx((0 + 2 / 4) / 2)


def test_a_label_outlives_an_agent_that_is_killed_when_it_comes(port: int, tmp_path: Path) -> None:
    gateway = gateway_on(port, tmp_path)
    with serving(gateway) as plant:
        plant.send(100)
        plant.wait_for_answers()
        wait_for_labels(plant, kept=100)
        for number in range(5):
            begin = BASE_MS + 10 * number
            send_label(plant, **{"from": begin}, to=begin + 9, value=14.0 + 10 * number)
            if number % 2:
                plant.client.flush()
            gateway.kill()
            gateway.start_serving()
        labels = wait_for_labels(plant, compared=5)
    assert (labels["episodes"], labels["error"], labels["kept"]) == (5, ERROR, 100)
    assert labels["unmatched"] == {}


def test_check_tells_whether_the_broker_delivers_labels(port: int, tmp_path: Path) -> None:
    gateway = gateway_on(port, tmp_path)
    described = check(gateway).stdout
    assert "labels  plant/{line}/{asset}/_label/mass" in described
    assert "subscribe plant/+/+/_label/mass: granted" in answers(gateway).ok


def test_without_labels_nothing_is_kept(port: int, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway", port, [MASS_PIPELINE], sections={"limits": OFTEN})
    gateway.keep(MASS)
    with serving(gateway) as plant:
        send_label(plant)
        plant.send(10)
        plant.wait_for_answers()
        metrics = plant.wait_for_metrics(predicted=10)
    assert "labels" not in metrics["streams"]["mass"]
    assert not (gateway.state_dir / "labels").exists()
