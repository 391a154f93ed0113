"""Any byte keeps a connection alive, and only a silence after a PINGREQ ends it."""

from agent.mqtt.keep_alive import KeepAlive


def pings(keep_alive: KeepAlive, seconds: range, heard: set[int]) -> list[int]:
    """The seconds at which a PINGREQ is due; bytes arrive just before those in `heard`."""
    found = []
    for second in seconds:
        keep_alive.has_heard = second in heard
        if keep_alive.is_due(second):
            found.append(second)
    return found


def test_ping_is_sent_every_interval_while_bytes_arrive() -> None:
    assert pings(KeepAlive(5), range(20), heard={6, 11, 16}) == [5, 10, 15]


def test_bytes_other_than_an_answer_keep_the_connection() -> None:
    keep_alive = KeepAlive(5)
    for second in range(100):
        keep_alive.has_heard = second % 4 == 0
        keep_alive.is_due(second)
        assert not keep_alive.is_over(second)


def test_silence_of_an_interval_after_a_ping_ends_the_connection() -> None:
    keep_alive = KeepAlive(5)
    assert pings(keep_alive, range(10), heard=set()) == [5]
    assert not keep_alive.is_over(9.9)
    assert keep_alive.is_over(10)
    keep_alive.has_heard = True
    assert not keep_alive.is_over(10)


def test_interval_of_zero_means_no_keep_alive() -> None:
    keep_alive = KeepAlive(0)
    assert pings(keep_alive, range(100), heard=set()) == []
    assert not keep_alive.is_over(1_000)
