"""Finds recorded files, opens them, and looks at the beginning of their text."""

import codecs
import difflib
import glob
import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from trainer.errors import DataError
from trainer.ingest.file_formats import known_format
from trainer.recipe.data_section import Source

MAX_FILES = 10_000
MAX_BYTES = 256 << 20
"""Most bytes of a text file that is read as a whole instead of block by block."""
PARQUET = ".parquet"
"""The suffix of Parquet files; all other files are text."""
_NO_NAME = (".csv", ".txt", ".tsv", ".dat", ".data", PARQUET)
_TYPED = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".mat")
_SNIFFED_BYTES = 4096
_SNIFFED_CHARACTERS = 64 << 10
_SNIFFED_LINES = 50
# UTF-32 comes first because its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A recorded file, opened once for everything that is read from it.

    So the bytes that are hashed are the bytes that are parsed, whatever is moved to the file's path
    meanwhile.

    Attributes:
        path: the path it was opened by.
        name: the name of the file in messages.
        file: the open file; whoever reads from it first moves to the place to read from.
        sha256: the digest of the file's bytes, as hexadecimal digits.
    """

    path: Path
    name: str
    file: BinaryIO
    sha256: str

    @property
    def is_compressed(self) -> bool:
        """Whether the file is compressed by gzip."""
        return self.path.suffix.lower() == ".gz"

    def rewound(self) -> BinaryIO:
        """The file from its first byte, uncompressed."""
        self.file.seek(0)
        if self.is_compressed:
            return cast("BinaryIO", gzip.GzipFile(fileobj=self.file))
        return self.file


@contextmanager
def open_once(path: Path, name: str) -> Iterator[OpenFile]:
    """Open and hash a recorded file.

    Raises:
        DataError: the file cannot be read.
    """
    with readable(name), path.open("rb") as file:
        yield OpenFile(path, name, file, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True, slots=True)
class Opening:
    """The beginning of a CSV file.

    Attributes:
        lines: the first lines of the file, after those that the recipe leaves out.
        encoding: the encoding to read the file in.
        notes: sentences on how the encoding was found.
    """

    lines: tuple[str, ...]
    encoding: str
    notes: tuple[str, ...]


def find(source: Source) -> dict[str, Path]:
    """Find the files that the patterns match, in natural order (`2.csv` before `10.csv`).

    Returns:
        Path by name; a name is relative to the folder that contains all files.

    Raises:
        DataError: a pattern matches no file, or too many files match.
    """
    found = [*dict.fromkeys(path for pattern in source.files for path in _matching(pattern))]
    if len(found) > MAX_FILES:
        raise DataError(f"data.files: {len(found)} files match, at most {MAX_FILES} are read")
    folder = os.path.commonpath([path.parent for path in found])
    return {os.path.relpath(path, folder): path for path in found}


def stem(path: Path) -> str:
    """The name without the suffixes of its format: `2004.02.12` for `2004.02.12.txt.gz`."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    suffix = next((one for one in (*_NO_NAME, *_TYPED) if name.lower().endswith(one)), "")
    return name[: len(name) - len(suffix)] or path.name


def begin(opened: OpenFile, encoding: str | None, skip: int = 0) -> Opening:
    """Look at the first lines of a CSV file.

    Args:
        opened: the file.
        encoding: the encoding that the recipe names; None: that of the byte-order mark, or UTF-8.
        skip: number of lines before the first that is looked at.

    Raises:
        DataError: the text is not in this encoding, or the compression is broken.
    """
    name = opened.name
    with readable(name):
        start = opened.rewound().read(_SNIFFED_BYTES)
        if said := known_format(start):
            raise DataError(f"{name}: {said}")
        found, notes = _encoding(start, encoding, name)
        reader = io.TextIOWrapper(opened.rewound(), encoding=found, newline="")
        try:
            for _ in range(skip):
                reader.readline()
            text = reader.read(_SNIFFED_CHARACTERS)
        except UnicodeDecodeError as exc:
            raise DataError(not_in(found, name, exc)) from exc
        finally:
            reader.detach()  # otherwise it would close the file with itself
    # Not splitlines, which also splits at signs that may stand in a name, such as U+0085.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    if len(text) == _SNIFFED_CHARACTERS and len(lines) > 1:
        del lines[-1]  # cut anywhere
    return Opening(tuple(lines[:_SNIFFED_LINES]), found, notes)


def whole_lines(opened: OpenFile, encoding: str, skip: int, most: int) -> list[str] | None:
    """The lines that are not blank, after the first `skip`; None for a file beyond `most` bytes.

    Raises:
        DataError: the text is not in this encoding, or the compression is broken.
    """
    with readable(opened.name):
        content = opened.rewound().read(most + 1)
    if len(content) > most:
        return None
    try:
        text = content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as exc:
        raise DataError(not_in(encoding, opened.name, exc)) from exc
    return [line for line in text.split("\n")[skip:] if line.strip()]


def last_line(opened: OpenFile, encoding: str) -> str | None:
    """The last line of a CSV file if no line end follows it; None otherwise, or if compressed.

    Raises:
        OSError: the file cannot be read.
    """
    if opened.is_compressed:
        return None
    size = opened.file.seek(0, os.SEEK_END)
    opened.file.seek(size - min(_SNIFFED_CHARACTERS, size))
    tail = opened.file.read()
    if encoding.startswith(("utf-16", "utf-32")) or not tail or tail[-1:] in b"\r\n":
        return None
    return tail.decode(encoding, errors="replace").splitlines()[-1]


@contextmanager
def readable(name: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn errors of the disk, of the compression and the given `errors` of a library into ours.

    Raises:
        DataError: the file cannot be read.
    """
    known: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, *errors)
    try:
        yield
    except known as exc:
        raise DataError(f"{name}: cannot be read: {exc}") from exc


def not_in(encoding: str, name: str, error: UnicodeDecodeError) -> str:
    """The error message for a text that is not in the expected encoding."""
    byte = error.object[error.start]
    western = bytes([byte]).decode("cp1252", errors="replace")
    return (
        f"{name}: is not {encoding.removesuffix('-sig')} text (byte {byte:#04x}); set "
        f"data.encoding, such as 'cp1252', in which it is '{western}', or 'utf-16'"
    )


def _encoding(start: bytes, given: str | None, name: str) -> tuple[str, tuple[str, ...]]:
    """The encoding to read a file in, and notes on how it was found."""
    marked = next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)
    if marked is None:
        if b"\0" in start and not (given or "").startswith(("utf-16", "utf-32")):
            raise DataError(_holds_zeros(start, name))
        return given or "utf-8", ()
    if given is not None and not given.startswith(marked.removesuffix("-sig")):
        raise DataError(
            f"{name}: begins with the byte-order mark of {marked.removesuffix('-sig')}, but "
            f"data.encoding is '{given}'; leave data.encoding out, then the mark decides"
        )
    if marked == "utf-8-sig":
        return marked, ("begins with a byte-order mark: left out",)
    return marked, () if given else (f"read as {marked}, by its byte-order mark",)


def _holds_zeros(start: bytes, name: str) -> str:
    little = start[1::2].count(0) >= start[::2].count(0)
    return (
        f"{name}: holds bytes of zero; if it is utf-16 without a byte-order mark, set "
        f"data.encoding = 'utf-16-{'le' if little else 'be'}', otherwise the file is damaged"
    )


def _matching(pattern: str) -> list[Path]:
    """The files of one pattern; an existing file may have brackets in its name."""
    literal = Path(pattern)
    if literal.is_file():
        return [literal]
    if literal.is_dir():
        raise DataError(
            f"data.files: '{literal}' is a folder; name the files in it, such as '{literal}/*.csv'"
        )
    matched = [Path(p) for p in glob.glob(pattern, recursive=True)]  # noqa: PTH207  absolute
    files = sorted((path for path in matched if path.is_file()), key=_natural)
    if not files:
        raise DataError(f"data.files: no file matches '{pattern}'{_instead(literal)}")
    return files


def _instead(path: Path) -> str:
    """A hint at the file or folder that is there instead."""
    if glob.has_magic(str(path.parent)):
        return ""
    if not path.parent.is_dir():
        return f"; there is no folder '{path.parent}'"
    names = [one.name for one in path.parent.iterdir() if one.is_file()]
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"; did you mean '{near[0]}'?" if near else ""


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key by which 10 comes after 2."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
