"""Three rollouts over one fleet, one after the other, with faults meanwhile.

worse    disagrees in the shadow of the first group: held there
good     the same answers as before: done, though a third of the gateways is away meanwhile
late     answers as before until the product changes, which the first group never sees: held
"""

import time
from typing import Any, Final

from benchmarks.fleet_agents.faults import Faults
from benchmarks.fleet_agents.site import STREAM, Site
from tests.kit.bundles.graphs import detector_bundle
from tests.kit.errors import KitError

WORSE_SEQ, GOOD_SEQ, LATE_SEQ = 2, 3, 4
WORSE: Final = detector_bundle(STREAM, WORSE_SEQ, [1.0, 0.0], threshold=49.5)
"""Alarms in 10 of 60 rows, where the champion has 2."""
GOOD: Final = detector_bundle(STREAM, GOOD_SEQ, [1.0, 0.0], threshold=57.5)
LATE: Final = detector_bundle(STREAM, LATE_SEQ, [1.0, 1000.0], threshold=57.5)
"""Answers as the champion until `c1` is 1; then everything is an alarm."""
_SOAK_S: Final = 2.0
_WATCH_S: Final = 3_600.0
"""So long the second group serves the bundle that turns bad before the third would get it."""


class Scenario:
    """Runs the rollouts.

    Args:
        site: the fleet.
        faults: makes faults.
        kills: how often the controller is killed in all.

    Attributes:
        told: what HTTP has told of each rollout at its end.
        groups: ids of the gateways of the three groups.
        refused: code with which a second rollout was refused; empty if it was not.
        returned: gateways that have returned to their former bundle when it was reverted.
        changed_s: monotonic seconds at which the product has changed.
    """

    def __init__(self, site: Site, faults: Faults, kills: int) -> None:
        self.told: dict[str, dict[str, Any]] = {}
        self.refused = ""
        self.returned: list[str] = []
        self.changed_s = 0.0
        self._site, self._faults = site, faults
        self._kills = [kills // 4, kills - 2 * (kills // 4), kills // 4]
        names, few, half = site.names, max(1, len(site.names) // 10), len(site.names) // 2
        self.groups = [names[:few], names[few:half], names[half:]]

    def run(self) -> None:
        """Run all of them.

        Raises:
            KitError: the time was over, or a program has ended.
        """
        self._site.fleet.server.start()
        self._worse()
        self._good()
        self._late()
        self._revert()

    def _groups(self, second: str) -> list[dict[str, object]]:
        soak_s = _SOAK_S if second == "shadow" else _WATCH_S
        return [
            {"name": "first", "gateways": self.groups[0], "soak_s": _SOAK_S},
            {"name": "second", "gateways": self.groups[1], "mode": second, "soak_s": soak_s},
            {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": 0.0},
        ]

    def _worse(self) -> None:
        self._site.fleet.begin("worse", WORSE, self._groups("shadow"))
        self._faults.kill_controller(self._kills[0])
        self._end("worse", 1, "held")

    def _good(self) -> None:
        site, faults = self._site, self._faults
        groups = self._groups("shadow")
        site.fleet.begin("good", GOOD, groups, supersedes="worse")
        site.wait_for("good", 1)
        self._try_a_second(groups)
        faults.kill_controller(self._kills[1])
        site.wait_for("good", 2)
        faults.take_away(self._may_leave(0), len(site.names) // 3)
        site.wait_for("good", 3)
        faults.restart_broker()
        site.wait_for("good", 4)
        faults.bring_back()
        self._end("good", 5, "done")
        site.wait(lambda: site.runs(GOOD_SEQ, site.names), "all gateways served the good bundle")

    def _late(self) -> None:
        site, faults = self._site, self._faults
        site.fleet.begin("late", LATE, self._groups("serve"), supersedes="good")
        site.wait_for("late", 2)
        faults.take_away(self._may_leave(1), len(site.names) // 3)
        faults.kill_controller(self._kills[2])
        site.wait_for("late", 3)
        second = [name for name in self.groups[1] if name not in faults.away]
        site.wait(lambda: site.runs(LATE_SEQ, second), "the second group served the late bundle")
        site.plant.changed, self.changed_s = frozenset(second), time.monotonic()
        told = self._end("late", 3, "held")
        site.wait(lambda: site.runs(GOOD_SEQ, second), "the second group was back")
        faults.restart_broker()
        faults.bring_back()
        site.wait(lambda: self._know(told["epoch"]), "all gateways knew that it is held")

    def _may_leave(self, first: int) -> list[str]:
        """Gateways that may be away; a group of which nobody is there would be waited for."""
        return [name for group in self.groups[first:] for name in group[1:]]

    def _know(self, epoch: int) -> bool:
        said = [(self._site.current(name).get("rollout") or {}) for name in self._site.names]
        return all(one.get("id") == "late" and one.get("epoch", 0) >= epoch for one in said)

    def _revert(self) -> None:
        site = self._site
        reason = "alarms since the product has changed"
        site.fleet.command("revert", "late", "--by", "Eva", "--reason", reason)
        site.wait_for("late", 3, "reverted")
        site.wait(lambda: site.runs(GOOD_SEQ, self.groups[0]), "the first group was back")
        self.told["late, reverted"] = site.told("late")
        self.returned = list(self.groups[0])

    def _end(self, rollout: str, stage: int, state: str) -> dict[str, Any]:
        """Wait until a rollout has ended, and the controller was killed as often as it should."""
        self._site.wait_for(rollout, stage, state)
        self._faults.finish()
        told = self.told[rollout] = self._site.told(rollout)
        if told.get("state") != state:
            raise KitError(f"rollout {rollout} is {told.get('state')}, not {state}: {told}")
        return told

    def _try_a_second(self, groups: list[dict[str, object]]) -> None:
        try:
            self._site.fleet.plan("second", LATE, groups)
        except KitError as error:
            self.refused = "second_rollout" if "second_rollout" in str(error) else str(error)
