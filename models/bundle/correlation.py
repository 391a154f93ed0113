"""How long a plant remembers: the correlation times of its answers and signals in training.

They travel in the bundle's `reference.json`. Gates of a rollout count blocks of time that are at
least this long (ADR 62), so that what one block says is news to the next. Bundles of earlier
releases have none, which means that the time is not known.
"""

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from models.bundle.manifest import Finite

ENOUGH: Final = 20
"""Correlation times that a recording must have for one of them to be measured."""
BLOCK_S: Final = 600.0
"""Seconds of a block of time where nobody knows how long a plant remembers."""
_UNITS: Final = (("days", 86_400), ("hours", 3600), ("minutes", 60))
_NAMED: Final = 5

Positive = Annotated[Finite, Field(gt=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CorrelationTime(_Frozen):
    """The integrated autocorrelation time of a quantity: as far apart, values are news.

    Attributes:
        windows: the time in windows of one asset; 1 where each is independent of the one before.
        seconds: the time in seconds of event time; None where the recording has no times.
        is_bound: whether the recording is too short to tell, so that the time is at least this.
    """

    windows: Annotated[Finite, Field(ge=1)]
    seconds: Positive | None = None
    is_bound: bool = False

    def said(self, span: Callable[[float], str]) -> str:
        """The time in words, such as "3.3 minutes" or "at least 40 windows".

        Args:
            span: puts a number of seconds into words.
        """
        long = f"{self.windows:.3g} windows" if self.seconds is None else span(self.seconds)
        return f"at least {long}" if self.is_bound else long


class Correlation(_Frozen):
    """How long answers and signals of a plant stay correlated.

    Attributes:
        answer: the correlation time of the score, or of the value of a model without one.
        signals: the longest correlation time of a signal; None if that of no signal was measured.
        signal: name of the signal with the longest time; empty if there is none.
        slow: names of signals that change too slowly for the recording to tell their time.
        recorded: length of the recording, in windows of all assets together.
    """

    answer: CorrelationTime
    signals: CorrelationTime | None = None
    signal: str = ""
    slow: tuple[str, ...] = ()
    recorded: Annotated[int, Field(ge=0)] = 0

    @property
    def block_s(self) -> float | None:
        """Seconds that a block of a gate needs at least; None where the plan has to state them.

        They are the longest time that was measured, of the answer or of a signal. They are not
        known where the recording has no times, or is too short for the time of the answer.
        """
        if self.answer.is_bound or self.answer.seconds is None:
            return None
        of_signals = None if self.signals is None else self.signals.seconds
        return max(self.answer.seconds, of_signals or 0.0)

    @property
    def known_s(self) -> float | None:
        """The longest time that is known in seconds, measured or a bound; None without one."""
        times = (self.answer, self.signals)
        known = [one.seconds for one in times if one is not None and one.seconds is not None]
        return max(known, default=None)

    def said(self, span: Callable[[float], str] | None = None) -> str:
        """The times in a sentence without a full stop.

        Args:
            span: puts a number of seconds into words; None: as seconds, minutes, hours or days.
        """
        words = in_words if span is None else span
        found = [f"answers stay correlated for {self.answer.said(words)}"]
        if self.answer.is_bound:
            found = [f"{found[0]} (the recording is too short to tell)"]
        if self.signals is not None:
            found.append(f"signals for up to {self.signals.said(words)} ({self.signal})")
        if self.slow:
            more = len(self.slow) - _NAMED
            named = ", ".join(self.slow[:_NAMED]) + (f" and {more} more" if more > 0 else "")
            verb = "changes" if len(self.slow) == 1 else "change"
            found.append(f"{named} {verb} too slowly for the recording to tell")
        return "; ".join(found)


def block_s(champion: Correlation | None, candidate: Correlation | None) -> float | None:
    """Seconds that a block of a gate needs at least, so that it is long enough for both models.

    Args:
        champion: times of the model that serves; None where they are not known.
        candidate: times of the model that is compared with it; None as before.

    Returns:
        The longer block of both; None where that of either is not known, for then whoever plans a
        rollout has to state it.
    """
    if champion is None or candidate is None:
        return None
    blocks = champion.block_s, candidate.block_s
    known = [block for block in blocks if block is not None]
    return max(known) if len(known) == len(blocks) else None


def in_words(seconds: float) -> str:
    """A length of time in words: "45 s", "3.32 minutes", "2.5 hours"."""
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def block_of(*known: Correlation | None) -> float:
    """Seconds of a block of time where nobody states any: the longest that bundles know of.

    Args:
        known: what each bundle says of its plant; None where it says nothing.
    """
    times = [one.known_s for one in known if one is not None]
    return max((one for one in times if one is not None), default=BLOCK_S)
