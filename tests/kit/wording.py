"""Checks that a message names certain values, whatever its words are."""

import re


def names(message: object, *values: str) -> bool:
    """Whether a message names all of the values, in any order."""
    return re.search(naming(*values), str(message)) is not None


def naming(*values: str) -> str:
    """A pattern of all messages that name all of the values: for `pytest.raises(match=...)`."""
    return r"(?s)\A" + "".join(f"(?=.*{_whole(value)})" for value in values)


def _whole(value: str) -> str:
    """A pattern of a value that is not part of a longer word or number."""
    before = r"(?<![\w])" if re.match(r"\w", value) else ""
    after = r"(?![\w])" if re.search(r"\w\Z", value) else ""
    return before + re.escape(value) + after
