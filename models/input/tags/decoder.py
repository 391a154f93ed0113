"""Payload format `tags`, and the named ones that are lists of tags: readings of a payload.

Tags of one asset that have the same time and quality become one reading, so that a message with a
whole row is a row to the windows too.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from models.errors import DecodeError
from models.input.codecs.paths import finder_of
from models.input.codecs.values import ValueReader
from models.input.source import Input
from models.input.tags.form import Form
from models.input.tags.rows import Rows, Tagged

_ABSENT: Final = object()


class Found(NamedTuple):
    """What a payload has.

    Attributes:
        readings: the readings, oldest first, those without a time last.
        refused: code of the reason for which a tag cannot be used; empty if all can.
    """

    readings: Sequence[Tagged]
    refused: str = ""


class TagsDecoder:
    """Decoder of lists of tags.

    Args:
        source: the input, whose layout and ways of reading count.
        names: name of the tag of each bound signal, in the order in which values are wanted.
        readers: what reads the value of each signal.
    """

    def __init__(self, source: Input, names: Sequence[str], readers: Sequence[ValueReader]) -> None:
        forms = source.forms
        self._marks = [finder_of(form.mark) for form in forms]
        self._forms = [Form(source, form, names, readers) for form in forms]
        self._width = len(names)
        self._parse = source.parse

    def __call__(self, payload: bytes) -> Found:
        """The readings of a payload.

        Raises:
            DecodeError: `not_an_object` if it is no object and no array of objects; `no_signal` if
                it has none of the tags; `too_many_entries`; the reason of the last tag, if none can
                be used; see `Input.parse`.
        """
        document = self._parse(payload)
        rows = Rows(self._width)
        for part in document if type(document) is list else (document,):
            self._form(part).take(part, rows)
        readings = rows.readings()
        if not readings:
            raise DecodeError(rows.refused or "no_signal")
        return Found(readings, rows.refused)

    def _form(self, part: object) -> Form:
        for mark, form in zip(self._marks, self._forms, strict=True):
            if mark is None or mark(part, _ABSENT) is not _ABSENT:
                return form
        return self._forms[-1]
