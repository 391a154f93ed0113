"""A stop is not over before the broker has read it: what was acknowledged does not come again."""

from contextlib import ExitStack
from pathlib import Path
from threading import Timer

import pytest

from agent.mqtt.subscription import Subscription
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.broker.sites import RECEIVE_MAXIMUM, RealSite, opened, until

THAW_S = 0.3


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
def test_acknowledgements_before_a_goodbye_are_read_by_a_slow_broker(
    version: int, tmp_path: Path
) -> None:
    running = mosquitto(tmp_path, max_queued_messages=0, max_inflight_messages=RECEIVE_MAXIMUM)
    with running as broker, ExitStack() as left:
        assert isinstance(broker, Mosquitto)
        site = RealSite(broker, version)
        left.callback(site.close)
        connection = opened(site.connection())
        connection.subscribe([Subscription("in/+", 1)])
        until(connection, lambda: not connection.subscribing)
        for number in range(3 * RECEIVE_MAXIMUM):
            site.publish("in/a", b"%d" % number)
        until(connection, lambda: len(connection.received) == RECEIVE_MAXIMUM)
        frozen = left.enter_context(ExitStack())
        frozen.enter_context(broker.frozen())
        thaw = Timer(THAW_S, frozen.close)
        for message in connection.received:
            connection.acknowledge(message.packet_id)
        thaw.start()
        assert connection.close(wait_s=10)
        thaw.join()
        again = opened(site.connection())
        assert again.session_present
        until(again, lambda: bool(again.received))
        assert again.received[0].payload == b"%d" % RECEIVE_MAXIMUM
