import json
import sys
import unicodedata

import pytest

from models.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\u001b[2J\u001b]0;title\u0007"),
        ("a\x7f\x9b31mb", r"a\u007f\u009b31mb"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066bar\u2069", r"\u2066bar\u2069"),
        ("bar\rfoo", r"bar\rfoo"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\udb40\udc41"),
    ],
    ids=["title", "controls", "right to left", "isolates", "return", "half", "tag"],
)
def test_what_a_terminal_obeys_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    ["m³/h", "°C", "µS/cm", "Füllstand", "压力", "क\u094d\u200dष", "a\tb\nc", "5\u00a0bar"],
    ids=["cubed", "degree", "micro", "umlaut", "Chinese", "joiner", "tab and line", "no-break"],
)
def test_text_of_any_language_stays(text: str) -> None:
    assert printable(text) == text


def test_no_control_character_of_unicode_is_left() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    left = {unicodedata.category(character) for character in printable(every)} & {"Cs", "Zl", "Zp"}
    assert left == set()
    assert {c for c in printable(every) if unicodedata.category(c) == "Cc"} == {"\n", "\t"}


def test_json_document_stays_the_same_document() -> None:
    document = {"unit": "\u202e\x1b\x9b\u2028\U000e0041", "name": 'a"b\\c'}
    shown = printable(json.dumps(document, ensure_ascii=False, indent=1))
    assert json.loads(shown) == document
