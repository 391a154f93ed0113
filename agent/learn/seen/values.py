"""What the values of one signal are: numbers, booleans, states or text."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agent.learn.seen import shown
from agent.learn.seen.units import unit_behind
from models.errors import DecodeError
from models.input.codecs.values import to_lenient_number, to_number
from models.states import MAX_TEXT, state_text

Kind = Literal["number", "boolean", "state", "text", "none"]
MAX_STATES: Final = 12
_OF_STATES: Final = re.compile(
    r"on|off|open(ed|ing)?|clos(ed|ing)|running|run|stop(ped)?|started|idle|auto(matic)?|manual"
    r"|true|false|yes|no|enabled|disabled|active|inactive|high|low|ok|fault|alarm|normal|ready",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one signal in a nutshell.

    Attributes:
        kind: what they are; `none` where there was nothing but null, lists or objects.
        count: number of values that were looked at.
        low: the least number.
        high: the largest number.
        states: the states, most frequent first; empty for other kinds.
        is_quoted: whether a number stood in quotes, so that `numbers = "lenient"` is needed.
        unit: the unit that stood behind the numbers; empty without one.
        others: number of values that are not of the kind.
        examples: values as comments show them, the first ones.
    """

    kind: Kind
    count: int
    low: float = 0.0
    high: float = 0.0
    states: tuple[str, ...] = ()
    is_quoted: bool = False
    unit: str = ""
    others: int = 0
    examples: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Whether the agent reads them as numbers without codes."""
        return self.kind in ("number", "boolean")


def summary(found: Iterable[object], name: str = "") -> Values:
    """The values of one signal; `name` is the key or the topic that they stand at."""
    values = [one for one in found if one is not None]
    examples = tuple(dict.fromkeys(shown.value(one, name) for one in values[:8]))[:4]
    if not values:
        return Values("none", 0)
    if all(type(one) is bool for one in values):
        return Values("boolean", len(values), 0.0, 1.0, examples=examples)
    numbers = [number for one in values if (number := _number(one)) is not None]
    if 2 * len(numbers) > len(values):
        quoted = [one for one in values if isinstance(one, str) and _number(one) is not None]
        return Values(
            "number",
            len(values),
            min(numbers),
            max(numbers),
            is_quoted=bool(quoted),
            unit=_unit(quoted),
            others=len(values) - len(numbers),
            examples=examples,
        )
    return _of_texts(values, examples)


def _of_texts(values: Sequence[object], examples: tuple[str, ...]) -> Values:
    texts = [state_text(_word(one)) for one in values if isinstance(one, str | bool)]
    if not texts:
        return Values("none", len(values), examples=examples)
    counted = Counter(texts)
    few = len(counted) <= MAX_STATES and all(0 < len(text) <= MAX_TEXT for text in counted)
    repeats = len(counted) > 1 and len(texts) >= 2 * len(counted)
    if few and (repeats or all(_OF_STATES.fullmatch(text) for text in counted)):
        states = tuple(text for text, _ in counted.most_common())
        return Values("state", len(values), states=states, examples=examples)
    return Values("text", len(values), examples=examples)


def _word(value: str | bool) -> str:  # noqa: FBT001  a value of JSON, not a switch
    return str(value).lower() if isinstance(value, bool) else value


def _number(value: object) -> float | None:
    """A number as the agent reads it with lenient numbers; None if it is none."""
    try:
        if isinstance(value, str):
            is_boolean = value.strip().lower() in ("true", "false")
            return None if is_boolean else to_lenient_number(value)
        return to_number(value)
    except DecodeError:
        return None


def _unit(texts: Sequence[str]) -> str:
    units = Counter(unit_behind(text) for text in texts)
    return units.most_common(1)[0][0] if units else ""
