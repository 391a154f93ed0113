"""Who is measured. Each is a process that takes readings and publishes answers.

A contender is a name and a command line for a broker port and a QoS; nothing else is known of it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import python
from benchmarks.native import compiled
from benchmarks.workload import PICKLE

LIMIT, PLAIN, MILLHAND = "limit", "plain", "millhand"


@dataclass(frozen=True, slots=True)
class Contender:
    """A program to measure.

    Attributes:
        name: as in the tables.
        command: the command line for a broker port and a QoS.
        window: readings unanswered at most when it works as fast as it can: enough that it never
            waits for work, few enough that the last are answered soon.
    """

    name: str
    command: Callable[[int, int], list[str]]
    window: int = 500


def limit() -> Contender:
    """Return the C forwarder that infers nothing."""
    program = compiled("forwarder")
    return Contender(LIMIT, lambda port, qos: [program, str(port), str(qos)])


def plain(folder: Path) -> Contender:
    """Return paho, json, pickle and `predict`, with the forest in `folder`."""
    model = os.fspath(folder / PICKLE)
    return Contender(
        PLAIN,
        lambda port, qos: python("benchmarks.plain", model, str(port), str(qos)),
        window=20,
    )
