"""Where the values of a parsed document stand, and which of these places comes nearest to a path.

Used by `why`, for a path of the configuration at which a payload has nothing. It works on any
document of objects and lists, whatever it was parsed from.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

from models.errors import DecodeError
from models.input.codecs.paths import Path, Pick, Step, finder, rendered

MAX_PLACES: Final = 2_000
"""Places of a document that are looked at; a payload may have a hundred thousand."""
_CUTOFF: Final = 0.6
"""How alike two texts must be to be taken for each other: difflib's own default."""


def places(document: object) -> list[Path]:
    """The paths of the values in a document, at most `MAX_PLACES`, in the document's order.

    A list counts as one value, unless there are objects in it: then the values in these do.
    """
    return list(islice(_walk(document, ()), MAX_PLACES))


def is_at(document: object, path: Path) -> bool:
    """Whether a document has something at a path, if only null."""
    absent = object()
    try:
        return finder(path)(document, absent) is not absent
    except DecodeError:  # it is there, and cannot be read
        return True


def located(document: Any, path: Path) -> Path:  # noqa: ANN401  any parsed document
    """The same place with the numbers of elements that the path picks or counts from the end.

    Args:
        document: the parsed document, which has something at the path.
        path: the path.
    """
    steps: list[Step] = []
    for step in path:
        found = finder((step,))(document)
        if not isinstance(step, str):
            step = next(number for number, one in enumerate(document) if one is found)  # noqa: PLW2901  the same step
        steps.append(step)
        document = found
    return tuple(steps)


def nearest(document: object, wanted: Path, found: Sequence[Path]) -> Path | None:
    """The place of a document that a path was most likely meant to name; None if none is alike.

    In this order: the same in upper or lower case, or a key with dots in it that the path writes
    without quotes; the path with the first step that leads nowhere put right; the same last key
    elsewhere; the most similar text.

    Args:
        document: the parsed document, which has nothing at the path.
        wanted: the path.
        found: the paths of the document's values, see `places`.
    """
    joined = _joined(wanted)
    if same := next((path for path in found if _joined(path) == joined), None):
        return same
    if mended := _mended(document, wanted):
        return mended
    last = _last_key(wanted)
    if last and (same := next((path for path in found if _last_key(path) == last), None)):
        return same
    by_text = {rendered(path).casefold(): path for path in found}
    close = nearest_text(rendered(wanted).casefold(), by_text)
    return by_text[close] if close is not None else None


def nearest_text(wanted: str, known: Iterable[str]) -> str | None:
    """The one of some texts that comes nearest to another, whatever the case; None if none does."""
    by_folded = {text.casefold(): text for text in islice(known, MAX_PLACES)}
    close = get_close_matches(wanted.casefold(), by_folded, n=1, cutoff=_CUTOFF)
    return by_folded[close[0]] if close else None


def _walk(document: object, above: Path) -> Iterator[Path]:
    if isinstance(document, dict) and document:
        for key, value in document.items():
            if isinstance(key, str):  # a byte string of CBOR has no path
                yield from _walk(value, (*above, key))
    elif isinstance(document, list) and any(isinstance(one, dict) for one in document):
        for number, one in enumerate(document):
            yield from _walk(one, (*above, number))
    elif above:
        yield above


def _mended(document: Any, wanted: Path) -> Path | None:  # noqa: ANN401  any parsed document
    """The path with another key, or another text, in place of the first that is not there."""
    for at, step in enumerate(wanted):
        if not is_at(document, (step,)):
            instead = _instead(document, step)
            mended = (*wanted[:at], instead, *wanted[at + 1 :]) if instead is not None else ()
            rest = mended[at:]
            return mended if rest and is_at(document, rest) else None
        try:
            document = finder((step,))(document)
        except DecodeError:
            return None
    return None


def _instead(document: Any, step: Step) -> Step | None:  # noqa: ANN401  as above
    if isinstance(step, str) and isinstance(document, dict):
        return nearest_text(step, [key for key in document if isinstance(key, str)])
    if isinstance(step, Pick) and isinstance(document, list):
        text = nearest_text(step.text, _texts(document, step.key))
        return Pick(step.key, text) if text is not None else None
    return None


def _texts(elements: Collection[Any], key: str) -> Iterator[str]:
    """The texts at a key of the elements of an array."""
    for element in elements:
        if isinstance(element, dict) and isinstance(text := dict.get(element, key), str):
            yield text


def _joined(path: Path) -> str:
    return ".".join(str(step) for step in path).casefold()


def _last_key(path: Path) -> str:
    """The last step of a path, if it is a key, in lower case; else empty."""
    return path[-1].casefold() if isinstance(path[-1], str) else ""
