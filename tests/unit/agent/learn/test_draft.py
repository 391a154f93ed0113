"""What is drafted from messages, without a broker; the example of the guide among it."""

import json
import re
import tomllib
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agent.learn.draft import Draft, draft, mistake_in, pipelines_of
from agent.learn.for_model import plan
from agent.learn.formats.recognisers import DIALECTS
from agent.learn.formats.sparkplug_nodes import metrics
from agent.learn.recipe_part import codes, recipe_part
from agent.learn.recognition import recognised
from agent.learn.seen.wire import Bounds, Wire
from models.bundle.manifest import Channel
from serving.mqtt.packets import Received
from tests.kit.bundles.factories import make_manifest

GUIDE = Path(__file__).parents[4] / "docs" / "learn.md"
BEGIN_MS = 1_760_000_000_000
STEP_NS = 500_000_000


def heard(
    *messages: tuple[str, object], bounds: Bounds | None = None, retained: bool = False
) -> Wire:
    """Messages that have arrived half a second after each other."""
    wire = Wire(bounds or Bounds())
    for number, (topic, content) in enumerate(messages):
        payload = content if isinstance(content, bytes) else _text(content)
        at_ns = BEGIN_MS * 1_000_000 + number * STEP_NS
        wire.take(Received(topic, payload, 0, retained, repeated=False, at_ns=at_ns))
    return wire


def _text(content: object) -> bytes:
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def drafted(wire: Wire) -> Draft:
    found = recognised(wire)
    return draft(pipelines_of(found.sources), found.left_out)


def pipelines(*messages: tuple[str, object]) -> list[dict[str, Any]]:
    made = drafted(heard(*messages))
    found: list[dict[str, Any]] = tomllib.loads("\n".join(made.lines)).get("pipelines", [])
    assert not found or mistake_in(found) == ""
    return found


def inputs(*messages: tuple[str, object]) -> list[dict[str, Any]]:
    return [source for pipeline in pipelines(*messages) for source in pipeline["inputs"]]


def comments(wire: Wire) -> str:
    lines = (line for line in drafted(wire).lines if "#" in line)
    return " ".join(line.partition("#")[2].strip() for line in lines)


def rows(topic: str, *documents: object) -> list[tuple[str, object]]:
    return [(topic, one) for one in documents]


def test_example_of_the_guide_is_what_is_drafted() -> None:
    blocks = dict(re.findall(r"```(text|toml)\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    messages = [line.split(None, 1) for line in blocks["text"].splitlines()]
    made = drafted(heard(*((topic, payload) for topic, payload in messages)))
    assert "\n".join(made.lines).strip() == blocks["toml"].strip()


@pytest.mark.parametrize(
    ("topics", "template"),
    {
        "one asset": (["plant/pump7/telemetry"], "plant/{asset}/telemetry"),
        "two levels": (["a/l1/p1", "a/l2/p2"], "a/{line}/{asset}"),
        "slash at the beginning": (["/n/a1", "/n/a2"], "/n/{asset}"),
        "variable depth": (["a/l1/p1", "a/l2/h1/p2"], "a/{path...}"),
    }.values(),
    ids=["one asset", "two levels", "slash at the beginning", "variable depth"],
)
def test_levels_that_vary_are_named(topics: list[str], template: str) -> None:
    (source,) = inputs(*[(topic, {"p": 1.5, "q2": 2}) for topic in topics])
    assert source["topic"] == template


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_unit_of_a_time_is_told_by_its_size(unit: str) -> None:
    factor = {"s": 1e-3, "ms": 1, "us": 1e3, "ns": 1e6}[unit]
    times = (int((BEGIN_MS + 500 * number) * factor) for number in count())
    messages = rows("a/p1", *({"x": next(times), "p": 1.5} for _ in range(3)))
    (source,) = inputs(*messages)
    assert (source["timestamp"], source["timestamp_unit"]) == ("x", unit)
    assert source["signals"] == {"p": "p"}


def test_local_time_gets_a_zone_and_a_doubt() -> None:
    messages = rows("a/p1", *({"Time": f"2025-10-09T10:53:2{n}", "p": 1.5} for n in range(3)))
    (source,) = inputs(*messages)
    assert source["timezone"] == "Etc/GMT-2"
    assert "UNSURE: the times have no offset from UTC" in comments(heard(*messages))


@pytest.mark.parametrize(
    ("qualities", "chosen"),
    {
        "words": (["Good", "bad"], "words"),
        "booleans": ([True, False], "boolean"),
        "OPC DA": ([192, 64], "opc_da"),
        "StatusCodes": ([0x8034_0000, 0x4000_0000], "opc_ua"),
        "ambiguous": ([0, 1], None),
    }.values(),
    ids=["words", "booleans", "OPC DA", "StatusCodes", "ambiguous"],
)
def test_quality_is_read_where_it_has_one_meaning(
    qualities: list[object], chosen: str | None
) -> None:
    messages = rows("a/p1", *({"p": 1.5, "q": one} for one in qualities))
    (source,) = inputs(*messages)
    assert source.get("quality_map") == chosen
    assert ("quality" in source) == (chosen is not None)
    assert source["signals"] == {"p": "p"}
    assert ("opposite things" in comments(heard(*messages))) == (chosen is None)


def test_several_devices_on_one_topic_are_assets() -> None:
    documents = [{"device": name, "p": 1.5, "f": 2} for name in ("press", "drill", "press")]
    (source,) = inputs(*rows("hub/all", *documents))
    assert (source["asset"], source["topic"]) == ("device", "hub/all")
    assert source["signals"] == {"p": "p", "f": "f"}


@pytest.mark.parametrize("key", ["id", "machine_id", "serial"])
def test_id_that_recurs_on_one_topic_is_the_asset_with_a_doubt(key: str) -> None:
    documents = [{"meta": {key: f"m-{n % 2}", "msgId": f"x{n}"}, "p": 1.5 + n} for n in range(8)]
    messages = rows("shop/all", *documents)
    (source,) = inputs(*messages)
    assert (source["asset"], source["topic"]) == (f"meta.{key}", "shop/all")
    has_doubt = "taken for the asset, so that each has windows of its own" in comments(
        heard(*messages)
    )
    assert has_doubt == (key != "machine_id")


def test_id_of_each_message_is_no_asset() -> None:
    (source,) = inputs(*rows("shop/all", *({"id": f"m-{n}", "p": 1.5 + n} for n in range(8))))
    assert "asset" not in source
    assert source["signals"] == {"p": "p"}


@pytest.mark.parametrize("wrap", [False, True], ids=["in a DataValue", "alone"])
def test_values_of_opc_ua_with_their_type_are_signals(wrap: bool) -> None:  # noqa: FBT001  two forms
    variant = {"Type": 11, "Body": 4.25}
    value = variant if wrap else {"Value": variant, "SourceTimestamp": "2025-10-09T08:53:20Z"}
    message = {"MessageType": "ua-data", "Messages": [{"Payload": {"PT101": value}}]}
    (source,) = inputs(*rows("opc/press", *[message] * 3))
    assert (source["dialect"], source["signals"]) == ("opcua", {"PT101": "PT101"})


def test_numbers_in_quotes_are_lenient_and_tell_their_unit() -> None:
    messages = rows("a/p1", {"p": "3,5 bar"}, {"p": "4,5 bar"})
    assert inputs(*messages)[0]["numbers"] == "lenient"
    assert "3.5 to 4.5 bar" in comments(heard(*messages))


def test_times_out_of_order_get_an_allowed_lateness() -> None:
    times = [0, 1000, 700, 2000]
    (pipeline,) = pipelines(*rows("a/p1", *({"ts": BEGIN_MS + at, "p": 1.5} for at in times)))
    assert pipeline["disorder_ms"] == 1000


def test_elements_of_an_array_are_bound_by_what_tells_them_apart() -> None:
    listed = [{"name": "PT", "v": 4.5}, {"name": "FT", "v": 31}]
    (source,) = inputs(*rows("a/p1", {"list": listed}, {"list": listed}))
    assert source["signals"] == {"PT": "list[?name=PT].v", "FT": "list[?name=FT].v"}


def test_block_of_samples() -> None:
    samples = [number / 7 for number in range(64)]
    (source,) = inputs(*rows("vib/p1", {"ts": BEGIN_MS, "x": samples, "y": samples}))
    assert (source["dialect"], source["encoding"]) == ("block", "json")
    assert source["signals"] == {"x": "x", "y": "y"}


def test_own_topics_retained_ones_and_secrets_are_left_out() -> None:
    prediction = {"value": 1, "quality": "GOOD", "timestamp": 1, "stream": "s", "version": "1"}
    own = rows("out/s", prediction | {"seq": 1, "id": "a"}) + rows("millhand/gw1/metrics", {"a": 1})
    wire = heard(*own, ("a/token", "hunter2"), ("b/p1", {"password": "hunter2", "note": "hello"}))
    for one in heard(("c/p1", {"api_key": "hunter2"}), retained=True).topics.values():
        wire.topics[one.topic] = one
    made = drafted(wire)
    assert made.pipelines == 0
    text = "\n".join(made.lines)
    assert "2 topics of millhand itself" in text
    assert "1 topic with nothing but a retained message" in text
    assert "hunter2" not in text


def test_hostile_names_stay_text() -> None:
    document = {'a"]\n[[pipelines]]\nstream = "evil': 1.5, "\x1b[2J": 2.5, "é\u2028": 3.5}
    found = pipelines(*rows('t/x"\n[x]', document))
    assert [one["stream"] for one in found] == ["t"]
    assert len(found[0]["inputs"][0]["signals"]) == 3
    text = "\n".join(drafted(heard(*rows('t/x"\n[x]', document))).lines)
    assert "\x1b" not in text


def test_pipelines_that_overlap_become_comments() -> None:
    messages = [
        *(("a/x/p1", {"p": 1.5, "f": 2}), ("a/y/z/p2", {"p": 1.5, "f": 2})),
        *(("a/x/p3/k", {"other": 2.5, "more": 1}), ("a/x/p4/k", {"other": 2.5, "more": 1})),
    ]
    assert pipelines(*messages)


def test_limits_are_kept_and_told() -> None:
    many = [(f"a/p{number}", {"p": number + 0.5}) for number in range(20)]
    wire = heard(*many, bounds=Bounds(messages=10, topics=5))
    assert len(wire.topics) == 5
    assert wire.unkept.total() == 15
    assert "10 messages" in wire.limit


def test_memory_of_a_topic_is_bounded_and_spread() -> None:
    wire = heard(*rows("a/p1", *range(10_000)))
    (record,) = wire.topics.values()
    kept = [int(one.payload) for one in record.samples]
    assert kept[:16] == list(range(16))
    assert len(kept) <= 32
    assert max(kept) > 8_000


CHANNELS = (
    Channel(name="pressure", unit="bar", valid_range=(0, 16)),
    Channel(name="flow_rate", unit="m3/h"),
    Channel(name="valve", codes={"closed": 0, "open": 1}),
)


def planned(document: dict[str, object]) -> Any:  # noqa: ANN401  the plan, of which tests look at parts
    wire = heard(*rows("a/p1", document, document))
    return plan(make_manifest(channels=CHANNELS), recognised(wire).sources)


def test_signals_of_a_model_are_found_by_name_and_unit() -> None:
    found = planned({"Pressure [bar]": 4.5, "flowRate": 31, "valve": "open", "speed": 1480})
    bound = {one.name: one.signal.where for one in found.pipeline.inputs[0][1]}
    assert bound == {"pressure": '"Pressure [bar]"', "flow_rate": "flowRate", "valve": "valve"}
    assert found.missing == []


def test_other_unit_and_unknown_name_are_missing() -> None:
    found = planned({"pressure_psi": 60.5, "FT102": 31, "valve": "open"})
    assert found.missing == ["pressure", "flow_rate"]
    assert "is in psi" in found.notes[0]
    assert "FT102" in found.notes[1]


def test_recipe_part_has_codes_and_a_grid_for_different_paces() -> None:
    fast = [("s/p1/flow", "31.5")] * 12
    slow = [("s/p1/mode", "on"), *fast, ("s/p1/mode", "off"), *fast, ("s/p1/mode", "on"), *fast]
    found = recognised(heard(*slow, ("s/p1/mode", "off")))
    lines = recipe_part(pipelines_of(found.sources), "agent.toml", "part.toml")
    part = tomllib.loads("\n".join(lines))
    assert {one["name"] for one in part["signals"]} == {"flow", "mode"}
    assert part["window"]["trigger"] == "period"
    assert all(one["max_age_s"] >= 3 * part["window"]["period_s"] for one in part["signals"])
    assert codes(["open", "closed"]) == {"closed": 0, "open": 1}


def test_metrics_of_sparkplug_are_read_by_name() -> None:
    metric = b"\x0a\x04Flow" + b"\x20\x0a" + b"\x69" + b"\0\0\0\0\0\0\xf8\x3f"
    payload = b"\x08\x80\x01" + b"\x12" + bytes([len(metric)]) + metric
    assert metrics(payload) == [("Flow", 1.5)]
    assert metrics(payload[:-3]) == ()
    assert metrics(b"\xff" * 40) == ()


def test_kepware_is_read_by_name_or_by_paths() -> None:
    tags = [{"id": f"Ch.Pump7.{name}", "v": 4.5, "q": True, "t": BEGIN_MS} for name in ("P", "F")]
    document = {"timestamp": BEGIN_MS, "values": tags}
    (source,) = inputs(*rows("kepware/line1", document, document))
    assert source["dialect"] == ("kepware" if "kepware" in DIALECTS else "json")
    assert len(source["signals"]) == 2
