"""Late labels of a plant as a table of spans, which `[[labels]]` of a recipe reads.

    asset,from,to,label
    l1/pump7,2025-10-09T08:00:00.000Z,2025-10-09T09:00:00.000Z,worn

The table has the labels of assets that the recording has, since a recipe refuses others; labels of
further assets wait for their rows. It is replaced as a whole, so it is never cut off.
"""

import csv
import io
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Final

from models.files import write_atomically
from models.input.label import Label, LabelError, label_of, read_label
from models.input.label_topic import LabelTopic
from trainer.broker import Message
from trainer.errors import UsageError

MAX_LABELS: Final = 100_000
"""Labels that a table may have; the oldest make room."""
_start = attrgetter("start_ms")
_HEADER: Final = ("asset", "from", "to", "label")


class LabelTable:
    """The labels of one pipeline.

    Args:
        path: the table; labels that it has already are kept.
        topic: the topic of the labels.

    Attributes:
        outcomes: how many labels were `taken`, came again (`repeated`), were `removed` for newer
            ones, or were refused, by reason.
        path: as given.

    Raises:
        UsageError: the file is there and is no table of labels.
    """

    def __init__(self, path: Path, topic: LabelTopic) -> None:
        self.outcomes: Counter[str] = Counter()
        self.path = path
        self._topic = topic
        self._labels: dict[str, list[Label]] = {}
        self._count = 0
        self._changes = 0
        self._written: tuple[int, int, frozenset[str]] = (0, 0, frozenset())
        self._read()

    def __len__(self) -> int:
        """How many labels there are, with those of assets without rows."""
        return self._count

    @property
    def filter(self) -> str:
        """The topic filter of the labels."""
        return self._topic.filter

    @property
    def written(self) -> int:
        """How many labels the file has."""
        return self._written[0]

    def take(self, message: Message) -> bool:
        """Take a message if it is a label; says whether it is."""
        asset = self._topic.asset(message.topic)
        if asset is None:
            return False
        try:
            self.outcomes[self._add(read_label(message.payload, asset))] += 1
        except LabelError as exc:
            self.outcomes[exc.reason] += 1
        return True

    def write(self, assets: Collection[str]) -> None:
        """Write the labels of the assets that the recording has, if they are not written yet.

        Raises:
            OSError: the disk is full; the table is as before.
        """
        chosen = frozenset(assets) & self._labels.keys()
        count = sum(len(self._labels[asset]) for asset in chosen)
        if not chosen or (self._changes, chosen) == self._written[1:]:
            return
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(_HEADER)
        for asset in sorted(chosen):
            for label in self._labels[asset]:
                table.writerow((asset, _time(label.start_ms), _time(label.end_ms), _name(label)))
        write_atomically(self.path, text.getvalue().encode())
        self._written = count, self._changes, chosen

    def _add(self, label: Label) -> str:
        known = self._labels.get(label.asset, [])
        at = bisect_left(known, label.start_ms, key=_start)
        if label in known[at : at + 1]:
            return "repeated"
        near = known[max(0, at - 1) : at + 1]  # none overlap, so only the neighbours may
        if any(one.start_ms < label.end_ms and label.start_ms < one.end_ms for one in near):
            return "overlapping"
        if self._count >= MAX_LABELS and not self._make_room(label.start_ms):
            return "too_many"
        known = self._labels.setdefault(label.asset, [])
        known.insert(bisect_left(known, label.start_ms, key=_start), label)
        self._count += 1
        self._changes += 1
        return "taken"

    def _make_room(self, before_ms: int) -> bool:
        """Remove the oldest label if it begins before a time; says whether it did."""
        asset = min(self._labels, key=lambda name: self._labels[name][0].start_ms)
        known = self._labels[asset]
        if known[0].start_ms >= before_ms:
            return False
        del known[0]
        if not known:
            del self._labels[asset]
        self._count -= 1
        self.outcomes["removed"] += 1
        return True

    def _read(self) -> None:
        try:
            lines = self.path.read_text().splitlines()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as exc:
            raise UsageError(f"{self.path}: cannot be read: {exc}") from exc
        table = csv.DictReader(lines)
        if tuple(table.fieldnames or ()) != _HEADER:
            raise UsageError(
                f"{self.path}: is there already and no table of {', '.join(_HEADER)}; move it away"
            )
        for row in table:
            try:
                self._add(label_of(row))
            except LabelError as exc:
                raise UsageError(f"{self.path} line {table.line_num}: no label") from exc
        assets = frozenset(self._labels)
        self._written = self._count, self._changes, assets


def _time(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _name(label: Label) -> str:
    """The value as a recipe reads labels: text, and whole numbers without a point."""
    return label.value if isinstance(label.value, str) else f"{label.value:.17g}"
