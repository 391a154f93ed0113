"""Recognises files that are not CSV by their first bytes; their names are often misleading."""

_EXPORT = "export it as CSV or Parquet"
_UNPACK = "unpack it"
_FORMATS = (
    (
        b"PK\x03\x04",
        "an Excel workbook or a zip archive",
        f"let its name end in .xlsx, or {_UNPACK}",
    ),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "let its name end in .xls"),
    (b"\x1f\x8b", "compressed by gzip", "let its name end in .gz"),
    (b"BZh", "compressed by bzip2", _UNPACK),
    (b"\xfd7zXZ", "compressed by xz", _UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (b"PAR1", "Parquet", "let its name end in .parquet"),
    (b"\x89HDF", "HDF5", _EXPORT),
    (b"MATLAB 5.0", "a MATLAB file", "let its name end in .mat"),
    (b"\x93NUMPY", "a NumPy array", _EXPORT),
    (b"%PDF", "a PDF", _EXPORT),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS, not the file",
        "fetch it by 'git lfs pull'",
    ),
    (b"<!doctype html", "a web page", "fetch the file itself"),
    (b"<html", "a web page", "fetch the file itself"),
)


def known_format(start: bytes) -> str | None:
    """What a file that starts like this is, and what to do with it; None if it may be text."""
    text = start[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, what, remedy in _FORMATS:
        if start.startswith(mark) or (mark.startswith(b"<") and text.startswith(mark)):
            return f"is {what}; {remedy}"
    return None
