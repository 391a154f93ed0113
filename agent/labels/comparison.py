"""Compares a label with what was predicted in its span: one error for each model, and one sign.

A label is one episode, however many predictions its span has, because predictions of one episode
follow one another closely. Its error is the mean absolute error of a regression, and the share of
wrong classes of any other model. Two models are compared on the windows that both have answered.
"""

import sqlite3
from typing import Final

import orjson

from agent.labels.tables import CANDIDATE, CHAMPION
from models.input.label import Label, LabelError

_IN_SPAN: Final = "asset = ? AND end_ms >= ? AND end_ms < ?"
_Span = tuple[int, int, int]


def compare(opened: sqlite3.Connection, label: Label) -> None:
    """Compare a label whose span is over, and add up the errors.

    Args:
        opened: the file, within a transaction.
        label: the label.

    Raises:
        LabelError: there is nothing to compare it with, by a reason of
            `models.input.label.UNMATCHED`.
    """
    asset = opened.execute(
        "SELECT n, gone_ms FROM assets WHERE name = ?", (label.asset,)
    ).fetchone()
    if asset is None:
        raise LabelError("unknown_asset")
    number, gone_ms = asset
    if gone_ms is not None and gone_ms >= label.start_ms:
        raise LabelError("outside_horizon")
    span = (number, label.start_ms, label.end_ms)
    champions = _bundles(opened, span, CHAMPION)
    if not champions:
        raise LabelError("no_prediction")
    wanted = {seq: _right(classes, label.value) for seq, classes in champions.items()}
    for seq, value in wanted.items():
        _add_error(opened, span, seq, value, is_class=bool(champions[seq]))
    for candidate, classes in _bundles(opened, span, CANDIDATE).items():
        try:
            value = _right(classes, label.value)
        except LabelError:
            continue  # a candidate with other classes is not compared with this label
        for seq, right in wanted.items():
            errors = (_error("a", right, champions[seq]), _error("b", value, classes))
            _add_pair(opened, span, (seq, candidate), errors)


def _bundles(opened: sqlite3.Connection, span: _Span, role: int) -> dict[int, list[str]]:
    """The bundles that have predicted in a span, by their number: the names of their classes."""
    found = opened.execute(
        "SELECT DISTINCT seq, classes FROM predictions JOIN bundles USING (seq) "  # noqa: S608  of constants
        f"WHERE {_IN_SPAN} AND role = ?",
        (*span, role),
    )
    return {seq: orjson.loads(classes) for seq, classes in found.fetchall()}


def _right(classes: list[str], value: float | str) -> float:
    """The value that would have been right; of a class, its index.

    Raises:
        LabelError: `unknown_class` or `not_a_number`.
    """
    if not classes:
        if isinstance(value, str):
            raise LabelError("not_a_number")
        return value
    name = value if isinstance(value, str) else f"{value:.17g}"
    if name in classes:
        return float(classes.index(name))
    if isinstance(value, str) or value not in range(len(classes)):
        raise LabelError("unknown_class")
    return value


def _error(table: str, value: float, classes: list[str]) -> tuple[str, float]:
    """The error of a prediction as an expression of SQL, and its parameter."""
    return (f"{table}.value <> ?" if classes else f"abs({table}.value - ?)"), value


def _add_error(
    opened: sqlite3.Connection, span: _Span, seq: int, value: float, *, is_class: bool
) -> None:
    expression, right = _error("a", value, ["class"] if is_class else [])
    error, count = opened.execute(
        f"SELECT avg({expression}), count(*) FROM predictions a "  # noqa: S608  of constants
        f"WHERE {_IN_SPAN} AND role = {CHAMPION} AND seq = ?",
        (right, *span, seq),
    ).fetchone()
    opened.execute(
        "UPDATE bundles SET episodes = episodes + 1, predictions = predictions + ?, "
        "error = error + ? WHERE seq = ?",
        (count, error, seq),
    )


def _add_pair(
    opened: sqlite3.Connection,
    span: _Span,
    pair: tuple[int, int],
    errors: tuple[tuple[str, float], tuple[str, float]],
) -> None:
    """Add the sign of two models, if there are windows that both have answered."""
    (champion_error, champion_value), (candidate_error, candidate_value) = errors
    of_champion, of_candidate, count = opened.execute(
        f"SELECT avg({champion_error}), avg({candidate_error}), count(*) "  # noqa: S608  as above
        "FROM predictions a JOIN predictions b USING (asset, end_ms) "
        f"WHERE {_IN_SPAN} AND a.role = {CHAMPION} AND a.seq = ? "
        f"AND b.role = {CANDIDATE} AND b.seq = ?",
        (champion_value, candidate_value, *span, *pair),
    ).fetchone()
    if not count:
        return
    sign = (of_candidate > of_champion, of_candidate < of_champion, of_candidate == of_champion)
    opened.execute("INSERT OR IGNORE INTO pairs (champion, candidate) VALUES (?, ?)", pair)
    opened.execute(
        "UPDATE pairs SET larger = larger + ?, smaller = smaller + ?, equal = equal + ?, "
        "champion_error = champion_error + ?, candidate_error = candidate_error + ? "
        "WHERE champion = ? AND candidate = ?",
        (*map(int, sign), of_champion, of_candidate, *pair),
    )
