"""The tables of the history's file.

| table | rows |
| --- | --- |
| points | what the predictions of an asset were within a few seconds |
| latest | the newest prediction of each asset, so that a restart shows the plant at once |
| marks | models that were exchanged |
| drift | how far streams were from their training data |
| seen | the model that each gateway was last seen to run |
| series | stream and asset of the rows that have a number for them |
"""

from typing import Final

VERSION: Final = 2
"""Rises with every change of the tables; a file with another one is set aside."""
TABLES: Final = """
CREATE TABLE series (id INTEGER PRIMARY KEY, stream TEXT, asset TEXT, UNIQUE (stream, asset));
CREATE TABLE points (
    series INTEGER, begin INTEGER, low REAL, high REAL, last REAL, score REAL, quality INTEGER,
    PRIMARY KEY (series, begin)) WITHOUT ROWID;
CREATE TABLE latest (series INTEGER PRIMARY KEY, received INTEGER, document BLOB);
CREATE TABLE marks (
    stream TEXT, timestamp INTEGER, gateway TEXT, version TEXT, seq INTEGER,
    PRIMARY KEY (stream, timestamp, gateway)) WITHOUT ROWID;
CREATE TABLE drift (
    stream TEXT, timestamp INTEGER, gateway TEXT, ratio REAL, alarm INTEGER, worst TEXT, asset TEXT,
    PRIMARY KEY (stream, timestamp, gateway)) WITHOUT ROWID;
CREATE TABLE seen (
    stream TEXT, gateway TEXT, timestamp INTEGER, seq INTEGER,
    PRIMARY KEY (stream, gateway)) WITHOUT ROWID;
"""
