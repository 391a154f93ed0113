r"""Paths: where in a parsed document a value stands.

hydraulics.pressure             keys, separated by dots
channels[0].value               an element of an array by its number; [-1] is the last
values[?id=FT101].v             the element of an array whose key `id` has the text FT101
"Channel1.Device1.Tag1"         a key with dots or brackets in it, quoted
Channel1\.Device1\.Tag1         the same; a backslash takes the next sign for text
values[*].v                     every element of an array

A path is parsed when a configuration is read, and compiled when a model is activated: for a message
only the function is called that `finder` returns.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from models.errors import DecodeError

MAX_CHARACTERS: Final = 1_024
"""Longest path. A node id of OPC UA with its namespace has some 200 characters."""
MAX_STEPS: Final = 32
"""Most keys and brackets of a path. No documented payload nests deeper than 10 levels."""
_ABSENT: Final = object()
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}(?=\])")
_RESERVED: Final = frozenset('.[]"\\')
_BRACKET: Final = "the number of an element, *, or ? with a key, = and a text"


class PathError(ValueError):
    """A text that is not a path; the message says where, what was found and what is allowed."""


class Pick(NamedTuple):
    """The element of an array that has a text at a key.

    Attributes:
        key: key of the element.
        text: the text that it has there; a number there is compared by how JSON writes it.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Every:
    """Every element of an array."""


Step = str | int | Pick | Every
"""One step into a document: a key, the number of an element, or a choice among elements."""
Path = tuple[Step, ...]


class Finder(Protocol):
    """Finds the value at one path."""

    def __call__(self, document: Any, absent: Any = None, /) -> Any:  # noqa: ANN401  any JSON value
        """The value at the path, or `absent` where there is none.

        Raises:
            DecodeError: `element_repeated` if several elements of an array have the text by which
                the path picks one.
        """


def parsed(text: str) -> Path:
    """The steps of a path.

    Raises:
        PathError: the text is not a path, or exceeds `MAX_CHARACTERS` or `MAX_STEPS`.
    """
    if len(text) > MAX_CHARACTERS:
        raise PathError(
            f"path '{text[:32]}...' has {len(text)} characters; at most {MAX_CHARACTERS} are "
            "allowed"
        )
    scanner = _Scanner(text)
    steps = [scanner.bracket() if scanner.sees("[") else scanner.key()]
    while not scanner.is_done:
        if scanner.takes("."):
            steps.append(scanner.key())
        elif scanner.sees("["):
            steps.append(scanner.bracket())
        else:
            scanner.fail("a dot or [")
    if len(steps) > MAX_STEPS:
        raise PathError(f"path '{text}' has {len(steps)} steps; at most {MAX_STEPS} are allowed")
    return tuple(steps)


def single(text: str) -> Path:
    """The steps of a path that leads to one value.

    Raises:
        PathError: see `parsed`; or the path leads to every element of an array.
    """
    path = parsed(text)
    if Every() in path:
        raise PathError(
            f"path '{text}' leads to every element of an array, and one value is needed: name the "
            "element by its number, such as [0], or by a key, such as [?id=FT101]"
        )
    return path


def rendered(path: Iterable[Step]) -> str:
    """The text of a path; parsed, it gives an equal path."""
    return "".join(map(_rendered, path)).removeprefix(".")


def check_differ(signals: Mapping[str, str]) -> None:
    """Check that no two signals have the same path, in whatever spelling.

    Args:
        signals: the text of each signal's path, by the name of the signal.

    Raises:
        PathError: two signals have the same path, or a text is not a path to one value.
    """
    known: dict[Path, str] = {}
    for name, text in signals.items():
        try:
            path = single(text)
        except PathError as exc:
            raise PathError(f"signals: {name}: {exc}") from exc
        if (other := known.setdefault(path, name)) != name:
            raise PathError(
                f"signals: {other} and {name} are both bound to the path {text}: give each its own"
            )


def finder(path: Path) -> Finder:
    """The function that finds the value at a path.

    Args:
        path: a path that leads to one value, see `single`.
    """
    if all(isinstance(step, str) for step in path):
        return _by_keys(path)
    steps = [_STEPS[type(step)](step) for step in path]

    def find(document: Any, absent: Any = None, /) -> Any:  # noqa: ANN401  any JSON value
        for step in steps:
            document = step(document)
            if document is _ABSENT:
                return absent
        return document

    return find


def finder_of(text: str) -> Finder | None:
    """The function that finds the value at a path; None without a path.

    Raises:
        PathError: see `single`.
    """
    return finder(single(text)) if text else None


def top_key(path: Path) -> str:
    """The key of a path that is one key at the top of the document; empty for any other path."""
    return path[0] if len(path) == 1 and isinstance(path[0], str) else ""


def _by_keys(keys: Sequence[Any]) -> Finder:
    def find(document: Any, absent: Any = None, /) -> Any:  # noqa: ANN401  any JSON value
        try:
            for key in keys:
                document = document.get(key, absent)
        except AttributeError:  # of all JSON values only objects have `get`
            return absent
        return document

    return find


def _by_key(key: str) -> Callable[[Any], Any]:
    return lambda found: found.get(key, _ABSENT) if isinstance(found, dict) else _ABSENT


def _by_number(number: int) -> Callable[[Any], Any]:
    least = -number if number < 0 else number + 1
    return lambda found: found[number] if type(found) is list and len(found) >= least else _ABSENT


def _by_text(pick: Pick) -> Callable[[Any], Any]:
    key, text = pick

    def find(elements: Any) -> Any:  # noqa: ANN401  any JSON value
        found = _ABSENT
        for element in elements if type(elements) is list else ():
            if isinstance(element, dict) and (at := element.get(key)) is not None:
                if at != text and (type(at) is str or _written(at) != text):
                    continue
                if found is not _ABSENT:
                    raise DecodeError("element_repeated")
                found = element
        return found

    return find


_STEPS: Final[dict[type, Callable[[Any], Callable[[Any], Any]]]] = {
    str: _by_key,
    int: _by_number,
    Pick: _by_text,
}


def _written(value: object) -> str | None:
    """How JSON writes a number, true or false; None for an object or an array."""
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def _rendered(step: Step) -> str:
    if isinstance(step, str):
        return "." + _quoted(step, _RESERVED)
    if isinstance(step, int):
        return f"[{step}]"
    if isinstance(step, Every):
        return "[*]"
    return f"[?{_quoted(step.key, _RESERVED | {'='})}={_quoted(step.text, _RESERVED - {'.'})}]"


def _quoted(text: str, reserved: frozenset[str]) -> str:
    if text and reserved.isdisjoint(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Scanner:
    """Reads a path from left to right.

    Attributes:
        is_done: whether nothing is left.
    """

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    @property
    def is_done(self) -> bool:
        return self._at == len(self._text)

    def sees(self, sign: str) -> bool:
        return self._text.startswith(sign, self._at)

    def takes(self, sign: str) -> bool:
        if seen := self.sees(sign):
            self._at += 1
        return seen

    def fail(self, allowed: str) -> NoReturn:
        """Say what stands at this place, and what is allowed.

        Raises:
            PathError: always.
        """
        found = f"ends after {self._at} characters"
        if not self.is_done:
            found = f"has '{self._text[self._at]}' as character {self._at + 1}"
        raise PathError(f"path '{self._text}' {found}; allowed there is {allowed}")

    def key(self) -> str:
        """A key, plain or quoted."""
        allowed = "a key; a key with dots, brackets or quotes in it is written in quotes"
        return self._word(".[", ']"', allowed)

    def bracket(self) -> Step:
        """What stands in brackets, and the brackets."""
        self.takes("[")
        step: Step
        if number := _NUMBER.match(self._text, self._at):
            self._at, step = number.end(), int(number[0])
        elif self.takes("*"):
            step = Every()
        elif self.takes("?"):
            step = self._pick()
        else:
            self.fail(_BRACKET)
        if not self.takes("]"):
            self.fail("]")
        return step

    def _pick(self) -> Pick:
        key = self._word(
            "=", '.[]"', "the key of the elements, in quotes if it has . [ ] or = in it"
        )
        if not self.takes("="):
            self.fail("= and the text of the element that is wanted")
        return Pick(key, self._word("]", '["', "a text, in quotes if it has brackets in it"))

    def _word(self, ends: str, refused: str, allowed: str) -> str:
        """A text in quotes, or one up to a sign that ends it and is left for the caller."""
        if self.takes('"'):
            return self._in_quotes()
        signs: list[str] = []
        while not self.is_done and self._text[self._at] not in ends:
            if self._text[self._at] in refused:
                self.fail(allowed)
            signs.append(self._sign('one of . [ ] = " \\ after the backslash'))
        if not signs:
            self.fail(allowed)
        return "".join(signs)

    def _in_quotes(self) -> str:
        signs: list[str] = []
        while not self.takes('"'):
            if self.is_done:
                self.fail("the quote that ends the text")
            signs.append(self._sign('\\" or \\\\ after the backslash'))
        return "".join(signs)

    def _sign(self, allowed: str) -> str:
        """The next sign; after a backslash, the one behind it."""
        if self.takes("\\") and (self.is_done or self._text[self._at] not in '.[]="\\'):
            self.fail(allowed)
        self._at += 1
        return self._text[self._at - 1]
