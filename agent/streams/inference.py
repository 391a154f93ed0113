"""Has the windows of one stream answered: in portions, within a time limit, and told when it fails.

Belongs to the hot thread, and blocks it for as long as the model computes. A turn of the hot loop
must not take long, so a slow model is given few windows at once, and the others wait here until the
next turn (ADR 28).
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.delivery.outgoing import Outgoing
from agent.streams.explaining import Explanations
from agent.streams.poison import digest_of
from agent.streams.predictor import Counted, Predictor
from agent.streams.taken import Taken
from models.control.document import MAX_MESSAGE
from serving import log
from serving.clock import SteadyClock
from serving.failure import Failure
from serving.incidents.under_way import UnderWay
from serving.pace import Pace
from serving.time_limit import TimeLimit

if TYPE_CHECKING:
    from agent.shadow.candidate import Candidate
    from models.bundle.manifest import Manifest
    from serving.prediction import Prediction


class Inference:
    """Answers windows with the models of one stream, in the order in which they were added.

    Args:
        stream: name of the stream, for the log.
        limits: how long inference may take.
        clock: measures how long a call of the model takes.
        under_way: notes which model infers, should the process die of it.
        time_limit: is told which inference is under way; None: nothing interrupts one.

    Attributes:
        counted: how many predictions were made, by quality, and why the BAD ones are BAD.
        failure: what the model fails with on live windows; None if it answered the last batch.
        tap: is given each prediction when it is made; None where nobody else publishes them.
        tap_of: makes the tap of a bundle, by its manifest; None where one tap does for all.
        batch_ns: average time that a call of the model takes, nanoseconds, with weight 1/8 for the
            newest.
    """

    def __init__(
        self,
        stream: str,
        limits: Limits,
        clock: SteadyClock,
        under_way: UnderWay,
        time_limit: TimeLimit | None = None,
    ) -> None:
        explanations = Explanations(limits.max_explained, limits.turn_s, clock)
        self.counted = Counted(explanations=explanations)
        self.failure: Failure | None = None
        self.tap: Callable[[Prediction], None] | None = None
        self.tap_of: Callable[[Manifest], Callable[[Prediction], None]] | None = None
        self.batch_ns = 0.0
        self._stream, self._clock = stream, clock
        self._turn_ns = limits.turn_s * 1e9
        self._under_way = under_way
        self._time_limit = time_limit or TimeLimit(limits.inference_s)
        self._log = log.Limited(limits.log_interval_s)
        self._pace = Pace()
        self._predictor: Predictor | None = None
        self._taken: deque[Taken] = deque()

    def __len__(self) -> int:
        """How many windows wait here."""
        return sum(len(taken.origins) for taken in self._taken) if self._taken else 0

    @property
    def sources(self) -> Iterator[Input]:
        """The inputs whose windows wait here."""
        return (origin.source for taken in self._taken for origin in taken.origins)

    def add(self, taken: Taken) -> None:
        """Append windows."""
        self._taken.append(taken)

    def clear(self) -> None:
        """Drop the windows that wait."""
        self._taken.clear()

    def activate(self, predictor: Predictor, *, takes_over: bool) -> None:
        """Have another model answer from now on.

        Args:
            predictor: the model.
            takes_over: whether it can answer the windows that wait for the model before. If not,
                that one does, unless it fails: then they are answered BAD.
        """
        self.shadow = None
        before = self._predictor
        if before is not None and not takes_over:
            before.is_given_up = self.failure is not None
        for taken in self._taken:
            if takes_over and taken.predictor is before:
                taken.predictor = predictor
        self._predictor, self._pace, self.failure = predictor, Pace(), None
        predictor.tap = self.tap_of(predictor.manifest) if self.tap_of else self.tap

    @property
    def shadow(self) -> "Candidate | None":
        """The model in the shadow of the one that serves; it ends there when another serves."""
        return self._predictor.shadow if self._predictor is not None else None

    @shadow.setter
    def shadow(self, candidate: "Candidate | None") -> None:
        if self._predictor is not None:
            self._predictor.shadow = candidate

    def answer(
        self,
        take_out: Callable[[], Taken | None],
        now_ns: Callable[[], int],
        *,
        within_ns: float | None,
    ) -> list[Outgoing]:
        """Answer the windows that wait here, and then those of the stream; see `Pipeline.infer`.

        Args:
            take_out: takes complete windows out of the stream; returns None if there are none.
            now_ns: as for `Pipeline.infer`, like what follows.
            within_ns: nanoseconds after which the other windows are left; None: all are answered.
        """
        outgoing: list[Outgoing] = []
        explanations = self.counted.explanations
        explanations.renew()
        began_ns = at_ns = self._clock.monotonic_ns()
        while (taken := self._taken.popleft() if self._taken else take_out()) is not None:
            left_ns = self._turn_ns if within_ns is None else began_ns + within_ns - at_ns
            room = self._pace.room(left_ns)
            if room < 1 and within_ns is not None and outgoing:
                self._taken.appendleft(taken)
                break
            batch, origins, predictor = taken.batch, taken.origins, taken.predictor
            input_digest = b""
            if predictor.suspects is not None and predictor.suspects.is_careful:
                room, input_digest = 1, digest_of(origins[0].message)
            again = taken.replayed > 0
            if again:
                room = min(room, taken.replayed)
            if room < len(origins) > 1:
                batch, origins = taken.cut(max(1, room))
                self._taken.appendleft(taken)
            self._time_limit.under_way = at_ns, predictor.session.options
            self._under_way.infer(predictor.digest, input_digest)
            outgoing += predictor.predict(batch, origins, now_ns, self.counted, again=again)
            self._under_way.done()
            self._time_limit.under_way = None
            before_ns, at_ns = at_ns, self._clock.monotonic_ns()
            self._note(predictor, len(origins), at_ns - before_ns, explanations.taken_ns())
        return outgoing

    def _note(self, predictor: Predictor, windows: int, elapsed_ns: int, explained_ns: int) -> None:
        """Note how long a call has taken, and whether the model has failed."""
        if elapsed_ns >= self._time_limit.doubtful_ns:
            predictor.session.renew_options()  # the flag in the old ones may have been set
        elapsed_ns -= explained_ns
        if predictor.answered:
            self.counted.durations_us.add(round(predictor.took_ms * 1000), predictor.answered)
            if predictor.shadow is not None:
                predictor.shadow.judge.took_champion(predictor.took_ms)
        self.batch_ns += (elapsed_ns - self.batch_ns) / 8
        if predictor is not self._predictor or not predictor.has_run:
            return
        self._pace.note(windows, elapsed_ns)
        error = predictor.error
        if error is None:
            self.failure = None
            return
        self.failure = Failure(error, 1 + (self.failure.batches if self.failure else 0))
        self._log.warning(
            error.code,
            "model failed on live windows",
            stream=self._stream,
            windows=windows,
            code=error.code,
            reason=str(error)[:MAX_MESSAGE],
        )
