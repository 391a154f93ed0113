"""What happens on the three sites: a good model goes everywhere, a bad one is held and reverted."""

import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from demo.errors import DemoError
from demo.link import Link
from demo.promises.verdicts import Verdict
from demo.release import Step
from demo.rollout.publisher import BAD, GOOD, Publisher
from demo.rollout.scenario import SITES
from demo.rollout.sites import Plants, Readings, Seen
from demo.server import ModelServer
from demo.show import ended_by_signals
from tests.kit.children import Child

_SERVING_S: Final = 120.0
_ANSWERED_S: Final = 60.0
_ROLLOUT_S: Final = 1_200.0
_LOOK_S: Final = 0.5
_SAID_S: Final = 10.0
"""Between two lines about the evidence, which changes with each block."""
_OVER: Final = {"done", "held", "reverted"}  # a person who holds may resume
_COMMANDS: Final = {"server": "millhand-server"}


@dataclass(frozen=True, slots=True)
class Stage:
    """What the play is played on.

    Attributes:
        console: shows what happens.
        link: the connection to the broker.
        publisher: commands of the rollouts.
        server: the server with the controller.
        watched: processes that must not end.
    """

    console: Console
    link: Link
    publisher: Publisher
    server: ModelServer
    watched: Sequence[Child]


class Play:
    """The two rollouts, one after the other.

    Args:
        stage: what it is played on.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._readings = Readings()
        self._seen = Seen(self._readings)
        self._said, self._said_s = "", 0.0

    def run(self, seconds: float | None) -> bool:
        """Roll out both versions; return whether every promise was kept.

        Args:
            seconds: seconds that everything runs at least; None: until a signal comes.
        """
        if not self._waited(lambda: self._seen.serves(1), _SERVING_S):
            raise DemoError(f"not within {_SERVING_S:.0f} s: version 1 on every site")
        end_s = None if seconds is None else time.monotonic() + seconds
        with Plants(self._stage.link, self._readings) as plants:
            verdicts = [self._good(), *self._bad(), self._nothing_lost(plants)]
            self._show(verdicts)
            self._stay(end_s)
        return all(verdict.kept for verdict in verdicts)

    def _good(self) -> Verdict:
        begun_s = time.monotonic()
        state = self._roll_out(GOOD)
        is_done = state == "done" and self._waited(lambda: self._seen.serves(GOOD))
        took = f"{state} after {time.monotonic() - begun_s:.0f} s"
        return Verdict("the good model serves everywhere, and nobody was asked", is_done, took)

    def _bad(self) -> list[Verdict]:
        state = self._roll_out(BAD)
        self._run(self._stage.publisher.status(BAD), self._stage.publisher.revert(BAD))
        is_back = self._waited(self._has_returned)
        by_bad, of_all = self._seen.predictions[BAD], self._seen.predictions.total()
        return [
            Verdict("the bad model is held in the shadow of one site", state == "held", state),
            Verdict(
                "no prediction of the bad model on the plants' topics",
                not by_bad,
                f"{by_bad} of {of_all}",
            ),
            Verdict(
                "after the revert every site serves what it served before",
                is_back,
                f"version {GOOD} on {self._serving(GOOD)} of {len(SITES)} sites",
            ),
        ]

    def _nothing_lost(self, plants: Plants) -> Verdict:
        sent, until_ms = self._readings.sent, plants.event_ms
        is_whole = self._waited(lambda: not self._readings.unanswered(until_ms), _ANSWERED_S)
        lost = self._readings.unanswered(until_ms)
        return Verdict("every reading was answered", is_whole, f"{lost} of {sent} without answer")

    def _roll_out(self, seq: int) -> str:
        """Plan and start a rollout, and follow it; return the state that it ends in."""
        publisher, rollout = self._stage.publisher, f"pump-{seq}"
        block_s = publisher.block_s(seq)
        self._run(publisher.plan(seq, block_s))
        self._stage.console.print(
            f"a block of evidence is {block_s:g} s long: so long do these plants remember, as the "
            "bundles say",
            highlight=False,
        )
        self._run(publisher.start(seq))
        self._waited(lambda: self._follow(rollout) in _OVER, _ROLLOUT_S)
        return self._follow(rollout)

    def _follow(self, rollout: str) -> str:
        """State of a rollout; what is new of it is printed."""
        told = self._stage.server.rollout(rollout)
        self._say(told)
        by_gate = str(told.get("by", "")).startswith("controller")
        if told["state"] == "held" and not by_gate:
            return "held by a person"
        return str(told["state"])

    def _say(self, told: Mapping[str, Any]) -> None:
        decision = told.get("decision") or {}
        step, now_s = f"step {told['stage']}, {told['state']}", time.monotonic()
        said = f"{step}: {decision.get('reason') or told['reason']}"
        is_evidence = decision.get("gate") == "evidence" and self._said.startswith(step)
        if said == self._said or (is_evidence and now_s < self._said_s + _SAID_S):
            return
        self._said, self._said_s = said, now_s
        self._stage.console.print(said, highlight=False, markup=False)

    def _run(self, *steps: Step) -> None:
        for step in steps:
            module, *words = step.command[2:]
            command = shlex.join([_COMMANDS[module], *words])
            self._stage.console.rule(f"[bold]{step.title}", align="left")
            self._stage.console.print(f"$ {command}", highlight=False, markup=False, soft_wrap=True)
            with Child(step.title, step.command) as child:
                child.wait()

    def _serving(self, seq: int) -> int:
        return sum(one.get("seq") == seq for one in self._seen.current.values())

    def _has_returned(self) -> bool:
        current = [self._seen.current.get(site, {}) for site in SITES]
        states = {(one.get("rollout") or {}).get("state") for one in current}
        return self._seen.serves(GOOD) and states == {"returned"}

    def _show(self, verdicts: Sequence[Verdict]) -> None:
        table = Table(title="What was promised", title_justify="left", show_header=False)
        for one in verdicts:
            kept = "[green]kept[/]" if one.kept else "[bold red]BROKEN[/]"
            table.add_row(one.promise, kept, one.numbers)
        self._stage.console.print(table)

    def _waited(self, condition: Callable[[], bool], within_s: float = _SERVING_S) -> bool:
        """Wait for a condition; whether it became true."""
        deadline_s = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline_s:
                return False
            for child in self._stage.watched:
                if child.exit_code is not None:
                    raise child.failure()
            self._seen.take(self._stage.link, time.monotonic() + _LOOK_S)
        return True

    def _stay(self, end_s: float | None) -> None:
        """Leave everything running, for people who try the page, until the end or a signal."""
        if end_s is None:
            self._stage.console.print("all goes on, for you to try; Ctrl-C ends it")
        over = threading.Event()
        with ended_by_signals(over):
            self._waited(
                lambda: over.is_set() or (end_s is not None and time.monotonic() > end_s),
                float("inf"),
            )
