"""`millhand-trainer record`: what a broker carries, as Parquet to train on.

Messages are taken in by the gateway's own topic templates and dialects, so a model learns from the
same readings that it will be served. One row a message; what is dropped is counted by reason.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from models.input.reasons import REASONS
from trainer import broker
from trainer.broker import Broker, Message
from trainer.capture import subscription
from trainer.capture.intake import Intake
from trainer.capture.subscription import Subscription
from trainer.console import Console
from trainer.errors import RecordError, UsageError
from trainer.ingest.message_file import ASSET, SUFFIX, TIME, FileLimits, Files
from trainer.interrupts import StopRequest

PATIENCE_S = 3600.0
"""A recording outlasts a broker that is away for so long."""
MAX_S = 366 * 86_400.0
_TURN_S = 0.2
MAX_ROWS = 20_000_000
_TOLD_S = 0.5
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a recording ends: at so many rows, after so many seconds, or when somebody wants it."""

    rows: int = MAX_ROWS
    seconds: float | None = None
    stop: StopRequest = field(default_factory=StopRequest)


def record(
    connection: Broker,
    intake: Intake,
    files: Files,
    bounds: Bounds,
    *,
    turned: Callable[[], object] = int,
) -> None:
    """Take messages in until a bound is reached or somebody wants an end; closes the files.

    Args:
        connection: listens to the topics.
        intake: makes rows of messages.
        files: take the rows.
        bounds: when to end; the caller hears the interrupts.
        turned: called several times a second.

    Raises:
        BrokerError: the broker is gone for too long, or does not allow a topic.
        OSError: the disk is full.
    """
    ends = None if bounds.seconds is None else time.monotonic() + bounds.seconds
    try:
        while not bounds.stop.requested and files.rows < bounds.rows:
            left = _TURN_S if ends is None else min(_TURN_S, ends - time.monotonic())
            if left <= 0:
                break
            bounds.stop.wait(partial(connection.listen, left))
            _take(connection.receive(), intake, files, bounds.rows)
            turned()
    finally:
        files.close()


def _take(messages: Sequence[Message], intake: Intake, files: Files, most: int) -> None:
    for message in messages:
        for row in intake.rows(message):
            if files.rows < most:
                files.add(row)
    files.rotate()


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    subscription.arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="FILE.parquet, or a folder for a file an hour; Ctrl-C keeps all that came, kill -9 "
        "loses the file under way",
    )
    parser.add_argument("--seconds", type=_positive, help="how long, default until Ctrl-C")
    parser.add_argument(
        "--rows", type=_count, default=MAX_ROWS, help=f"at most, default {MAX_ROWS}"
    )
    parser.add_argument("--file-rows", type=_count, help="of a folder's file, default 1000000")
    parser.add_argument("--file-mb", type=_count, help="of a folder's file, default 256")
    parser.add_argument("--file-seconds", type=_positive, help="of a folder's file, default 3600")
    broker.arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Record with a progress line, and say what came of it."""
    console = Console()
    wanted = subscription.subscription(options)
    address = broker.address_of(options)
    intake = Intake(wanted.pipeline, wanted.signals, wanted.limits)
    files = Files(options.out, wanted.signals, _file_limits(options))
    bounds = Bounds(options.rows, options.seconds)
    progress = _Progress(console, intake, files)
    connection = Broker(address, wanted.filters, patience_s=PATIENCE_S)
    try:
        with closing(files), connection, bounds.stop.listening(), console.stage("recording"):
            console.note(f"listening on {', '.join(wanted.filters)}; Ctrl-C ends")
            record(connection, intake, files, bounds, turned=progress)
    finally:
        if connection.losses:
            console.note(
                f"the connection was lost {connection.losses} times; what was published meanwhile "
                "is not in the recording"
            )
        for line in dropped(intake):
            console.note(line)
        if files.paths:
            console.table("recorded", _summary(intake, files, progress.elapsed_s))
    if not files.paths:
        raise RecordError(_why_nothing(intake, wanted))
    console.print(snippet(options.out, wanted))
    return 0


def dropped(intake: Intake) -> list[str]:
    """A sentence for each reason, the most frequent first."""
    return [
        f"{count} x {reason}: {REASONS[reason]}; first on {intake.examples[reason]}"
        for reason, count in intake.dropped.most_common()
    ]


def snippet(out: Path, wanted: Subscription) -> str:
    """The part of a recipe that describes the recording."""
    files = out if out.suffix == SUFFIX else out / f"*{SUFFIX}"
    lines = [
        "[data]",
        f"files = [{json.dumps(str(files.absolute()), ensure_ascii=False)}]",
        f'time = {{ column = "{TIME}" }}',
        f'asset_column = "{ASSET}"',
    ]
    for name in wanted.signals:
        lines += ["", "[[signals]]", f'name = "{name}"']
    if not wanted.is_whole:
        lines += ["", "# Signals come one by one: [window] trigger says what completes a sample."]
    return "\n".join(lines)


class _Progress:
    """The line that is shown meanwhile: rows, rows a second, what was dropped, bytes written."""

    def __init__(self, console: Console, intake: Intake, files: Files) -> None:
        self._console, self._intake, self._files = console, intake, files
        self._began = self._told = time.monotonic()
        self._rows = 0

    @property
    def elapsed_s(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def __call__(self) -> None:
        now, rows = time.monotonic(), self._files.rows
        passed = now - self._told
        if passed < _TOLD_S:
            return
        rate = (rows - self._rows) / passed
        self._told, self._rows = now, rows
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
        return f"nothing was recorded: none of {intake.messages} messages was of use"
    return f"nothing was recorded: no message came on {', '.join(wanted.filters)}"


def _file_limits(options: argparse.Namespace) -> FileLimits:
    given = {
        "rows": options.file_rows,
        "size_bytes": options.file_mb and options.file_mb * _MB,
        "seconds": options.file_seconds,
    }
    given = {name: limit for name, limit in given.items() if limit is not None}
    if given and options.out.suffix == SUFFIX:
        raise UsageError(f"--file-... are for a folder; --out {options.out} is one file")
    return FileLimits(**given)


def _size(count: int) -> str:
    return f"{count / _MB:.1f} MB" if count >= _MB else f"{count / 1000:.1f} kB"


def _positive(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < MAX_S:
        raise argparse.ArgumentTypeError(f"is '{text}'; seconds are above 0, up to {MAX_S:g}")
    return seconds


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"is '{text}'; a number from 1 on is needed")
    return count
