"""What the broker retains of the gateways."""

import json

from server.rollouts.retained import MAX_STREAMS, Retained
from serving.mqtt.packets import Received


def message(topic: str, document: object) -> Received:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Received(topic, payload, 0, retained=True, repeated=False, at_ns=0)


def filled() -> Retained:
    known = Retained(2)
    known.missing = ""
    known.take(message("millhand/a/status", {"state": "online"}))
    known.take(
        message("millhand/a/current/press", {"stream": "press", "state": "serving", "seq": 4})
    )
    known.take(message("millhand/a/desired/press", {"stream": "press", "seq": 4}))
    return known


def test_documents_of_a_gateway_stand_together() -> None:
    member = filled().view("press").member("a")
    assert member.is_online
    assert member.current is not None
    assert member.desired is not None
    assert (member.current.seq, member.desired.seq) == (4, 4)


def test_what_is_taken_back_is_gone() -> None:
    known = filled()
    known.take(message("millhand/a/desired/press", b""))
    known.take(message("millhand/a/current/press", b""))
    known.take(message("millhand/a/status", b""))
    member = known.view("press").member("a")
    assert (member.is_online, member.current, member.desired) == (False, None, None)


def test_what_cannot_be_read_is_counted_and_changes_nothing() -> None:
    known = filled()
    for topic, payload in (
        ("millhand/a/current/press", b"\xff"),
        ("millhand/a/status", b"[]"),
        ("millhand/a/desired/press", b'{"seq": "none"}'),
        ("other/a/status", b"{}"),
        ("millhand//status", b"{}"),
        ("millhand/a/current/press/more", b"{}"),
    ):
        known.take(message(topic, payload))
    assert known.ignored["document"] == 3
    assert known.view("press").member("a").is_online
    assert list(known.view("press").members) == ["a"]


def test_with_more_gateways_than_may_be_known_nothing_is_complete() -> None:
    known = filled()
    known.take(message("millhand/b/status", {"state": "online"}))
    assert not known.view("press").missing
    known.take(message("millhand/c/status", {"state": "online"}))
    assert "more gateways than rollouts.max_gateways, which is 2" in known.view("press").missing


def test_streams_of_a_gateway_are_bounded() -> None:
    known = filled()
    for number in range(MAX_STREAMS + 5):
        known.take(message(f"millhand/a/desired/s{number}", {"stream": f"s{number}", "seq": 1}))
    assert known.ignored["max_streams"] == 6
