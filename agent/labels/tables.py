"""The tables of the file in which predictions wait for their labels.

Predictions are numbered without gaps, because only the oldest are removed. Times end in `_ms` where
they are event times, and in `_s` where they are times of day of the gateway; both since 1970.
"""

from typing import Final

VERSION: Final = 1
"""Version of the tables; a file of another version is set aside."""
CHAMPION: Final = 0
CANDIDATE: Final = 1
MOST_BUNDLES: Final = 100
"""Bundles, and pairs of them, whose errors are remembered; the oldest make room."""

TABLES: Final = """
CREATE TABLE assets (
    n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, newest_ms INTEGER NOT NULL,
    gone_ms INTEGER
);
CREATE TABLE predictions (
    n INTEGER PRIMARY KEY, kept_s INTEGER NOT NULL, asset INTEGER NOT NULL, end_ms INTEGER NOT NULL,
    role INTEGER NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL, value REAL NOT NULL
);
CREATE UNIQUE INDEX by_asset ON predictions (asset, end_ms, role, seq, id);
CREATE TABLE labels (
    n INTEGER PRIMARY KEY, asset TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
    value NOT NULL, due_s REAL NOT NULL, judged_s REAL, result TEXT NOT NULL
);
CREATE INDEX by_span ON labels (asset, start_ms);
CREATE INDEX waiting ON labels (due_s) WHERE judged_s IS NULL;
CREATE TABLE bundles (
    seq INTEGER PRIMARY KEY, classes TEXT NOT NULL, episodes INTEGER NOT NULL DEFAULT 0,
    predictions INTEGER NOT NULL DEFAULT 0, error REAL NOT NULL DEFAULT 0
);
CREATE TABLE pairs (
    n INTEGER PRIMARY KEY, champion INTEGER NOT NULL, candidate INTEGER NOT NULL,
    larger INTEGER NOT NULL DEFAULT 0, smaller INTEGER NOT NULL DEFAULT 0,
    equal INTEGER NOT NULL DEFAULT 0, champion_error REAL NOT NULL DEFAULT 0,
    candidate_error REAL NOT NULL DEFAULT 0, UNIQUE (champion, candidate)
);
CREATE TABLE counted (name TEXT PRIMARY KEY, count INTEGER NOT NULL);
"""
