"""Who is measured. Each is a process that takes readings and publishes answers.

A contender is a name, a command line for a broker port, a QoS and a shape of readings, and what it
takes part in; nothing else is known of it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import python
from benchmarks.load.compiler import compiled
from benchmarks.load.workload import PICKLE, Shape

LIMIT, PLAIN, MILLHAND = "limit", "plain", "millhand"


@dataclass(frozen=True, slots=True)
class Contender:
    """A program to measure.

    Attributes:
        name: as in the tables.
        command: the command line for a broker port, a QoS and a shape of readings.
        experiments: that it takes part in.
        window: messages unanswered at most when it works as fast as it can: enough that it never
            waits for work, few enough that the last are answered soon.
        max_rate: messages a second that it is asked for at most; far beyond its capacity there is
            nothing to learn.
        has_windows: whether it answers only once a window is full.
    """

    name: str
    command: Callable[[int, int, Shape], list[str]]
    experiments: frozenset[str]
    window: int = 500
    max_rate: int = 1_000_000
    has_windows: bool = False


def limit() -> Contender:
    """Return the C forwarder that infers nothing."""
    program = compiled("forwarder")

    def command(port: int, qos: int, shape: Shape) -> list[str]:
        return [program, str(port), str(qos), shape.readings, shape.last]

    experiments = ("throughput", "latency", "topics", "blocks", "memory", "start", "backlog")
    return Contender(LIMIT, command, frozenset(experiments))


def plain(folder: Path) -> Contender:
    """Return paho, json, pickle and `predict`, with the forest in `folder`."""
    model = os.fspath(folder / PICKLE)
    return Contender(
        PLAIN,
        lambda port, qos, _: python("benchmarks.contenders.plain", model, str(port), str(qos)),
        frozenset({"throughput", "latency", "memory", "start"}),
        window=20,
        max_rate=1_000,
    )
