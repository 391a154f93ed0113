"""Topic templates: `plant/{line}/{asset}/{signal}` as a filter, a matcher and a renderer.

A named level matches exactly one level of a topic. The last may be written `{path...}` and then
matches one level or more. All named levels except `{signal}` make up the asset key, so under the
template above `plant/l1/pump7/flow` is a reading of asset `l1/pump7`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

ASSET = "asset"
SIGNAL = "signal"
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)(\.\.\.)?\}")
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


@dataclass(frozen=True, slots=True)
class _Level:
    """One level of a template: a text, or a name for what a topic has there."""

    word: str
    is_name: bool = False
    is_open: bool = False

    @property
    def filter(self) -> str:
        if self.is_open:
            return "#"
        return "+" if self.is_name else self.word


def _level(text: str, level: str) -> _Level:
    """One level of the template `text`.

    Raises:
        TemplateError: it mixes a placeholder and text, or lets the signal have several levels.
    """
    named = _PLACEHOLDER.fullmatch(level)
    if named is None and ("{" in level or "}" in level):
        raise TemplateError(f"topic '{text}': level '{level}' must be a name or plain text")
    if named is None:
        return _Level(level)
    if named[1] == SIGNAL and named[2]:
        raise TemplateError(f"topic '{text}': a signal is named by one level: write {{{SIGNAL}}}")
    return _Level(named[1], is_name=True, is_open=bool(named[2]))


class TopicTemplate:
    """A topic with named levels.

    Attributes:
        text: the template as it was written.
        filter: the MQTT topic filter that matches all topics of the template.
        names: the names of its levels, from left to right.
        is_open: whether the last level stands for one level or more, as in `plant/{path...}`.

    Raises:
        TemplateError: the template is empty, has a wildcard, names a level twice, mixes a
            placeholder and text in one level, or has a level of variable depth before its end.
    """

    def __init__(self, text: str) -> None:
        if not text or "\x00" in text:
            raise TemplateError(f"topic '{text}' must not be empty or have a NUL character")
        if "+" in text or "#" in text:
            raise TemplateError(f"topic '{text}': write named levels such as {{asset}}, not + or #")
        if text.startswith("$share/"):
            # The broker hands each message of a shared subscription to one of its members (MQTT 5,
            # 4.8.2), so the readings of one asset would be spread over several agents' windows.
            raise TemplateError(f"topic '{text}': shared subscriptions are not supported")
        self.text = text
        self._levels = [_level(text, level) for level in text.split("/")]
        named = [level for level in self._levels if level.is_name]
        self.names = tuple(level.word for level in named)
        if len(set(self.names)) != len(self.names):
            raise TemplateError(f"topic '{text}' names a level twice")
        self.is_open = self._levels[-1].is_open
        for level in self._levels[:-1]:
            if level.is_open:
                # A filter has # at its end only (MQTT 5, 4.7.1.2).
                raise TemplateError(
                    f"topic '{text}': {{{level.word}...}} stands for several levels and must be "
                    "the last; where levels follow, write a template for each depth"
                )
        self.filter = "/".join(level.filter for level in self._levels)

    def match(self, topic: str) -> Levels | None:
        """The named levels of a topic, none of them empty; None if the template does not fit."""
        found = self._split(topic)
        if len(found) != len(self._levels):
            return None
        named = {}
        for wanted, level in zip(self._levels, found, strict=True):
            if wanted.is_name and all(level.split("/")):
                named[wanted.word] = level
            elif wanted.is_name or wanted.word != level:
                return None
        return Levels(named)

    def difference(self, topic: str) -> str:
        """What keeps a topic from matching, in words for the operator; empty if it matches."""
        if self.text.startswith("/") and not topic.startswith("/"):
            return "begins with a slash, the topic does not"
        if topic.startswith("/") and not self.text.startswith(("/", "{")):
            return "does not begin with a slash, the topic does"
        found = self._split(topic)
        if len(found) != len(self._levels):
            at_least = "at least " if self.is_open else ""
            return f"has {at_least}{len(self._levels)} levels, the topic {len(found)}"
        for number, (wanted, level) in enumerate(zip(self._levels, found, strict=True), start=1):
            if wanted.is_name and not all(level.split("/")):
                empty = number + level.split("/").index("")
                return f"level {empty} of the topic is empty"
            if not wanted.is_name and wanted.word != level:
                return f"level {number} is '{wanted.word}', in the topic '{level}'"
        return ""

    def render(self, levels: Mapping[str, str]) -> str:
        """The topic that results when the named levels are filled in.

        Raises:
            TemplateError: a level is missing, is empty, or has a character that is not allowed.
        """
        return "/".join(
            self._filled(level, levels) if level.is_name else level.word for level in self._levels
        )

    def _split(self, topic: str) -> list[str]:
        """The levels of a topic; where the template is open, the last has all that are left."""
        return topic.split("/", len(self._levels) - 1) if self.is_open else topic.split("/")

    def _filled(self, level: _Level, levels: Mapping[str, str]) -> str:
        value = levels.get(level.word, "")
        parts = value.split("/") if level.is_open else [value]
        if not all(map(is_level, parts)):
            raise TemplateError(f"topic '{self.text}': level {level.word} cannot be '{value}'")
        return value


def is_level(text: str) -> bool:
    """Whether a text may be a level of the topics that are published on."""
    return bool(text) and _ILLEGAL_IN_LEVEL.search(text) is None


def metadata_topic(text: str) -> str:
    """The template of a connector's metadata, by that of its values (Siemens Industrial Edge).

    Raises:
        TemplateError: the template is not one of values.
    """
    levels = text.split("/")
    if levels[:5] != ["ie", "d", "j", "simatic", "v1"] or levels[6:8] != ["dp", "r"]:
        raise TemplateError(
            f"topic '{text}': dialect siemens needs ie/d/j/simatic/v1/{{app}}/dp/r/ and then the "
            "connection and the collection, such as {connection}/{collection}"
        )
    return "/".join(["ie", "m", *levels[2:7]])


def overlap(one: str, other: str) -> bool:
    """Whether some topic matches both of two filters (MQTT 5, 4.7)."""
    levels, others = one.split("/"), other.split("/")
    for level, wanted in zip(levels, others, strict=False):
        if "#" in (level, wanted):
            return True
        if level != wanted and "+" not in (level, wanted):
            return False
    common = min(len(levels), len(others))
    # `plant/#` matches `plant` too (4.7.1.2).
    return levels[common:] + others[common:] in ([], ["#"])


def check_delivered_once(filters: Iterable[str]) -> None:
    """Check that no topic matches two different topic filters.

    A broker may deliver a message once for each subscription that matches it (MQTT 5, 3.3.4), and
    windows would then take a reading twice.

    Raises:
        ValueError: two topic filters overlap; the message names both, and what to do.
    """
    for one, other in combinations(sorted(set(filters)), 2):
        if overlap(one, other):
            raise ValueError(
                f"inputs '{one}' and '{other}' have topics in common, which would arrive "
                "twice: write both topics alike, or give each an agent of its own"
            )
