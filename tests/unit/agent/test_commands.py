"""However many `desired` documents arrive, a stream is told as much as it can act on."""

from agent.commands import Commands
from models.control.topics import ControlTopics

TOPICS = ControlTopics("gw1")


class Told:
    """Commands with a clock that is set by hand, and what they hand on."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.desired: list[tuple[str, bytes]] = []
        self.commands = Commands(
            TOPICS,
            ["a", "b"],
            lambda stream, payload: self.desired.append((stream, payload)),
            1.0,
            lambda: self.now_s,
        )

    def take(self, stream: str, *payloads: bytes) -> None:
        for payload in payloads:
            assert self.commands.take(TOPICS.desired(stream), payload)

    def tick_at(self, now_s: float) -> None:
        self.now_s = now_s
        self.commands.tick()


def test_first_document_is_acted_on_at_once() -> None:
    told = Told()
    told.take("a", b"1")
    assert told.desired == [("a", b"1")]


def test_of_many_the_newest_counts_once_its_time_has_come() -> None:
    told = Told()
    told.take("a", *(str(number).encode() for number in range(1_000)))
    told.tick_at(100.9)
    assert told.desired == [("a", b"0")]
    told.tick_at(101.0)
    assert told.desired == [("a", b"0"), ("a", b"999")]
    assert told.commands.superseded == 998
    told.tick_at(200.0)
    assert len(told.desired) == 2


def test_what_waits_can_be_acted_on_before_its_time() -> None:
    told = Told()
    told.take("a", b"1", b"2", b"3")
    told.commands.hurry()
    assert told.desired == [("a", b"1"), ("a", b"3")]
    told.take("a", b"4")
    assert told.desired == [("a", b"1"), ("a", b"3")], "the interval begins anew"


def test_streams_do_not_wait_for_each_other() -> None:
    told = Told()
    told.take("a", b"1", b"2")
    told.take("b", b"3")
    assert told.desired == [("a", b"1"), ("b", b"3")]


def test_unknown_stream_is_remembered_by_nothing() -> None:
    told = Told()
    for number in range(100):
        told.take(f"strange-{number}", b"1")
    told.tick_at(200.0)
    assert told.desired == []


def test_other_topics_are_left_to_the_inputs() -> None:
    assert not Told().commands.take("plant/l1/p1/telemetry", b"1")
