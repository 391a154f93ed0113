"""What is kept beside the rows of a recording: labels, and only so many files."""

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

from models.input.label_topic import LabelTopic
from trainer.broker import Message
from trainer.capture.label_table import LabelTable
from trainer.capture.retention import Retention
from trainer.capture.subscription import Subscription
from trainer.ingest.message_file import MAX_NAMED, SUFFIX, Files

LABELS = ".labels.csv"
"""Ending of the table of labels beside a recording; in a folder it is `labels.csv`."""
_MB = 1_000_000


class Keeping:
    """Follows a recording turn by turn.

    Args:
        retention: the folder of the recording; None for a single file.
        labels: the table of the labels; None where none are recorded.

    Attributes:
        retention: as given.
        labels: as given.
    """

    def __init__(
        self, retention: Retention | None = None, labels: LabelTable | None = None
    ) -> None:
        self.retention, self.labels = retention, labels
        self._assets: set[str] = set()  # of the file that is not complete
        self._complete = 0
        self._of_files: set[str] | None = None  # assets of the files that are complete

    @property
    def filters(self) -> list[str]:
        """Topic filters to subscribe to, beside those of the readings."""
        return [self.labels.filter] if self.labels is not None else []

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only recording in the folder.

        Raises:
            UsageError: another recording is under way there.
        """
        with self.retention.alone() if self.retention is not None else nullcontext():
            yield

    def take(self, message: Message) -> bool:
        """Take a message if it is a label; says whether it is."""
        return self.labels is not None and self.labels.take(message)

    def note(self, assets: Iterable[str]) -> None:
        """Note the assets of rows that were added."""
        if len(self._assets) < MAX_NAMED:
            self._assets.update(assets)

    def turned(self, files: Files) -> None:
        """Remove files and write labels, as far as it is time to.

        Raises:
            OSError: the disk is full.
        """
        if self.retention is not None:
            complete = files.paths[self._complete :]
            self._complete += len(complete)
            if complete:
                self.retention.add(complete, frozenset(self._assets))
                self._assets.clear()
            is_shorter = self.retention.apply(files.open_bytes)
            if complete or is_shorter or self._of_files is None:
                self._of_files = self.retention.assets
        if self.labels is not None:
            self.labels.write((self._of_files or set()) | self._assets)


def kept_beside(options: argparse.Namespace, wanted: Subscription) -> Keeping:
    """What the options of a recording ask for.

    Raises:
        UsageError: the folder cannot be used, or the table of labels is another file.
    """
    out, keep_mb, keep_days = options.out, options.keep_mb, options.keep_days
    takes_labels = wanted.pipeline.labels is not None
    is_file, retention, labels = out.suffix == SUFFIX, None, None
    if not is_file and (takes_labels or keep_mb is not None or keep_days is not None):
        max_bytes = None if keep_mb is None else keep_mb * _MB
        max_age_s = None if keep_days is None else keep_days * 86_400
        retention = Retention(out, max_bytes, max_age_s)
    if takes_labels:
        path = out.with_suffix(LABELS) if is_file else out / LABELS.removeprefix(".")
        labels = LabelTable(path, LabelTopic(wanted.pipeline))
    return Keeping(retention, labels)


def kept_in_words(keeping: Keeping) -> list[str]:
    """A line for the files that were removed, and one for the labels."""
    told = []
    retention, labels = keeping.retention, keeping.labels
    if retention is not None and retention.removed:
        size = retention.removed_bytes / _MB
        told.append(
            f"{retention.removed} files of {size:.1f} MB were removed, the oldest, for --keep-..."
        )
    if labels is not None:
        found = ", ".join(f"{count} {name}" for name, count in labels.outcomes.most_common())
        waiting = len(labels) - labels.written
        rest = f"; {waiting} of assets without rows are not written" if waiting else ""
        told.append(f"{labels.written} labels in {labels.path}; arrived: {found or 'none'}{rest}")
    return told
