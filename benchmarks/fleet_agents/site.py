"""All that a rollout over real agents needs: broker, store, plant, recording, server and agents."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.fleet_agents.plant import Plant
from benchmarks.fleet_agents.recording import Recording
from benchmarks.made_up.store import Store, served
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.graphs import detector_bundle
from tests.kit.errors import KitError
from tests.kit.gateway.agent import Gateway
from tests.kit.rollouts.fleet import Fleet, Sections

STREAM: Final = "mass"
CHAMPION: Final = detector_bundle(STREAM, 1, [1.0, 0.0], threshold=57.5)
"""Alarms in 2 of 60 rows."""
_START_S: Final = 300.0
_READY: Final = "INFO subscribed"
_AT_A_TIME: Final = 3
"""Agents that start at the same time: each takes half a second of a processor."""
_POLL_S: Final = 0.3


@dataclass
class Site:
    """A fleet at work.

    Attributes:
        broker: the broker, which keeps sessions and retained documents over a restart.
        store: serves the registry.
        plant: sends readings.
        recording: what was said.
        fleet: server and agents.
        ends_s: monotonic seconds after which nothing is waited for any more.
        meanwhile: called again and again while something is waited for.
        waits: what the controller has said that it waits for.
    """

    broker: Mosquitto
    store: Store
    plant: Plant
    recording: Recording
    fleet: Fleet
    ends_s: float
    meanwhile: Callable[[], None] = lambda: None
    waits: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Ids of all gateways."""
        return list(self.fleet.gateways)

    def current(self, name: str) -> dict[str, Any]:
        """What a gateway has said last of what it runs."""
        return self.recording.latest("current", name)

    def runs(self, seq: int, names: Sequence[str]) -> bool:
        """Whether all of these gateways say that a bundle serves."""
        return all(self.current(name).get("seq") == seq for name in names)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition.

        Raises:
            KitError: the time of the whole run is over.
        """
        while not condition():
            if time.monotonic() > self.ends_s:
                raise KitError(f"the time was over before {what}")
            self.meanwhile()
            time.sleep(_POLL_S)
        print(f"{self.ends_s - time.monotonic():6.0f} s left: {what}", file=sys.stderr, flush=True)

    def told(self, rollout: str) -> dict[str, Any]:
        """A rollout as HTTP tells it; what it waits for is noted."""
        told = self.fleet.told(rollout)
        decision = told.get("decision") or {}
        if decision.get("action") == "wait":
            self.waits.append(decision)
        return told

    def wait_for(self, rollout: str, stage: int, state: str = "running") -> dict[str, Any]:
        """Wait until a step is open, and the rollout in a state; or until it has ended."""
        told: dict[str, Any] = {}

        def reached() -> bool:
            told.clear()
            told.update(self.told(rollout))
            is_there = told.get("stage", 0) >= stage and told.get("state") == state
            return is_there or told.get("state") in ("held", "done", "reverted")

        self.wait(reached, f"stage {stage} of rollout {rollout} was {state}")
        return told


@contextmanager
def site(
    folder: Path, names: Sequence[str], sections: Sections, rate: float, seconds: float
) -> Iterator[Site]:
    """Run a fleet whose gateways are all online, until the context is left.

    Args:
        folder: an empty folder.
        names: ids of the gateways.
        sections: sections of their configuration.
        rate: readings of each a second.
        seconds: seconds after which nothing is waited for any more.
    """
    ends_s = time.monotonic() + seconds
    options: dict[str, Any] = {
        "persistence": True,
        "max_queued_messages": 0,
        "max_inflight_messages": 1_000,
        "sys_interval": 1,
    }
    with (
        mosquitto(folder / "broker", **options) as broker,
        Recording(broker.port) as recording,
        Fleet(folder, broker.port, names, CHAMPION) as fleet,
        served(fleet.published.folder) as store,
    ):
        fleet.url = store.url
        fleet.prepare(sections)
        start(fleet.gateways.values())
        with Plant(broker.port, names, rate) as plant:
            yield Site(broker, store, plant, recording, fleet, ends_s)


def start(gateways: Iterable[Gateway]) -> None:
    """Start agents, a few at a time, and wait until each has its subscriptions."""
    waiting: deque[tuple[Gateway, int]] = deque()
    for one in gateways:
        waiting.append((one, one.log.count(_READY) + 1))
        one.start()
        if len(waiting) >= _AT_A_TIME:
            _wait(*waiting.popleft())
    for started in waiting:
        _wait(*started)


def _wait(gateway: Gateway, times: int) -> None:
    gateway.wait_for_log(_READY, times, _START_S)
