"""What the tests of the trainer share."""

from collections.abc import Iterator
from typing import IO

import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG


@pytest.fixture(scope="module")
def without_pictures() -> Iterator[None]:
    """Leave out Matplotlib's drawing, which is most of what a small training costs.

    The report is made as ever, up to the figure that Matplotlib is given: its pictures are empty.
    Pictures are the subject of the tests in `report/` and `draft/`; the tests of commands, of the
    demo and of public recordings draw them too (docs/adr/0075).
    """

    def empty(canvas: FigureCanvasSVG, file: IO[bytes], **_: object) -> None:
        width, height = canvas.figure.get_size_inches() * 72
        file.write(f'<svg viewBox="0 0 {width} {height}">\n</svg>'.encode())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureCanvasSVG, "print_svg", empty)
        yield
