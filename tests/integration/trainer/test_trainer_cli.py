"""The trainer's commands as people run them, against real brokers where they need one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from models.bundle.package import read_bundle
from tests.kit.broker.brokers import Mosquitto, amqtt, free_port, mosquitto
from tests.kit.broker.certificates import make_certificates
from tests.kit.gateway.evil import HUNGRY_BYTES, evil_bundle
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.pages import Page
from tests.kit.recordings import Row, pump_folder, write_csv, write_recipe
from tests.kit.waiting import eventually
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.broker import Address, Broker
from trainer.commands import schema
from trainer.errors import BrokerError

ROWS = 240
DETECTOR = {"task": "anomaly"}


def words(*given: object) -> list[str]:
    return [str(word) for word in given]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pump_folder(tmp_path_factory.mktemp("pump"), ROWS, target=DETECTOR)


@pytest.fixture(scope="module")
def bundle(recipe: Path) -> Path:
    assert main(words("train", recipe, "--out", recipe.parent / "out")) == 0
    return recipe.parent / "out" / "pump-health-1.zip"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker"), max_queued_messages=0) as broker:
        yield broker


def at(broker: Mosquitto) -> str:
    return f"{broker.host}:{broker.port}"


def test_train_prints_what_came_of_it(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "said" / "outcome.json"
    assert main(words("train", recipe, "--out", tmp_path, "--seq", 7, "--outcome", file)) == 0
    out = capsys.readouterr().out
    said = json.loads(file.read_text())
    bundle = read_bundle((tmp_path / "pump-health-7.zip").read_bytes())
    assert (said["seq"], said["sha256"], said["comparison"]) == (7, bundle.sha256, None)
    assert said["metrics"] == dict(bundle.manifest.metrics.values)
    assert "alarm_share" in out
    assert f"{tmp_path}/pump-health-7.zip" in out


def test_bytes_of_a_bundle_do_not_depend_on_the_process(tmp_path: Path) -> None:
    path = pump_folder(tmp_path, 600, split={"method": "time", "test": 0.5})
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "trainer", "train", path, "--out", tmp_path / hash_seed],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "SOURCE_DATE_EPOCH": "1700000000"},
            stdout=subprocess.DEVNULL,
        )
        for hash_seed in ("1", "2")
    ]
    assert [process.wait() for process in running] == [0, 0]
    one, two = ((tmp_path / seed / "pump-health-1.zip").read_bytes() for seed in ("1", "2"))
    assert one == two


def test_inspect_shows_signals_and_figures(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("inspect", bundle)) == 0
    out = capsys.readouterr().out
    for part in ("pump-health #1", "pressure", "golden vectors", "model.onnx", "every 1000 ms"):
        assert part in out


def test_inspect_and_report_show_what_is_subtracted_from_a_signal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signals = [{"name": "pressure", "offset": 2000000.25}, {"name": "flow"}]
    path = pump_folder(tmp_path, ROWS, target=DETECTOR, signals=signals)
    assert main(words("train", path, "--out", tmp_path)) == 0
    capsys.readouterr()
    written = tmp_path / "pump-health-1.zip"
    assert main(words("inspect", written)) == 0
    assert names(capsys.readouterr().out, "offset", "2000000.25")
    section = Page(read_bundle(written.read_bytes()).report).section("Inputs and outputs")
    assert names(section.text, "offset", "2000000.25")


def test_inspect_survives_a_graph_that_crashes_onnxruntime(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deep.zip"
    path.write_bytes(evil_bundle("crash at load", "mass", 1).content)
    assert main(words("inspect", path)) == 1
    assert "SIGSEGV" in capsys.readouterr().err


def test_inspect_takes_the_limits_of_a_gateway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hungry.zip"
    path.write_bytes(evil_bundle("hungry", "mass", 1).content)
    limits = ("--memory-mb", "256")
    assert main(words("inspect", path, *limits)) == 1
    assert names(capsys.readouterr().err, "256 windows")
    assert main(words("inspect", path, *limits, "--batch", "64", "--json")) == 0
    proof = json.loads(capsys.readouterr().out)["proof"]
    assert proof["batch"] == 64
    assert 64 * HUNGRY_BYTES < proof["memory_bytes"] < 256_000_000
    with pytest.raises(SystemExit):
        main(words("inspect", path, "--batch", "0"))


def test_inspect_prints_json(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words("inspect", bundle, "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["manifest"]["stream"] == "pump-health"
    assert document["golden_worst_error"] < 1e-5


def test_recipe_mistakes_are_lines_and_exit_code_78(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, window={"lenght": 3}, split={"method": "tiem"})
    ended = subprocess.run(
        [sys.executable, "-m", "trainer", "train", path, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 78
    window, split = ended.stderr.splitlines()
    assert names(window, f"{path}", "window.lenght")
    assert names(split, f"{path}", "split.method", "'tiem'", "'time'")


def test_bad_data_is_one_line_and_exit_code_65(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "a.csv", ["time", "pressure"], [("2025-03-01", 1)])
    path = write_recipe(tmp_path, target=DETECTOR)
    assert main(words("train", path, "--out", tmp_path / "out")) == 65
    assert names(capsys.readouterr().err, "a.csv line 1", "flow")


def test_command_that_is_not_known_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["trian"])
    assert "choose from" in capsys.readouterr().err


def test_seq_below_1_is_exit_code_2(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words("train", recipe, "--out", "x", "--seq", 0))
    assert "seq" in capsys.readouterr().err


def test_bundle_that_is_there_is_not_overwritten(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("train", recipe, "--out", tmp_path / "out", "--seq", 3)) == 0
    (there,) = (tmp_path / "out").glob("*-3.zip")
    before = there.read_bytes()
    capsys.readouterr()
    assert main(words("train", recipe, "--out", tmp_path / "out", "--seq", 3)) == 2
    assert names(capsys.readouterr().err, "--seq 3", there.name)
    assert there.read_bytes() == before


@pytest.mark.parametrize("seq", ["1e3", "99999999999999999999", "-1"])
def test_seq_that_is_no_whole_number_is_exit_code_2(
    recipe: Path, seq: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words("train", recipe, "--out", recipe.parent, f"--seq={seq}"))
    assert ended.value.code == 2
    assert names(capsys.readouterr().err, f"'{seq}'", "seq")


def test_file_for_a_folder_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundles").write_text("")
    for out in (tmp_path / "bundles", tmp_path / "bundles" / "mine"):
        assert main(words("train", write_recipe(tmp_path), "--out", out)) == 2
        assert names(capsys.readouterr().err, f"--out {out}", f"{tmp_path}/bundles")


def test_file_that_is_not_there_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "none.zip"]) == 1
    assert names(capsys.readouterr().err, "millhand-trainer", "none.zip")


def test_bug_is_exit_code_70_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schema, "recipe_schema", lambda: 1 // 0)
    assert main(["schema", "--check"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_interruption_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "recipe_schema", interrupted)
    assert main(["schema"]) == 130


def test_schema_is_written_and_held_against_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.schema.json"
    assert main(words("schema", "--check", "--file", path)) == 1
    assert "millhand-trainer schema" in capsys.readouterr().out
    assert main(words("schema", "--file", path)) == 0
    assert main(words("schema", "--check", "--file", path)) == 0


def test_registry_is_made_filled_listed_and_kept(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry, keys = tmp_path / "registry", ("--keys", tmp_path / "keys")
    assert main(words("registry", "init", registry, *keys)) == 0
    assert f"{tmp_path}/keys/root.json" in capsys.readouterr().out
    assert main(words("publish", bundle, "--registry", registry, *keys)) == 0
    assert "published pump-health#1" in capsys.readouterr().out
    assert main(words("publish", bundle, "--registry", registry, *keys)) == 1
    assert "millhand-trainer: " in capsys.readouterr().err
    assert main(words("registry", "refresh", registry, *keys)) == 0
    assert main(words("registry", "revoke", registry, "pump-health", 1, *keys)) == 0
    assert main(words("registry", "rotate", registry, "online", *keys)) == 0
    capsys.readouterr()
    assert main(words("registry", "list", registry)) == 0
    assert "revoked" in capsys.readouterr().out


@contextmanager
def pushed(broker: Mosquitto, gateways: Sequence[str], timeout_s: float) -> Iterator[Future[int]]:
    """A push under way, to be answered by the test."""
    named = [word for gateway in gateways for word in ("--gateway", gateway)]
    command = words(
        "push", "pump-health", 3, *named, "--broker", at(broker), "--timeout", timeout_s
    )
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(main, command)


def wishes(client: PlantClient, gateways: Sequence[str]) -> dict[str, Any]:
    """What each gateway was told, once all of them were."""
    found = {topic.split("/")[1]: json.loads(text) for topic, text in list(client.messages)}
    return found if found.keys() >= set(gateways) else {}


def answer(client: PlantClient, gateway: str, leaf: str, **document: object) -> None:
    client.publish(f"millhand/{gateway}/{leaf}", {"stream": "pump-health", "seq": 3, **document})


def test_push_waits_until_every_gateway_serves(
    plant: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        PlantClient(plant.port, ["millhand/+/desired/#"]) as client,
        pushed(plant, ["gw1", "gw2"], 30) as push,
    ):
        wish, other = eventually(lambda: wishes(client, ["gw1", "gw2"]), 20).values()
        assert wish == other
        assert (wish["stream"], wish["seq"]) == ("pump-health", 3)
        activity = wish["activity"]
        answer(client, "gw1", "current/pump-health", state="serving", activity="another")
        answer(client, "gw1", "feedback", state="downloading", activity=activity)
        answer(
            client, "gw1", "current/pump-health", state="serving", activity=activity, version="1"
        )
        client.publish("millhand/gw2/feedback", b"{not json")
        answer(
            client, "gw2", "current/pump-health", state="serving", activity=activity, version="1"
        )
        assert push.result(30) == 0
    out = capsys.readouterr().out
    assert "gw1  downloading" in out
    assert out.count("serves seq 3") == 2


def test_desired_document_is_retained(plant: Mosquitto) -> None:
    with pushed(plant, ["gw-late"], 0.5) as push:
        assert push.result(30) == 1
    with PlantClient(plant.port, ["millhand/gw-late/desired/#"]) as client:
        assert client.wait_for("desired/pump-health")[0]["seq"] == 3


def test_push_says_who_refused_and_who_did_not_answer(
    plant: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    gateways = ["gw-no", "gw-off", "gw-slow", "gw-bad"]
    with (
        PlantClient(plant.port, ["millhand/+/desired/#"]) as client,
        pushed(plant, gateways, 5) as push,
    ):
        found = eventually(lambda: wishes(client, gateways), 20)
        refusal = {"state": "refused", "error": "untrusted", "message": "unsigned"}
        answer(client, "gw-no", "feedback", activity=found["gw-no"]["activity"], **refusal)
        answer(client, "gw-off", "status", state="offline")
        answer(client, "gw-slow", "status", state="online")
        waiting = {"state": "waiting", "error": "transient", "message": "no registry"}
        answer(client, "gw-slow", "feedback", activity=found["gw-slow"]["activity"], **waiting)
        failing = {"state": "degraded", "reason": "answer_not_finite", "message": "all are NaN"}
        activity = found["gw-bad"]["activity"]
        answer(client, "gw-bad", "current/pump-health", activity=activity, **failing)
        assert push.result(30) == 1
    refused, degraded, offline, slow = capsys.readouterr().err.splitlines()
    assert names(degraded, "gw-bad", "answer_not_finite", "all are NaN")
    assert names(refused, "gw-no", "untrusted", "unsigned")
    assert names(offline, "gw-off", "offline")
    assert names(slow, "gw-slow", "transient", "no registry")


def test_push_whose_broker_goes_away_says_what_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.broker.PATIENCE_S", 0.2)
    with (
        mosquitto(tmp_path / "broker", log_type="all") as broker,
        pushed(broker, ["gw1", "gw2"], 60) as push,
    ):
        eventually(lambda: broker.log.count("Sending PUBACK to") == 2, 20)
        broker.stop()
        assert push.result(30) == 1
    told = capsys.readouterr().err
    assert names(told, "connection lost", "has confirmed before", "gw1, gw2", "push once more")


def test_gateway_name_that_no_topic_may_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words("push", "s", 1, "--gateway", "gw/#", "--broker", "localhost:1883"))
    assert "'gw/#'" in capsys.readouterr().err


def test_recorded_rows_arrive_in_order_and_whole(
    recipe: Path, plant: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words("replay", "--recipe", recipe, "--broker", at(plant), "--speed", "max")
    with PlantClient(plant.port, ["whole/#"]) as client:
        assert main([*command, "--topic", "whole/{asset}/telemetry"]) == 0
        documents = client.wait_for("whole/asset/telemetry", count=ROWS)
    stamps = [document["ts"] for document in documents]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == ROWS
    assert set(documents[0]) == {"ts", "pressure", "flow"}
    assert f"{ROWS} rows in {ROWS} messages" in capsys.readouterr().out


def test_part_of_a_file_is_played_one_topic_a_signal(recipe: Path, plant: Mosquitto) -> None:
    command = words("replay", recipe.parent / "pump.csv", "--recipe", recipe, "--broker", at(plant))
    part = words("--rows", "10:20", "--speed", 1000, "--dialect", "scalar")
    with PlantClient(plant.port, ["part/#"]) as client:
        assert main([*command, *part, "--topic", "part/{asset}/{signal}"]) == 0
        flows = client.wait_for("part/asset/flow", count=10)
    assert flows[0]["timestamp"] == 1_740_787_210_000


def test_chosen_assets_are_played(
    tmp_path: Path, plant: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Row] = [(f"2025-03-01T00:00:0{n}Z", n, n, f"p{n % 2}") for n in range(6)]
    write_csv(
        tmp_path / "a.csv",
        ["time", "pressure", "flow", "pump"],
        [*rows, (rows[5][0], "", "", "p1")],
    )
    path = write_recipe(tmp_path, data={"asset_column": "pump"}, target=DETECTOR)
    command = words("replay", "--recipe", path, "--broker", at(plant), "--speed", "max")
    command += ["--topic", "chosen/{asset}"]
    with PlantClient(plant.port, ["chosen/#"]) as client:
        assert main([*command, "--assets", "p1"]) == 0
        client.wait_for("chosen/p1", count=3)
        assert {topic for topic, _ in client.messages} == {"chosen/p1"}
    assert names(capsys.readouterr().err, "1 rows")
    assert main([*command, "--assets", "p9"]) == 2
    assert names(capsys.readouterr().err, "'p9'", "p0, p1")
    assert main([*command, "--rows", "99:"]) == 2
    assert names(capsys.readouterr().err, "--rows", "6")


def test_broker_of_the_older_protocol_is_played_to(recipe: Path, tmp_path: Path) -> None:
    with (
        amqtt(tmp_path / "broker") as broker,
        PlantClient(broker.port, ["old/#"], version=4) as client,
    ):
        command = words("replay", "--recipe", recipe, "--broker", f"{broker.host}:{broker.port}")
        assert main([*command, "--speed", "max", "--topic", "old/{asset}", "--qos", "0"]) == 0
        client.wait_for("old/asset", count=ROWS)


def test_no_broker_is_one_line(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    command = words("replay", "--recipe", recipe, "--broker", f"127.0.0.1:{port}", "--topic", "t")
    assert main(command) == 1
    assert names(capsys.readouterr().err, f"127.0.0.1:{port}", "Connection refused")


def test_address_that_is_none_is_told(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words("replay", "--recipe", recipe, "--broker", "here", "--topic", "t")) == 1
    assert names(capsys.readouterr().err, "--broker", "'here'", "HOST:PORT")


ACL = """
user trainer
topic write plant/#
"""


def published(address: Address, topic: str) -> None:
    with Broker(address) as connection:
        connection.publish(topic, b"1", 1)
        connection.flush()


def test_broker_that_refuses_is_quoted(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("secret\n")
    wrong.write_text("guess\n")
    with mosquitto(tmp_path / "broker", acl=ACL, logins={"trainer": "secret"}) as broker:
        known = Address(broker.host, broker.port, "trainer", right)
        published(known, "plant/a")
        with pytest.raises(BrokerError, match="Not authorized"):
            published(known, "forbidden")
        with pytest.raises(BrokerError, match="Not authorized"):
            published(Address(broker.host, broker.port, "trainer", wrong), "plant/a")
        with pytest.raises(BrokerError, match="none"):
            published(Address(broker.host, broker.port, "trainer", tmp_path / "none"), "plant/a")


def test_broker_is_believed_only_by_its_own_authority(recipe: Path, tmp_path: Path) -> None:
    ours, theirs = make_certificates(tmp_path / "ours"), make_certificates(tmp_path / "theirs")
    with mosquitto(tmp_path / "broker", tls=ours) as broker:
        published(Address(broker.host, broker.port, ca_file=ours.ca_file), "a")
        # As a process of its own: paho leaves the socket of a failed handshake open.
        command = words("replay", "--recipe", recipe, "--broker", at(broker), "--topic", "t")
        ended = subprocess.run(
            [sys.executable, "-m", "trainer", *command, "--ca-file", theirs.ca_file],
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert f"TLS with {at(broker)} fails: CERTIFICATE_VERIFY_FAILED" in ended.stderr


def test_connection_that_is_lost_is_made_again_and_nothing_is_dropped(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker", durable=True) as broker,
        Broker(Address(broker.host, broker.port)) as connection,
    ):
        connection.publish("a", b"1", 1, retain=True)
        connection.flush()
        broker.restart()
        connection.publish("b", b"2", 1, retain=True)
        connection.flush()
        with PlantClient(broker.port, ["b"]) as client:
            eventually(lambda: client.messages)
            assert client.messages == [("b", b"2")]


def test_connection_that_stays_lost_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.broker.PATIENCE_S", 0.2)
    with (
        mosquitto(tmp_path / "broker") as broker,
        Broker(Address(broker.host, broker.port)) as connection,
    ):
        broker.stop()
        with pytest.raises(BrokerError, match="connection lost"):
            connection.wait(20)
