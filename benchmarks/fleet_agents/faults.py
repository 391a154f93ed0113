"""What happens to a fleet meanwhile: its controller is killed, gateways and broker are away."""

import random
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.fleet_agents.site import Site, start

_LONGEST_S: Final = 4.0
"""Seconds at most for which a controller lives, once it listens."""


class Faults:
    """Makes faults, and counts them.

    Args:
        site: the fleet.
        seed: of the moments, and of the gateways.

    Attributes:
        killed: how often the controller was killed.
        restarts: how often the broker was restarted.
        away: gateways that are offline.
        were_away: gateways that have ever been.
    """

    def __init__(self, site: Site, seed: int) -> None:
        self.killed = self.restarts = self.left = 0
        self.away: list[str] = []
        self.were_away: set[str] = set()
        self._site, self._random = site, random.Random(seed)
        self._due_s = 0.0
        site.meanwhile = self._turn

    def kill_controller(self, times: int) -> None:
        """Have the controller killed so many times more, at any moment."""
        self.left += times
        self._plan()

    def finish(self) -> None:
        """Wait until that has happened."""
        self._site.wait(lambda: self.left == 0, "the controller was killed often enough")

    def take_away(self, names: Sequence[str], count: int) -> None:
        """Kill some of these agents, as a power cut would."""
        self.away = self._random.sample(list(names), min(count, len(names)))
        self.were_away |= set(self.away)
        for name in self.away:
            self._site.fleet.gateways[name].kill()

    def bring_back(self) -> None:
        """Start them again."""
        back, self.away = self.away, []
        start([self._site.fleet.gateways[name] for name in back])

    def restart_broker(self) -> None:
        """End the broker, and start it again with what it has saved."""
        self._site.broker.restart()
        self.restarts += 1

    def _plan(self) -> None:
        self._due_s = time.monotonic() + self._random.uniform(0.0, _LONGEST_S)

    def _turn(self) -> None:
        if self.left and time.monotonic() >= self._due_s:
            self._site.fleet.server.kill()
            self.killed, self.left = self.killed + 1, self.left - 1
            self._site.fleet.server.start()
            self._plan()
