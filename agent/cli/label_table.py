"""`label FILE`: late labels of a table are handed to a stream, also while its agent runs."""

import csv
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import time
from typing import Final

from agent.config.settings import Settings
from agent.labels.kept import KeptPredictions, path_of
from agent.labels.summary import HandOver
from models.input.label import Label, LabelError, label_of
from models.input.pipeline import Pipeline
from serving.errors import ConfigError, TransientError

_SEPARATORS: Final = ",;\t"
_A_TIME: Final = 1_000  # labels of one transaction, so that the agent need not wait long
_SHOWN: Final = 10
_NEEDED: Final = ("from", "to")


def hand_in(settings: Settings, path: Path, stream: str | None) -> tuple[list[str], bool]:
    """Hand the labels of a table to a stream.

    Args:
        settings: the configuration of the agent.
        path: the table, CSV with the columns `asset`, `from`, `to` and `value`.
        stream: name of the stream; None where only one takes labels.

    Returns:
        What became of them in words, and whether all were taken.

    Raises:
        ConfigError: the stream takes no labels, or the table has not these columns.
        TransientError: the file of kept predictions cannot be written now.
    """
    pipeline = _pipeline(settings, stream)
    folder = settings.gateway.state_dir
    _check_owner(folder)
    assert pipeline.labels is not None  # noqa: S101  chosen for it
    kept = KeptPredictions(path_of(folder, pipeline.stream), pipeline.labels)
    outcomes, refused = Counter[str](), list[str]()
    try:
        for part in _parts(_rows(path, pipeline)):
            labels = [label for _, label in part if isinstance(label, Label)]
            new = HandOver(labels=labels, malformed=len(part) - len(labels))
            said = iter(kept.hand_over(new, time()).outcomes)
            for line, label in part:
                outcome = next(said) if isinstance(label, Label) else label
                outcomes[outcome] += 1
                if outcome not in ("taken", "repeated") and len(refused) < _SHOWN:
                    refused.append(f"  line {line}: {outcome}")
    except (sqlite3.Error, OSError) as exc:
        raise TransientError(f"{path_of(folder, pipeline.stream)}: {exc}") from exc
    finally:
        kept.close()
    found = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
    is_whole = not outcomes.keys() - {"taken", "repeated"}
    return [f"{path}: labels of {pipeline.stream}: {found or 'none'}", *refused], is_whole


def _pipeline(settings: Settings, stream: str | None) -> Pipeline:
    takers = [one for one in settings.pipelines if one.labels is not None]
    found = [one for one in takers if stream in (None, one.stream)]
    if len(found) == 1:
        return found[0]
    if not takers:
        raise ConfigError(
            "no pipeline takes labels: add a table [pipelines.labels] to the stream's"
        )
    names = ", ".join(one.stream for one in takers)
    if stream is None:
        raise ConfigError(f"several streams take labels: give one by --stream: {names}")
    raise ConfigError(f"--stream '{stream}' takes no labels; these do: {names}")


def _check_owner(folder: Path) -> None:
    """A file that root makes could not be written by the agent, which has a user of its own."""
    try:
        owner = folder.stat().st_uid
    except OSError as exc:
        raise ConfigError(f"gateway.state_dir: {folder}: {exc.strerror}") from exc
    if owner != os.geteuid():
        raise ConfigError(
            f"gateway.state_dir: {folder} belongs to user {owner}: run this command as that user, "
            f"with sudo -u '#{owner}'"
        )


def _rows(path: Path, pipeline: Pipeline) -> Iterator[tuple[int, Label | str]]:
    """The labels by their line; a text is the reason why a line has none.

    Raises:
        ConfigError: the table cannot be read, or a column is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            separator = max(_SEPARATORS, key=file.readline().count)
            file.seek(0)
            table = csv.DictReader(file, delimiter=separator, skipinitialspace=True)
            columns = [name.strip() for name in table.fieldnames or ()]
            table.fieldnames = columns
            _check_columns(path, columns, pipeline)
            for row in table:
                yield table.line_num, _label(row, pipeline)
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ConfigError(f"{path}: cannot be read: {exc}") from exc


def _check_columns(path: Path, columns: Sequence[str], pipeline: Pipeline) -> None:
    missing = [name for name in _NEEDED if name not in columns]
    if not {"value", "label"} & {*columns}:
        missing.append("value")
    if pipeline.inputs[0].level_names and "asset" not in columns:
        missing.append("asset")
    if missing:
        raise ConfigError(
            f"{path}: has no column {', '.join(missing)}; a table of labels has asset, from, to "
            f"and value, and this one {', '.join(columns)[:200] or 'nothing'}"
        )


def _label(row: dict[str, str | None], pipeline: Pipeline) -> Label | str:
    try:
        return label_of({"asset": pipeline.stream, **row})
    except LabelError as exc:
        return exc.reason


def _parts(
    rows: Iterator[tuple[int, Label | str]],
) -> Iterator[list[tuple[int, Label | str]]]:
    while part := list(islice(rows, _A_TIME)):
        yield part
