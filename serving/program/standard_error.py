"""What is written to standard error, which systemd's journal stores with a priority.

Where standard error is connected to the journal, each line begins with its priority, such as `<4>`
for a warning (sd-daemon(3)): `journalctl -p warning` then shows warnings and errors only. Elsewhere
no line has one. Only the standard library is imported here, so that a broken installation can be
reported.
"""

import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

ERROR: Final = 3
WARNING: Final = 4
INFO: Final = 6
"""Priorities of syslog(3), as sd-daemon(3) has them."""


def is_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream is connected to the journal.

    JOURNAL_STREAM has the device and the inode of the connection. A child may have inherited the
    variable and got another standard error: therefore they are compared (systemd.exec(5)).
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def marked(text: str, priority: int) -> str:
    """Put the priority before each line of a text."""
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


def report(text: str) -> None:
    """Write what ends the process, of one or more lines, as an error."""
    text = text.removesuffix("\n")
    sys.stderr.write((marked(text, ERROR) if is_journal(sys.stderr) else text) + "\n")
