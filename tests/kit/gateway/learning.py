"""`millhand-agent learn` beside a plant that publishes, and the agent that runs by its draft."""

import os
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.kit.broker.brokers import HOST
from tests.kit.children import ROOT, python
from tests.kit.gateway.mqtt_client import MqttClient
from tests.kit.waiting import eventually

_END_S = 90.0

Publish = Callable[[MqttClient, int], None]
"""Publishes one round of a plant's messages, by the number of the round."""


@dataclass(frozen=True)
class Learned:
    """What `learn` has printed.

    Attributes:
        code: its exit code.
        draft: its standard output.
        notes: its standard error.
    """

    code: int
    draft: str
    notes: str

    @property
    def pipelines(self) -> list[dict[str, Any]]:
        """The pipelines of the draft that count."""
        found: list[dict[str, Any]] = tomllib.loads(self.draft).get("pipelines", [])
        return found

    @property
    def comments(self) -> str:
        """The comments of the draft as one line."""
        lines = [line for line in self.draft.splitlines() if line.startswith("#")]
        return " ".join(line.lstrip("# ") for line in lines)


def learn(port: int, *options: str) -> Learned:
    """Run `learn` to its end, with nobody publishing."""
    with started(port, *options) as process:
        return ended(process)


def learn_while(port: int, publish: Publish, *options: str) -> Learned:
    """Run `learn` to its end, and publish round after round from when it listens."""
    with MqttClient(port) as plant, started(port, *options) as process:
        rounds = 0

        def is_over() -> bool:
            nonlocal rounds
            publish(plant, rounds)
            rounds += 1
            return process.poll() is not None

        eventually(is_over, _END_S, "learn to end")
        return ended(process)


@contextmanager
def started(port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run `learn` until the context is left; its output is not read before."""
    broker = () if "--config" in options else ("--broker", f"{HOST}:{port}")
    words = python("agent", "learn", *broker, *options)
    pipe = subprocess.PIPE
    environment = {**os.environ, "COLUMNS": "100"}
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=environment
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def ended(process: subprocess.Popen[str]) -> Learned:
    """What it has printed, once it has ended."""
    draft, notes = process.communicate(timeout=_END_S)
    return Learned(process.returncode, draft, notes)
