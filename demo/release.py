"""The steps that bring a version from the history to the gateway, each a process of its own.

The steps of the first version run one after the other and write to the terminal. Those of the
second version run in the background while the plant publishes.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rich.console import Console

from tests.kit.children import Child


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and a title that describes it."""

    title: str
    command: Sequence[str]


def run_steps(steps: Sequence[Step], console: Console) -> None:
    """Run steps to their end, with their output on the terminal.

    Raises:
        KitError: a step failed.
    """
    for step in steps:
        console.rule(f"[bold]{step.title}", align="left")
        with Child(step.title, step.command) as child:
            child.wait()


class BackgroundSteps:
    """Steps that run beside the caller; leaving the context ends the one that runs.

    Args:
        steps: steps in the order in which they run.
        log: file for their output.
    """

    def __init__(self, steps: Sequence[Step], log: Path) -> None:
        self._steps = list(steps)
        self._log = log
        self._running: Child | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def advance(self) -> str | None:
        """Begin the next step if none runs; return its title, or None where none was begun.

        Raises:
            KitError: a step failed.
        """
        if self._running:
            if self._running.exit_code is None:
                return None
            self._running.wait()
            self._running = None
        if not self._steps:
            return None
        step = self._steps.pop(0)
        self._running = self._stack.enter_context(Child(step.title, step.command, self._log))
        return step.title
