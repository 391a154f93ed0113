"""The broker of the demo: Mosquitto where it is installed, else the embedded amqtt."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from demo.errors import DemoError
from tests.kit.broker.brokers import Broker, amqtt, installed, mosquitto

Choice = Literal["auto", "mosquitto", "amqtt"]

_MAX_QUEUED = 100_000


@contextmanager
def running_broker(work: Path, choice: Choice = "auto") -> Iterator[Broker]:
    """Run a broker until the context is left.

    Args:
        work: folder for its configuration and its log.
        choice: `auto` takes Mosquitto where it is installed, else amqtt.

    Raises:
        KitError: the chosen broker is not installed, or did not start.
    """
    is_installed = installed("mosquitto") is not None
    if choice == "mosquitto" and not is_installed:
        raise DemoError("mosquitto is not installed: install it, or choose --broker amqtt")
    if choice != "amqtt" and is_installed:
        with mosquitto(work, max_queued_messages=_MAX_QUEUED) as broker:
            yield broker
    else:
        with amqtt(work) as broker:
            yield broker
