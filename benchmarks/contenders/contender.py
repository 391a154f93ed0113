"""A contender: a program that takes readings and publishes answers.

The benchmark knows nothing of it but its name, its command line for a broker's port, a QoS and a
shape of readings, and the experiments in which it takes part.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.compiler import compiled
from benchmarks.load.workload import PICKLE, Shape
from tests.kit.children import ROOT, Child, python

LIMIT, PLAIN, MILLHAND, BEFORE = "limit", "plain", "millhand", "before"


@dataclass(frozen=True, slots=True)
class Contender:
    """A program to measure.

    Attributes:
        name: name in the tables.
        command: function that returns the command line for the broker's port, a QoS and a shape of
            readings.
        experiments: names of the experiments in which it takes part.
        window: most messages that are unanswered at a time when it works as fast as it can: enough
            that it never waits for work, and few enough that the last are answered soon.
        max_rate: highest rate that it is asked for, messages a second; nothing is learnt far beyond
            its capacity.
        has_windows: whether it answers only once a window is full.
        folder: the folder in which it runs.
    """

    name: str
    command: Callable[[int, int, Shape], list[str]]
    experiments: frozenset[str]
    window: int = 500
    max_rate: int = 1_000_000
    has_windows: bool = False
    folder: Path = ROOT

    def child(self, command: Sequence[str], log: Path) -> Child:
        """Return the contender as a process that is not started yet."""
        return Child(self.name, command, log, folder=self.folder)


def limit() -> Contender:
    """Return the forwarder in C, which infers nothing."""
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
