"""The bundles of a stream that are in a folder already, by the names of their files."""

import re
from pathlib import Path

from trainer.errors import UsageError


def next_seq(folder: Path, stream: str) -> int:
    """One above the highest seq of the stream's bundles in `folder`; 1 if there is none."""
    return 1 + max(_by_seq(folder, stream), default=0)


def free_seq(folder: Path, stream: str, wanted: int | None) -> int:
    """The wanted seq if no bundle of the stream in `folder` has it; the next one without a wish.

    Raises:
        UsageError: there is such a bundle, which would be overwritten.
    """
    if wanted is None:
        return next_seq(folder, stream)
    if there := _by_seq(folder, stream).get(wanted):
        raise UsageError(
            f"--seq {wanted}: {there} is there already; leave --seq out for the next number, or "
            "remove that bundle first"
        )
    return wanted


def last_before(folder: Path, stream: str, seq: int) -> Path | None:
    """The stream's bundle in `folder` with the highest seq below `seq`."""
    found = _by_seq(folder, stream)
    return found.get(max((one for one in found if one < seq), default=0))


def _by_seq(folder: Path, stream: str) -> dict[int, Path]:
    """The bundles of a stream by seq, as their file names give it."""
    pattern = re.compile(re.escape(stream) + r"-(\d{1,15})\.zip")
    named = ((pattern.fullmatch(path.name), path) for path in sorted(folder.glob("*.zip")))
    return {int(name[1]): path for name, path in named if name}
