"""Payload format `tags`, and the named ones that are lists of tags: readings of a payload.

Tags of one asset that have the same time and quality become one reading, so that a message with a
whole row is a row to the windows too.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from models.errors import DecodeError
from models.input.codecs.document import Parse
from models.input.codecs.paths import finder_of
from models.input.codecs.values import ValueReader
from models.input.naming import asset_in
from models.input.source import Input
from models.input.tags.form import Form, Tag
from models.input.tags.rows import Found, Rows
from models.input.tags.wording import Wording, Wordings

_ABSENT: Final = object()
_Parser = Callable[[bytes], tuple[Sequence[Any], str]]


class TagsDecoder:
    """Decoder of lists of tags.

    Args:
        source: the input, whose layout and ways of reading count.
        names: name of the tag of each bound signal, in the order in which values are wanted.
        readers: what reads the value of each signal.

    Attributes:
        wordings: read messages without parsing them; None where payloads are no JSON text.
    """

    def __init__(self, source: Input, names: Sequence[str], readers: Sequence[ValueReader]) -> None:
        forms = source.forms
        self._marks = [finder_of(form.mark) for form in forms]
        self._forms = [Form(source, form, names, readers) for form in forms]
        self._width = len(names)
        self._is_by_asset = any(form.by_asset for form in forms)
        self._parse: _Parser = partial(_parts, source.parse)
        if source.dialect == "influx":
            # Imported here, as few gateways need it and every start would pay for it.
            from models.input.tags.lines import metrics  # noqa: PLC0415  see above

            self._parse = metrics
        is_text = not source.encoding and source.dialect != "influx"
        self.wordings = Wordings(self._wording) if is_text and not self._is_by_asset else None

    def __call__(self, payload: bytes) -> Found:
        """The readings of a payload; none of one whose type says that it carries no tags.

        Raises:
            DecodeError: `not_an_object` if it is no object and no array of objects; `no_signal` if
                it has none of the tags; `too_many_entries`; the reason of the last tag, if none can
                be used; see `Input.parse` and `lines.metrics`.
        """
        if self.wordings is None:
            return self.read(*self._parse(payload))
        found = self.wordings.read(payload)
        if found is None:
            parts, refused = self._parse(payload)
            found = self.read(parts, refused)
            if len(parts) == 1 and type(parts[0]) is dict:
                self.wordings.note(payload, parts[0], found)
        return found

    def read(self, parts: Sequence[Any], refused: str = "") -> Found:
        """The readings of a payload that is parsed already.

        Args:
            parts: the document, or the elements of one that is an array.
            refused: code of the reason for which something of the payload cannot be used.

        Raises:
            DecodeError: see `__call__`.
        """
        rows = Rows(self._width)
        rows.refused = refused
        for part in parts:
            for one in self._of_each_asset(part, rows) if self._is_by_asset else (part,):
                self._form(one).take(one, rows)
        readings = rows.readings()
        if not readings and not (rows.is_idle and not rows.refused):
            raise DecodeError(rows.refused or "no_signal")
        return Found(readings, rows.refused)

    def tags(self, payload: bytes) -> Iterator[Tag]:
        """All tags of a payload, for whoever looks for one.

        Raises:
            DecodeError: see `__call__`.
        """
        rows = Rows(self._width)
        for part in self._parse(payload)[0]:
            for one in self._of_each_asset(part, rows) if self._is_by_asset else (part,):
                yield from self._form(one).tags(one)

    def _of_each_asset(self, part: object, rows: Rows) -> Iterator[Any]:
        """The parts of a payload by asset, while `rows` has the asset of the tags."""
        if not isinstance(part, dict):
            rows.refused = "not_an_object"
            return
        for asset in part:
            try:
                rows.asset, found = asset_in(asset), part[asset]
            except DecodeError as exc:
                rows.refused = exc.reason
                continue
            yield from found if type(found) is list else (found,)

    def _wording(self, payload: bytes, document: object, found: Found) -> Wording | None:
        return self._form(document).wording(payload, document, found)

    def _form(self, part: object) -> Form:
        for mark, form in zip(self._marks, self._forms, strict=True):
            if mark is None or mark(part, _ABSENT) is not _ABSENT:
                return form
        return self._forms[-1]


def _parts(parse: Parse, payload: bytes) -> tuple[Sequence[Any], str]:
    document = parse(payload)
    return (document if type(document) is list else (document,)), ""
