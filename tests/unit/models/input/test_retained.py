"""What of a retained message may stand for its signals."""

import json
from collections.abc import Mapping, Sequence

import pytest
from pydantic import ValidationError

from models.errors import DecodeError
from models.input.admission import EventTime
from models.input.limits import IntakeLimits
from models.input.pipeline import Pipeline
from models.input.quality import Quality
from models.input.retained import Retained, retained
from models.input.routes import Routes
from models.input.source import Input
from serving.mqtt.packets import Received
from tests.kit.wording import naming

NOW_NS = 1_760_000_000_000_000_000
NOW_MS = NOW_NS // 1_000_000


def found(source: Mapping[str, object], payload: object) -> Sequence[Retained]:
    inputs = [{"topic": "plant/{asset}", "signals": {"flow": "flow"}, **source}]
    routes = Routes(Pipeline.model_validate({"stream": "s", "inputs": inputs}), ["flow"])
    route = routes.route("plant/p1")
    assert route is not None
    assert route.takes_retained
    content = json.dumps(payload).encode()
    message = Received("plant/p1", content, 0, retained=True, repeated=False, at_ns=NOW_NS)
    time_of = EventTime(IntakeLimits().time_bounds).of
    return list(retained(route, message, time_of))


def test_reading_with_a_time_has_this_time_and_its_own_quality() -> None:
    source = {"timestamp": "ts", "quality": "q", "quality_map": "words"}
    payload = {"ts": NOW_MS - 5, "flow": 4.0, "q": "good"}
    (good,) = found(source, payload)
    assert good[1:] == (NOW_NS - 5_000_000, (4.0,), Quality.GOOD, True, ())
    (doubtful,) = found(source, payload | {"q": "uncertain"})
    assert doubtful.quality is Quality.UNCERTAIN


def test_reading_without_a_time_is_uncertain_from_its_arrival_on() -> None:
    (one,) = found({"last_known": True}, {"flow": 4.0})
    assert one[1:] == (NOW_NS, (4.0,), Quality.UNCERTAIN, False, ())


def test_upload_is_taken_as_far_as_its_entries_may_be() -> None:
    entries = [{"ts": NOW_MS, "values": {"flow": 1.0}}, {"flow": 2.0}]
    assert [one.values for one in found({"dialect": "thingsboard"}, entries)] == [(1.0,)]
    both = found({"dialect": "thingsboard", "last_known": True}, entries)
    assert [(one.values, one.is_timed) for one in both] == [((1.0,), True), ((2.0,), False)]


def test_tags_of_a_list_are_taken_each_with_its_own_route() -> None:
    values = [{"id": "flow", "v": 4.0, "q": True, "t": NOW_MS}]
    (one,) = found({"dialect": "kepware"}, {"timestamp": NOW_MS, "values": values})
    assert (one.route.asset, one.values, one.is_timed) == ("p1", (4.0,), True)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"ts": NOW_MS, "flow": None}, "retained"),
        ({"ts": NOW_MS, "flow": 4.0, "q": "bad"}, "retained"),
        ({"ts": 1, "flow": 4.0}, "time_past"),
        ({"ts": 2 * NOW_MS, "flow": 4.0}, "time_future"),
        ({"flow": 4.0}, "time_missing"),
        ({"ts": NOW_MS, "flow": "high"}, "not_a_number"),
    ],
    ids=["no value", "bad", "too old", "too new", "no time", "no number"],
)
def test_reading_that_tells_nothing_of_use_is_refused(payload: object, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        found({"timestamp": "ts", "quality": "q", "quality_map": "words"}, payload)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"timestamp": "ts"}, "timestamp 'ts'"),
        ({"dialect": "block", "encoding": "json"}, "dialect block"),
        ({"dialect": "umh", "signals": {"flow": "flow"}}, "dialect umh"),
    ],
    ids=["a time is named", "blocks", "umh"],
)
def test_last_known_is_refused_where_no_message_lacks_a_time(
    fields: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=naming("last_known", said)):
        Input.model_validate({"topic": "plant/{asset}", "last_known": True} | fields)


def test_retained_messages_are_of_use_only_with_a_time_or_where_last_known_is_set() -> None:
    assert not Input(topic="plant/{asset}").takes_retained
    assert Input(topic="plant/{asset}", timestamp="ts").takes_retained
    assert Input(topic="plant/{asset}", last_known=True).takes_retained
