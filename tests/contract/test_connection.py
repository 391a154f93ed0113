"""What the agent relies on in a connection, checked on the simulated broker and on real ones."""

from agent.delivery.at_least_once import FINAL_REFUSALS
from agent.mqtt.connection import Connection
from agent.mqtt.subscription import Subscription
from serving.mqtt.packets import Received
from tests.kit.broker.sites import (
    MAX_PACKET_BYTES,
    RECEIVE_MAXIMUM,
    WILL,
    Site,
    opened,
    publish,
    until,
)

MQTT_5 = 5
LIVE = Subscription("in/+", 1)


def subscribed(site: Site, *subscriptions: Subscription) -> Connection:
    """A connection whose CONNECT and SUBSCRIBE the broker has answered."""
    connection = opened(site.connection())
    if subscriptions:
        connection.subscribe(subscriptions)
        # Answered in order: once a publish is confirmed, so is the subscription.
        packet_id = publish(connection, "out/probe", b"")
        until(connection, lambda: (packet_id, 0) in connection.confirmed)
        connection.confirmed.clear()
    return connection


def take(connection: Connection, count: int) -> list[Received]:
    """The next `count` messages."""
    until(connection, lambda: len(connection.received) >= count)
    taken, connection.received = connection.received, []
    return taken


def nothing_more(connection: Connection) -> bool:
    """Whether no message arrives before the answer to a publish."""
    packet_id = publish(connection, "out/probe", b"")
    until(connection, lambda: packet_id in dict(connection.confirmed))
    connection.confirmed.clear()
    return connection.received == []


def test_messages_arrive_in_order_with_all_their_fields(any_site: Site) -> None:
    connection = subscribed(any_site, LIVE)
    for number in range(5):
        any_site.publish("in/a", b"%d" % number)
    any_site.publish("in/ü", b"\xff\x00", qos=0)
    messages = take(connection, 6)
    acknowledged = [bool(one.packet_id) for one in messages]
    assert acknowledged == [True] * 5 + [not any_site.keeps]
    assert [one.payload for one in messages] == [b"0", b"1", b"2", b"3", b"4", b"\xff\x00"]
    assert [one.topic for one in messages] == ["in/a"] * 5 + ["in/ü"]
    assert not any(one.repeated or one.retained for one in messages)


def test_unacknowledged_messages_come_again_in_order_and_marked(keeping_site: Site) -> None:
    connection = subscribed(keeping_site, LIVE)
    for number in range(5):
        keeping_site.publish("in/a", b"%d" % number)
    first = take(connection, 5)
    for one in first[:2]:
        connection.acknowledge(one.packet_id)
    assert nothing_more(connection)
    keeping_site.cut(connection)
    connection = subscribed(keeping_site)
    assert connection.session_present
    again = take(connection, 3)
    assert [one.payload for one in again] == [b"2", b"3", b"4"]
    assert all(one.repeated for one in again)


def test_message_published_meanwhile_comes_after_those_that_come_again(keeping_site: Site) -> None:
    connection = subscribed(keeping_site, LIVE)
    keeping_site.publish("in/a", b"old")
    take(connection, 1)
    keeping_site.cut(connection)
    keeping_site.publish("in/a", b"new")
    messages = take(subscribed(keeping_site), 2)
    assert [(one.payload, one.repeated) for one in messages] == [(b"old", True), (b"new", False)]


def test_no_more_than_the_receive_maximum_arrives_unacknowledged(site_of_5: Site) -> None:
    connection = subscribed(site_of_5, LIVE)
    for number in range(3 * RECEIVE_MAXIMUM):
        site_of_5.publish("in/a", b"%d" % number)
    first = take(connection, RECEIVE_MAXIMUM)
    assert nothing_more(connection)
    # After the first acknowledgement Mosquitto 2.0 sends more than it may, so no more is asked.
    seen = [one.payload for one in first]
    batch = first
    while len(seen) < 3 * RECEIVE_MAXIMUM:
        for one in batch:
            connection.acknowledge(one.packet_id)
        batch = take(connection, 1)
        seen += [one.payload for one in batch]
    assert seen == [b"%d" % number for number in range(3 * RECEIVE_MAXIMUM)]


def test_publish_is_confirmed_under_its_packet_id(any_site: Site) -> None:
    connection = subscribed(any_site)
    packet_ids = [publish(connection, "out/a", b"%d" % number) for number in range(5)]
    assert connection.wants_write
    until(connection, lambda: len(connection.confirmed) == 5)
    assert connection.confirmed == [(packet_id, 0) for packet_id in packet_ids]
    assert not connection.wants_write
    until(connection, lambda: len(any_site.published("out/a")) == 5)
    assert any_site.published("out/a") == [b"0", b"1", b"2", b"3", b"4"]


def test_publish_at_qos_0_is_sent(any_site: Site) -> None:
    connection = subscribed(any_site)
    publish(connection, "out/a", b"1", 0)
    until(connection, lambda: any_site.published("out/a"))
    assert any_site.published("out/a") == [b"1"]


def test_refused_publish_is_no_success(site_of_5: Site) -> None:
    connection = subscribed(site_of_5)
    site_of_5.refuse("out/a")
    refused = publish(connection, "out/a", b"1")
    granted = publish(connection, "out/b", b"1")
    until(connection, lambda: len(connection.confirmed) == 2)
    codes = dict(connection.confirmed)
    assert codes[granted] < 0x80
    assert codes[refused] >= 0x80
    assert codes[refused] not in FINAL_REFUSALS
    site_of_5.grant()
    again = publish(connection, "out/a", b"1")
    until(connection, lambda: dict(connection.confirmed).get(again) == 0)


def test_retained_message_comes_where_state_is_asked_for(any_site: Site) -> None:
    any_site.publish("in/a", b"old", retain=True)
    connection = subscribed(any_site, Subscription("in/a", 0, state=True))
    (message,) = take(connection, 1)
    assert (message.payload, message.retained, message.packet_id) == (b"old", True, 0)


def test_retained_message_never_passes_for_a_live_one(any_site: Site) -> None:
    any_site.publish("in/a", b"old", retain=True)
    connection = subscribed(any_site, LIVE)
    any_site.publish("in/a", b"new")
    until(connection, lambda: any(one.payload == b"new" for one in connection.received))
    assert all(one.retained for one in connection.received if one.payload == b"old")
    if any_site.version == MQTT_5:
        assert [one.payload for one in connection.received] == [b"new"]


def test_filter_that_is_dropped_brings_nothing_more(any_site: Site) -> None:
    connection = subscribed(any_site, LIVE)
    connection.unsubscribe([LIVE.filter])
    assert nothing_more(connection)
    any_site.publish("in/a", b"1")
    assert nothing_more(connection)


def test_will_is_sent_when_the_connection_is_lost(any_site: Site) -> None:
    connection = subscribed(any_site)
    any_site.cut(connection)
    other = opened(any_site.connection("other"))
    until(other, lambda: any_site.published(WILL.topic) == [WILL.payload])
    assert connection.lost


def test_will_is_not_sent_after_a_goodbye(any_site: Site) -> None:
    connection = subscribed(any_site)
    publish(connection, WILL.topic, b"bye")
    connection.close()
    other = opened(any_site.connection("other"))
    until(other, lambda: any_site.published(WILL.topic))
    assert nothing_more(other)
    assert any_site.published(WILL.topic) == [b"bye"]


def test_broker_that_forgot_the_session_says_so(any_site: Site) -> None:
    connection = subscribed(any_site, LIVE)
    any_site.publish("in/a", b"1")
    take(connection, 1)
    any_site.forget_sessions()
    assert connection.lost
    connection = subscribed(any_site)
    assert not connection.session_present
    assert nothing_more(connection)


def test_client_that_takes_the_id_over_ends_the_connection(any_site: Site) -> None:
    first = subscribed(any_site)
    second = subscribed(any_site)
    until(first, lambda: first.lost)
    nothing_more(second)
    assert not second.lost


def test_largest_packet_is_known_from_the_broker(site_of_5: Site) -> None:
    assert subscribed(site_of_5).max_packet_bytes == MAX_PACKET_BYTES
