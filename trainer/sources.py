"""Recorded files before they are read: which there are, and how their text begins."""

import glob
import gzip
import os
import re
import zlib
from pathlib import Path
from typing import Any

from trainer.description import Source
from trainer.errors import DataError

MAX_FILES = 10_000
SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet")
_SNIFFED_CHARACTERS = 64 << 10
_SNIFFED_LINES = 50


def find(source: Source) -> dict[str, Path]:
    """The files that the patterns name, in natural order (`2.csv` before `10.csv`).

    Returns:
        Path by name; the name is relative to the folder that all files share.

    Raises:
        DataError: a pattern names no file, or a file's suffix is unknown.
    """
    found: list[Path] = []
    for pattern in source.files:
        matched = [Path(p) for p in glob.glob(pattern, recursive=True)]  # noqa: PTH207  absolute
        if not matched:
            raise DataError(f"data.files: no file matches '{pattern}'")
        found += [path for path in sorted(matched, key=_natural) if path not in found]
    if len(found) > MAX_FILES:
        raise DataError(f"data.files: {len(found)} files match, at most {MAX_FILES} are read")
    for path in found:
        if not path.name.lower().endswith(SUFFIXES):
            raise DataError(f"{path}: suffix is not known; files are {', '.join(SUFFIXES)}")
    folder = os.path.commonpath([path.parent for path in found])
    return {os.path.relpath(path, folder): path for path in found}


def first_lines(path: Path, encoding: str) -> tuple[list[str], bool]:
    """The first lines of a CSV, and whether it begins with a byte-order mark.

    Raises:
        DataError: the text is not in this encoding, or the compression is broken.
    """
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding=encoding, newline="") as file:
            text: str = file.read(_SNIFFED_CHARACTERS)
    except UnicodeDecodeError as exc:
        raise DataError(not_in(encoding, path.name, exc)) from exc
    except (OSError, EOFError, zlib.error) as exc:
        raise DataError(f"{path.name}: cannot be read: {exc}") from exc
    lines = text.removeprefix("\ufeff").splitlines()
    if len(text) == _SNIFFED_CHARACTERS and len(lines) > 1:
        del lines[-1]  # cut anywhere
    return lines[:_SNIFFED_LINES], text.startswith("\ufeff")


def not_in(encoding: str, name: str, error: UnicodeDecodeError) -> str:
    """What to say of a text that is not in the encoding it should be in."""
    return (
        f"{name}: is not {encoding} text (byte {error.object[error.start]:#04x}); set "
        "data.encoding, such as 'cp1252' or 'utf-16'"
    )


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key under which 10 comes after 2."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
