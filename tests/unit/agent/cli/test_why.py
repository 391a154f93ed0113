"""`why`: what it explains to an operator whose message did not do what was expected."""

import json
import math
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import cbor2
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from agent.__main__ import main
from agent.cli.why import explain
from agent.cli.window_state import recall, samples
from agent.config.settings import Journal, Settings
from agent.delivery.inputs import Input
from agent.journal.files import JournalFile
from agent.journal.records import Acked, Header, Whole, encoded, frame, noted
from agent.streams.pipeline import Pipeline
from agent.streams.state import State
from models.bundle.manifest import Channel, WindowSpec
from models.bundle.package import Bundle
from models.input.reasons import REASONS
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from serving.store import Store
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.wording import names

ROOT = Path(__file__).parents[4]
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
            "pipelines": [{"stream": "mass", "inputs": [source]} | more],
        }
    )


def keep(folder: Path, bundle: Bundle) -> None:
    store = Store(folder, keep=2)
    store.bundles_dir.mkdir(parents=True)
    store.path(bundle.ref).write_bytes(bundle.content)
    store.commit(bundle.ref, None)


def explained(
    folder: Path, topic: str = TOPIC, payload: bytes | None = None, **more: object
) -> str:
    return "\n".join(explain(settings(folder, **more), topic, payload))


def row(**values: object) -> bytes:
    return json.dumps({"ts": T0_MS, **values}).encode()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS))
    return tmp_path


def test_asset_that_the_payload_names_is_explained(kept: Path) -> None:
    hub = [{"topic": "hub/{line}", "asset": "device", "timestamp": "ts"}]
    assert names(explained(kept, "hub/l1", inputs=hub), "the payload names the asset")
    payload = row(device="p1", c0=1.0, c1=2.0)
    lines = explained(kept, "hub/l1", payload, inputs=hub)
    assert names(lines, "asset l1/p1", "publishes on hub/l1/p1/_inference/mass")
    lines = explained(kept, "hub/l1", row(device="p+", c0=1.0), inputs=hub)
    assert names(lines, "dropped as asset_malformed", "256 characters")


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("plant/l1/p1", "4 levels"),
        ("plant/l1/p1/Telemetry", "'Telemetry'"),
        ("plant//p1/telemetry", "level 2"),
    ],
)
def test_topic_that_is_not_described_is_explained_by_where_it_differs(
    topic: str, said: str, kept: Path
) -> None:
    assert said in explained(kept, topic)
    assert "model" not in explained(kept, topic)


def test_topic_alone_is_explained_with_model_asset_signals_and_answer(kept: Path) -> None:
    lines = explained(kept)
    assert "mass#1 1.0.1" in lines
    assert "asset l1/p1, carries c0, c1" in lines
    assert "plant/l1/p1/_inference/mass" in lines


def test_row_that_is_answered_is_explained_with_its_prediction(kept: Path) -> None:
    lines = explained(kept, payload=row(c0=4.25, c1=1.0))
    assert names(lines, "2025-10-09T08:53:20.000+00:00", "GOOD")
    assert "c0: 4.25 bar" in lines
    (published,) = re.findall(r"publishes on plant/l1/p1/_inference/mass: (.*)", lines)
    assert json.loads(published)["value"] == 14.25


def test_missing_and_impossible_values_are_explained(kept: Path) -> None:
    lines = explained(kept, payload=row(c0=99.0))
    assert names(lines, "c0: 99 bar", "0 to 16")
    assert "c1: missing" in lines
    assert "missing: c0, c1" in lines
    assert '"quality":"BAD"' in lines


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"{", "not_json"), (b'{"c0": 1}', "time_missing"), (row(c0="4.2"), "not_a_number")],
)
def test_dropped_message_is_explained_with_its_reason(
    payload: bytes, reason: str, kept: Path
) -> None:
    assert f"dropped as {reason}: {REASONS[reason]}" in explained(kept, payload=payload)


def test_time_and_quality_are_explained_with_path_and_value(kept: Path) -> None:
    source = {
        "topic": "plant/{line}/{asset}/telemetry",
        "timestamp": "meta.at",
        "timestamp_unit": "iso8601",
        "timezone": "Europe/Berlin",
        "quality": "qc",
        "quality_map": "siemens_qc",
    }
    row = {"meta": {"at": "2025-10-09T10:53:20"}, "qc": 1, "c0": 1.0, "c1": 1.0}
    lines = explained(kept, payload=json.dumps(row).encode(), inputs=[source])
    assert names(lines, "2025-10-09T08:53:20.000+00:00", "UNCERTAIN")
    assert names(lines, 'meta.at: "2025-10-09T10:53:20"', "iso8601", "Europe/Berlin")
    assert names(lines, "qc: 1", "siemens_qc")
    swapped = row | {"meta": {"at": "09/10/2025"}}
    lines = explained(kept, payload=json.dumps(swapped).encode(), inputs=[source])
    assert names(lines, "dropped as time_malformed", 'meta.at: "09/10/2025"', "iso8601")


@pytest.mark.parametrize(
    ("chosen", "reason", "allowed"),
    [
        (None, "quality_ambiguous", "is not given"),
        ("sparkplug", "quality_unknown", "500 (stale"),
        ({"running": "GOOD"}, "quality_unknown", "'running' (GOOD)"),
    ],
    ids=["no map", "a name", "a table"],
)
def test_quality_that_no_map_has_is_explained_with_what_is_allowed(
    chosen: object, reason: str, allowed: str, kept: Path
) -> None:
    source = {"topic": "plant/{line}/{asset}/telemetry", "quality": "q", "quality_map": chosen}
    lines = explained(kept, payload=row(c0=1.0, c1=1.0, q=3), inputs=[source])
    assert names(lines, f"dropped as {reason}", "at q: 3", "quality_map", allowed)


def test_payload_without_a_signal_is_explained_with_what_was_found(kept: Path) -> None:
    payload = json.dumps(
        {"ts": T0_MS, "hydraulics": {"C0": 1.0}, "esc\x1b[2J": 2, "list": [{"C.0": 1}, {"v": 2}]}
    ).encode()
    lines = explained(kept, payload=payload)
    assert names(lines, "no_signal", "c0 at c0: nothing", 'nearest: "hydraulics.C0": 1.0')
    # Each path is written so that it can be copied into the TOML file.
    assert names(lines, r'"\"esc\u001b[2J\""', r'"list[0].\"C.0\""', '"list[1].v"')
    assert "\x1b" not in lines


def test_late_reading_is_explained_with_the_setting_that_takes_it(tmp_path: Path) -> None:
    bundle = linear_bundle("mass", 1, [1.0, 10.0], length=2)
    keep(tmp_path, bundle)
    written = Written(tmp_path, serving(tmp_path, bundle))
    written.note(TOPIC, row(c0=1.0, c1=1.0))
    late = json.dumps({"ts": T0_MS - 1, "c0": 1.0, "c1": 1.0}).encode()
    assert names(explained(tmp_path, payload=late), "late", "disorder_ms")


def test_window_that_is_not_full_is_explained(tmp_path: Path) -> None:
    keep(tmp_path, linear_bundle("mass", 1, [1.0], length=5))
    lines = explained(tmp_path, payload=row(c0=1.0))
    assert names(lines, "1 of the 5")


def test_signals_that_are_still_awaited_are_explained(tmp_path: Path) -> None:
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 1.0, 1.0]))
    source = {"topic": "plant/{line}/{asset}/{signal}", "dialect": "scalar"}
    lines = explained(tmp_path, "plant/l1/p1/c1", b"4.2", inputs=[source])
    assert "asset l1/p1, carries c1" in lines
    assert "once c0, c2" in lines
    assert "no signal" in explained(tmp_path, "plant/l1/p1/c9", b"4.2", inputs=[source])
    assert "unbound_signal" in explained(tmp_path, "plant/l1/p1/c9", b"4.2", inputs=[source])


def test_block_is_explained_by_channel(tmp_path: Path) -> None:
    window = WindowSpec(length=2, hop=2, sample_period_ms=0.5)
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS, window=window))
    source = {"topic": "plant/{line}/{asset}/telemetry", "dialect": "block", "encoding": "float32"}
    payload = struct.pack("<8f", 1, math.nan, 99, math.nan, 3, math.nan, 4, math.nan)
    lines = explained(tmp_path, payload=payload, inputs=[source])
    assert names(lines, "4 samples", "GOOD")
    assert names(lines, "c0: min 1 bar; max 99 bar", "0 to 16", "0 of 4")
    assert "c1: 4 of 4 missing" in lines
    published = re.findall(r"publishes on plant/l1/p1/_inference/mass: (.*)", lines)
    assert [json.loads(one)["value"] for one in published] == [None, 4.0]
    short = explained(tmp_path, payload=payload[:8], inputs=[source])
    assert names(short, "1 of the 2")
    broken = explained(tmp_path, payload=payload[:9], inputs=[source])
    assert f"dropped as block_length: {REASONS['block_length']}" in broken


def test_block_of_one_axis_is_explained_with_its_time(tmp_path: Path) -> None:
    window = WindowSpec(length=2, hop=2, sample_period_ms=0.5)
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS, window=window))
    source = {
        "topic": "plant/{line}/{asset}/{signal}",
        "dialect": "block",
        "encoding": "json",
        "timestamp": "ts",
    }
    payload = json.dumps({"ts": T0_MS, "value": [1, 2]}).encode()
    lines = explained(tmp_path, "plant/l1/p1/c0", payload, inputs=[source])
    assert names(lines, "2 samples", "2025-10-09T08:53:20.000+00:00", "GOOD")
    assert "once c1" in lines


def test_value_that_cannot_be_read_is_explained_with_what_is_allowed(tmp_path: Path) -> None:
    valve = Channel(name="valve", codes={"closed": 0.0, "open": 1.0})
    channels = [valve, Channel(name="c1"), Channel(name="c2")]
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 1.0, 1.0], channels=channels))
    lines = explained(tmp_path, payload=row(valve="ajar", c1="yes", c2=True))
    assert 'valve: missing, "ajar" is none of its states "closed", "open"' in lines
    assert f"c1: missing, not read as not_a_number: {REASONS['not_a_number']}" in lines
    assert "c2: 1" in lines


def test_payload_in_another_encoding_is_explained(kept: Path) -> None:
    source = {"topic": "plant/{line}/{asset}/telemetry", "encoding": "cbor", "timestamp": "ts"}
    document = {"ts": cbor2.CBORTag(4, [0, T0_MS]), b"bytes": 1, "x": {"c0": 1}}
    lines = explained(kept, payload=cbor2.dumps(document | {"c1": 2.5}), inputs=[source])
    assert names(lines, "json of cbor", "dropped as time_malformed", 'ts: "CBOR tag 4"')
    lines = explained(kept, payload=cbor2.dumps(document), inputs=[source])
    assert names(lines, "dropped as no_signal", '"x.c0": 1')
    lines = explained(
        kept, payload=cbor2.dumps({"ts": T0_MS, "c0": 1.0, "c1": b"2"}), inputs=[source]
    )
    assert names(lines, "c0: 1 bar", "c1: missing, not read as not_a_number", "publishes on")
    lines = explained(kept, payload=b'{"c0": 1}', inputs=[source])
    assert f"dropped as not_cbor: {REASONS['not_cbor']}" in lines


def test_stream_without_a_model_is_explained(tmp_path: Path) -> None:
    assert "model" in explained(tmp_path)


def test_guide_lists_the_reasons_that_there_are() -> None:
    guide = (ROOT / "docs/topics.md").read_text()
    listed: list[tuple[str, str]] = re.findall(r"^\| `(\w+)` \| (.*) \|$", guide, re.MULTILINE)
    assert set(listed) >= set(REASONS.items())


def test_payload_that_cannot_be_read_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["why", TOPIC, "--payload", "/no/such/file"])
    assert caught.value.code == 2
    assert names(capsys.readouterr().err, "/no/such/file")


def test_what_a_terminal_would_obey_is_shown_as_an_escape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = "\x1b[2J\x9bbar\u202e"
    keep(tmp_path, linear_bundle("mass", 1, [1.0], channels=[Channel(name="c0", unit=unit)]))
    (tmp_path / "agent.toml").write_text(
        tomli_w.dumps(settings(tmp_path).model_dump(mode="json", exclude_none=True))
    )
    (tmp_path / "payload").write_bytes(row(c0=1.0, **{unit: 1.0}))
    config, payload = str(tmp_path / "agent.toml"), str(tmp_path / "payload")
    assert main(["why", f"{TOPIC}{unit}", "--config", config, "--payload", payload]) == 0
    assert main(["why", TOPIC, "--config", config, "--payload", payload]) == 0
    told = capsys.readouterr().out
    assert r"\u001b[2J" in told
    assert not set(told) & set(unit.replace("bar", "").replace("[2J", ""))


def test_on_a_grid_the_reading_that_a_sample_waits_for_is_explained(tmp_path: Path) -> None:
    window = WindowSpec(length=1, sample_period_ms=5000, max_gap_ms=60_000, trigger="period")
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS, window=window))
    assert "5000 ms" in explained(tmp_path, payload=row(c0=1.0))


class Written:
    """The journal of an agent that took messages at QoS 1, with a frame for each.

    Attributes:
        ends: where each frame ends, the first before any message.
    """

    def __init__(self, folder: Path, pipeline: Pipeline, number: int = 1) -> None:
        self.path = folder / f"journal.{number:08d}"
        self.ends: list[int] = []
        self._file = JournalFile(folder, is_synced=False)
        self._file.begin(number)
        windows = {pipeline.stream: pipeline.fingerprint}
        states = [encoded(state) for state in pipeline.states()]
        self._append([encoded(Header(0, windows)), *states, encoded(Whole())])

    def note(self, topic: str, payload: bytes) -> None:
        serial = len(self.ends)
        message = Received(topic, payload, serial, False, False, T0_MS * 1_000_000)  # noqa: FBT003  as it comes
        self._append([*noted(serial, message), encoded(Acked(serial))])

    def _append(self, parts: Sequence[bytes]) -> None:
        self._file.append(parts)
        self.ends.append(self.path.stat().st_size)


def serving(folder: Path, bundle: Bundle, **more: object) -> Pipeline:
    chosen = settings(folder, **more)
    pipeline = Pipeline(chosen.pipelines[0], chosen.limits)
    pipeline.activate(Model(Session(bundle), bundle.sha256))
    return pipeline


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


SCALARS: dict[str, Any] = {
    "inputs": [
        {
            "topic": "plant/{line}/{asset}/{signal}",
            "dialect": "scalar",
            "value": "v",
            "timestamp": "ts",
        }
    ]
}


def reading(value: float, at_ms: int = 0) -> bytes:
    return json.dumps({"ts": T0_MS + at_ms, "v": value}).encode()


FIVE = linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS, length=5)
ROWS = 7


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Rows of one asset, whose values are their numbers."""
    folder = tmp_path_factory.mktemp("written")
    keep(folder, FIVE)
    journal = Written(folder, serving(folder, FIVE))
    for number in range(ROWS):
        journal.note(TOPIC, json.dumps({"ts": T0_MS + number, "c0": number, "c1": 0}).encode())
    return journal


@given(part=st.floats(0, 1))
def test_journal_cut_at_any_byte_counts_up_to_its_last_whole_frame(
    part: float, written: Written
) -> None:
    content = written.path.read_bytes()
    end = round(part * len(content))
    rows = sum(one <= end for one in written.ends) - 1
    with TemporaryDirectory() as name:
        folder = Path(name)
        keep(folder, FIVE)
        (folder / written.path.name).write_bytes(content[:end])
        before = contents(folder)
        lines = explained(folder)
        assert contents(folder) == before, "nothing is written"
    if rows < 0:
        assert "no journal" in lines
    elif not rows:
        assert names(lines, "nothing", "l1/p1")
    else:
        assert f"{min(rows, 4)} of 5 samples" in lines
        assert f"c0: fresh, last {rows - 1} bar" in lines


def test_payload_is_answered_on_top_of_what_the_agent_has(written: Written) -> None:
    payload = json.dumps({"ts": T0_MS + ROWS, "c0": 3, "c1": 1}).encode()
    lines = explained(written.path.parent, payload=payload)
    assert "windows of the agent" in lines
    (published,) = re.findall(r"publishes on plant/l1/p1/_inference/mass: (.*)", lines)
    assert json.loads(published)["value"] == 13.0
    assert "missing" not in lines
    again = explained(written.path.parent, payload=row(c0=1.0, c1=1.0))
    assert f"dropped as late: {REASONS['late']}" in again
    other = explained(written.path.parent, "plant/l1/p2/telemetry", payload)
    assert names(other, "nothing", "l1/p2")
    assert names(other, "1 of the 5")


def test_signals_are_explained_with_value_age_and_what_the_window_makes_of_them(
    tmp_path: Path,
) -> None:
    channels = (
        Channel(name="held", unit="bar", valid_range=(0.0, 16.0), max_age_ms=1000),
        Channel(name="old", unit="l/s", max_age_ms=1000),
        Channel(name="never", max_age_ms=1000),
        Channel(name="fresh"),
        Channel(name="unusable", valid_range=(0.0, 1.0)),
        Channel(name="open"),
    )
    bundle = linear_bundle("mass", 1, [1.0] * 6, channels=channels, length=3)
    keep(tmp_path, bundle)
    journal = Written(tmp_path, serving(tmp_path, bundle, **SCALARS))
    journal.note("plant/l1/p1/old", reading(2.5))
    journal.note("plant/l1/p1/held", reading(4.25, 2000))
    journal.note("plant/l1/p1/held", reading(99, 2500))
    journal.note("plant/l1/p1/fresh", reading(1, 2500))
    journal.note("plant/l1/p1/unusable", reading(7, 2500))
    lines = explained(tmp_path, "plant/l1/p1/open", **SCALARS)
    assert "1 of 3 samples" in lines
    assert re.search(r"held: fresh.* 4\.25 bar [\d,.]+ s ago", lines)
    assert re.search(r"old: missing \(.*1000 ms\).* 2\.5 l/s [\d,.]+ s ago\n", lines)
    assert re.search(r"never: missing \(.*1000 ms\)", lines)
    assert re.search(r"fresh: fresh.* 1 ", lines)
    assert "unusable: missing" in lines
    assert "open: awaited" in lines
    assert "awaited: old, never, open" in lines
    payload = reading(1, 2600)
    assert "once old, never" in explained(tmp_path, "plant/l1/p1/open", payload, **SCALARS)


def test_signal_that_was_missing_in_the_last_sample_is_explained(tmp_path: Path) -> None:
    keep(tmp_path, FIVE)
    journal = Written(tmp_path, serving(tmp_path, FIVE))
    journal.note(TOPIC, json.dumps({"ts": T0_MS, "c0": 1}).encode())
    lines = explained(tmp_path)
    assert re.search(r"c0: fresh.* 1 bar", lines)
    assert "c1: missing" in lines


def test_on_a_grid_what_waits_to_be_put_in_order_is_explained(tmp_path: Path) -> None:
    window = WindowSpec(length=4, hop=2, sample_period_ms=100, max_gap_ms=60_000, trigger="period")
    bundle = linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS, window=window)
    keep(tmp_path, bundle)
    more: dict[str, Any] = {"disorder_ms": 50}
    journal = Written(tmp_path, serving(tmp_path, bundle, **more))
    for step in range(7):
        payload = json.dumps({"ts": T0_MS + 1 + 100 * step, "c0": 1, "c1": 1}).encode()
        journal.note(TOPIC, payload)
    lines = explained(tmp_path, **more)
    assert "3 of 4 samples" in lines
    assert "1 readings" in lines


def test_block_that_awaits_its_other_axes_is_explained(tmp_path: Path) -> None:
    window = WindowSpec(length=4, sample_period_ms=0.5)
    bundle = linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS, window=window)
    keep(tmp_path, bundle)
    source = {"topic": "plant/{line}/{asset}/{signal}", "dialect": "block", "encoding": "json"}
    more: dict[str, Any] = {"inputs": [source | {"value": "v", "timestamp": "ts"}]}
    journal = Written(tmp_path, serving(tmp_path, bundle, **more))
    block = {"ts": T0_MS, "v": [1, 2]}
    journal.note("plant/l1/p1/c0", json.dumps(block).encode())
    lines = explained(tmp_path, "plant/l1/p1/c1", **more)
    assert "0 of 4 samples" in lines
    assert "awaited: c1" in lines
    journal.note("plant/l1/p1/c1", json.dumps(block | {"v": [7, None]}).encode())
    lines = explained(tmp_path, "plant/l1/p1/c1", **more)
    assert "2 of 4 samples" in lines
    assert "c0: 2 bar" in lines
    assert "c1: missing" in lines


class Rotating(Pipeline):
    """A pipeline during whose restoration the agent removes the file that is being read."""

    rotations: ClassVar[list[Callable[[], None]]] = []

    def restore(self, state: State) -> None:
        super().restore(state)
        if self.rotations and state.asset:
            self.rotations.pop()()


@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_file_that_is_dropped_while_it_is_read_is_made_good_by_the_newer_one(
    rotations: int, tmp_path: Path
) -> None:
    before = serving(tmp_path, FIVE)
    route = before.route(TOPIC)
    assert route is not None
    before.take(route, Received(TOPIC, row(c0=1, c1=1), 1, False, False, 0), Input(1, (TOPIC, b"")))  # noqa: FBT003  as it comes
    Written(tmp_path, before)
    numbers = iter(range(2, 9))

    def rotate() -> None:
        newer = Written(tmp_path, before, next(numbers))
        for path in tmp_path.glob("journal.*"):
            if path != newer.path:
                path.unlink()

    Rotating.rotations = [rotate] * rotations
    chosen = settings(tmp_path)

    def begin() -> Pipeline:
        pipeline = Rotating(chosen.pipelines[0], chosen.limits)
        pipeline.activate(Model(Session(FIVE), FIVE.sha256))
        return pipeline

    found = recall(chosen, begin)
    assert found.is_agents == (rotations < 3)
    assert samples(found.pipeline, "l1/p1") == (1 if found.is_agents else 0)


def test_windows_that_cannot_be_known_are_explained_with_the_reason(tmp_path: Path) -> None:
    keep(tmp_path, FIVE)
    assert f"no journal in {tmp_path}" in explained(tmp_path)
    journal = Written(tmp_path, serving(tmp_path, FIVE))
    journal.note(TOPIC, row(c0=1.0, c1=1.0))
    assert "another model" in explained(tmp_path, assets=["l1/p1"])
    whole = settings(tmp_path)
    disabled = whole.model_copy(update={"journal": Journal(enabled=False)})
    lines = "\n".join(explain(disabled, TOPIC, row(c0=1.0, c1=1.0)))
    assert "journal.enabled is false" in lines
    assert "1 of the 5 samples" in lines
    journal.path.write_bytes(frame([struct.pack("<BI2s", 9, 2, b"{}")]))
    assert "record of kind 9" in explained(tmp_path)


def test_stream_without_windows_is_explained(kept: Path) -> None:
    assert "no windows" in explained(kept)
