"""Topics of one kind as a template: which levels vary, which one names the signal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.input.topics import ASSET, SIGNAL, TemplateError, TopicTemplate

_NAMES: Final = (ASSET, "line", "area", "site", "enterprise")
"""Names of the levels that vary, from the right."""
_BEHIND_A_SIGNAL: Final = frozenset(
    [
        "value",
        "val",
        "v",
        "state",
        "data",
        "reading",
        "raw",
        "current",
        "actual",
        "present_value",
        "pv",
    ]
)
"""Words that stand behind the name of a signal."""
_BEHIND_AN_ASSET: Final = frozenset(
    [
        "telemetry",
        "data",
        "state",
        "status",
        "values",
        "value",
        "json",
        "sensor",
        "sensors",
        "all",
        "readings",
        "tags",
        "up",
        "raw",
        "event",
        "events",
        "attributes",
        "measurements",
        "measurement",
        "metrics",
        "payload",
        "msg",
        "message",
    ]
)
"""Words that stand behind the name of an asset."""
_OPEN: Final = "{path...}"


@dataclass(frozen=True, slots=True)
class Shape:
    """A template that matches topics.

    Attributes:
        template: the template.
        assumed: a level that was named although it did not vary, with the one word that was seen;
            empty without one.
        signal_level: index of the level that names the signal; None where none does.
    """

    template: str
    assumed: str = ""
    signal_level: int | None = None


def shape(
    topics: Sequence[str], others: Iterable[str], *, by_signal: bool, has_asset: bool = False
) -> Shape | None:
    """The template of topics with the same number of levels; None if none can be written.

    Args:
        topics: topics of one kind, at least one.
        others: topics of other kinds; a level that did not vary is not named if the template would
            then match one of them.
        by_signal: whether each topic carries one signal, which a level names.
        has_asset: whether the payload names the asset, so that no level may be called so.
    """
    split = [topic.split("/") for topic in topics]
    depth = len(split[0])
    varying = [at for at in range(depth) if len({levels[at] for levels in split}) > 1]
    signal = _signal_level(split[0], varying) if by_signal else None
    named = _named(varying, signal, _NAMES[1:] if has_asset else _NAMES)
    if not (named or has_asset) and (at := _likely_asset(split[0], signal)) is not None:
        wider = _written(split[0], {at: ASSET}, signal)
        if wider is not None and not any(map(TopicTemplate(wider).match, others)):
            return Shape(wider, split[0][at], signal)
    written = _written(split[0], named, signal)
    return None if written is None else Shape(written, "", signal)


def open_shape(topics: Sequence[str], others: Iterable[str]) -> Shape | None:
    """The template of topics of different depth; None if it would match others, or all topics."""
    split = [topic.split("/") for topic in topics]
    common = 0
    while common < min(map(len, split)) - 1 and len({levels[common] for levels in split}) == 1:
        common += 1
    if not any(split[0][:common]):
        return None
    written = _checked("/".join([*split[0][:common], _OPEN]))
    if written is None or any(map(TopicTemplate(written).match, others)):
        return None
    return Shape(written)


def seen(template: str, topics: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """The words at each named level of a template, in the order in which they were seen."""
    parsed, found = TopicTemplate(template), dict[str, dict[str, None]]()
    for topic in topics:
        levels = parsed.match(topic)
        for name, word in levels.by_name.items() if levels else ():
            found.setdefault(name, {})[word] = None
    return {name: list(words) for name, words in found.items()}


def _signal_level(levels: Sequence[str], varying: Sequence[int]) -> int:
    last = len(levels) - 1
    if last in varying or levels[last].casefold() not in _BEHIND_A_SIGNAL or not last:
        return last
    return varying[-1] if varying else last - 1


def _named(varying: Sequence[int], signal: int | None, known: Sequence[str]) -> dict[int, str]:
    own = [at for at in varying if at != signal]
    names = [*known, *(f"level{number}" for number in range(len(own) - len(known)))]
    return dict(zip(reversed(own), names, strict=False))


def _likely_asset(levels: Sequence[str], signal: int | None) -> int | None:
    """The level that most likely names the asset, never the first one."""
    last = (len(levels) if signal is None else signal) - 1
    while last > 1 and _is_behind_an_asset(levels[last]):
        last -= 1
    return last if last > 0 and levels[last] else None


def _is_behind_an_asset(level: str) -> bool:
    """Whether a level is none of an asset: telemetry, or _historian of UMH."""
    return level.startswith("_") or level.casefold() in _BEHIND_AN_ASSET


def _written(levels: Sequence[str], named: Mapping[int, str], signal: int | None) -> str | None:
    words = [f"{{{named[at]}}}" if at in named else word for at, word in enumerate(levels)]
    if signal is not None:
        words[signal] = f"{{{SIGNAL}}}"
    plain = [word for at, word in enumerate(levels) if at not in named and at != signal]
    if any("{" in word or "}" in word for word in plain):
        return None
    return _checked("/".join(words))


def _checked(text: str) -> str | None:
    try:
        TopicTemplate(text)
    except TemplateError:
        return None
    return text
