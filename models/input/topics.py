"""Topic templates: `plant/{line}/{asset}/{signal}` as a filter, a matcher and a renderer.

A named level matches one level of a topic. All named levels but `{signal}` make up the asset key,
so `plant/l1/pump7/flow` under the template above is a reading of asset `l1/pump7`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

SIGNAL = "signal"
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_ILLEGAL_IN_LEVEL = re.compile(r"[+#/\x00$]")
MAX_TOPIC_BYTES = 65_535  # MQTT 5, 1.5.4


class TemplateError(ValueError):
    """A template that is no topic; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Levels:
    """What the named levels of one topic were, in the order of the template."""

    by_name: Mapping[str, str]

    @property
    def asset(self) -> str:
        """The asset key: every named level but the signal, joined by slashes."""
        return "/".join(value for name, value in self.by_name.items() if name != SIGNAL)

    @property
    def signal(self) -> str | None:
        """The signal level, where the template has one."""
        return self.by_name.get(SIGNAL)


class TopicTemplate:
    """A topic with named levels.

    Attributes:
        text: as written.
        filter: the MQTT topic filter that subscribes to all topics the template describes.
        names: the named levels, in order.

    Raises:
        TemplateError: an empty template, a wildcard, a level that is half placeholder half text
            where it is matched, or a name used twice.
    """

    def __init__(self, text: str) -> None:
        if not text or text.startswith("/") or "\x00" in text:
            raise TemplateError(f"topic '{text}' must not be empty or begin with a slash")
        if "+" in text or "#" in text:
            raise TemplateError(f"topic '{text}': write named levels such as {{asset}}, not + or #")
        if text.startswith("$share/"):
            raise TemplateError(f"topic '{text}': shared subscriptions are not supported")
        self.text = text
        self.names = tuple(_PLACEHOLDER.findall(text))
        if len(set(self.names)) != len(self.names):
            raise TemplateError(f"topic '{text}' names a level twice")
        self._levels = text.split("/")
        for level in self._levels:
            if ("{" in level or "}" in level) and not _PLACEHOLDER.fullmatch(level):
                raise TemplateError(f"topic '{text}': level '{level}' must be a name or plain text")
        self.filter = "/".join("+" if level.startswith("{") else level for level in self._levels)

    def match(self, topic: str) -> Levels | None:
        """The named levels of `topic`, none of them empty; None if it is another topic."""
        found = topic.split("/")
        if len(found) != len(self._levels):
            return None
        named = {}
        for wanted, level in zip(self._levels, found, strict=True):
            if wanted.startswith("{") and level:
                named[wanted[1:-1]] = level
            elif wanted != level:
                return None
        return Levels(named)

    def difference(self, topic: str) -> str:
        """Why `match` says no, in words; empty where it says yes."""
        found = topic.split("/")
        if len(found) != len(self._levels):
            return f"has {len(self._levels)} levels, the topic {len(found)}"
        for number, (wanted, level) in enumerate(zip(self._levels, found, strict=True), start=1):
            if wanted.startswith("{") and not level:
                return f"level {number} of the topic is empty"
            if wanted != level and not wanted.startswith("{"):
                return f"level {number} is '{wanted}', in the topic '{level}'"
        return ""

    def render(self, levels: Mapping[str, str]) -> str:
        """The topic with the named levels filled in.

        Raises:
            TemplateError: a level is missing, empty, or holds a character no level may have.
        """
        return _PLACEHOLDER.sub(lambda found: self._level(found[1], levels), self.text)

    def _level(self, name: str, levels: Mapping[str, str]) -> str:
        value = levels.get(name, "")
        if not value or _ILLEGAL_IN_LEVEL.search(value):
            raise TemplateError(f"topic '{self.text}': level {name} cannot be '{value}'")
        return value


def overlap(one: str, other: str) -> bool:
    """Whether two filters without `#` describe any topic in common (MQTT 5, 4.7)."""
    levels, others = one.split("/"), other.split("/")
    return len(levels) == len(others) and all(
        level == wanted or "+" in (level, wanted)
        for level, wanted in zip(levels, others, strict=True)
    )
