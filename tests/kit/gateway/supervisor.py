"""Starts an agent again whenever it has died, as systemd does with `Restart=always`."""

import threading
from types import TracebackType
from typing import Final, Self

from tests.kit.gateway.agent import Gateway

MAX_RESTARTS: Final = 20
_LOOK_S: Final = 0.02


class Supervisor:
    """Watches over the agent of a gateway until the context is left.

    Args:
        gateway: the gateway, whose agent was started.

    Attributes:
        deaths: exit codes of the agents that have died, in order; negative after a signal.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.deaths: list[int] = []
        self._gateway = gateway
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching; the agent that runs goes on."""
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(_LOOK_S) and len(self.deaths) < MAX_RESTARTS:
            process = self._gateway.process
            if process is not None and process.poll() is not None:
                self.deaths.append(process.returncode)
                self._gateway.start()
