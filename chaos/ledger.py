"""What was sent, what was answered, and what that says: lost, phantom, repeated, out of order."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chaos.traffic import Key


class Answer(NamedTuple):
    """A prediction as SCADA has received it.

    Attributes:
        id: of the prediction, the same for a repetition.
        at_s: when it came, by the monotonic clock.
    """

    key: Key
    value: float | None
    id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one stream.

    Attributes:
        expected: predictions that an undisturbed agent would have made.
        lost: those of them that nobody saw, and that the broker had not confirmed either.
        broker_lost: those that the broker had confirmed to the agent, and then lost.
        phantom: predictions of what was never sent, or of another value or id than the first.
        repeated: predictions that came again with the same id.
        out_of_order: predictions older than one that came before, repetitions left out.
    """

    expected: int
    lost: int
    broker_lost: int
    phantom: int
    repeated: int
    out_of_order: int


def judge(
    expected: Mapping[Key, float | None],
    answers: Iterable[Answer],
    confirmed: Collection[Key] = (),
) -> Verdict:
    """Hold the answers of one stream against what they should be.

    Args:
        expected: every prediction and its value.
        answers: in the order in which they came.
        confirmed: predictions that the broker has confirmed to the agent.
    """
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
            out_of_order += key.time_ms < newest[key.asset]
            newest[key.asset] = max(newest[key.asset], key.time_ms)
    missing = expected.keys() - ids.keys()
    broker_lost = sum(key in confirmed for key in missing)
    return Verdict(
        len(expected), len(missing) - broker_lost, broker_lost, phantom, repeated, out_of_order
    )


def median(values: Sequence[float]) -> float:
    """The middle one; the upper of two."""
    return sorted(values)[len(values) // 2]
