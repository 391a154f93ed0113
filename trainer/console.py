"""What a command shows: progress and notes on standard error, results on standard output.

So the output of a command can be piped into another program while a person watches the progress.
Names, units and messages may come from a bundle or a registry that somebody else has written:
whatever a terminal would obey is shown as an escape.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console as Terminal
from rich.markup import escape as without_markup
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from models.printable import printable
from trainer.errors import UsageError

# Without a terminal rich assumes 80 columns, in which a sha256 of 64 digits would be broken.
_FILE_WIDTH = 160


class Console:
    """Prints results, notes and progress; progress only where standard error is a terminal."""

    def __init__(self) -> None:
        self._out = Terminal()
        if not self._out.is_terminal:
            self._out = Terminal(width=_FILE_WIDTH)
        self._err = Terminal(stderr=True)
        self._progress: Progress | None = None

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], object]]:
        """Show one step of the work, with a progress bar, while the context lasts.

        Args:
            name: what the step does, one word such as "fitting".
            total: how many items the step has; None where that is not known, which shows a
                spinner without a bar.

        Yields:
            A function to call with the number of items done since its last call.
        """
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            *([BarColumn(), MofNCompleteColumn()] if total is not None else []),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}"),
            console=self._err,
            disable=not self._err.is_terminal,
        )
        with progress:
            task = progress.add_task(name, total=total, detail="")
            self._progress = progress
            try:
                yield lambda done: progress.advance(task, done)
                progress.update(task, detail="", completed=total)
            finally:
                self._progress = None

    def detail(self, text: str) -> None:
        """Show beside the current step what it is working on, such as a file's name."""
        if self._progress is not None:
            for task in self._progress.task_ids:
                self._progress.update(task, detail=escape(text))

    def note(self, text: str) -> None:
        """Print a note or a warning to standard error."""
        self._err.print(f"[yellow]note[/] {escape(text)}", soft_wrap=True, highlight=False)

    def print(self, text: str) -> None:
        """Print one line of the result to standard output."""
        self._out.print(escape(text), soft_wrap=True, highlight=False)

    def asks(self, question: str, *, otherwise: str) -> bool:
        """Ask a question on standard error, and return whether the answer was yes.

        Args:
            question: the question.
            otherwise: the option that answers it where nobody can be asked.

        Raises:
            UsageError: standard input is not a terminal.
        """
        if not sys.stdin.isatty():
            raise UsageError(
                f"{question} Nobody can be asked, because standard input is not a terminal: give"
                f" {otherwise}"
            )
        self._err.print(f"{escape(question)} \\[y/N] ", end="", highlight=False)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def table(self, title: str, rows: Mapping[str, str]) -> None:
        """Print names and their values as a table of two columns."""
        table = Table(title=escape(title), title_justify="left", show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows.items():
            table.add_row(escape(name), escape(value))
        self._out.print(table)

    def grid(self, title: str, header: list[str], rows: list[list[str]]) -> None:
        """Print a table with a header row."""
        table = Table(*map(escape, header), title=escape(title), title_justify="left")
        for row in rows:
            table.add_row(*map(escape, row))
        self._out.print(table)


def escape(text: str) -> str:
    """Text that reaches the terminal as it is written, without markup and control characters."""
    return without_markup(printable(text))
