"""Readings that come out of order are put in order, as far as the operator allows."""

import json
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.delivery.outgoing import Outgoing
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import WindowSpec
from models.errors import ReadingError
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.quality import Quality
from models.windowing.asset_state import NS_PER_MS
from models.windowing.disorder import Disorder, Released
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.factories import make_channels
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.readings import Message, Window, Windows, feed, listed
from tests.kit.wording import naming

DISORDER_MS = 5
ROOM = 100_000


class Reordered:
    """Windows behind a `Disorder`, and what it has to say of each message."""

    def __init__(self, spec: WindowSpec, width: int, room: int = ROOM, max_assets: int = 9) -> None:
        self.windows = Windows(spec, make_channels(width, max_age_ms=20), max_assets)
        self.disorder = Disorder(self.windows, DISORDER_MS, room)

    def push(self, message: Message, *origin: object) -> list[Released]:
        try:
            return self.disorder.push(
                message.asset,
                message.time_ms * NS_PER_MS,
                (tuple(message.readings), tuple(message.readings.values()), message.quality),
                origin,
            )
        except ReadingError as refused:
            self.windows.dropped[refused.reason] += 1
            return []

    def feed(self, *messages: Message, first: int = 0) -> list[Window]:
        for number, message in enumerate(messages, start=first):
            for one in self.push(message, number):
                self.windows.dropped[one.reason] += 1 if one.reason else 0
        return listed(self.windows.take())


specs = st.sampled_from(
    [
        WindowSpec(length=2),
        WindowSpec(length=1, trigger="every_reading"),
        WindowSpec(length=2, max_gap_ms=40, sample_period_ms=4, trigger="period"),
    ]
)
qualities = st.sampled_from([Quality.GOOD, Quality.GOOD, Quality.UNCERTAIN, Quality.BAD])
readings = st.dictionaries(st.integers(0, 1), st.floats(-100, 100, width=32), min_size=1)


@st.composite
def delayed(draw: st.DrawFn, max_delay_ms: int = DISORDER_MS) -> list[Message]:
    """Readings of two assets in the order of an arrival that is late by up to a delay."""
    drawn = st.tuples(
        st.sampled_from("ab"),
        st.sampled_from([0, 1, 1, 2, 5]),
        readings,
        qualities,
        st.integers(0, max_delay_ms),
    )
    arrivals, now_ms = [], 0
    for asset, step_ms, content, quality, delay_ms in draw(st.lists(drawn, max_size=25)):
        now_ms += step_ms
        arrivals.append((now_ms + delay_ms, Message(asset, now_ms, content, quality)))
    return [message for _, message in sorted(arrivals, key=lambda arrival: arrival[0])]


@given(specs, delayed())
def test_readings_out_of_order_by_as_much_make_the_windows_of_readings_in_order(
    spec: WindowSpec, messages: list[Message]
) -> None:
    last = [Message(asset, 10**6, {0: 0.0}) for asset in "ab"]
    reordered, in_order = Reordered(spec, 2), Windows(spec, make_channels(2, max_age_ms=20))
    got = reordered.feed(*messages, *last)
    wanted = feed(in_order, *sorted(messages, key=lambda message: message.time_ms))
    for asset in "ab":
        assert repr([one for one in got if one.asset == asset]) == repr(
            [one for one in wanted if one.asset == asset]
        )
    assert reordered.windows.dropped.total() == in_order.dropped.total()
    assert reordered.windows.dropped["late"] == 0
    assert reordered.windows.waiting == 2


@given(delayed(max_delay_ms=15), st.integers(1, 6))
def test_every_reading_is_let_go_in_order_or_refused_or_waits(
    messages: list[Message], room: int
) -> None:
    reordered = Reordered(WindowSpec(length=1), 2, room=room)
    let_go: dict[str, list[int]] = {"a": [], "b": []}
    for number, message in enumerate(messages):
        newest = max([*let_go[message.asset], -1])
        before = reordered.windows.dropped["late"]
        released = reordered.push(message, number)
        assert (reordered.windows.dropped["late"] > before) == (message.time_ms < newest)
        let_go[message.asset] += [messages[one.origin[0]].time_ms for one in released]
        assert reordered.windows.waiting <= room
    assert all(times == sorted(times) for times in let_go.values())
    refused = reordered.windows.dropped["late"]
    assert sum(map(len, let_go.values())) + refused + reordered.windows.waiting == len(messages)


@given(specs, delayed(), st.data())
def test_readings_that_wait_are_saved_and_restored_with_their_asset(
    spec: WindowSpec, messages: list[Message], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(messages)))
    whole, first, second = (Reordered(spec, 2) for _ in range(3))
    due = first.feed(*messages[:cut])
    for asset, state in first.windows.states():
        second.windows.restore(asset, orjson.loads(orjson.dumps(state)))
    assert second.windows.waiting == first.windows.waiting
    due += second.feed(*messages[cut:], first=cut)
    assert repr(due) == repr(whole.feed(*messages))


def test_readings_beyond_the_room_there_is_go_early_and_are_counted() -> None:
    reordered = Reordered(WindowSpec(length=1), 1, room=3)
    due = reordered.feed(*(Message("a", at, {0: float(at)}) for at in (1, 3, 2, 4)))
    assert [window.rows for window in due] == [[[1.0]]]
    assert (reordered.disorder.early, reordered.windows.waiting) == (1, 3)
    assert reordered.push(Message("a", 0, {0: 9.0})) == []
    assert reordered.windows.dropped["late"] == 1


def test_an_asset_that_is_forgotten_leaves_room_for_others() -> None:
    reordered = Reordered(WindowSpec(length=1), 1, max_assets=1)
    for asset in "abc":
        reordered.push(Message(asset, 1, {0: 1.0}), 0)
    assert (reordered.windows.forgotten, reordered.windows.waiting) == (2, 1)


def test_a_reading_that_waits_already_is_a_duplicate() -> None:
    reordered = Reordered(WindowSpec(length=1), 2)
    reordered.push(Message("a", 1, {0: 1.0}), "same")
    reordered.push(Message("a", 1, {1: 1.0}), "same")  # another topic, the same payload
    reordered.push(Message("a", 1, {0: 1.0}), "same")
    assert reordered.windows.dropped == {"duplicate": 1}


T0_MS = 1_760_000_000_000


def serving(disorder_ms: int = 1000, **limits: int) -> Pipeline:
    source = {
        "topic": "plant/{asset}/{signal}",
        "dialect": "scalar",
        "value": "v",
        "timestamp": "ts",
    }
    settings = {"stream": "mass", "inputs": [source], "disorder_ms": disorder_ms}
    window = WindowSpec(length=2, sample_period_ms=500, max_gap_ms=5000, trigger="period")
    bundle = linear_bundle("mass", 1, [1.0, 10.0], window=window, channels=make_channels(2))
    pipeline = Pipeline(PipelineSettings.model_validate(settings), Limits(**limits))
    pipeline.activate(Model(Session(bundle), bundle.sha256))
    return pipeline


def message(at_ms: int, signal: str, value: float) -> Received:
    payload = json.dumps({"ts": T0_MS + at_ms, "v": value}).encode()
    at_ns = (T0_MS + 60_000) * NS_PER_MS
    return Received(f"plant/p1/{signal}", payload, 1, retained=False, repeated=False, at_ns=at_ns)


def take(pipeline: Pipeline, received: Received) -> tuple[Input, list[Outgoing]]:
    source = Input(1, (received.topic, received.payload))
    route = pipeline.route(received.topic)
    assert route is not None
    pipeline.take(route, received, source)
    return source, pipeline.infer(lambda: received.at_ns)


def told(pipeline: Pipeline, stream: list[Received]) -> list[tuple[Any, ...]]:
    """Time, value, quality and id of every prediction."""
    documents = [
        json.loads(outgoing.payload)
        for received in stream
        for outgoing in take(pipeline, received)[1]
    ]
    return [(one["timestamp"], one["value"], one["quality"], one["id"]) for one in documents]


def test_predictions_and_their_ids_do_not_depend_on_the_order_of_arrival() -> None:
    dice = random.Random(3)  # noqa: S311 - the same disorder every time
    stream = [message(at, f"c{at // 50 % 2}", at / 100) for at in range(0, 6000, 50)]
    late = sorted(stream, key=lambda one: json.loads(one.payload)["ts"] + dice.randrange(1000))
    end = [message(9000, "c0", 0.0)]
    in_order = told(serving(), stream + end)
    assert late != stream
    assert told(serving(), late + end) == in_order
    assert len({one[-1] for one in in_order}) == len(in_order) >= 10
    assert {one[:3] for one in in_order} <= {one[:3] for one in told(serving(0), stream + end)}


def test_a_prediction_belongs_to_the_message_that_let_its_reading_go() -> None:
    pipeline = serving()
    sources = [take(pipeline, message(at, "c0", 1.0)) for at in (100, 600, 1100, 1500)]
    assert [outgoing for _, outgoing in sources] == [[], [], [], []]
    source, outgoing = take(pipeline, message(2100, "c0", 1.0))
    assert [one.source for one in outgoing] == [source]
    assert pipeline.disorder == {"disorder": {"waiting": 2, "early": 0, "dropped": {}}}


def test_a_message_that_is_late_or_a_repetition_is_refused_itself() -> None:
    pipeline = serving()
    for at_ms in (1000, 3000):
        take(pipeline, message(at_ms, "c0", 1.0))
    for at_ms, reason in ((999, "late"), (1000, "duplicate"), (3000, "duplicate")):
        with pytest.raises(ReadingError) as refused:
            take(pipeline, message(at_ms, "c0", 1.0))
        assert refused.value.reason == reason
    assert pipeline.disorder["disorder"]["dropped"] == {}


def test_a_reading_that_is_found_useless_after_it_has_waited_is_counted() -> None:
    pipeline = serving()
    first = message(1000, "c0", 1.0)
    take(pipeline, first)
    take(pipeline, first._replace(payload=first.payload + b" "))  # the same, in other words
    take(pipeline, message(3000, "c0", 1.0))
    assert pipeline.disorder["disorder"]["dropped"] == {"duplicate": 1}


def test_without_disorder_nothing_waits() -> None:
    assert serving(0).disorder == {}


def test_disorder_of_readings_without_a_time_of_their_own_is_refused() -> None:
    source = {"topic": "plant/{asset}/telemetry"}
    with pytest.raises(ValidationError, match=naming("inputs[1]", "timestamp")):
        PipelineSettings.model_validate(
            {
                "stream": "mass",
                "inputs": [source | {"timestamp": "ts"}, source],
                "disorder_ms": 100,
            }
        )
