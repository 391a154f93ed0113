"""Whether the operator's topics carry what a model reads, checked before it is activated."""

import struct
from typing import Any

import pytest

from agent.streams.binding import Binder
from models.bundle.manifest import Manifest, WindowSpec
from models.errors import IncompatibleBundleError
from models.input.codecs.block import Block
from models.input.codecs.reading import Reading
from models.input.pipeline import Pipeline
from models.input.quality import Quality
from tests.kit.bundles.factories import make_channels, make_manifest
from tests.kit.wording import names

MANIFEST = make_manifest(2)  # channels c0 and c1 of stream pump-health


def pipeline(*inputs: dict[str, Any], **fields: object) -> Pipeline:
    return Pipeline.model_validate({"stream": "pump-health", "inputs": inputs} | fields)


def test_row_reports_every_channel() -> None:
    binder = Binder(pipeline({"topic": "plant/{line}/{asset}/t"}), MANIFEST)
    route = binder.route("plant/l1/p7/t")
    assert route is not None
    assert route.asset == "l1/p7"
    assert list(route.channels) == [0, 1]
    assert route.output_topic == "plant/l1/p7/_inference/pump-health"
    assert route.decode(b'{"c1": 2.0, "c0": 1.0}') == (Reading(None, (1.0, 2.0)),)


def test_signals_name_the_paths_of_channels() -> None:
    source = {"topic": "t/{asset}", "signals": {"c1": "a.b", "c0": "c"}}
    route = Binder(pipeline(source), MANIFEST).route("t/p")
    assert route is not None
    (reading,) = route.decode(b'{"a": {"b": 2.0}, "c": 1.0}')
    assert dict(zip(route.channels, reading.values, strict=True)) == {1: 2.0, 0: 1.0}


def test_scalar_topic_reports_the_channel_at_its_level() -> None:
    source = {
        "topic": "plant/{asset}/{signal}",
        "dialect": "scalar",
        "signals": {"c0": "pressure", "c1": "flow"},
    }
    binder = Binder(pipeline(source), MANIFEST)
    route = binder.route("plant/p7/flow")
    assert route is not None
    assert list(route.channels) == [1]
    assert route.decode(b"2.5") == (Reading(None, (2.5,)),)


def test_signal_that_is_not_bound_reports_no_channel() -> None:
    source = {"topic": "plant/{asset}/{signal}", "dialect": "scalar"}
    route = Binder(pipeline(source), MANIFEST).route("plant/p7/door")
    assert route is not None
    assert not route.channels


def test_channels_may_come_by_several_inputs() -> None:
    binder = Binder(
        pipeline(
            {"topic": "a/{asset}", "signals": {"c0": "x"}},
            {"topic": "b/{asset}", "dialect": "umh", "signals": {"c1": "y"}},
        ),
        MANIFEST,
    )
    first, second = binder.route("a/p"), binder.route("b/p")
    assert first is not None
    assert second is not None
    assert (list(first.channels), list(second.channels)) == ([0], [1])
    assert second.decode(b'{"timestamp_ms": 1, "value": 2}')[0].values == (2.0,)


def test_topic_without_levels_is_of_one_asset_named_as_the_stream() -> None:
    route = Binder(pipeline({"topic": "furnace/t"}), MANIFEST).route("furnace/t")
    assert route is not None
    assert route.asset == "pump-health"


@pytest.mark.parametrize("source", [{"value": "v"}, {"timestamp": "t"}, {"sequence": "n"}])
def test_scalar_with_any_path_is_read_from_json(source: dict[str, str]) -> None:
    topic = {"topic": "p/{asset}/{signal}", "dialect": "scalar"}
    route = Binder(pipeline(topic | source), MANIFEST).route("p/a/c0")
    assert route is not None
    (reading,) = route.decode(b'{"value": 1.0, "v": 1.0, "t": 5, "n": 3}')
    assert list(reading.values) == [1.0]
    assert reading.position == ("3" if "sequence" in source else "")


def test_thingsboard_row_is_read() -> None:
    source = {"topic": "v1/{asset}/telemetry", "dialect": "thingsboard"}
    route = Binder(pipeline(source), MANIFEST).route("v1/p/telemetry")
    assert route is not None
    assert route.decode(b'{"ts": 1, "values": {"c0": 1.0, "c1": 2.0}}') == [
        Reading(1_000_000, (1.0, 2.0), Quality.GOOD)
    ]


@pytest.mark.parametrize(
    "topic",
    [
        "other/p",
        "t",
        "t/",  # an empty level is no asset
        "t/$p",
        "t/" + "p" * 65_530,  # its predictions would have a topic beyond MQTT's 65,535 bytes
        "t/" + "ü" * 32_760,
    ],
)
def test_topic_that_leads_nowhere_has_no_route(topic: str) -> None:
    assert Binder(pipeline({"topic": "t/{asset}"}), MANIFEST).route(topic) is None


def test_channel_that_no_input_carries_is_refused_with_both_sides() -> None:
    with pytest.raises(IncompatibleBundleError) as caught:
        Binder(pipeline({"topic": "t/{asset}", "signals": {"c0": "x"}}), MANIFEST)
    assert names(caught.value, "pump-health#1", "['c0', 'c1']", "['c1']")


def test_signal_that_is_no_channel_is_refused_with_both_sides() -> None:
    with pytest.raises(IncompatibleBundleError) as caught:
        Binder(pipeline({"topic": "t/{asset}", "signals": {"c0": "x", "flow": "y"}}), MANIFEST)
    assert names(str(caught.value), "['c0', 'c1']", "['flow']")


def block_source(
    encoding: str = "json", topic: str = "b/{asset}", **more: object
) -> dict[str, Any]:
    return {"topic": topic, "dialect": "block", "encoding": encoding, **more}


def block_manifest(**window: object) -> Manifest:
    return make_manifest(2, window=WindowSpec(**{"length": 4, "sample_period_ms": 0.5} | window))


TWO_SAMPLES = [[1.0, 2.0], [3.0, 4.0]]
AXES = {"c0": "x", "c1": "y"}


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        pytest.param(block_source("float32"), struct.pack("<4f", 1, 2, 3, 4), id="float32"),
        (block_source(), b"[1, 2, 3, 4]"),
        (block_source("base64"), b"AACAPwAAAEAAAEBAAACAQA=="),
        (block_source(value="v"), b'{"v": [1, 2, 3, 4]}'),
        (block_source(value="v", signals=AXES), b'{"v": [1, 2, 3, 4]}'),
        (block_source(signals=AXES), b'{"x": [1, 3], "y": [2, 4]}'),
        (block_source(timestamp="t"), b'{"t": 1, "c0": [1, 3], "c1": [2, 4]}'),
        (block_source(sequence="n"), b'{"n": 1, "c0": [1, 3], "c1": [2, 4]}'),
    ],
)
def test_blocks_are_read_where_the_settings_say(source: dict[str, Any], payload: bytes) -> None:
    route = Binder(pipeline(source), block_manifest()).route("b/p")
    assert route is not None
    assert list(route.channels) == [0, 1]
    (block,) = route.decode(payload)
    assert isinstance(block, Block)
    assert block.values.tolist() == TWO_SAMPLES


def test_columns_of_a_block_are_in_the_order_of_signals() -> None:
    source = block_source("float32", signals={"c1": "y", "c0": "x"})
    route = Binder(pipeline(source), block_manifest()).route("b/p")
    assert route is not None
    assert list(route.channels) == [1, 0]


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        pytest.param(
            block_source("float32", "b/{asset}/{signal}", signals=AXES),
            struct.pack("<2f", 1, 2),
            id="float32",
        ),
        (block_source("json", "b/{asset}/{signal}", signals=AXES), b"[1, 2]"),
        (block_source("json", "b/{asset}/{signal}", signals=AXES, value="v"), b'{"v": [1, 2]}'),
        (
            block_source("json", "b/{asset}/{signal}", signals=AXES, sequence="n"),
            b'{"n": 1, "value": [1, 2]}',
        ),
    ],
)
def test_axis_has_a_topic_of_its_own(source: dict[str, Any], payload: bytes) -> None:
    binder = Binder(pipeline(source), block_manifest())
    route, unbound = binder.route("b/p/y"), binder.route("b/p/z")
    assert route is not None
    assert unbound is not None
    assert (list(route.channels), list(unbound.channels)) == ([1], [])
    (block,) = route.decode(payload)
    assert isinstance(block, Block)
    assert block.values.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("manifest", "named"),
    [
        (block_manifest(sample_period_ms=None), "window.sample_period_ms"),
        (block_manifest(trigger="every_reading"), "window.trigger every_reading"),
        (
            block_manifest(sample_period_ms=7, max_gap_ms=5),
            "window.max_gap_ms below window.sample_period_ms",
        ),
        (
            make_manifest(
                2,
                window=WindowSpec(length=4, sample_period_ms=1),
                channels=make_channels(2, max_age_ms=5),
            ),
            "max_age_ms of c0, max_age_ms of c1",
        ),
    ],
)
def test_model_that_blocks_cannot_feed_is_refused(manifest: Manifest, named: str) -> None:
    with pytest.raises(IncompatibleBundleError) as caught:
        Binder(pipeline(block_source("float32")), manifest)
    assert names(str(caught.value), "pump-health#1", named, "block")
    Binder(pipeline({"topic": "t/{asset}"}), manifest)
