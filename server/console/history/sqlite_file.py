"""The file of the page's history: SQLite, bounded in age and in bytes.

It is written by one thread, in one transaction every few seconds, with a write-ahead log that is
synced when it is taken over into the file: a power cut may lose the last seconds, and leaves a
file that can be read (sqlite.org/wal.html). A damaged file is set aside, and a new one begun.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from server.console.gateways import DriftPoint, Mark, Seen
from server.console.history.points import Point
from server.console.history.schema import TABLES, VERSION

_PAGE_BYTES: Final = 4096
_WAL_BYTES: Final = 4 << 20
_MAX_ROWS: Final = 10_000  # of marks, and of drift of a stream, that are read at a time
_MAX_SEEN: Final = 10_000
_FULL: Final = 0.9  # of its limit: an error is then no fault of the disk
_SHORTENED: Final = 10  # the file has grown to its limit: a tenth of its time goes
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ADD_POINT: Final = """
INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    low = coalesce(min(low, excluded.low), low, excluded.low),
    high = coalesce(max(high, excluded.high), high, excluded.high),
    last = coalesce(excluded.last, last),
    score = coalesce(max(score, excluded.score), score, excluded.score),
    quality = max(quality, excluded.quality)
"""
_T = TypeVar("_T")


class HistoryError(Exception):
    """The history cannot be read or written for now; the message says why."""


class Latest(NamedTuple):
    """The newest prediction of an asset.

    Attributes:
        stream: name of the stream.
        asset: key of the asset.
        received: when it arrived, milliseconds since 1970.
        document: the prediction as it was published, JSON.
        values: scores of the points before it, oldest first; values where the model has no score;
            None where there was none.
    """

    stream: str
    asset: str
    received: int
    document: bytes
    values: Sequence[float | None] = ()


class Batch(NamedTuple):
    """What is written at a time."""

    points: Sequence[Point]
    latest: Sequence[Latest]
    marks: Sequence[Mark]
    drift: Sequence[DriftPoint]
    seen: Sequence[Seen] = ()


class Curve(NamedTuple):
    """What happened to an asset of a stream in a time.

    Attributes:
        points: begin, least value, greatest value, greatest score and worst quality of each point.
        marks: models that were exchanged.
        drift: what gateways have said of drift.
    """

    points: Sequence[tuple[int, float | None, float | None, float | None, int]]
    marks: Sequence[Mark]
    drift: Sequence[DriftPoint]


class HistoryFile:
    """The file. One thread owns it; every method blocks.

    Args:
        path: path of the file.
        max_bytes: bytes that it may have, beside a write-ahead log of some megabytes.
        tell: is called with a sentence when something was done about the file.
    """

    def __init__(self, path: Path, max_bytes: int, tell: Callable[[str], None]) -> None:
        self._path, self._max_bytes, self._tell = path, max_bytes, tell
        self._opened: sqlite3.Connection | None = None
        self._series: dict[tuple[str, str], int] = {}

    def write(self, batch: Batch) -> None:
        """Add a batch; where the file is full, the oldest make room.

        Raises:
            HistoryError: the disk is full, or the file cannot be written; the batch is lost.
        """
        try:
            self._attempt(lambda opened: self._add(opened, batch))
        except HistoryError:
            if not self._shorten():
                raise
            self._attempt(lambda opened: self._add(opened, batch))

    def prune(self, oldest: int) -> None:
        """Remove what is older than a time, milliseconds since 1970.

        Raises:
            HistoryError: the file cannot be written.
        """
        self._attempt(lambda opened: self._remove_before(opened, oldest))

    def latest(self, assets: int, values: int) -> Sequence[Latest]:
        """The newest prediction of each asset, the oldest first.

        Args:
            assets: assets that are asked for at most, the newest ones.
            values: values before it that are asked for at most.

        Raises:
            HistoryError: the file cannot be read.
        """
        return self._attempt(lambda opened: _latest(opened, assets, values))

    def seen(self) -> Sequence[Seen]:
        """The model that each gateway was last seen to run.

        Raises:
            HistoryError: the file cannot be read.
        """
        return self._attempt(_seen)

    def curve(self, stream: str, asset: str, time: tuple[int, int], width: int) -> Curve:
        """What happened to an asset of a stream.

        Args:
            stream: name of the stream.
            asset: key of the asset.
            time: from when on, and until when (exclusive), milliseconds since 1970.
            width: milliseconds that one point of the answer stands for.

        Raises:
            HistoryError: the file cannot be read.
        """
        return self._attempt(lambda opened: _curve(opened, (stream, asset), time, width))

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._opened is not None:
            with suppress(sqlite3.Error):
                self._opened.close()
        self._opened = None
        self._series.clear()

    def _attempt(self, act: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do something with the file; once more with a new one where it proves to be damaged."""
        for _ in range(2):
            try:
                with self._transaction() as opened:
                    return act(opened)
            except sqlite3.Error as exc:
                self.close()
                code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
                if code not in _DAMAGED:
                    raise HistoryError(f"{self._path}: {exc}") from exc
                self._set_aside(str(exc))
        raise HistoryError(f"{self._path}: it is damaged again at once")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._opened is None:
            self._opened = self._open()
        with self._opened:  # commits, or rolls back where something is raised
            self._opened.execute("BEGIN")
            yield self._opened

    def _open(self) -> sqlite3.Connection:
        # The thread that makes the object is not the one that uses it.
        opened = sqlite3.connect(self._path, timeout=5.0, isolation_level=None)
        try:
            version = opened.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                opened.close()
                self._set_aside(f"it was written by another release (version {version})")
                opened = sqlite3.connect(self._path, timeout=5.0, isolation_level=None)
                version = 0
            opened.execute("PRAGMA journal_mode = WAL")
            opened.execute("PRAGMA synchronous = NORMAL")
            opened.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            opened.execute(f"PRAGMA max_page_count = {self._max_bytes // _PAGE_BYTES}")
            if version == 0:
                opened.executescript(f"BEGIN;{TABLES}PRAGMA user_version = {VERSION};COMMIT;")
        except sqlite3.Error:
            opened.close()
            raise
        return opened

    def _set_aside(self, reason: str) -> None:
        """Give the file another name, in the place of one that was set aside before."""
        aside = self._path.with_name(f"{self._path.name}.damaged")
        try:
            self._path.replace(aside)
            for end in ("-wal", "-shm"):
                self._path.with_name(f"{self._path.name}{end}").unlink(missing_ok=True)
        except OSError as exc:
            raise HistoryError(f"{self._path}: {reason}, and cannot be set aside: {exc}") from exc
        self._tell(f"{reason}; it is kept as {aside}, and a new one is begun")

    def _add(self, opened: sqlite3.Connection, batch: Batch) -> None:
        opened.executemany(
            _ADD_POINT,
            [self._row(opened, one) for one in batch.points],
        )
        opened.executemany(
            "INSERT OR REPLACE INTO latest VALUES (?, ?, ?)",
            [
                (self._id(opened, one.stream, one.asset), one.received, one.document)
                for one in batch.latest
            ],
        )
        opened.executemany(
            "INSERT OR REPLACE INTO marks VALUES (:stream, :timestamp, :gateway, :version, :seq)",
            [one._asdict() for one in batch.marks],
        )
        opened.executemany(
            "INSERT OR REPLACE INTO drift VALUES "
            "(:stream, :timestamp, :gateway, :ratio, :alarm, :worst, :asset)",
            [one._asdict() for one in batch.drift],
        )
        opened.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", batch.seen)

    def _row(self, opened: sqlite3.Connection, point: Point) -> tuple[float | None, ...]:
        # As numbers with a fraction: SQLite has no integers beyond 63 bits.
        given = (point.low, point.high, point.last, point.score)
        reals = (None if one is None else float(one) for one in given)
        series = self._id(opened, point.stream, point.asset)
        return (series, point.begin, *reals, point.quality)

    def _id(self, opened: sqlite3.Connection, stream: str, asset: str) -> int:
        key = stream, asset
        found = self._series.get(key)
        if found is None:
            opened.execute("INSERT OR IGNORE INTO series (stream, asset) VALUES (?, ?)", key)
            sought = "SELECT id FROM series WHERE stream = ? AND asset = ?"
            found = self._series[key] = int(opened.execute(sought, key).fetchone()[0])
        return found

    def _remove_before(self, opened: sqlite3.Connection, oldest: int) -> None:
        for (series,) in opened.execute("SELECT id FROM series").fetchall():
            opened.execute("DELETE FROM points WHERE series = ? AND begin < ?", (series, oldest))
        opened.execute("DELETE FROM latest WHERE received < ?", (oldest,))
        opened.execute("DELETE FROM marks WHERE timestamp < ?", (oldest,))
        opened.execute("DELETE FROM drift WHERE timestamp < ?", (oldest,))
        # What a gateway runs is as true a week later: of this, only the number is limited.
        opened.execute(
            "DELETE FROM seen WHERE (stream, gateway) IN "
            "(SELECT stream, gateway FROM seen ORDER BY timestamp DESC LIMIT -1 OFFSET ?)",
            (_MAX_SEEN,),
        )
        opened.execute(
            "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM points WHERE series = id) "
            "AND NOT EXISTS (SELECT 1 FROM latest WHERE series = id)"
        )
        self._series.clear()

    def _shorten(self) -> bool:
        """Remove the oldest tenth, if the file has grown to its limit; whether it had."""
        try:
            used = self._path.stat().st_size
        except OSError:
            return False
        if used < self._max_bytes * _FULL:
            return False
        begin, end = self._attempt(_times)
        if begin is None:
            return False
        self.prune(begin + max(1, (end - begin) // _SHORTENED))
        return True


def _times(opened: sqlite3.Connection) -> tuple[int | None, int]:
    """When the oldest and the newest points began; None without any."""
    ends = [
        opened.execute(
            "SELECT min(begin), max(begin) FROM points WHERE series = ?", (series,)
        ).fetchone()
        for (series,) in opened.execute("SELECT id FROM series").fetchall()
    ]
    known = [(begin, end) for begin, end in ends if begin is not None]
    if not known:
        return None, 0
    return min(begin for begin, _ in known), max(end for _, end in known)


def _latest(opened: sqlite3.Connection, assets: int, values: int) -> Sequence[Latest]:
    found = opened.execute(
        "SELECT stream, asset, received, document, id FROM latest JOIN series ON id = series "
        "ORDER BY received DESC LIMIT ?",
        (assets,),
    ).fetchall()
    sought = "SELECT coalesce(score, last) FROM points WHERE series = ? ORDER BY begin DESC LIMIT ?"
    return [
        Latest(stream, asset, received, document, [one for (one,) in before][::-1])
        for stream, asset, received, document, series in reversed(found)
        for before in [opened.execute(sought, (series, values))]
    ]


def _seen(opened: sqlite3.Connection) -> Sequence[Seen]:
    sought = "SELECT stream, gateway, timestamp, seq FROM seen ORDER BY timestamp DESC LIMIT ?"
    return [Seen(*one) for one in opened.execute(sought, (_MAX_SEEN,))]


def _curve(
    opened: sqlite3.Connection, key: tuple[str, str], time: tuple[int, int], width: int
) -> Curve:
    points: list[Any] = opened.execute(
        "SELECT min(begin), min(low), max(high), max(score), max(quality) FROM points "
        "WHERE series = (SELECT id FROM series WHERE stream = ? AND asset = ?) "
        "AND begin >= ? AND begin < ? GROUP BY begin / ? ORDER BY begin",
        (*key, *time, width),
    ).fetchall()
    where = "WHERE stream = ? AND timestamp >= ? AND timestamp < ? ORDER BY timestamp DESC LIMIT ?"
    bound = (key[0], *time, _MAX_ROWS)
    marks = opened.execute(
        f"SELECT timestamp, stream, gateway, version, seq FROM marks {where}",  # noqa: S608  constants
        bound,
    ).fetchall()
    drift = opened.execute(
        f"SELECT timestamp, stream, gateway, ratio, alarm, worst, asset FROM drift {where}",  # noqa: S608  constants
        bound,
    ).fetchall()
    return Curve(
        points,
        [Mark(*one) for one in reversed(marks)],
        [DriftPoint(*one)._replace(alarm=bool(one[4])) for one in reversed(drift)],
    )
