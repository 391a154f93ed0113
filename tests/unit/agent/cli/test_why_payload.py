"""`why`: what it tells of a payload in which something is not where the configuration looks."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from models.bundle.manifest import Channel
from tests.kit.bundles.graphs import linear_bundle
from tests.unit.agent.cli.test_why import TOPIC, explained, keep, settings

CHANNELS = (Channel(name="pressure", unit="bar"), Channel(name="flow", unit="l/s"))
ROW = "plant/{line}/{asset}/telemetry"
SCALAR = "plant/{line}/{asset}/{signal}"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    keep(tmp_path, linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS))
    return tmp_path


def told(folder: Path, source: dict[str, Any], document: object, topic: str = TOPIC) -> list[str]:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return explained(folder, topic, payload, inputs=[source]).splitlines()


def test_each_bound_path_is_told_with_its_value_and_the_rest_of_the_payload(kept: Path) -> None:
    source = {
        "topic": ROW,
        "timestamp": "ts",
        "signals": {"pressure": "values[?id=PT101].v", "flow": "flow"},
    }
    values = [{"id": "PT101", "v": 4.25}, {"id": "TT1", "v": 20}]
    lines = told(kept, source, {"ts": 1_760_000_000_000, "flow": 31, "values": values, "q": 192})
    start = lines.index("  the payload")
    assert lines[start + 1 : start + 10] == [
        "    pressure at values[?id=PT101].v: 4.25",
        "    flow at flow: 31",
        "    timestamp at ts: 1760000000000",
        "      timestamp_unit ms",
        "    not bound:",
        '      "values[0].id": "PT101"',
        '      "values[1].id": "TT1"',
        '      "values[1].v": 20',
        '      "q": 192',
    ]


@pytest.mark.parametrize(
    ("source", "document", "said"),
    [
        (
            {"signals": {"pressure": "pressure", "flow": "hydraulic.flow"}},
            {"pressure": 4, "hydraulics": {"flow": 31}},
            ("flow at hydraulic.flow: nothing there", 'nearest: "hydraulics.flow": 31'),
        ),
        (
            {"timestamp": "Timestamp"},
            {"pressure": 4, "timestamp": 1_760_000_000_000},
            ("timestamp at Timestamp: nothing there", 'nearest: "timestamp": 1760000000000'),
        ),
        (
            {"quality": "quality", "quality_map": "words"},
            {"pressure": 4, "meta": {"Quality": "good"}},
            ("quality at quality: nothing there", 'nearest: "meta.Quality": "good"'),
        ),
        (
            {"asset": "device"},
            {"pressure": 4, "Device": "p7"},
            ("asset at device: nothing there", 'nearest: "Device": "p7"'),
        ),
        (
            {"sequence": "seq"},
            {"pressure": 4, "seqno": 9},
            ("sequence at seq: nothing there", 'nearest: "seqno": 9'),
        ),
        (
            {"dialect": "thingsboard"},
            [{"ts": 1_760_000_000_000, "values": {"Pressure": 4}}, {"flow": 31}],
            ("has 2 entries", 'nearest: "Pressure": 4', "flow at flow: nothing there"),
        ),
    ],
    ids=["a signal", "the time", "the quality", "the asset", "the sequence", "thingsboard"],
)
def test_path_at_which_there_is_nothing_is_told_with_the_nearest_that_is_there(
    source: dict[str, Any], document: object, said: tuple[str, ...], kept: Path
) -> None:
    topic = "plant/{line}/{pump}/telemetry" if "asset" in source else ROW
    lines = told(kept, {"topic": topic, **source}, document)
    assert [one for one in said if not any(one in line for line in lines)] == []


def test_name_of_a_signal_is_told_with_the_nearest_that_is_bound(kept: Path) -> None:
    lines = told(kept, {"topic": SCALAR, "dialect": "scalar"}, b"4.2", "plant/l1/p1/Presure")
    assert '    signal: "Presure"; known are "pressure", "flow"' in lines
    assert '      nearest: "pressure"' in lines
    source = {"topic": "hub/{line}", "dialect": "scalar", "asset": "device", "signal": "tag"}
    document = {"device": "p1", "tag": "flw", "value": 1}
    lines = told(kept, source, document, "hub/l1")
    assert '      nearest: "flow"' in lines
    lines = told(kept, source, {"device": "p1", "Tag": "flow", "value": 1}, "hub/l1")
    assert '      nearest: "Tag": "flow"' in lines


def test_asset_that_is_not_listed_is_told_with_the_nearest_that_is(kept: Path) -> None:
    payload = json.dumps({"ts": 1_760_000_000_000, "pressure": 1, "flow": 2}).encode()
    lines = explained(kept, "plant/l1/P1/telemetry", payload, assets=["l1/p1", "l1/p2"])
    assert '    asset: "l1/P1"; known are "l1/p1", "l1/p2"' in lines
    assert '      nearest: "l1/p1"' in lines


def test_value_of_a_umh_message_is_told_with_what_its_layout_needs(kept: Path) -> None:
    source = {"topic": SCALAR, "dialect": "umh"}
    lines = told(kept, source, {"timestamp": 1, "value": 4}, "plant/l1/p1/flow")
    assert "    flow at value: 4" in lines
    assert '      nearest: "timestamp": 1' in lines


def test_document_where_plain_text_is_expected_is_told_with_its_paths(kept: Path) -> None:
    source = {"topic": SCALAR, "dialect": "scalar"}
    lines = told(kept, source, {"val": 4.2}, "plant/l1/p1/flow")
    assert "set value" in lines[lines.index("  the payload") + 1]
    assert '      "val": 4.2' in lines


def test_long_payload_is_told_by_its_first_paths_and_their_number(kept: Path) -> None:
    document = {f"tag{number:03}": "x" * 500 for number in range(300)}
    lines = told(kept, {"topic": ROW}, document)
    start = lines.index("    not bound:")
    assert lines[start + 20].startswith('      "tag019": "xxx')
    assert lines[start + 21] == "      and 280 more"
    assert max(map(len, lines[start : start + 22])) == 80


def test_explanation_fits_the_terminal_and_is_one_line_each_elsewhere(kept: Path) -> None:
    config, row = kept / "agent.toml", kept / "row.json"
    config.write_text(tomli_w.dumps(settings(kept).model_dump(mode="json", exclude_none=True)))
    row.write_text(json.dumps({"ts": 1_760_000_000_000, "pressure": 4, "flow": 31}))
    command = [sys.executable, "-m", "agent", "why", TOPIC, "--payload", str(row)]
    command += ["--config", str(config)]
    environment = {**os.environ, "COLUMNS": "80"}
    plain = subprocess.run(command, check=True, capture_output=True, env=environment).stdout
    assert max(map(len, plain.decode().splitlines())) > 80
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        while part := _read(ours):
            shown += part
        assert child.wait() == 0
    os.close(ours)
    lines = [line for line in shown.decode().splitlines() if '{"value":' not in line]
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).split() == [
        word for word in plain.decode().split() if '{"value":' not in word
    ]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux reports the end of the other side so (EIO, pty(7))
        return b""


def test_payload_is_read_by_its_signals_before_there_is_a_model(tmp_path: Path) -> None:
    source = {"topic": ROW, "timestamp": "ts", "signals": {"pressure": "p", "flow": "f"}}
    lines = told(tmp_path, source, {"ts": 1_760_000_000_000, "p": 4.25, "state": "open"})
    assert lines[3].startswith("  no prediction: the gateway keeps no model")
    assert lines[4:] == [
        "  the payload",
        "    pressure at p: 4.25",
        "    flow at f: nothing there",
        "    timestamp at ts: 1760000000000",
        "      timestamp_unit ms",
        "    not bound:",
        '      "state": "open"',
        "  without a model, which has units, ranges and states:",
        "  reading at 2025-10-09T08:53:20.000+00:00, quality GOOD",
        "    pressure: 4.25",
        "    flow: missing",
    ]


@pytest.mark.parametrize(
    ("document", "remedy"),
    [
        ({"ts": 1_760_000_000_000, "p": "4,25"}, "numbers in quotes need numbers = 'lenient'"),
        ({"ts": 1_760_000_000, "p": 4.25}, "or timestamp_unit is another"),
        ({"ts": 9_760_000_000_000, "p": 4.25}, "dropped as time_future"),
        ({"p": 4.25}, "dropped as time_missing"),
    ],
    ids=["number in quotes", "seconds", "ahead", "no time"],
)
def test_message_that_would_be_dropped_is_told_before_there_is_a_model(
    tmp_path: Path, document: object, remedy: str
) -> None:
    lines = told(
        tmp_path, {"topic": ROW, "timestamp": "ts", "signals": {"pressure": "p"}}, document
    )
    assert lines[-1].startswith("  dropped as ")
    assert remedy in lines[-1]


def test_inputs_without_signals_say_how_they_can_be_tried(tmp_path: Path) -> None:
    lines = told(tmp_path, {"topic": ROW}, {"p": 4.25})
    assert (
        "  its signals are those of the model; with signals they can be tried without one" in lines
    )
    assert lines[-2:] == ["    not bound:", '      "p": 4.25']


def test_tag_behind_the_name_of_its_asset_is_told_with_the_separator(tmp_path: Path) -> None:
    source = {"topic": "kep/{line}", "dialect": "kepware", "signals": {"pressure": "PT101"}}
    tags = [{"id": f"PLC.{one}.PT101", "v": 4.25, "q": True, "t": 1} for one in ("Press", "Drill")]
    lines = told(tmp_path, source, {"values": tags}, "kep/l1")
    assert lines[lines.index('    pressure at tag "PT101": not there') + 1] == (
        '      name_separator = "." reads it of "PLC.Press.PT101", "PLC.Drill.PT101"; the asset is '
        "what stands before it"
    )
