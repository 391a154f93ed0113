"""The terminal: progress and remarks on standard error, results on standard output."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

_FILE_WIDTH = 160
"""Wide enough that no digest is broken when the output goes into a file or a pipe."""


class Screen:
    """Shows what is being done; quiet where standard error is no terminal."""

    def __init__(self) -> None:
        self._out = Console()
        if not self._out.is_terminal:
            self._out = Console(width=_FILE_WIDTH)
        self._err = Console(stderr=True)
        self._progress: Progress | None = None

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], object]]:
        """Show one step of the work while it lasts.

        Args:
            name: what is done.
            total: how many items it has, where that is known.

        Yields:
            What takes the number of items done since the last call.
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
        """Say what the stage under way is about just now."""
        if self._progress is not None:
            for task in self._progress.task_ids:
                self._progress.update(task, detail=escape(text))

    def remark(self, text: str) -> None:
        """Say something the reader should know."""
        self._err.print(f"[yellow]note[/] {escape(text)}", soft_wrap=True, highlight=False)

    def say(self, text: str) -> None:
        """Print a line of result."""
        self._out.print(escape(text), soft_wrap=True, highlight=False)

    def table(self, title: str, rows: Mapping[str, str]) -> None:
        """Print names and values."""
        table = Table(title=escape(title), title_justify="left", show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows.items():
            table.add_row(escape(name), escape(value))
        self._out.print(table)

    def grid(self, title: str, header: list[str], rows: list[list[str]]) -> None:
        """Print a table with a header."""
        table = Table(*map(escape, header), title=escape(title), title_justify="left")
        for row in rows:
            table.add_row(*map(escape, row))
        self._out.print(table)
