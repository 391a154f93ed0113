"""Compares the predictions that came with those expected: lost, phantom, repeated, out of order."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chaos.traffic import Key


class Answer(NamedTuple):
    """A prediction that SCADA has received.

    Attributes:
        key: stream, asset and source time of the prediction.
        value: its value; None where a signal was missing.
        id: its id, the same for a repetition.
        at_s: when it arrived, seconds of the monotonic clock.
    """

    key: Key
    value: float | None
    id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the predictions of one stream.

    Attributes:
        expected: number of predictions that an undisturbed agent would have made.
        lost: number of those that never arrived, and that the broker had not confirmed either.
        broker_lost: number of those that the broker had confirmed to the agent, and then lost.
        phantom: number of predictions of a reading that was never sent, with a wrong value, or with
            another id than the first.
        repeated: number of predictions that came again with the same id.
        out_of_order: number of predictions that came behind one of their asset that should have
            come later, without repetitions.
    """

    expected: int
    lost: int
    broker_lost: int
    phantom: int
    repeated: int
    out_of_order: int


def compare(
    expected: Mapping[Key, float | None],
    answers: Iterable[Answer],
    confirmed: Collection[Key] = (),
    *,
    by_delivery: bool = False,
) -> Verdict:
    """Compare the predictions of one stream with those expected.

    Args:
        expected: value of every prediction that is expected.
        answers: predictions in the order of their arrival.
        confirmed: predictions that the broker has confirmed to the agent.
        by_delivery: whether the order within an asset is that in which `expected` has them, which
            is that of the readings as the broker delivered them; if not, it is that of event time.
    """
    rank = {key: place if by_delivery else key.time_ms for place, key in enumerate(expected)}
    ids: dict[Key, str] = {}
    newest: dict[str, int] = defaultdict(int)
    phantom = repeated = out_of_order = 0
    for answer in answers:
        key = answer.key
        if key not in expected or answer.value != expected[key]:
            phantom += 1
        elif key in ids:
            repeated += ids[key] == answer.id
            phantom += ids[key] != answer.id
        else:
            ids[key] = answer.id
            out_of_order += rank[key] < newest[key.asset]
            newest[key.asset] = max(newest[key.asset], rank[key])
    missing = expected.keys() - ids.keys()
    broker_lost = sum(key in confirmed for key in missing)
    return Verdict(
        len(expected), len(missing) - broker_lost, broker_lost, phantom, repeated, out_of_order
    )


def median(values: Sequence[float]) -> float:
    """The median; of an even number of values the upper one of the middle two."""
    return sorted(values)[len(values) // 2]
