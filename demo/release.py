"""The way of one version from history to the gateway, each step a process of its own.

The first version's steps run one after the other in the terminal; the second version's run in the
background while the plant streams, and are looked after in passing.
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
    """One command, and what it does in words."""

    title: str
    command: Sequence[str]


def run_steps(steps: Sequence[Step], console: Console) -> None:
    """Run steps to their end, their output on the terminal.

    Raises:
        DemoError: A step failed.
    """
    for step in steps:
        console.rule(f"[bold]{step.title}", align="left")
        with Child(step.title, step.command) as child:
            child.wait()


class BackgroundSteps:
    """Steps that run while something else goes on; leaving the context ends the one that runs.

    Args:
        steps: What to do, in order.
        log: File for the output of the step that runs.
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
        """Begin the next step if none runs; return its title, None where none was begun.

        Raises:
            DemoError: A step failed.
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
