"""The broker of one measurement: a private Mosquitto that drops nothing and writes nothing to disk.

The load generator bounds what is in flight, to less than the broker allows. With Mosquitto's
default of 20 messages in flight the broker would be measured instead of the contender; without a
limit it would search through the 100,000 messages of a backlog for each acknowledgement. Its queues
are unlimited, so that it drops nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.broker.brokers import mosquitto


@contextmanager
def running_broker(folder: Path) -> Iterator[int]:
    """Run a broker until the context is left; yields its port.

    Args:
        folder: folder for its configuration and its log.

    Raises:
        KitError: Mosquitto is missing, or did not start.
    """
    running = mosquitto(
        folder,
        max_inflight_messages=1000,
        max_queued_messages=0,
        max_queued_bytes=268_435_456,
        log_type=("error", "warning"),
    )
    with running as broker:
        yield broker.port
