"""What the operator is told of one message that did not do what was expected."""

import json
import math
import re
import struct
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.reasons import REASONS
from agent.settings import Settings
from agent.store import Kept, Store
from agent.why import explain
from models.bundle import Bundle
from models.manifest import Channel, WindowSpec
from tests.graphs import linear_bundle

ROOT = Path(__file__).parents[2]
TOPIC = "plant/l1/p1/telemetry"
T0_MS = 1_760_000_000_000
CHANNELS = (
    Channel(name="c0", unit="bar", valid_range=(0.0, 16.0), missing="require"),
    Channel(name="c1", missing="impute"),
)


def settings(folder: Path, **more: object) -> Settings:
    source = {"topic": "plant/{line}/{asset}/telemetry", "timestamp": "ts"}
    return Settings.model_validate(
        {
            "gateway": {"id": "gw1", "state_dir": folder},
            "broker": {"host": "localhost"},
            "registry": {"url": "file:///nowhere", "root": folder / "root.json"},
            "pipelines": [{"stream": "mass", "inputs": [source], **more}],
        }
    )


def keep(folder: Path, bundle: Bundle) -> None:
    store = Store(folder, keep=2)
    store.bundles_dir.mkdir(parents=True)
    store.path(bundle.sha256).write_bytes(bundle.content)
    manifest = bundle.manifest
    store.commit("mass", Kept(seq=1, version=manifest.version, sha256=bundle.sha256), None)


def told(folder: Path, topic: str = TOPIC, payload: bytes | None = None, **more: object) -> str:
    return "\n".join(explain(settings(folder, **more), topic, payload))


def row(**values: object) -> bytes:
    return json.dumps({"ts": T0_MS, **values}).encode()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS))
    return tmp_path


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("plant/l1/p1", "has 4 levels, the topic 3"),
        ("plant/l1/p1/Telemetry", "level 4 is 'telemetry', in the topic 'Telemetry'"),
        ("plant//p1/telemetry", "level 2 of the topic is empty"),
    ],
)
def test_topic_that_is_not_described_is_told_where_it_differs(
    topic: str, said: str, kept: Path
) -> None:
    assert said in told(kept, topic)
    assert "model" not in told(kept, topic)


def test_topic_alone_is_told_with_model_asset_signals_and_answer(kept: Path) -> None:
    lines = told(kept)
    assert "mass#1 1.0.1" in lines
    assert "asset l1/p1, carries c0, c1" in lines
    assert "answers go to plant/l1/p1/_inference/mass" in lines


def test_row_that_is_answered_is_told_with_its_prediction(kept: Path) -> None:
    lines = told(kept, payload=row(c0=4.25, c1=1.0))
    assert "reading at 2025-10-09T08:53:20.000+00:00, quality GOOD" in lines
    assert "c0: 4.25 bar" in lines
    (published,) = re.findall(r"publishes on plant/l1/p1/_inference/mass: (.*)", lines)
    assert json.loads(published)["value"] == 14.25


def test_missing_and_impossible_values_are_told(kept: Path) -> None:
    lines = told(kept, payload=row(c0=99.0))
    assert "c0: 99 bar, outside 0 to 16: counts as missing" in lines
    assert "c1: missing" in lines
    assert "missing: c0, c1" in lines
    assert '"quality":"BAD"' in lines


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"{", "not_json"), (b'{"c0": 1}', "time_missing"), (row(c0="4.2"), "not_a_number")],
)
def test_dropped_message_is_told_with_its_reason(payload: bytes, reason: str, kept: Path) -> None:
    assert f"dropped as {reason}: {REASONS[reason]}" in told(kept, payload=payload)


def test_window_that_is_not_full_is_told(tmp_path: Path) -> None:
    keep(tmp_path, linear_bundle("mass", 1, [1.0], length=5))
    lines = told(tmp_path, payload=row(c0=1.0))
    assert "no prediction yet: this is the first of the 5 samples that a window needs" in lines


def test_signals_that_are_still_awaited_are_told(tmp_path: Path) -> None:
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 1.0, 1.0]))
    source = {"topic": "plant/{line}/{asset}/{signal}", "dialect": "scalar"}
    lines = told(tmp_path, "plant/l1/p1/c1", b"4.2", inputs=[source])
    assert "asset l1/p1, carries c1" in lines
    assert "once c0, c2 has reported too" in lines
    assert "carries no signal" in told(tmp_path, "plant/l1/p1/c9", b"4.2", inputs=[source])
    assert "unbound_signal" in told(tmp_path, "plant/l1/p1/c9", b"4.2", inputs=[source])


def test_block_is_told_by_channel(tmp_path: Path) -> None:
    window = WindowSpec(length=2, hop=2, sample_period_ms=0.5)
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS, window=window))
    source = {"topic": "plant/{line}/{asset}/telemetry", "dialect": "block", "encoding": "float32"}
    payload = struct.pack("<8f", 1, math.nan, 99, math.nan, 3, math.nan, 4, math.nan)
    lines = told(tmp_path, payload=payload, inputs=[source])
    assert "block of 4 samples until its arrival, quality GOOD" in lines
    assert "c0: min 1 bar; max 99 bar, outside 0 to 16: counts as missing; 0 of 4 missing" in lines
    assert "c1: 4 of 4 missing" in lines
    published = re.findall(r"publishes on plant/l1/p1/_inference/mass: (.*)", lines)
    assert [json.loads(one)["value"] for one in published] == [None, 4.0]
    short = told(tmp_path, payload=payload[:8], inputs=[source])
    assert "no prediction yet: the block is shorter than the 2 samples that a window needs" in short
    broken = told(tmp_path, payload=payload[:9], inputs=[source])
    assert f"dropped as block_length: {REASONS['block_length']}" in broken


def test_block_of_one_axis_is_told_with_its_time(tmp_path: Path) -> None:
    window = WindowSpec(length=2, hop=2, sample_period_ms=0.5)
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS, window=window))
    source = {
        "topic": "plant/{line}/{asset}/{signal}",
        "dialect": "block",
        "encoding": "json",
        "timestamp": "ts",
    }
    payload = json.dumps({"ts": T0_MS, "value": [1, 2]}).encode()
    lines = told(tmp_path, "plant/l1/p1/c0", payload, inputs=[source])
    assert "block of 2 samples from 2025-10-09T08:53:20.000+00:00, quality GOOD" in lines
    assert "once c1 has reported too" in lines


def test_stream_without_a_model_is_told(tmp_path: Path) -> None:
    assert "no model is kept; push one, or wait for the next poll" in told(tmp_path)


def test_guide_lists_the_reasons_that_there_are() -> None:
    guide = (ROOT / "docs/topics.md").read_text()
    listed: dict[str, str] = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", guide, re.MULTILINE))
    assert listed.items() >= REASONS.items()


def test_payload_that_cannot_be_read_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["why", TOPIC, "--payload", "/no/such/file"])
    assert caught.value.code == 2
    assert "/no/such/file: No such file or directory" in capsys.readouterr().err


def test_on_a_grid_the_reading_that_a_sample_waits_for_is_told(tmp_path: Path) -> None:
    window = WindowSpec(length=1, sample_period_ms=5000, max_gap_ms=60_000, trigger="period")
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS, window=window))
    assert "no prediction yet: the sample is taken at the next full 5000 ms, once" in told(
        tmp_path, payload=row(c0=1.0)
    )
