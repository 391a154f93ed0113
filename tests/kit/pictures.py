"""Reports whose pictures are empty."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG


@contextmanager
def empty_pictures() -> Iterator[None]:
    """Leave out Matplotlib's drawing, which is most of what a small training costs.

    The report is made as ever, up to the figure that Matplotlib is given. Which tests draw is said
    in docs/adr/0075.
    """

    def empty(canvas: FigureCanvasSVG, file: IO[bytes], **_: object) -> None:
        width, height = canvas.figure.get_size_inches() * 72
        file.write(f'<svg viewBox="0 0 {width} {height}">\n</svg>'.encode())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureCanvasSVG, "print_svg", empty)
        yield
