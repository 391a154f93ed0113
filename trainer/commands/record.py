"""`millhand-trainer record`: records messages of a broker as Parquet files to train on.

Messages are read by the topic templates and payload formats of a gateway, so a model is trained on
the readings that it will be served. Each message is a row; dropped messages are counted by reason,
as are values that cannot be read.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from models.input.reasons import REASONS
from trainer import broker
from trainer.broker import Address, Broker, Message
from trainer.capture import subscription
from trainer.capture.intake import Intake
from trainer.capture.keeping import Keeping, kept_beside, kept_in_words
from trainer.capture.label_table import LabelTable
from trainer.capture.subscription import Subscription
from trainer.console import Console
from trainer.errors import RecordError, UsageError
from trainer.ingest.message_file import ASSET, SUFFIX, TIME, FileLimits, Files
from trainer.interrupts import StopRequest

# How long the broker may be away, so that a recording over night outlasts its maintenance.
PATIENCE_S = 3600.0
MAX_S = 366 * 86_400.0
MAX_ROWS = 20_000_000
# Messages are collected for so long at most before they become rows.
_TURN_S = 0.2
# The progress line is updated at most so often.
_UPDATE_S = 0.5
_MB = 1_000_000
_MAX_DAYS = 3_660
_OF_STATES = ("not_a_number", "unknown_state")
_STATES = "; states need codes in a recipe, given by --recipe"


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a recording ends, by the first bound that is reached, and what is kept beside its rows.

    Attributes:
        rows: number of rows.
        seconds: seconds since the beginning; None has no limit.
        stop: the user's request to stop.
        keeping: labels, and the files that may stay.
    """

    rows: int = MAX_ROWS
    seconds: float | None = None
    stop: StopRequest = field(default_factory=StopRequest)
    keeping: Keeping = field(default_factory=Keeping)


def record(
    connection: Broker,
    intake: Intake,
    files: Files,
    bounds: Bounds,
    *,
    turned: Callable[[], object] = int,
) -> None:
    """Record messages until a bound is reached, and close the files.

    Args:
        connection: a connection that is subscribed to the topics.
        intake: makes rows of messages.
        files: the files that rows are written to.
        bounds: when the recording ends; the caller enters `bounds.stop.listening()`.
        turned: called several times a second, to show the progress.

    Raises:
        BrokerError: the broker cannot be reached for too long, or does not allow a topic.
        OSError: the disk is full.
    """
    ends = None if bounds.seconds is None else time.monotonic() + bounds.seconds
    try:
        while not bounds.stop.requested and files.rows < bounds.rows:
            left = _TURN_S if ends is None else min(_TURN_S, ends - time.monotonic())
            if left <= 0:
                break
            bounds.stop.wait(partial(connection.listen, left))
            _take(connection.receive(), intake, files, bounds)
            turned()
    finally:
        files.close()
        bounds.keeping.turned(files)


def _take(messages: Sequence[Message], intake: Intake, files: Files, bounds: Bounds) -> None:
    keeping, assets = bounds.keeping, set()
    for message in messages:
        if keeping.take(message):
            continue
        for row in intake.rows(message):
            if files.rows < bounds.rows:
                files.add(row)
                assets.add(row.asset)
    keeping.note(assets)
    files.rotate()
    keeping.turned(files)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    subscription.arguments(parser)
    add(
        "--out",
        type=Path,
        required=True,
        help="FILE.parquet, or a folder for one file an hour; Ctrl-C keeps everything recorded, "
        "kill -9 loses the unfinished file",
    )
    add("--seconds", type=_positive, help="seconds to record; default: until Ctrl-C")
    add(
        "--rows",
        type=_count,
        help=f"most rows to record; default {MAX_ROWS}, and no limit with --keep-...",
    )
    add("--file-rows", type=_count, help="rows in each file of a folder; default 1000000")
    add("--file-mb", type=_count, help="megabytes of each file of a folder; default 256")
    add("--file-seconds", type=_positive, help="seconds in each file of a folder; default 3600")
    add("--keep-mb", type=_count, help="megabytes of a folder's recordings; the oldest make room")
    add("--keep-days", type=_days, help="days after which a file of a folder is removed")
    broker.arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Record with a progress line, and print a summary and the recipe's `[data]` for it."""
    console = Console()
    wanted = subscription.subscription(options)
    address = broker.address_of(options)
    intake = Intake(wanted.pipeline, wanted.signals, wanted.limits, wanted.codes)
    limits, keeping = _file_limits(options), kept_beside(options, wanted)
    with keeping.alone():
        files = Files(options.out, wanted.signals, limits)
        return _record(console, _Parts(options, wanted, intake, files, keeping), address)


@dataclass(frozen=True, slots=True)
class _Parts:
    options: argparse.Namespace
    wanted: Subscription
    intake: Intake
    files: Files
    keeping: Keeping


def _record(console: Console, parts: _Parts, address: Address) -> int:
    options, wanted, intake, files = parts.options, parts.wanted, parts.intake, parts.files
    keeping = parts.keeping
    bounds = Bounds(_most_rows(options), options.seconds, keeping=keeping)
    progress = _Progress(console, intake, files)
    filters = [*wanted.filters, *keeping.filters]
    connection = Broker(address, filters, patience_s=PATIENCE_S)
    try:
        with closing(files), connection, bounds.stop.listening(), console.stage("recording"):
            console.note(f"listening on {', '.join(filters)}; Ctrl-C ends the recording")
            record(connection, intake, files, bounds, turned=progress)
    finally:
        if connection.losses:
            console.note(
                f"the connection was lost {connection.losses} times; messages that were published "
                "meanwhile are missing from the recording"
            )
        for line in (*dropped(intake), *unread(intake), *kept_in_words(keeping)):
            console.note(line)
        if files.paths:
            console.table("recorded", _summary(intake, files, progress.elapsed_s))
    if not files.paths:
        raise RecordError(_why_nothing(intake, wanted))
    names = () if options.recipe else wanted.signals
    console.print(snippet(options.out, wanted, names, keeping.labels))
    return 0


def dropped(intake: Intake) -> list[str]:
    """A line for each reason why messages were dropped, the most frequent first."""
    return [
        f"{count} x {reason}: {REASONS[reason]}; first on {intake.examples[reason]}"
        for reason, count in intake.dropped.most_common()
    ]


def unread(intake: Intake) -> list[str]:
    """A line for each signal and reason why rows lack its value, the most frequent first."""
    return [
        f"{count} rows without '{signal}', which could not be read as {reason}: {REASONS[reason]}"
        f"{_STATES if reason in _OF_STATES else ''}"
        for (signal, reason), count in intake.unread.most_common()
    ]


def snippet(
    out: Path, wanted: Subscription, names: Sequence[str], labels: LabelTable | None = None
) -> str:
    """The sections `[data]`, `[[signals]]` and `[[labels]]` of a recipe that reads the recording.

    Args:
        out: where the recording is.
        wanted: what was recorded.
        names: the signals to describe; none where a recipe has them already.
        labels: the table of labels; None where none are recorded.
    """
    files = out if out.suffix == SUFFIX else out / f"*{SUFFIX}"
    lines = [
        "[data]",
        f"files = [{json.dumps(str(files.absolute()), ensure_ascii=False)}]",
        f'time = {{ column = "{TIME}" }}',
        f'asset_column = "{ASSET}"',
    ]
    for name in names:
        lines += ["", "[[signals]]", f'name = "{name}"']
    if labels is not None and labels.written:
        path = json.dumps(str(labels.path.absolute()), ensure_ascii=False)
        lines += ["", "[[labels]]", f"spans = {path}"]
    if not wanted.is_whole:
        lines += [
            "",
            "# A message has some signals: [window] trigger decides when a sample is taken.",
        ]
    return "\n".join(lines)


class _Progress:
    """The progress line: rows, rows a second, dropped messages and bytes written."""

    def __init__(self, console: Console, intake: Intake, files: Files) -> None:
        self._console, self._intake, self._files = console, intake, files
        self._began = self._shown = time.monotonic()
        self._rows = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning of the recording."""
        return time.monotonic() - self._began

    def __call__(self) -> None:
        now, rows = time.monotonic(), self._files.rows
        passed = now - self._shown
        if passed < _UPDATE_S:
            return
        rate = (rows - self._rows) / passed
        self._shown, self._rows = now, rows
        self._console.detail(
            f"{rows} rows, {rate:.0f} rows/s, {self._intake.dropped.total()} dropped, "
            f"{_size(self._files.size_bytes)} written"
        )


def _summary(intake: Intake, files: Files, elapsed_s: float) -> dict[str, str]:
    last = files.paths[-1]
    return {
        "rows": f"{files.rows} of {intake.assets} assets, from {intake.messages} messages",
        "dropped": str(intake.dropped.total()),
        "time": f"{elapsed_s:.1f} s",
        "files": f"{len(files.paths)}, last {last}" if len(files.paths) > 1 else str(last),
        "size": _size(files.size_bytes),
    }


def _why_nothing(intake: Intake, wanted: Subscription) -> str:
    if intake.messages:
        return f"nothing was recorded: all of {intake.messages} messages were dropped"
    return f"nothing was recorded: no message arrived on {', '.join(wanted.filters)}"


def _file_limits(options: argparse.Namespace) -> FileLimits:
    given = {
        "rows": options.file_rows,
        "size_bytes": options.file_mb and options.file_mb * _MB,
        "seconds": options.file_seconds,
    }
    given = {name: limit for name, limit in given.items() if limit is not None}
    keep = [name for name in ("keep_mb", "keep_days") if getattr(options, name) is not None]
    if (given or keep) and options.out.suffix == SUFFIX:
        what = "--file-..." if given else f"--{keep[0].replace('_', '-')}"
        raise UsageError(f"{what} need a folder, but --out {options.out} is a file")
    if options.keep_mb is not None:
        room = options.keep_mb * _MB
        given.setdefault("size_bytes", min(FileLimits().size_bytes, room // 8))
        if given["size_bytes"] > room / 2:
            raise UsageError(
                f"--keep-mb {options.keep_mb}: must be at least twice --file-mb {options.file_mb}, "
                "since files are removed whole"
            )
    return FileLimits(**given)


def _most_rows(options: argparse.Namespace) -> int:
    if options.rows is not None:
        return int(options.rows)
    is_bounded = options.keep_mb is not None or options.keep_days is not None
    return sys.maxsize if is_bounded else MAX_ROWS


def _size(count: int) -> str:
    return f"{count / _MB:.1f} MB" if count >= _MB else f"{count / 1000:.1f} kB"


def _positive(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < MAX_S:
        raise argparse.ArgumentTypeError(f"'{text}': seconds above 0, up to {MAX_S:g}, are needed")
    return seconds


def _days(text: str) -> float:
    days = float(text)
    if not 0 < days <= _MAX_DAYS:
        raise argparse.ArgumentTypeError(f"'{text}': days above 0, up to {_MAX_DAYS}, are needed")
    return days


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"'{text}': a whole number from 1 on is needed")
    return count
