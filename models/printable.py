"""Text from elsewhere, made safe to print.

A name, a unit or a version of a bundle may contain anything that JSON can carry. Escape sequences
would reach the terminal (ECMA-48: move the cursor, clear the screen, change the title), and marks
of writing direction can make a text look like another one (Unicode Technical Report 36, 2.2).
"""

import json
import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, format characters, half characters, line and paragraph ends."""
_SHORT: Final = 0xFFFF
_KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Line ends and tabs, and the two joiners that are part of words in Persian or Hindi."""


def printable(text: str) -> str:
    r"""The text with `\u001b` and the like in place of characters that a terminal obeys.

    The escapes are those of JSON, so a JSON document stays the same document.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def on_one_line(text: str) -> str:
    r"""The text on one line, with `\u001b` and the like for all that is not printable.

    The escapes are those of TOML's basic strings, so a text in quotes stays the same text.
    """
    return "".join(map(_escaped, text))


def _shown(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _HIDDEN:
        return character
    return json.dumps(character)[1:-1]


def _escaped(sign: str) -> str:
    if sign.isprintable():
        return sign
    number = ord(sign)
    return f"\\u{number:04x}" if number <= _SHORT else f"\\U{number:08x}"
