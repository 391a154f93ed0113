"""The operator's topics and the model's channels, held against each other."""

from typing import Any

import pytest

from agent.binding import Binder
from agent.codecs.reading import Reading
from agent.settings import Pipeline
from models.errors import IncompatibleBundleError
from models.quality import Quality
from tests.factories import make_manifest

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
    assert str(caught.value) == (
        "pump-health#1 reads ['c0', 'c1']; no input carries ['c1']: bind them in signals"
    )


def test_signal_that_is_no_channel_is_refused_with_both_sides() -> None:
    with pytest.raises(IncompatibleBundleError) as caught:
        Binder(pipeline({"topic": "t/{asset}", "signals": {"c0": "x", "flow": "y"}}), MANIFEST)
    assert "reads ['c0', 'c1']; signals ['flow'] are bound and not among them" in str(caught.value)
