"""Patterns of the names of files, such as `d0*.dat`, in keys that hold for some files only."""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def fits(pattern: str, name: str) -> bool:
    """Whether a pattern matches a file's name, with or without its folder."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.rsplit("/", 1)[-1], pattern)


def first_that_fits(patterns: Iterable[str], name: str) -> str | None:
    """The first of the patterns that matches a file's name; None if none does."""
    return next((pattern for pattern in patterns if fits(pattern, name)), None)
