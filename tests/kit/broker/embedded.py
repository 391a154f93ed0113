"""amqtt, for machines without Mosquitto: `python -m tests.kit.broker.embedded PORT`.

amqtt speaks MQTT 3.1.1 only. It listens on the loopback until SIGTERM or SIGINT.
"""

import asyncio
import signal
import sys
from typing import Any

from amqtt.broker import Broker


def main(port: int) -> None:
    """Run the broker at a port until SIGTERM or SIGINT."""
    asyncio.run(_serve(port))


async def _serve(port: int) -> None:
    config: dict[str, Any] = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
        },
    }
    broker = Broker(config)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    await broker.start()
    await end.wait()
    await broker.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
