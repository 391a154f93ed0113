"""What the broker retains of the gateways."""

import json

from models.control.documents import Desired
from server.rollouts.retained import MAX_STREAMS, PATIENCE_S, Retained
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
    member = filled().view("press", 0.0).member("a")
    assert member.is_online
    assert member.current is not None
    assert member.desired is not None
    assert (member.current.seq, member.desired.seq) == (4, 4)


def test_what_is_taken_back_is_gone() -> None:
    known = filled()
    known.take(message("millhand/a/desired/press", b""))
    known.take(message("millhand/a/current/press", b""))
    known.take(message("millhand/a/status", b""))
    member = known.view("press", 0.0).member("a")
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
    assert known.view("press", 0.0).member("a").is_online
    assert list(known.view("press", 0.0).members) == ["a"]


def test_with_more_gateways_than_may_be_known_nothing_is_complete() -> None:
    known = filled()
    known.take(message("millhand/b/status", {"state": "online"}))
    assert not known.view("press", 0.0).missing
    known.take(message("millhand/c/status", {"state": "online"}))
    assert (
        "more gateways than rollouts.max_gateways, which is 2" in known.view("press", 0.0).missing
    )


def test_streams_of_a_gateway_are_bounded() -> None:
    known = filled()
    for number in range(MAX_STREAMS + 5):
        known.take(message(f"millhand/a/desired/s{number}", {"stream": f"s{number}", "seq": 1}))
    assert known.ignored["max_streams"] == 6


def seq(known: Retained, now_s: float) -> int | None:
    """What gateway a is told to run, as far as is known at some time."""
    desired = known.view("press", now_s).member("a").desired
    return desired.seq if desired is not None else None


def test_what_the_broker_keeps_of_what_was_published_stays() -> None:
    known = filled()
    known.expect("a", Desired(stream="press", seq=5), 10.0)
    assert (seq(known, 10.0), known.unkept("press")) == (5, ["a"])
    known.take(message("millhand/a/desired/press", {"stream": "press", "seq": 5}))
    assert (seq(known, 10.0 + 2 * PATIENCE_S), known.unkept("press")) == (5, [])


def test_what_the_broker_never_sends_back_was_not_published() -> None:
    known = filled()
    known.expect("a", Desired(stream="press", seq=5), 10.0)
    late_s = 10.0 + PATIENCE_S
    assert [known.is_unkept("a", "press", at_s) for at_s in (10.0, late_s)] == [False, True]
    assert (seq(known, 10.0), seq(known, late_s)) == (5, 4)
