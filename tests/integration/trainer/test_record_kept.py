"""Recordings that stay within bounds, with the labels that training needs, as people run them."""

import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
import tomli_w

from models.bundle.package import read_bundle
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.broker.recorder import Recorder, recorder
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually
from trainer.__main__ import main

T0_MS = 1_760_000_000_000
EPISODE_MS = 60_000
LABEL = "plant/l1/p1/_label/wear"
REST = """
[bundle]
stream = "wear"
name = "Wear"
version = "1.0.0"

[target]
task = "classification"
column = "label"

[split]
method = "time"
test = 0.25
"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker"), max_queued_messages=0) as broker:
        yield broker


def configuration(folder: Path) -> Path:
    """A gateway's configuration whose only pipeline takes labels."""
    source = {
        "topic": "plant/{line}/{asset}/telemetry",
        "timestamp": "ts",
        "signals": {"flow": "flow", "pressure": "pressure"},
    }
    pipeline: dict[str, Any] = {"stream": "wear", "inputs": [source], "labels": {}}
    path = folder / "agent.toml"
    path.write_text(tomli_w.dumps({"pipelines": [pipeline]}))
    return path


def send_episode(client: PlantClient, number: int, asset: str = "p1") -> None:
    """A minute of one row a second; odd ones are worn, which the pressure shows."""
    chance = Random(number)  # noqa: S311  no secret, and the same each time
    for second in range(60):
        client.publish(
            f"plant/l1/{asset}/telemetry",
            {
                "ts": T0_MS + number * EPISODE_MS + second * 1000,
                "flow": chance.random(),
                "pressure": 5 * (number % 2) + chance.random(),
            },
        )


def send_label(client: PlantClient, number: int, topic: str = LABEL) -> None:
    begin = T0_MS + number * EPISODE_MS
    value = "worn" if number % 2 else "good"
    client.publish(topic, {"from": begin, "to": begin + EPISODE_MS, "value": value})


def messages(folder: Path, port: int, count: int) -> None:
    """Publish rows on a topic of their own."""
    with PlantClient(port) as client:
        for number in range(count):
            client.publish(f"{folder.name}/p1", {"ts": T0_MS + number, "flow": float(number)})
        client.flush()


def recordings(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def test_labels_and_readings_are_trained_on_without_an_edit(
    plant: Mosquitto, tmp_path: Path
) -> None:
    out = tmp_path / "history"
    words = ("--config", configuration(tmp_path), "--out", out, "--rows", 24 * 60)
    with recorder(tmp_path, plant, *words) as running, PlantClient(plant.port) as client:
        for number in range(24):
            if number % 3:
                send_label(client, number)
            send_episode(client, number)
            if number < 23:  # after the last row the recording has ended
                send_label(client, number)
        assert running.end() == 0
        printed = running.out[running.out.index("[data]") :]
    assert len((out / "labels.csv").read_text().splitlines()) == 1 + 24
    assert "15 repeated" in running.err
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(printed + REST)
    bundle = tmp_path / "bundle"
    command = [sys.executable, "-m", "trainer", "train", str(recipe), "--out", str(bundle)]
    trained = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert trained.returncode == 0, trained.stderr
    manifest = read_bundle(next(bundle.glob("*.zip")).read_bytes()).manifest
    assert manifest.outputs[0].classes == ("good", "worn")
    assert manifest.metrics.values["accuracy"] > 0.95


def test_labels_go_on_after_a_restart_and_wait_for_their_asset(
    plant: Mosquitto, tmp_path: Path
) -> None:
    out = tmp_path / "history"
    words = ("--config", configuration(tmp_path), "--out", out)
    with recorder(tmp_path, plant, *words) as running, PlantClient(plant.port) as client:
        send_episode(client, 0)
        client.publish(LABEL, "no label")
        send_label(client, 0, "plant/l1/p2/_label/wear")
        send_label(client, 0)
        eventually(lambda: lines(out) == 2, 20, "the label of the asset that has rows")
        assert running.end(signal.SIGINT) == 0
    assert "1 malformed" in running.err
    assert "1 of assets without rows are not written" in running.err
    with recorder(tmp_path, plant, *words) as running, PlantClient(plant.port) as client:
        send_label(client, 0)
        send_label(client, 1)
        send_label(client, 1, "plant/l1/p2/_label/wear")
        send_episode(client, 1, "p2")
        eventually(lambda: lines(out) == 4, 20, "the labels of both assets")
        assert running.end(signal.SIGINT) == 0
    assert "spans = " in running.out
    assert (out / "labels.csv").read_text().splitlines()[1:] == [
        "l1/p1,2025-10-09T08:53:20.000Z,2025-10-09T08:54:20.000Z,good",
        "l1/p1,2025-10-09T08:54:20.000Z,2025-10-09T08:55:20.000Z,worn",
        "l1/p2,2025-10-09T08:54:20.000Z,2025-10-09T08:55:20.000Z,worn",
    ]


def lines(out: Path) -> int:
    table = out / "labels.csv"
    return len(table.read_text().splitlines()) if table.exists() else 0


def test_labels_of_a_single_file_stand_beside_it(plant: Mosquitto, tmp_path: Path) -> None:
    out = tmp_path / "history.parquet"
    words = ("--config", configuration(tmp_path), "--out", out, "--rows", 60)
    with recorder(tmp_path, plant, *words) as running, PlantClient(plant.port) as client:
        send_label(client, 0)
        send_episode(client, 0)
        assert running.end() == 0
    described = tomllib.loads(running.out[running.out.index("[data]") :])
    assert described["labels"] == [{"spans": str(tmp_path / "history.labels.csv")}]
    assert (tmp_path / "history.labels.csv").exists()


def record_bounded(folder: Path, broker: Mosquitto, rows: int, *words: object) -> Recorder:
    """Record so many rows into files of 1,000 of them."""
    topic = ("--topic", f"{folder.name}/{{asset}}", "--signal", "flow", "--rows", rows)
    out = ("--out", folder / "history", "--file-rows", 1_000)
    with recorder(folder, broker, *topic, *out, *words) as running:
        messages(folder, broker.port, rows)
        assert running.end() == 0, running.err
    return running


def test_the_oldest_files_make_room_over_restarts(plant: Mosquitto, tmp_path: Path) -> None:
    history = tmp_path / "history"
    record_bounded(tmp_path, plant, 3_000, "--keep-days", 30)
    before = recordings(history)
    (history / "notes.txt").write_text("mine")
    (history / ".20251009T085320Z-0001.parquet.0123456789abcdef").write_bytes(b"cut off")
    size = sum(one.stat().st_size for one in before)
    (history / "20200101T000000Z-0001.parquet").write_bytes(bytes(1_000_000 - size // 2))
    second = record_bounded(tmp_path, plant, 3_000, "--keep-mb", 1)
    after = recordings(history)
    assert len(before) == 3
    assert "1 files of" in second.err
    assert set(before) < set(after)
    assert len(after) == 6
    assert sum(one.stat().st_size for one in after) <= 1_000_000
    assert sum(pq.read_metadata(one).num_rows for one in after) == 6_000
    assert (history / "notes.txt").read_text() == "mine"
    assert list(history.glob(".*.parquet.*")) == []


def test_files_that_are_too_old_are_removed(plant: Mosquitto, tmp_path: Path) -> None:
    record_bounded(tmp_path, plant, 2_000, "--keep-days", 30)
    before = recordings(tmp_path / "history")
    running = record_bounded(tmp_path, plant, 1_000, "--keep-days", 0.000001)
    assert "files of" in running.err
    assert not {*before} & {*recordings(tmp_path / "history")}


def test_a_second_recording_in_the_folder_is_refused(plant: Mosquitto, tmp_path: Path) -> None:
    words = ("--topic", "two/{asset}", "--signal", "flow", "--keep-mb", 100)
    with recorder(tmp_path, plant, *words, "--out", tmp_path / "history"):
        command = [sys.executable, "-m", "trainer", "record", "--broker", f"127.0.0.1:{plant.port}"]
        second = subprocess.run(
            [*command, *map(str, words), "--out", tmp_path / "history"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert second.returncode != 0
    assert "another recording is under way there" in second.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--out", "a.parquet", "--keep-mb", "9"), "--keep-mb need a folder"),
        (("--out", "a", "--keep-mb", "9", "--file-mb", "5"), "at least twice --file-mb 5"),
        (("--out", "a", "--keep-days", "0"), "days above 0"),
    ],
    ids=["a file", "files too large", "no time"],
)
def test_bounds_that_cannot_be_kept_are_told(
    words: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / words[1]
    options = ["--topic", "a/{asset}", "--signal", "b", "--out", str(out), *words[2:]]
    try:
        code = main(["record", "--broker", "127.0.0.1:1", *options])
    except SystemExit as exc:
        code = int(str(exc.code))
    assert code != 0
    assert told in capsys.readouterr().err
