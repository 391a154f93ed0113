"""Predictions that wait for their labels, and the labels that wait for the end of their span.

    predictions ──► kept for `horizon_s` ─────┐
    labels ──► waiting until the span is over ┴──► errors, signs       agent/labels/comparison.py

Everything that is handed over is written in one transaction, so a crash at any moment leaves all of
it or nothing. A prediction or a label that comes again, as after a crash, changes nothing. Not for
the hot thread, because it waits for the disk.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import orjson

from agent.labels.comparison import compare
from agent.labels.kept_file import KeptFile
from agent.labels.summary import Errors, HandOver, Kept, Pair, Summary
from agent.labels.tables import CHAMPION, MOST_BUNDLES
from models.input.label import Label, LabelError, Labels

_A_TIME: Final = 500  # predictions that are written before it is seen whether there is room
_LEAST_ROOM: Final = 100
_JUDGED_A_TIME: Final = 200
_MAX_KNOWN: Final = 20_000  # assets whose number is remembered


def path_of(state_dir: Path, stream: str) -> Path:
    """The file of a stream."""
    return state_dir / "labels" / f"{stream}.sqlite3"


class KeptPredictions:
    """The kept predictions and labels of one stream; for one thread.

    Args:
        path: the file.
        limits: how long and how much is kept.
    """

    def __init__(self, path: Path, limits: Labels) -> None:
        self._file, self._limits = KeptFile(path, limits.max_bytes), limits
        self._numbers: dict[str, int] = {}

    def hand_over(self, new: HandOver, now_s: float) -> Summary:
        """Write what is new, and compare the labels whose span is over.

        Args:
            new: predictions and labels.
            now_s: the time of day, seconds since 1970.

        Raises:
            sqlite3.Error: the file cannot be written; nothing of `new` is in it.
            OSError: as before.
        """
        counted = Counter({"malformed": new.malformed, "lost": new.lost})
        with self._file.transaction() as opened:
            self._numbers.clear()  # another process may have removed assets meanwhile
            _add_bundles(opened, new.classes)
            for at in range(0, len(new.predictions), _A_TIME):
                self._add(opened, new.predictions[at : at + _A_TIME], int(now_s))
                counted["removed"] += self._make_room(opened)
            outcomes = [self._take(opened, label, now_s) for label in new.labels]
            counted.update(one for one in outcomes if one != "taken")
            self._forget(opened, now_s - self._limits.horizon_s)
            counted.update(_judge(opened, now_s))
            _count(opened, counted)
            return _summary(opened, tuple(outcomes))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, opened: sqlite3.Connection, batch: Sequence[Kept], now_s: int) -> None:
        newest: dict[int, int] = {}
        rows = []
        for role, seq, asset, end_ms, id_, value in batch:
            number = self._numbers.get(asset) or self._number(opened, asset, end_ms)
            rows.append((now_s, number, end_ms, role, seq, bytes.fromhex(id_), value))
            if role == CHAMPION and end_ms > newest.get(number, end_ms - 1):
                newest[number] = end_ms
        opened.executemany(
            "INSERT OR IGNORE INTO predictions (kept_s, asset, end_ms, role, seq, id, value) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        opened.executemany(
            "UPDATE assets SET newest_ms = max(newest_ms, ?) WHERE n = ?",
            [(end_ms, number) for number, end_ms in newest.items()],
        )

    def _number(self, opened: sqlite3.Connection, asset: str, end_ms: int) -> int:
        """The number of an asset, which is added if it is new."""
        opened.execute(
            "INSERT OR IGNORE INTO assets (name, newest_ms) VALUES (?, ?)", (asset, end_ms)
        )
        found = opened.execute("SELECT n FROM assets WHERE name = ?", (asset,)).fetchone()
        if len(self._numbers) >= _MAX_KNOWN:
            self._numbers.clear()
        number = self._numbers[asset] = int(found[0])
        return number

    def _make_room(self, opened: sqlite3.Connection) -> int:
        """Remove the oldest predictions while there are too many; returns how many."""
        removed = 0
        count = _kept(opened)
        while count and (count > self._limits.max_predictions or self._file.is_crowded(opened)):
            surplus = max(count - self._limits.max_predictions, _LEAST_ROOM, count // 50)
            first = opened.execute("SELECT min(n) FROM predictions").fetchone()[0]
            self._remove_before(opened, first + surplus)
            removed += count - (count := _kept(opened))
        return removed

    def _forget(self, opened: sqlite3.Connection, before_s: float) -> None:
        """Remove what has waited for longer than the horizon."""
        stays = opened.execute(
            "SELECT n FROM predictions WHERE kept_s >= ? ORDER BY n LIMIT 1", (before_s,)
        ).fetchone()
        self._remove_before(opened, stays[0] if stays else 1 << 62)
        opened.execute("DELETE FROM labels WHERE judged_s < ?", (before_s,))

    def _remove_before(self, opened: sqlite3.Connection, n: int) -> None:
        gone = opened.execute(
            "SELECT max(end_ms), asset FROM predictions WHERE n < ? GROUP BY asset", (n,)
        ).fetchall()
        if not gone:
            return
        opened.execute("DELETE FROM predictions WHERE n < ?", (n,))
        opened.executemany(
            "UPDATE assets SET gone_ms = max(ifnull(gone_ms, ?1), ?1) WHERE n = ?2", gone
        )
        opened.executemany(
            "DELETE FROM assets WHERE n = ?1 "
            "AND NOT EXISTS (SELECT 1 FROM predictions WHERE asset = ?1)",
            [(asset,) for _, asset in gone],
        )
        self._numbers.clear()

    def _take(self, opened: sqlite3.Connection, label: Label, now_s: float) -> str:
        """Have a label wait for the end of its span; returns `taken` or why it does not."""
        others = opened.execute(
            "SELECT start_ms, end_ms, value, result FROM labels "
            "WHERE asset = ? AND start_ms < ? AND end_ms > ?",
            (label.asset, label.end_ms, label.start_ms),
        ).fetchall()
        if any(other[:3] == label[1:] for other in others):
            return "repeated"
        # A label that was compared with nothing is in nobody's way: it may be mended.
        if any(result in ("", "compared") for *_, result in others):
            return "overlapping"
        if label.end_ms / 1_000 > now_s + self._limits.horizon_s:
            return "outside_horizon"
        count = opened.execute("SELECT count(*) FROM labels").fetchone()[0]
        if count >= self._limits.max_labels:
            return "too_many"
        due_s = max(now_s, label.end_ms / 1_000) + self._limits.settle_s
        opened.execute(
            "INSERT INTO labels (asset, start_ms, end_ms, value, due_s, result) "
            "VALUES (?, ?, ?, ?, ?, '')",
            (*label, due_s),
        )
        return "taken"


def _judge(opened: sqlite3.Connection, now_s: float) -> list[str]:
    """Compare the labels whose span is over; returns what became of each."""
    due = opened.execute(
        "SELECT l.n, asset, start_ms, end_ms, value FROM labels l "
        "LEFT JOIN assets a ON a.name = l.asset "
        "WHERE judged_s IS NULL AND (due_s <= ? OR newest_ms >= end_ms) LIMIT ?",
        (now_s, _JUDGED_A_TIME),
    ).fetchall()
    results = []
    for n, *label in due:
        result = "compared"
        try:
            compare(opened, Label(*label))
        except LabelError as exc:
            result = exc.reason
        opened.execute("UPDATE labels SET judged_s = ?, result = ? WHERE n = ?", (now_s, result, n))
        results.append(result)
    return results


def _add_bundles(opened: sqlite3.Connection, classes: dict[int, tuple[str, ...]]) -> None:
    opened.executemany(
        "INSERT OR IGNORE INTO bundles (seq, classes) VALUES (?, ?)",
        [(seq, orjson.dumps(names).decode()) for seq, names in classes.items()],
    )
    for table, key in (("bundles", "seq"), ("pairs", "n")):
        opened.execute(
            f"DELETE FROM {table} WHERE {key} NOT IN "  # noqa: S608  of constants
            f"(SELECT {key} FROM {table} ORDER BY {key} DESC LIMIT {MOST_BUNDLES})"
        )


def _count(opened: sqlite3.Connection, counted: Counter[str]) -> None:
    opened.executemany(
        "INSERT INTO counted (name, count) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
        [(name, count) for name, count in counted.items() if count],
    )


def _kept(opened: sqlite3.Connection) -> int:
    """How many predictions there are: their numbers have no gaps."""
    found = opened.execute(
        "SELECT (SELECT max(n) FROM predictions) - (SELECT min(n) FROM predictions)"
    )
    last = found.fetchone()[0]
    return 0 if last is None else int(last) + 1


def _summary(opened: sqlite3.Connection, outcomes: tuple[str, ...]) -> Summary:
    def rows(query: str) -> Iterable[tuple[int, ...]]:
        return opened.execute(query).fetchall()

    waiting = opened.execute("SELECT count(*) FROM labels WHERE judged_s IS NULL").fetchone()[0]
    return Summary(
        kept=_kept(opened),
        waiting=waiting,
        counted={str(name): count for name, count in rows("SELECT name, count FROM counted")},
        errors={
            seq: Errors(*found)
            for seq, *found in rows("SELECT seq, episodes, predictions, error FROM bundles")
        },
        pairs={
            (champion, candidate): Pair(*found)
            for champion, candidate, *found in rows(
                "SELECT champion, candidate, larger, smaller, equal, champion_error, "
                "candidate_error FROM pairs"
            )
        },
        outcomes=outcomes,
    )
