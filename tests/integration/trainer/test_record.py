"""`millhand-trainer record` against a real broker, as people run it."""

import gzip
import json
import os
import select
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pyarrow.parquet as pq
import pytest
import tomli_w

from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.broker.recorder import Recorder, recorder
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.data_section import Signal, Source

T0_MS = 1_760_000_000_000
END_S = 20.0


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder = tmp_path_factory.mktemp("broker")
    with mosquitto(folder, max_queued_messages=0, log_type="all") as broker:
        yield broker


def loaded(recorder: Recorder, *names: str) -> Recording:
    """What a recipe reads by the description that the recorder has printed."""
    described = tomllib.loads(recorder.out[recorder.out.index("[data]") :])
    assert [one["name"] for one in described["signals"]] == list(names)
    source = Source.model_validate(described["data"])
    return load(source, [Signal.model_validate(one) for one in described["signals"]])


def row(number: int, asset: str, **values: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401  any JSON
    return f"plant/l1/{asset}/telemetry", {"ts": T0_MS + 1000 * number, **values}


def test_rows_are_recorded_as_they_were_sent(plant: Mosquitto, tmp_path: Path) -> None:
    odd = {3: None, 5: "ERR"}
    sent = [
        row(n, f"pump{n % 2}", hydraulics={"pressure": n / 8}, flow=odd.get(n, n))
        for n in range(50)
    ]
    topic = ("--topic", "plant/{line}/{asset}/telemetry", "--rows", len(sent))
    signals = ("--signal", "pressure=hydraulics.pressure", "--signal", "flow")
    out = tmp_path / "history.parquet"
    with recorder(tmp_path, plant, *topic, *signals, "--out", out) as running:
        with PlantClient(plant.port) as client:
            for one in sent:
                client.publish(*one)
            assert running.end() == 0
        recording = loaded(running, "pressure", "flow")
    assert recording.assets == ("l1/pump0", "l1/pump1")
    assert recording.asset.tolist() == [n % 2 for n in range(50)]
    assert recording.times_ns.tolist() == [(T0_MS + 1000 * n) * 10**6 for n in range(50)]
    np.testing.assert_array_equal(recording.values[:, 0], np.arange(50) / 8)
    np.testing.assert_array_equal(recording.values[[2, 3, 4, 5], 1], [2, np.nan, 4, np.nan])
    assert "1 rows without 'flow', which could not be read as not_a_number" in running.err
    assert recording.reported is not None
    assert recording.reported.all()
    assert set(pq.read_table(out).column("quality").to_pylist()) == {"GOOD"}
    assert list(tmp_path.glob(".*")) == []


def test_topics_of_any_depth_are_recorded_as_assets(plant: Mosquitto, tmp_path: Path) -> None:
    topic = ("--topic", "/acme/{site}/{path...}", "--signal", 'flow="F.1"', "--rows", 2)
    with (
        recorder(tmp_path, plant, *topic, "--out", tmp_path / "a.parquet") as running,
        PlantClient(plant.port) as client,
    ):
        client.publish("/acme/s1", {"ts": T0_MS, "F.1": 1})
        client.publish("/acme/s1/p1", {"ts": T0_MS, "F.1": 2})
        client.publish("/acme/s1/hall/line/p2", {"ts": T0_MS, "F.1": 3})
        assert running.end() == 0
        recording = loaded(running, "flow")
    assert set(recording.assets) == {"s1/p1", "s1/hall/line/p2"}
    assert sorted(recording.values[:, 0]) == [2.0, 3.0]


def test_each_scalar_is_a_row_of_one_signal(plant: Mosquitto, tmp_path: Path) -> None:
    topic = ("--topic", "scalars/{asset}/{signal}", "--dialect", "scalar", "--rows", 3)
    signals = ("--signal", "pressure=PT101", "--signal", "flow")
    with (
        recorder(tmp_path, plant, *topic, *signals, "--out", tmp_path / "a.parquet") as running,
        PlantClient(plant.port) as client,
    ):
        client.publish("scalars/p/PT101", {"timestamp": T0_MS, "value": 4.5})
        client.publish("scalars/p/pressure", {"timestamp": T0_MS, "value": 4.5})
        client.publish("scalars/p/flow", {"timestamp": T0_MS + 100, "value": 31})
        client.publish("scalars/p/flow", {"timestamp": T0_MS + 1100, "value": None})
        assert running.end() == 0
        recording = loaded(running, "pressure", "flow")
    np.testing.assert_array_equal(recording.values, [[4.5, np.nan], [np.nan, 31], [np.nan] * 2])
    assert recording.reported is not None
    assert recording.reported.tolist() == [[True, False], [False, True], [False, True]]
    assert recording.period_ms() == 1000
    assert "1 x unbound_signal" in running.err
    assert "first on scalars/p/pressure" in running.err
    assert "trigger" in running.out


def test_devices_in_the_names_of_tags_are_recorded_as_assets(
    plant: Mosquitto, tmp_path: Path
) -> None:
    topic = ("--topic", "kepware/{line}", "--dialect", "kepware", "--name-separator", ".")
    signals = ("--signal", "pressure=PT101", "--signal", "flow=FT102", "--rows", 2)
    tags = {"Ch.Press.PT101": 4.25, "Ch.Drill.PT101": 9.5, "Ch.Press.FT102": 31}
    values = [{"id": name, "v": value, "q": True, "t": T0_MS} for name, value in tags.items()]
    with (
        recorder(tmp_path, plant, *topic, *signals, "--out", tmp_path / "a.parquet") as running,
        PlantClient(plant.port) as client,
    ):
        client.publish("kepware/l1", {"timestamp": T0_MS, "values": values})
        assert running.end() == 0
        recording = loaded(running, "pressure", "flow")
    assert recording.assets == ("l1/Ch.Drill", "l1/Ch.Press")
    of_press = recording.asset == recording.assets.index("l1/Ch.Press")
    np.testing.assert_array_equal(recording.values[of_press], [[4.25, 31]])
    np.testing.assert_array_equal(recording.values[~of_press], [[9.5, np.nan]])


def test_local_times_and_named_qualities_are_recorded_as_they_are_meant(
    plant: Mosquitto, tmp_path: Path
) -> None:
    topic = ("--topic", "vals/{asset}", "--signal", "flow", "--rows", 3)
    times = ("--timestamp-unit", "iso8601", "--timezone", "Europe/Berlin")
    quality = ("--quality", "qc", "--quality-map", "siemens_qc")
    out = tmp_path / "a.parquet"
    with (
        recorder(tmp_path, plant, *topic, *times, *quality, "--out", out) as running,
        PlantClient(plant.port) as client,
    ):
        for code in (3, 1, 0):
            local = f"2025-10-09T10:53:2{code}.1234567"
            client.publish("vals/p", {"ts": local, "flow": code, "qc": code})
        assert running.end() == 0
        recording = loaded(running, "flow")
    utc_ns = 1_760_000_000_123_456_700
    assert recording.times_ns.tolist() == [utc_ns + code * 10**9 for code in (0, 1, 3)]
    stored = pq.read_table(out).column("quality").to_pylist()
    assert sorted(stored) == ["BAD", "GOOD", "UNCERTAIN"]


def test_documents_in_other_encodings_are_recorded(plant: Mosquitto, tmp_path: Path) -> None:
    topic = ("--topic", "cbor/{asset}", "--signal", "flow=f[1]", "--rows", 2, "--encoding", "cbor")
    with (
        recorder(tmp_path, plant, *topic, "--out", tmp_path / "a.parquet") as running,
        PlantClient(plant.port) as client,
    ):
        client.publish("cbor/p", cbor2.dumps({"ts": T0_MS, "f": [0, 1.5]}))
        client.publish("cbor/p", json.dumps({"ts": T0_MS, "f": [0, 1.5]}))
        client.publish("cbor/p", cbor2.dumps({"ts": T0_MS + 1, "f": [0, 31]}))
        assert running.end() == 0
    assert loaded(running, "flow").values[:, 0].tolist() == [1.5, 31.0]
    assert "1 x not_cbor:" in running.err


def test_limit_of_the_gateway_holds_for_what_is_inflated(plant: Mosquitto, tmp_path: Path) -> None:
    inputs = [{"topic": "gz/{asset}", "encoding": "gzip", "timestamp": "ts", "signals": {"p": "a"}}]
    path = tmp_path / "agent.toml"
    pipelines = [{"stream": "packed", "inputs": inputs}]
    path.write_text(tomli_w.dumps({**CONFIG, "pipelines": pipelines}))
    row = {"ts": T0_MS, "a": 4.25}
    with (
        recorder(
            tmp_path, plant, "--config", path, "--rows", 1, "--out", tmp_path / "h"
        ) as running,
        PlantClient(plant.port) as client,
    ):
        client.publish("gz/p", gzip.compress(json.dumps(row | {"note": 200 * " "}).encode()))
        client.publish("gz/p", gzip.compress(json.dumps(row | {"note": 50 * " "}).encode()))
        assert running.end() == 0
    assert "1 x inflated_too_large:" in running.err


ROW = {"topic": "t/{asset}/row", "timestamp": "ts", "quality": "q", "signals": {"p": "a"}}
CONFIG = {
    "gateway": {"id": "gw"},
    "broker": {"host": "gateway.example"},
    "registry": {"url": "file:///srv/registry", "root": "root.json"},
    "limits": {"max_payload_bytes": 200, "max_batch": 10},
    "pipelines": [
        {
            "stream": "pump-health",
            "assets": ["pump7"],
            "inputs": [
                ROW,
                ROW | {"topic": "t/{asset}/old/row"},
            ],
        },
        {"stream": "valves", "inputs": [{"topic": "v/{asset}"}]},
    ],
}


def configuration(folder: Path) -> Path:
    path = folder / "agent.toml"
    path.write_text(tomli_w.dumps(CONFIG))
    return path


def test_pipeline_of_a_gateway_is_recorded_as_it_would_take_it_in(
    plant: Mosquitto, tmp_path: Path
) -> None:
    refused: dict[str, tuple[str, bytes]] = {
        "not_json": ("t/pump7/row", b"{"),
        "not_a_number": ("t/pump7/row", json.dumps({"ts": T0_MS, "a": "4.2"}).encode()),
        "no_signal": ("t/pump7/row", json.dumps({"ts": T0_MS, "p": 4.2}).encode()),
        "time_missing": ("t/pump7/row", b'{"a": 4.2}'),
        "time_past": ("t/pump7/row", b'{"ts": 1, "a": 4.2}'),
        "time_future": ("t/pump7/row", json.dumps({"ts": T0_MS * 2, "a": 4.2}).encode()),
        "quality_unknown": ("t/pump7/row", json.dumps({"ts": T0_MS, "a": 1, "q": "?"}).encode()),
        "quality_ambiguous": ("t/pump7/row", json.dumps({"ts": T0_MS, "a": 1, "q": 3}).encode()),
        "payload_too_large": ("t/pump7/row", b"[" + b"1," * 100 + b"1]"),
        "unknown_asset": ("t/pump8/row", json.dumps({"ts": T0_MS, "a": 4.2}).encode()),
    }
    chosen = ("--config", configuration(tmp_path), "--stream", "pump-health", "--rows", 4)
    bad = {"ts": T0_MS - 10, "a": 8.0, "q": "bad"}
    with PlantClient(plant.port) as client:
        client.publish("t/pump7/row", {"ts": T0_MS - 9, "a": 9.0}, retain=True)
        client.publish("t/pump7/old/row", bad, retain=True)
        client.flush()
        with recorder(tmp_path, plant, *chosen, "--out", tmp_path / "a.parquet") as running:
            for topic, payload in refused.values():
                client.publish(topic, payload)
            for number, quality in enumerate(("good", "uncertain", "bad")):
                client.publish("t/pump7/row", {"ts": T0_MS + number, "a": 4.25, "q": quality})
            assert running.end() == 0
        client.publish("t/pump7/row", b"", retain=True)
        client.publish("t/pump7/old/row", b"", retain=True)
    recording = loaded(running, "p")
    np.testing.assert_array_equal(recording.values[:, 0], [4.25, 4.25, np.nan])
    stored = pq.read_table(tmp_path / "a.parquet")
    assert stored.column("quality").to_pylist() == ["GOOD", "GOOD", "UNCERTAIN", "BAD"]
    assert stored.column("retained").to_pylist() == [True, False, False, False]
    held = recording.retained
    assert held is not None
    assert (held.times_ns.tolist(), held.values.tolist()) == ([(T0_MS - 9) * 10**6], [[9.0]])
    for reason in (*refused, "retained"):
        assert f"1 x {reason}:" in running.err


def test_arrival_is_the_time_where_the_payload_has_none(plant: Mosquitto, tmp_path: Path) -> None:
    topic = ("--topic", "plain/{signal}", "--dialect", "plain", "--signal", "flow", "--rows", 20)
    with (
        recorder(tmp_path, plant, *topic, "--out", tmp_path / "a.parquet") as running,
        PlantClient(plant.port) as client,
    ):
        for number in range(20):
            client.publish("plain/flow", str(number))
        assert running.end() == 0
        recording = loaded(running, "flow")
    assert recording.values[:, 0].tolist() == list(range(20))
    assert (np.diff(recording.times_ns) > 0).all()
    assert recording.assets == ("asset",)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interruption_keeps_everything_that_was_received(
    plant: Mosquitto, tmp_path: Path, sign: signal.Signals
) -> None:
    branch = sign.name.lower()
    topic = ("--topic", f"{branch}/{{asset}}", "--signal", "flow")
    before = plant.log.count("Received PUBACK")
    with (
        recorder(tmp_path, plant, *topic, "--out", tmp_path / "a.parquet") as running,
        PlantClient(plant.port) as client,
    ):
        for number in range(300):
            client.publish(f"{branch}/p", {"ts": T0_MS + number, "flow": number})
        eventually(lambda: plant.log.count("Received PUBACK") - before == 300, END_S)
        assert running.end(sign) == 0
    assert loaded(running, "flow").values[:, 0].tolist() == list(range(300))


def test_interruption_while_the_broker_is_away_keeps_what_came_before(tmp_path: Path) -> None:
    topic = ("--topic", "t/{asset}", "--signal", "flow")
    with (
        mosquitto(tmp_path / "broker", log_type="all") as broker,
        recorder(tmp_path, broker, *topic, "--out", tmp_path / "a.parquet") as running,
        PlantClient(broker.port) as client,
    ):
        client.publish("t/p", {"ts": T0_MS, "flow": 1})
        eventually(lambda: "Received PUBACK" in broker.log, END_S)
        broker.stop()
        assert running.end(signal.SIGINT) == 0
    assert loaded(running, "flow").values.tolist() == [[1]]


def test_outage_is_told_and_waited_out(tmp_path: Path) -> None:
    topic = ("--topic", "t/{asset}", "--signal", "flow", "--rows", 2)
    with (
        mosquitto(tmp_path / "broker", log_type="all") as broker,
        recorder(tmp_path, broker, *topic, "--out", tmp_path / "a.parquet") as running,
    ):
        with PlantClient(broker.port) as client:
            client.publish("t/p", {"ts": T0_MS, "flow": 1})
            eventually(lambda: "Received PUBACK" in broker.log, END_S)
        subscribed = broker.log.count("Sending SUBACK")
        broker.restart()
        eventually(lambda: broker.log.count("Sending SUBACK") > subscribed, END_S)
        with PlantClient(broker.port) as client:
            client.publish("t/p", {"ts": T0_MS + 1, "flow": 2})
            assert running.end() == 0
    assert loaded(running, "flow").values.tolist() == [[1], [2]]
    assert "1 times" in running.err


def test_kill_costs_no_file_that_is_complete(plant: Mosquitto, tmp_path: Path) -> None:
    folder = tmp_path / "history"
    topic = ("--topic", "killed/{asset}", "--signal", "flow", "--file-rows", 100)
    with (
        recorder(tmp_path, plant, *topic, "--out", folder) as running,
        PlantClient(plant.port) as client,
    ):
        for number in range(250):
            client.publish("killed/p", {"ts": T0_MS + number, "flow": number})
        eventually(lambda: len(list(folder.glob("*.parquet"))) == 2, END_S)
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
    source = {"files": [f"{folder}/*.parquet"], "time": {"column": "time"}, "asset_column": "asset"}
    kept = load(Source.model_validate(source), [Signal(name="flow")])
    assert kept.values[:, 0].tolist() == list(range(200))


def test_nothing_recorded_is_told_and_leaves_no_file(plant: Mosquitto, tmp_path: Path) -> None:
    topic = ("--topic", "silent/{asset}", "--signal", "flow")
    with recorder(tmp_path, plant, *topic, "--out", tmp_path / "a.parquet") as running:
        assert running.end(signal.SIGINT) == 1
    assert names(running.err, "silent/+")
    assert {path.name for path in tmp_path.iterdir()} == {"out.txt", "err.txt"}


TOPIC = ("--topic", "plant/{asset}/telemetry", "--signal", "flow")
SCALAR = ("--topic", "plant/{asset}", "--dialect", "scalar", "--signal", "flow", "--signal", "p")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--topic", "plant/+/telemetry", "--signal", "a"), "{asset}"),
        (("--topic", "plant/{asset}/x{n}", "--signal", "a"), "x{n}"),
        (SCALAR, "{signal}"),
        (("--topic", "plant/{asset}/{signal}", "--signal", "a"), "{signal}"),
        (("--topic", "plant/{asset}"), "--topic needs --signal"),
        ((*TOPIC, "--signal", "flow=b"), "--signal flow=b"),
        ((*TOPIC, "--signal", "a b"), "--signal: found 'a b'"),
        ((*TOPIC, "--signal", "time"), "'time'"),
        ((*TOPIC, "--timestamp-unit", "h"), "--timestamp-unit: found 'h'"),
        ((*TOPIC, "--timezone", "Mars/Olympus"), "--timezone: found 'Mars/Olympus'"),
        ((*TOPIC, "--timezone", "Europe/Berlin"), "iso8601"),
        ((*TOPIC, "--quality", "q", "--quality-map", "opcda"), "--quality-map: found 'opcda'"),
        ((*TOPIC, "--quality-map", "opc_da"), "quality"),
        ((*TOPIC, "--dialect", "umh", "--timestamp", "t"), "timestamp"),
        ((*TOPIC, "--dialect", "plain", "--quality", "q"), "--dialect scalar"),
        ((*TOPIC, "--stream", "s"), "--stream"),
        ((*TOPIC, "--file-rows", "5"), "--file-"),
        (("--config", "agent.toml"), "pump-health, valves"),
        (("--config", "agent.toml", "--stream", "x"), "--stream is 'x'; agent.toml has"),
        (("--config", "agent.toml", "--stream", "valves"), "--signal"),
        (("--config", "agent.toml", "--dialect", "json"), "--dialect"),
        (
            ("--config", "agent.toml", "--stream", "pump-health", "--signal", "flow"),
            "'flow'",
        ),
    ],
)
def test_options_that_do_not_fit_are_told_before_anything_is_connected(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    configuration(tmp_path)
    assert main(["record", "--broker", "localhost:1", "--out", "a.parquet", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("out", ["there.parquet", "history.csv"])
def test_place_that_is_no_good_is_refused(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.parquet").write_bytes(b"precious")
    assert main(["record", "--broker", "localhost:1", "--out", out, *TOPIC]) == 2
    assert f"--out {out}: " in capsys.readouterr().err
    assert (tmp_path / "there.parquet").read_bytes() == b"precious"


def test_mistake_in_the_configuration_is_told_with_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = {"topic": "t/{asset}", "dialect": "jsn"}
    path = tmp_path / "agent.toml"
    path.write_text(tomli_w.dumps({"pipelines": [{"stream": "s", "inputs": [source]}]}))
    command = ["record", "--broker", "localhost:1", "--out", "a.parquet", "--config", str(path)]
    assert main(command) == 78
    assert f"{path}: pipelines[0].inputs[0].dialect: found 'jsn'" in capsys.readouterr().err


def test_terminal_is_shown_how_it_goes(plant: Mosquitto, tmp_path: Path) -> None:
    topic = ("--topic", "shown/{asset}", "--signal", "flow", "--out", str(tmp_path / "a.parquet"))
    command = [sys.executable, "-m", "trainer", "record", "--broker", f"127.0.0.1:{plant.port}"]
    screen, terminal = os.openpty()
    with (
        subprocess.Popen([*command, *topic], stdout=subprocess.DEVNULL, stderr=terminal) as process,
        PlantClient(plant.port) as client,
    ):
        os.close(terminal)
        seen = shown(screen, "listening on")
        client.publish("shown/p", {"ts": T0_MS, "flow": 1})
        client.publish("shown/p", b"nonsense")
        client.flush()
        seen += shown(screen, "1 dropped")
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # a terminal that nobody writes to any more
            shown(screen, "\0")
    os.close(screen)
    for part in ("1 rows", "rows/s", "kB written"):
        assert part in seen


def shown(screen: int, wanted: str) -> str:
    """What a terminal shows until something wanted is there."""
    seen = ""
    while wanted not in seen:
        ready, _, _ = select.select([screen], [], [], END_S)
        assert ready, seen
        seen += os.read(screen, 4096).decode(errors="replace")
    return seen
