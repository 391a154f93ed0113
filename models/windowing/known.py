"""What retained messages say of an asset's signals, for samples that have nothing newer (ADR 46).

A retained message is no report: it completes no sample, and a live reading never has to give way to
an older one. What it says is kept beside what is held, and is looked at when a sample is made:

    live       set-point 5 at 10:00           flow at 10:14     flow at 10:20
    retained   set-point 7 at 10:15
    sample                                    has 5             has 7

So the order in which retained messages arrive does not matter, nor how often they do.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from models.windowing.asset_state import AssetState, SampleAndHold

_NEVER: Final = -(2**62)


class Known(NamedTuple):
    """What a retained message said of a signal.

    Attributes:
        time_ns: event time, nanoseconds since 1970; that of its arrival where it has none.
        value: the value, which is usable.
        quality: GOOD or UNCERTAIN, as a number.
        is_timed: whether it has a time of its own. If not, it may be older than the value held, and
            is kept only where that is too old by then, or there is none.
    """

    time_ns: int
    value: float
    quality: int = 0
    is_timed: bool = True


def keep(
    hold: "SampleAndHold",
    state: "AssetState",
    channels: Sequence[int],
    values: Sequence[float],
    at: Known,
) -> bool:
    """Keep what a retained message says of the signals that have a maximum age.

    Args:
        hold: ranges and maximum ages of the signals.
        state: state of the asset, in which it is kept.
        channels: indices of the signals.
        values: the value of each of them.
        at: time and quality; its value is not looked at.

    Returns:
        Whether any of it is kept: it is not where the same or a newer one is known, or when no
        later sample could use it.
    """
    is_kept = False
    for index, value in zip(channels, values, strict=True):
        max_age_ns = hold.max_ages_ns[index]
        known_ns = state.known[index].time_ns if index in state.known else _NEVER
        if max_age_ns is None or not hold.low[index] <= value <= hold.high[index]:
            continue
        newer_than_ns = state.held_ns[index] + (0 if at.is_timed else max_age_ns)
        if at.time_ns <= max(newer_than_ns, known_ns) or state.last_ns - at.time_ns > max_age_ns:
            continue
        state.known[index] = at._replace(value=value)
        is_kept = True
    return is_kept


def with_known(state: "AssetState", time_ns: int) -> tuple[list[float], Sequence[int], int]:
    """What is held, and since when, with what retained messages say in place of what is older.

    What a live reading has overtaken is forgotten.

    Args:
        state: state of the asset.
        time_ns: event time of the sample.

    Returns:
        Value and event time of each signal, and those that are doubtful, as in `AssetState`.
    """
    row, held_ns, doubtful = list(state.held), list(state.held_ns), state.doubtful
    for index, (known_ns, value, quality, _) in list(state.known.items()):
        if known_ns <= held_ns[index]:
            del state.known[index]
            continue
        if known_ns > time_ns:
            continue
        row[index], held_ns[index] = value, known_ns
        if quality:
            doubtful |= 1 << index
        elif state.unusable_ns[index] < known_ns:
            doubtful &= ~(1 << index)
    return row, held_ns, doubtful
