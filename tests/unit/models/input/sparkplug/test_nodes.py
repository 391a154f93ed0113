"""Messages of Sparkplug nodes, as a host reads them: births, data by alias, gaps, deaths."""

import json
from collections.abc import Sequence
from math import isnan, nan
from typing import Any, NamedTuple

import pytest
from pydantic import ValidationError

from models.errors import DecodeError
from models.input.pipeline import Pipeline
from models.input.quality import Quality
from models.input.routes import Routes
from models.sparkplug.datatype import DataType
from models.sparkplug.decoder import decode
from models.sparkplug.encoder import encode
from models.sparkplug.payload import BD_SEQ, REBIRTH, Metric, Payload, Property

SIGNALS = {"pressure": "Hydraulics/Pressure", "flow": "Hydraulics/Flow", "valve": "Valve"}
AT = 1_760_000_000_000
GOOD, UNCERTAIN, BAD = Quality
DOUBLE, BOOLEAN, INT16 = DataType.DOUBLE, DataType.BOOLEAN, DataType.INT16


class Read(NamedTuple):
    """A reading, with the names of the signals that have a value."""

    asset: str
    at_ms: int | None
    quality: Quality
    values: dict[str, float]


class Host:
    """Reads messages by one input."""

    def __init__(self, topic: str = "spBv1.0/{group}/{type}/{node}/{device}", **given: Any) -> None:  # noqa: ANN401  any setting
        source = {"topic": topic, "dialect": "sparkplug", "signals": SIGNALS, **given}
        self.pipeline = Pipeline.model_validate({"stream": "s", "inputs": [source]})
        self.routes = Routes(self.pipeline, list(SIGNALS))
        self.put_off = 0

    def hear(
        self, topic: str, metrics: Sequence[Metric] = (), seq: int | None = None
    ) -> list[Read]:
        kind, group, *rest = topic.split("/")
        payload = encode(Payload(AT, metrics, seq), is_birth=kind.endswith("BIRTH"))
        route = self.routes.route("/".join(["spBv1.0", group, kind, *rest]))
        assert route is not None
        return [
            Read(
                part.asset,
                None if one.time_ns is None else one.time_ns // 1_000_000,
                one.quality,
                {
                    list(SIGNALS)[channel]: value
                    for channel, value in zip(part.channels, one.values, strict=True)
                    if not isnan(value)
                },
            )
            for part, one in route.readings(payload)
        ]

    def born(self, bd_seq: int = 3) -> list[Read]:
        """Have the node `n` and its device `press` born; the last sequence number is 1."""
        self.hear("NBIRTH/g/n", [Metric(BD_SEQ, None, AT, DataType.UINT64, bd_seq)], 0)
        return self.hear("DBIRTH/g/n/press", BIRTH, 1)

    def asked(self, now_s: float, most: int = 20) -> list[str]:
        """Topics on which the births that are missing are asked for."""
        requests, self.put_off = self.routes.memories.requests(now_s, most)
        for _, payload in requests:
            (metric,) = decode(payload).metrics
            assert metric.name == REBIRTH
            assert metric.value is True
        return [topic for topic, _ in requests]


BIRTH = [
    Metric("Hydraulics/Pressure", 1, AT, DOUBLE, 4.0),
    Metric("Hydraulics/Flow", 2, AT, DOUBLE, 30.0),
    Metric("Other", 3, AT, DataType.STRING, "text"),
    Metric("Valve", 4, AT, BOOLEAN, value=True),
]


def double(alias: int, value: float, at_ms: int = AT + 10, **given: Any) -> Metric:  # noqa: ANN401  any field
    return Metric(None, alias, at_ms, DOUBLE, value, **given)


def test_birth_has_values_and_names_the_metrics_of_later_data() -> None:
    host = Host()
    assert host.born() == [
        Read("g/n/press", AT, GOOD, {"pressure": 4.0, "flow": 30.0, "valve": 1.0})
    ]
    data = [double(2, 31.5), double(1, 4.2)]
    assert host.hear("DDATA/g/n/press", data, 2) == [
        Read("g/n/press", AT + 10, GOOD, {"pressure": 4.2, "flow": 31.5})
    ]


def test_node_that_the_gateway_is_itself_is_neither_read_nor_asked_for_its_birth() -> None:
    host = Host(rebirth=True)
    host.pipeline.inputs[0].limit(1_000, ("g", "n"))
    host.routes = Routes(host.pipeline, list(SIGNALS))
    assert host.hear("DDATA/g/n/press", [double(1, 4.0)], 2) == []
    assert host.born() == []
    with pytest.raises(DecodeError, match="birth_missing"):
        host.hear("DDATA/g/other/press", [double(1, 4.0)], 2)
    assert host.asked(0.0) == ["spBv1.0/g/NCMD/other"]


@pytest.mark.parametrize("count", [1, 3], ids=["first", "third"])
def test_data_of_one_form_are_read_alike_each_time(count: int) -> None:
    host = Host()
    host.born()
    for number in range(count):
        data = [double(1, 4.0 + number, AT + number), double(2, 30.0 - number, AT + number)]
        found = host.hear("DDATA/g/n/press", data, 2 + number)
        values = {"pressure": 4.0 + number, "flow": 30.0 - number}
        assert found == [Read("g/n/press", AT + number, GOOD, values)]


def test_data_before_a_birth_are_refused_and_the_birth_is_asked_for() -> None:
    host = Host(rebirth=True)
    with pytest.raises(DecodeError, match="birth_missing"):
        host.hear("DDATA/g/n/press", [double(1, 4.2)], 7)
    assert host.asked(100.0) == ["spBv1.0/g/NCMD/n"]
    assert host.asked(100.9) == [], "a node is asked once a second at most"
    assert host.asked(101.1) == ["spBv1.0/g/NCMD/n"]
    assert host.asked(102.5) == [], "and less often the longer it is silent"
    host.born()
    assert host.asked(200.0) == []


def test_nothing_is_asked_where_the_operator_has_not_allowed_it() -> None:
    host = Host()
    with pytest.raises(DecodeError, match="birth_missing"):
        host.hear("DDATA/g/n/press", [double(1, 4.2)], 7)
    assert host.asked(100.0) == []


def test_all_nodes_together_are_asked_no_more_often_than_the_limit() -> None:
    host = Host(rebirth=True)
    for number in range(5):
        with pytest.raises(DecodeError, match="birth_missing"):
            host.hear(f"DDATA/g/n{number}/press", [double(1, 4.2)], 7)
    found = []
    for now_s, put_off in ((100.0, 3), (100.1, 1), (100.2, 0)):
        found += host.asked(now_s, most=2)
        assert host.put_off == put_off
    assert sorted(found) == [f"spBv1.0/g/NCMD/n{number}" for number in range(5)]


def test_alias_that_no_birth_has_named_is_refused() -> None:
    host = Host(rebirth=True)
    host.born()
    with pytest.raises(DecodeError, match="alias_unknown"):
        host.hear("DDATA/g/n/press", [double(9, 4.2)], 2)
    assert host.asked(0.0) == ["spBv1.0/g/NCMD/n"]


def test_data_after_a_gap_are_uncertain_until_the_next_birth() -> None:
    host = Host()
    host.born()
    by_name = Metric("Hydraulics/Pressure", None, AT + 10, DOUBLE, 4.3)
    for metrics, quality in (([double(1, 4.2)], UNCERTAIN), ([by_name], GOOD)):
        ((_, _, found, _),) = host.hear("DDATA/g/n/press", metrics, 9)
        assert found is quality
    host.born(bd_seq=4)
    ((_, _, found, _),) = host.hear("DDATA/g/n/press", [double(1, 4.2)], 2)
    assert found is GOOD


def test_numbers_of_messages_begin_again_after_255() -> None:
    host = Host()
    host.born()
    for number in range(2, 600):
        ((_, _, quality, _),) = host.hear("DDATA/g/n/press", [double(1, 4.2)], number % 256)
        assert quality is GOOD


def test_other_devices_count_in_the_sequence_of_the_node() -> None:
    host = Host("spBv1.0/g/{type}/{node}/press")
    host.born()
    assert host.hear("DBIRTH/g/n/drill", BIRTH, 2) == []
    assert host.hear("DDATA/g/n/drill", [double(1, 4.2)], 3) == []
    ((asset, _, quality, _),) = host.hear("DDATA/g/n/press", [double(1, 4.2)], 4)
    assert (asset, quality) == ("n", GOOD)


def test_death_of_a_node_makes_its_devices_uncertain_at_once() -> None:
    host = Host()
    host.born()
    host.hear("DDATA/g/n/press", [double(1, 4.2)], 2)
    death = [Metric(BD_SEQ, None, AT, DataType.UINT64, 2)]
    assert host.hear("NDEATH/g/n", death) == [], "the will of an earlier session"
    death = [Metric(BD_SEQ, None, AT, DataType.UINT64, 3)]
    ((asset, at_ms, quality, values),) = host.hear("NDEATH/g/n", death)
    assert (asset, quality, values) == ("g/n/press", UNCERTAIN, {})
    assert at_ms == AT + 10, "right behind the last data, by the clock of the node"
    with pytest.raises(DecodeError, match="birth_missing"):
        host.hear("DDATA/g/n/press", [double(1, 4.2)], 3)


def test_death_of_a_device_leaves_the_others() -> None:
    host = Host()
    host.born()
    host.hear("DBIRTH/g/n/drill", BIRTH, 2)
    ((asset, _, quality, _),) = host.hear("DDEATH/g/n/drill", (), 3)
    assert (asset, quality) == ("g/n/drill", UNCERTAIN)
    ((asset, _, quality, _),) = host.hear("DDATA/g/n/press", [double(1, 4.2)], 4)
    assert (asset, quality) == ("g/n/press", GOOD)


@pytest.mark.parametrize(
    ("code", "quality"), [(0, BAD), (500, UNCERTAIN), (192, GOOD)], ids=["bad", "stale", "good"]
)
def test_quality_of_a_metric_is_read(code: int, quality: Quality) -> None:
    host = Host()
    host.born()
    stated = {"Quality": Property(DataType.INT32, code)}
    data = [double(1, 4.2, properties=stated), double(2, 31.0)]
    found = {one.quality: one.values for one in host.hear("DDATA/g/n/press", data, 2)}
    assert found[quality]["pressure"] == 4.2
    assert found[GOOD]["flow"] == 31.0


def test_null_is_missing_and_a_whole_number_has_its_sign() -> None:
    host = Host(signals={"pressure": "P", "flow": "F", "valve": "V"})
    host.hear("NBIRTH/g/n", [], 0)
    birth = [
        Metric("P", 1, AT, INT16, 0),
        Metric("F", 2, AT, DOUBLE, 1.0),
        Metric("V", 3, AT, DOUBLE),
    ]
    host.hear("DBIRTH/g/n/d", birth, 1)
    data = [Metric(None, 1, AT, INT16, -5), Metric(None, 2, AT, DOUBLE, None), double(3, nan, AT)]
    assert host.hear("DDATA/g/n/d", data, 2) == [Read("g/n/d", AT, GOOD, {"pressure": -5})]


def test_metrics_of_several_times_are_readings_in_their_order() -> None:
    host = Host()
    host.born()
    data = [double(1, 4.2, AT + 20), double(1, 4.1, AT + 5, is_historical=True)]
    found = host.hear("DDATA/g/n/press", data, 2)
    assert [(one.at_ms, one.values) for one in found] == [
        (AT + 5, {"pressure": 4.1}),
        (AT + 20, {"pressure": 4.2}),
    ]


def test_metrics_of_the_node_itself_are_read_by_a_template_without_device() -> None:
    host = Host("spBv1.0/{group}/{type}/{node}")
    ((asset, _, _, values),) = host.hear("NBIRTH/g/n", BIRTH, 0)
    assert (asset, values["pressure"]) == ("g/n", 4.0)
    ((_, _, quality, values),) = host.hear("NDATA/g/n", [double(1, 4.2), double(2, 31.0)], 1)
    assert (quality, values) == (GOOD, {"pressure": 4.2, "flow": 31.0})


def test_what_is_known_survives_a_restart() -> None:
    host, after = Host(), Host()
    host.born()
    after.routes.memories.load(json.loads(json.dumps(host.routes.memories.dump())))
    ((_, _, quality, values),) = after.hear("DDATA/g/n/press", [double(1, 4.2)], 2)
    assert (quality, values) == (GOOD, {"pressure": 4.2})
    ((_, _, quality, _),) = after.hear("DDATA/g/n/press", [double(1, 4.2)], 5)
    assert quality is UNCERTAIN, "what came meanwhile was missed"


def test_predictions_stay_out_of_the_namespace() -> None:
    host = Host()
    assert host.pipeline.output_topic == "_inference/{stream}/{group}/{node}/{device}"
    assert host.pipeline.inputs[0].filter == "spBv1.0/+/+/+/#"


@pytest.mark.parametrize(
    "topic",
    ["plant/{a}/{type}/{node}", "spBv1.0/{g}/DDATA/{n}/{d}", "spBv1.0/{g}/{type}/{n}/{d...}"],
    ids=["namespace", "type", "depth"],
)
def test_template_of_another_form_is_refused(topic: str) -> None:
    with pytest.raises(ValidationError, match=r"spBv1\.0|one level"):
        Host(topic)
