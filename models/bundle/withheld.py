"""The page that a bundle has in place of its report, where that stays with its publisher."""

from typing import Final

HEAD: Final = (
    '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Report withheld</title>\n'
)
"""How the page begins, by which a program recognises it."""


def is_withheld(report: bytes) -> bool:
    """Whether the bytes of report.html are no report, but the page in its place."""
    return report.startswith(HEAD.encode())
