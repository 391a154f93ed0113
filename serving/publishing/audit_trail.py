"""The audit trail: a line of JSON for each act, in `audit.jsonl` beside the keys.

A line is written, and synced to the disk, before an act changes anything: so all that gateways have
ever seen has its line. An act that was cut short has one too, and the next line shows with its
versions that nothing came of it. The file lies beside the keys and not in the registry, because
others may be able to write there; and it says who signed, which is nobody else's business. Whoever
can write to the folder of keys can change it: send the lines to another machine if that matters.
"""

import json
import os
import pwd
import socket
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from models.bundle.manifest import utc
from models.files import append_durably


def record(trail: Path, act: str, registry: Path, **facts: object) -> None:
    """Append a line.

    Args:
        trail: path of the file.
        act: the act, such as `publish`.
        registry: path of the registry's folder.
        facts: further fields of the line.

    Raises:
        OSError: the line cannot be written; then the act must not happen.
    """
    line = {
        "at": utc(datetime.now(UTC).replace(microsecond=0)),
        "act": act,
        "user": _user(),
        "host": socket.gethostname(),
        "registry": str(registry.absolute()),
        "millhand": version("millhand"),
        **facts,
    }
    append_durably(trail, json.dumps(line).encode() + b"\n", mode=0o600)


def _user() -> str:
    """The user of the process, and the user who became this one by sudo, if sudo says so."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container, where a number needs no name
        name = str(number)
    before = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {before})" if before else name
