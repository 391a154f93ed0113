"""The ledger of rollouts: an SQLite file to which lines are added, and in which none is changed.

A decision is written here before it is signed (`decides`), and again afterwards (`signs`). A
controller that is killed in between finds at its next start what it had meant to do. Lines of a
lower epoch than the rollout's newest are refused, so that a controller that was replaced, and has
not noticed, can write nothing.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from models.rollout.stage import Stage
from server.rollouts.errors import DamagedLedgerError, FencedError, LedgerError, OtherLedgerError

What = Literal["starts", "takes over", "decides", "signs", "waits", "notes", "retrains"]
VERSION: Final = 1
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TABLES: Final = """
CREATE TABLE registry (identity TEXT NOT NULL) STRICT;
CREATE TABLE lines (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    rollout TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    state TEXT NOT NULL,
    what TEXT NOT NULL,
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    controller TEXT NOT NULL,
    gate TEXT NOT NULL,
    gateways TEXT NOT NULL,
    have REAL,
    need REAL,
    settled TEXT
) STRICT;
CREATE INDEX lines_of_rollout ON lines (rollout, id);
CREATE TRIGGER lines_stay BEFORE UPDATE ON lines
BEGIN SELECT RAISE(ABORT, 'a line of the ledger is never changed'); END;
"""
_REBUILD: Final = (
    "the controller opens nothing; rebuild it from the registry and from what the gateways say: "
    "millhand-server rollout rebuild --by NAME"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        time: when it was written, ISO 8601.
        rollout: identity of the rollout.
        epoch: as in `models.rollout.stage.Stage`.
        stage: steps that are open.
        state: state of the rollout.
        what: `starts`, `takes over`, `decides`, `signs`, `waits`, `retrains` for a state of a
            retraining (`server.retraining.states`), or `notes` for anything else.
        reason: why, in words.
        by: who or what has decided it.
        controller: run of the controller that wrote it; empty for a person's decision.
        gate: what was asked, as in `server.rollouts.rules.decision.Decision`.
        gateways: ids of the gateways that it is about, separated by spaces.
        have: what was counted; None where nothing was.
        need: what it was compared with; None likewise.
        settled: since when enough gateways of the open group serve, ISO 8601; None while not.
    """

    time: str
    rollout: str
    epoch: int
    stage: int
    state: str
    what: What
    reason: str
    by: str
    controller: str = ""
    gate: str = ""
    gateways: str = ""
    have: float | None = None
    need: float | None = None
    settled: str | None = None

    @classmethod
    def of(cls, stage: Stage, what: What, controller: str = "") -> "Line":
        """A line about a stage."""
        return cls(
            time=stage.time.isoformat(timespec="milliseconds"),
            rollout=stage.rollout,
            epoch=stage.epoch,
            stage=stage.stage,
            state=stage.state,
            what=what,
            reason=stage.reason,
            by=stage.by,
            controller=controller,
        )

    def is_of(self, stage: Stage) -> bool:
        """Whether it is about this epoch and stage."""
        return (self.rollout, self.epoch, self.stage) == (stage.rollout, stage.epoch, stage.stage)

    @property
    def settled_at(self) -> datetime | None:
        """`settled` as a time."""
        return datetime.fromisoformat(self.settled) if self.settled else None


_COLUMNS: Final = ", ".join(one.name for one in fields(Line))
_MARKS: Final = ", ".join("?" for _ in fields(Line))


class Ledger:
    """The file. Each thread and each process has an object of its own.

    Args:
        path: the file; it is made if it does not exist.
        registry: identity of the registry whose rollouts it is about.
        max_lines: lines that are kept; beyond, the oldest of each rollout but its newest go.

    Raises:
        DamagedLedgerError: it is damaged, or no ledger.
        OtherLedgerError: it belongs to another registry.
        LedgerError: it cannot be opened.
    """

    def __init__(self, path: Path, registry: str, max_lines: int = 100_000) -> None:
        self._path, self._max_lines = path, max_lines
        with self._wrapped():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = sqlite3.connect(
                path, timeout=10.0, isolation_level=None, check_same_thread=False
            )
        try:
            with self._wrapped():
                self._prepare(registry)
        except LedgerError:
            self.close()
            raise

    def append(self, line: Line) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            FencedError: the rollout has a line of a higher epoch.
            LedgerError: it cannot be written.
        """
        self._append(line, line.epoch)

    def append_next(self, line: Line) -> None:
        """Add a line that raises the epoch of its rollout, so that of two such one is refused.

        Raises:
            FencedError: the rollout has a line of this epoch, or of a higher one.
            LedgerError: it cannot be written.
        """
        self._append(line, line.epoch - 1)

    def _append(self, line: Line, highest: int) -> None:
        with self._transaction() as file:
            (epoch,) = file.execute(
                "SELECT coalesce(max(epoch), 0) FROM lines WHERE rollout = ?", (line.rollout,)
            ).fetchone()
            if highest < epoch:
                raise FencedError(
                    f"rollout {line.rollout}: epoch {epoch} was decided meanwhile, this is of "
                    f"epoch {line.epoch}"
                )
            file.execute(f"INSERT INTO lines ({_COLUMNS}) VALUES ({_MARKS})", astuple(line))  # noqa: S608  names of our own fields
            self._prune(file)

    def newest(self, rollout: str, what: What | None = None) -> Line | None:
        """The newest line of a rollout, of any kind or of one; None if it has none.

        Raises:
            LedgerError: it cannot be read.
        """
        found = self.lines(rollout, 1, what)
        return found[0] if found else None

    def lines(self, rollout: str, most: int, what: What | None = None) -> Sequence[Line]:
        """The newest lines of a rollout, of any kind or of one, the newest first.

        Raises:
            LedgerError: it cannot be read.
        """
        with self._wrapped():
            rows = self._file.execute(
                f"SELECT {_COLUMNS} FROM lines WHERE rollout = ? AND what = coalesce(?, what) "  # noqa: S608  names of our own fields
                "ORDER BY id DESC LIMIT ?",
                (rollout, what, most),
            ).fetchall()
        return [Line(*row) for row in rows]

    def epoch(self, rollout: str) -> int:
        """The highest epoch of a rollout; 0 if it has none.

        Raises:
            LedgerError: it cannot be read.
        """
        with self._wrapped():
            row = self._file.execute(
                "SELECT coalesce(max(epoch), 0) FROM lines WHERE rollout = ?", (rollout,)
            ).fetchone()
        return int(row[0])

    def controller(self, rollout: str) -> str:
        """The run of the controller that has taken over last; empty if none has.

        Raises:
            LedgerError: it cannot be read.
        """
        with self._wrapped():
            row = self._file.execute(
                "SELECT controller FROM lines WHERE rollout = ? AND what = 'takes over' "
                "ORDER BY id DESC LIMIT 1",
                (rollout,),
            ).fetchone()
        return str(row[0]) if row else ""

    def pending(self, rollout: str) -> Line | None:
        """The newest decision of a rollout if it was not signed; None otherwise.

        Raises:
            LedgerError: it cannot be read.
        """
        with self._wrapped():
            row = self._file.execute(
                f"SELECT {_COLUMNS} FROM lines WHERE rollout = ? AND "  # noqa: S608  names of our own fields
                "what IN ('starts', 'takes over', 'decides', 'signs') ORDER BY id DESC LIMIT 1",
                (rollout,),
            ).fetchone()
        line = Line(*row) if row else None
        return None if line is None or line.what == "signs" else line

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._file.close()

    def _prepare(self, registry: str) -> None:
        file = self._file
        file.execute("PRAGMA synchronous = FULL")
        (version,) = file.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise LedgerError(
                f"{self._path} was written by another release (version {version}): use that "
                "release, or move the file away and rebuild it with millhand-server rollout rebuild"
            )
        if version == 0:
            with self._transaction():
                self._make(registry)
        (found,) = file.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise DamagedLedgerError(f"{self._path} is damaged ({found}): {_REBUILD}")
        (owner,) = file.execute("SELECT identity FROM registry").fetchone() or ("",)
        if owner != registry:
            raise OtherLedgerError(
                f"{self._path} belongs to another registry (its first root has the SHA-256 "
                f"{owner[:12]}, this one's {registry[:12]}): name the registry that it belongs to "
                "in rollouts.registry, or another server.state_dir"
            )

    def _make(self, registry: str) -> None:
        """Make the tables, unless another process has made them meanwhile."""
        (version,) = self._file.execute("PRAGMA user_version").fetchone()
        if version:
            return
        for statement in _statements(_TABLES):
            self._file.execute(statement)
        self._file.execute("INSERT INTO registry VALUES (?)", (registry,))
        self._file.execute(f"PRAGMA user_version = {VERSION}")

    def _prune(self, file: sqlite3.Connection) -> None:
        (count,) = file.execute("SELECT count(*) FROM lines").fetchone()
        if count > self._max_lines:
            file.execute(
                "DELETE FROM lines WHERE id IN (SELECT id FROM lines WHERE id NOT IN "
                "(SELECT max(id) FROM lines GROUP BY rollout, what) ORDER BY id LIMIT ?)",
                (max(count - self._max_lines, self._max_lines // 100),),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._wrapped(), self._file as file:  # commits, or rolls back at an error
            file.execute("BEGIN IMMEDIATE")
            yield file

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGED or (
                isinstance(exc, sqlite3.OperationalError) and "no such" in str(exc)
            ):
                raise DamagedLedgerError(f"{self._path} is damaged ({exc}): {_REBUILD}") from exc
            raise LedgerError(f"{self._path} cannot be used: {exc}") from exc


def set_aside(path: Path) -> Path | None:
    """Give a ledger another name, so that a new one can be begun; None where there is none.

    Raises:
        LedgerError: it cannot be renamed.
    """
    aside = path.with_name(f"{path.name}.damaged")
    try:
        path.replace(aside)
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LedgerError(f"{path} cannot be set aside: {exc}") from exc
    return aside


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, whose own transaction `executescript` would end."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
