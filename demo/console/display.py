"""Shows the board: live on a terminal, as one line now and then elsewhere, and as a picture."""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from demo.console.board import Board, export_svg

_LINE_EVERY_S = 5.0


class Display:
    """Shows a board, from entering the context to leaving it.

    Args:
        console: console to write to.
        board: board to show.
        picture: file for the picture that shows most, as SVG; None: no picture.
    """

    def __init__(self, console: Console, board: Board, picture: Path | None = None) -> None:
        self._console = console
        self._board = board
        self._picture = picture
        self._richest: tuple[int, RenderableType] | None = None
        # Without a thread that refreshes: it would draw a board that is being changed.
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._began_s = self._line_s = time.monotonic()

    def __enter__(self) -> Self:
        self._began_s = self._line_s = time.monotonic()
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
        if self._picture and self._richest:
            export_svg(self._richest[1], self._picture)

    def happened(self, event: str) -> None:
        """Show an event, with the time since the beginning."""
        elapsed_s = time.monotonic() - self._began_s
        self._board.happened(elapsed_s, event)
        if not self._live:
            self._console.print(f"{elapsed_s:6.1f} s  {event}", highlight=False, soft_wrap=True)

    def refresh(self) -> None:
        """Show the current state of the board."""
        if self._picture and self._board.variety >= (self._richest or (0,))[0]:
            self._richest = self._board.variety, self._board.render()
        if self._live:
            self._live.update(self._board.render(self._console.width), refresh=True)
        elif time.monotonic() - self._line_s >= _LINE_EVERY_S:
            self._line_s = time.monotonic()
            elapsed_s = self._line_s - self._began_s
            self._console.print(
                f"{elapsed_s:6.1f} s  {self._board.line()}", highlight=False, soft_wrap=True
            )
