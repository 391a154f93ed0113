"""From rows to windows, by the code with which the agent cuts them.

Every request begins with empty windows: the server remembers nothing of an asset (ADR 31).
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from models.bundle.manifest import Manifest
from models.errors import ReadingError
from models.windowing.windows import Batch, Windows
from server.http.refusals import RefusedError
from server.predict.rows import Row, TooManyError

_ITEM_BYTES = 4


class Origin(NamedTuple):
    """What made a window due.

    Attributes:
        row: the row that has completed it.
        ordinal: number of the window among those that the row has completed.
    """

    row: Row
    ordinal: int


class Cut(NamedTuple):
    """The windows of a request.

    Attributes:
        batch: the windows.
        origins: the origin of each window, in the same order.
        dropped: rows that are not used, each with its number and the reason
            (`models.input.reasons`).
    """

    batch: Batch
    origins: Sequence[Origin]
    dropped: Sequence[tuple[int, str]]


class Cutter:
    """Cuts the rows for one version of a model.

    Args:
        manifest: manifest of the version.
        max_bytes: bytes that the windows of a request may have together.
    """

    def __init__(self, manifest: Manifest, max_bytes: int) -> None:
        self._stream, self._spec, self._channels = (
            manifest.stream,
            manifest.window,
            manifest.channels,
        )
        self._all = tuple(range(len(manifest.channels)))
        self._window_bytes = manifest.window.length * len(manifest.channels) * _ITEM_BYTES
        self._max_windows = max(1, max_bytes // self._window_bytes)
        # The sample at a point of a grid is taken when a reading from after the point arrives.
        self.rows_needed = manifest.window.length + manifest.window.is_on_grid

    def cut(self, rows: Sequence[Row]) -> Cut:
        """Cut rows into windows, in the order in which they stand.

        Raises:
            RefusedError: they complete no window.
            TooManyError: they complete more than `limits.max_body_bytes` allows.
        """
        windows = Windows(self._spec, self._channels, len(rows))
        origins: list[Origin] = []
        dropped: list[tuple[int, str]] = []
        for number, row in enumerate(rows):
            try:
                due = windows.push(row.asset, row.time_ns, self._all, row.values)
            except ReadingError as exc:
                dropped.append((number, exc.reason))
                continue
            origins += [Origin(row, ordinal) for ordinal in range(due)]
            if len(origins) > self._max_windows:
                raise TooManyError(
                    f"the first {number + 1} rows complete {len(origins)} windows of "
                    f"{self._window_bytes} bytes; allowed are {self._max_windows} "
                    "(limits.max_body_bytes): send fewer rows at a time"
                )
        if not origins:
            raise self._too_few(rows, dropped, windows.restarts)
        return Cut(windows.take(), origins, dropped)

    def _too_few(
        self, rows: Sequence[Row], dropped: Sequence[tuple[int, str]], restarts: int
    ) -> RefusedError:
        unused = {number for number, _ in dropped}
        used = Counter(row.asset for number, row in enumerate(rows) if number not in unused)
        asset, most = used.most_common(1)[0]
        text = (
            f"a window of {self._stream} has {self._spec.length} samples, which needs "
            f"{self.rows_needed} rows of one asset at least; found are {most} of '{asset}'"
        )
        if dropped:
            reasons = Counter(reason for _, reason in dropped)
            text += f", beside {len(dropped)} that are {' or '.join(reasons)}"
        if restarts:
            text += (
                f", and {restarts} pauses longer than {self._spec.max_gap_ms} ms, after each of "
                "which a window begins anew"
            )
        return RefusedError(text)
