"""The live part: the plant publishes, the agent predicts, and a second version replaces the first.

One loop in one thread: in every period the plant makes one step and its readings are published; in
between, the messages that have arrived are processed. The event time of a reading is the time of
the wall clock.
"""

import json
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from demo.console.board import Board
from demo.console.display import Display
from demo.errors import DemoError
from demo.gateway import Gateway
from demo.link import Arrival, Link
from demo.plant.scenario import LIVE_START_S, PERIOD_S, SAMPLE_S, WINDOW, live_faults
from demo.plant.simulation import Plant, Reading
from demo.promises.agreement import Agreement
from demo.promises.detection import Detection
from demo.promises.ledger import Input, Ledger
from demo.promises.verdicts import Swap
from demo.release import BackgroundSteps
from demo.telemetry import answer, measured, telemetry
from tests.kit.children import Child

CYCLE_S = 60.0  # length of a cycle of faults, where the demo runs without an end
IN_A_ROW = 3

_SEED = 7
_UPDATE_AFTER = 0.1  # share of the cycle after which the second version is trained
_AFTER_SWAP_S = 3.0
_GRACE_S = 180.0  # for a slow machine to train the second version
_DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts of the demo that the live part uses.

    Attributes:
        link: the connection to the broker.
        display: shows the board.
        board: the content of the table.
        ledger: compares inputs and predictions.
        gateway: state of the agent.
        update: the steps that make and push the second version.
        watched: the processes that must not end.
    """

    link: Link
    display: Display
    board: Board
    ledger: Ledger
    gateway: Gateway
    update: BackgroundSteps
    watched: Sequence[Child]


class Performance:
    """One run of the live part.

    Args:
        stage: the parts of the demo that the run uses.
        seconds: length of the run; None: until `stop` is set.

    Attributes:
        agreement: predictions that are compared with those over HTTP.
        detection: the faults that were found.
        swap: when the second version was pushed and served.
        stop: event that ends the run early, and in order.
    """

    def __init__(self, stage: Stage, seconds: float | None) -> None:
        self.agreement = Agreement(WINDOW)
        self.detection = Detection(in_a_row=IN_A_ROW, patience=WINDOW + IN_A_ROW)
        self.swap = Swap(seq=2)
        self.stop = threading.Event()
        self._stage = stage
        self._seconds = seconds
        self._cycle_s = seconds or CYCLE_S
        self._plant = Plant(_SEED, live_faults(self._cycle_s), start_s=LIVE_START_S)
        self._conditions: dict[str, str] = {}
        self._event_ms = 0

    @property
    def must_swap(self) -> bool:
        """Whether the second version has to serve; a run that was stopped may end before."""
        return self.swap.first_s is not None or not self.stop.is_set()

    def play(self) -> None:
        """Publish until the time is over, then wait for the last predictions.

        Raises:
            KitError: the broker, the agent or a step of the update failed.
        """
        began_s = next_s = time.monotonic()
        while not self.stop.is_set() and not self._is_over(time.monotonic() - began_s):
            self._receive(next_s)
            if time.monotonic() < next_s:
                continue
            next_s = max(next_s, time.monotonic() - 1.0) + PERIOD_S
            self._watch()
            if time.monotonic() - began_s > _UPDATE_AFTER * self._cycle_s:
                self._update()
            # Before the publishing: drawing takes longer than predicting, and would be measured
            # too.
            self._stage.display.refresh()
            self._send()
        self._drain()

    def _is_over(self, elapsed_s: float) -> bool:
        if self._seconds is None or elapsed_s < self._seconds:
            return False
        if elapsed_s > self._seconds + _GRACE_S:
            return True
        first_s = self.swap.first_s
        return first_s is not None and time.monotonic() - first_s > _AFTER_SWAP_S

    def _send(self) -> None:
        # The wall clock may stand still or go back; the event time of a reading must rise.
        self._event_ms = max(self._event_ms + 1, time.time_ns() // 1_000_000)
        for reading in self._plant.step(SAMPLE_S):
            topic, payload = telemetry(reading, self._event_ms)
            complete = all(math.isfinite(value) for value in reading.signals.values())
            self._stage.ledger.send(
                Input(
                    reading.asset,
                    self._event_ms,
                    sent_s=time.monotonic(),
                    condition=reading.condition,
                    complete=complete,
                )
            )
            self.agreement.sent(reading.asset, self._event_ms, measured(reading))
            self._stage.link.publish(topic, payload)
            self._show(reading)

    def _show(self, reading: Reading) -> None:
        self._stage.board.sensed(reading)
        before = self._conditions.get(reading.asset, reading.condition)
        if before != reading.condition:
            self._report(f"{reading.asset}: from {before} to {reading.condition}")
        self._conditions[reading.asset] = reading.condition

    def _receive(self, until_s: float) -> None:
        for arrival in self._stage.link.arrivals(until_s):
            if arrival.topic.startswith("plant/"):
                self._take_answer(arrival)
            else:
                self._take_control(arrival)

    def _take_answer(self, arrival: Arrival) -> None:
        prediction = answer(arrival.payload)
        asked = self._stage.ledger.receive(prediction, arrival.arrived_s)
        if asked is None:
            return
        self._stage.board.predicted(prediction)
        self.agreement.received(json.loads(arrival.payload))
        if prediction.seq == self.swap.seq and self.swap.first_s is None:
            self.swap.first_s = arrival.arrived_s
            self._report(f"first prediction by version {prediction.version}")
        found = self.detection.compare(
            asked.asset, asked.timestamp_ms, truth=asked.condition, label=prediction.label
        )
        if found and found.found_after_ms is not None:
            after_s = found.found_after_ms / 1000
            self._report(f"{found.asset}: {found.condition} found after {after_s:.1f} s")

    def _take_control(self, arrival: Arrival) -> None:
        gateway, swap = self._stage.gateway, self.swap
        gateway.receive(arrival)
        if gateway.refusal:
            raise DemoError(f"the agent refused an update: {gateway.refusal}")
        if gateway.desired_seq == swap.seq and swap.pushed_s is None:
            swap.pushed_s = arrival.arrived_s
        if gateway.seq == swap.seq and swap.serving_s is None and swap.pushed_s is not None:
            swap.serving_s = arrival.arrived_s
            self._stage.ledger.require(swap.seq, arrival.arrived_s)
            took_ms = 1000 * (swap.serving_s - swap.pushed_s)
            self._stage.board.pinned = f"version {swap.seq} serves {took_ms:.0f} ms after its push"
            self._report(self._stage.board.pinned)

    def _update(self) -> None:
        title = self._stage.update.advance()
        if title:
            self._report(f"in the background: {title}")

    def _watch(self) -> None:
        for child in self._stage.watched:
            if child.exit_code is not None:
                raise child.failure()

    def _drain(self) -> None:
        deadline_s = time.monotonic() + _DRAIN_S
        while self._stage.ledger.waiting and time.monotonic() < deadline_s:
            self._receive(min(time.monotonic() + PERIOD_S, deadline_s))
        self._stage.display.refresh()

    def _report(self, event: str) -> None:
        self._stage.display.happened(event.replace("_", " "))
