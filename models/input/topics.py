"""Topic templates: `plant/{line}/{asset}/{signal}` as a filter, a matcher and a renderer.

A named level matches exactly one level of a topic. All named levels except `{signal}` make up the
asset key, so under the template above `plant/l1/pump7/flow` is a reading of asset `l1/pump7`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

SIGNAL = "signal"
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
# Wildcards, the separator and NUL may not stand in a level (MQTT 5, 4.7.1 and 4.7.3); topics that
# begin with $ belong to the broker (4.7.2), and a level may become the first one.
_ILLEGAL_IN_LEVEL = re.compile(r"[+#/\x00$]")
MAX_TOPIC_BYTES = 65_535  # MQTT 5, 1.5.4


class TemplateError(ValueError):
    """A text that is not a topic template; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Levels:
    """What a topic has at the named levels of a template.

    Attributes:
        by_name: the level by its name, in the order of the template.
    """

    by_name: Mapping[str, str]

    @property
    def asset(self) -> str:
        """The asset key: every named level except the signal, joined by slashes."""
        return "/".join(value for name, value in self.by_name.items() if name != SIGNAL)

    @property
    def signal(self) -> str | None:
        """The level named `{signal}`; None where the template has none."""
        return self.by_name.get(SIGNAL)


class TopicTemplate:
    """A topic with named levels.

    Attributes:
        text: the template as it was written.
        filter: the MQTT topic filter that matches all topics of the template.
        names: the names of its levels, from left to right.

    Raises:
        TemplateError: the template is empty, has a wildcard, names a level twice, or mixes a
            placeholder and text in one level.
    """

    def __init__(self, text: str) -> None:
        if not text or text.startswith("/") or "\x00" in text:
            raise TemplateError(f"topic '{text}' must not be empty or begin with a slash")
        if "+" in text or "#" in text:
            raise TemplateError(f"topic '{text}': write named levels such as {{asset}}, not + or #")
        if text.startswith("$share/"):
            # The broker hands each message of a shared subscription to one of its members (MQTT 5,
            # 4.8.2), so the readings of one asset would be spread over several agents' windows.
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
        """The named levels of a topic, none of them empty; None if the template does not fit."""
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
        """What keeps a topic from matching, in words for the operator; empty if it matches."""
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
        """The topic that results when the named levels are filled in.

        Raises:
            TemplateError: a level is missing, is empty, or has a character that is not allowed.
        """
        return _PLACEHOLDER.sub(lambda found: self._level(found[1], levels), self.text)

    def _level(self, name: str, levels: Mapping[str, str]) -> str:
        value = levels.get(name, "")
        if not value or _ILLEGAL_IN_LEVEL.search(value):
            raise TemplateError(f"topic '{self.text}': level {name} cannot be '{value}'")
        return value


def overlap(one: str, other: str) -> bool:
    """Whether some topic matches both of two filters that have no `#` (MQTT 5, 4.7)."""
    levels, others = one.split("/"), other.split("/")
    return len(levels) == len(others) and all(
        level == wanted or "+" in (level, wanted)
        for level, wanted in zip(levels, others, strict=True)
    )
