"""Text files in which each line is a column, and each of its values a row.

    pressure  4.0  4.1  4.0        or, without the names, which `data.columns` then lists
    flow       30   31   30

Such a file is turned as a whole in memory, so its size has a limit. A row's line in messages is the
place of its values within the lines.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from trainer.errors import DataError
from trainer.ingest.csv_dialect import WAYS, best_way, fields
from trainer.ingest.sources import MAX_BYTES, OpenFile, whole_lines
from trainer.recipe.data_section import Source

_HINT_BYTES = 16 << 20
_Table = list[list[str]]


def rows(
    opened: OpenFile,
    encoding: str,
    source: Source,
    wanted: Sequence[str],
    note: Callable[[str], object],
) -> pd.DataFrame:
    """Turn a file, so that its lines are columns.

    Args:
        opened: the file.
        encoding: the encoding of its text.
        source: the recipe's `[data]`.
        wanted: names of the columns that must be there.
        note: called with a sentence on what was done.

    Returns:
        The wanted columns as text; the index is the place of each row within the lines, from 1.

    Raises:
        DataError: the file is too large, a column is missing, or lines differ in length.
    """
    text = whole_lines(opened, encoding, source.skip_rows, MAX_BYTES)
    if text is None:
        raise DataError(
            f"{opened.name}: has more than {MAX_BYTES >> 20} MiB, to which a transposed file is "
            "turned in memory; export it with a line for each row"
        )
    table, named = _table(text, source, wanted)
    if source.columns and len(table) != len(source.columns):
        raise DataError(
            f"{opened.name}: has {len(table)} lines, data.columns names {len(source.columns)}; "
            "as data.transposed says, each line is a column: name every line"
        )
    absent = [column for column in wanted if column not in named]
    if absent:
        raise DataError(
            f"{opened.name}: no line begins with '{absent[0]}'; as data.transposed says, each line "
            f"is a column and begins with its name; correct the recipe, or list the names of all "
            f"{len(table)} lines by data.columns"
        )
    note("transposed: each line is a column, and a line in messages is the place within the lines")
    return _turned(table, named, source, wanted, opened.name)


def hint(opened: OpenFile, encoding: str, source: Source, wanted: Sequence[str]) -> str | None:
    """What to write in the recipe if a file that cannot be read as it is looks transposed."""
    text = whole_lines(opened, encoding, source.skip_rows, _HINT_BYTES)
    if text is None:
        return None
    table, named = _table(text, source, wanted)
    if len({len(line) for line in table}) != 1 or not {*wanted} <= {*named}:
        return None
    if source.columns:
        if len(table) != len(source.columns):
            return None
        said = f"its {len(table)} lines are as many as the names"
    else:
        said = "its lines begin with the names of the columns"
    count = len(table[0]) - (not source.columns)
    return (
        f"{said}, so each line seems to be a column of {count} rows: set data.transposed = "
        f'true, or data.transposed = ["{opened.name}"] for this file only'
    )


def _table(lines: Sequence[str], source: Source, wanted: Sequence[str]) -> tuple[_Table, list[str]]:
    """The fields of each line, and the lines' names, by the separator that fits best."""
    ways = [one for one in WAYS if source.separator in {None, one[0]}]
    wanted = () if source.columns else wanted
    way = best_way(lines, ways, lambda rows: len({*wanted} & {row[0] for row in rows if row}))
    table = [fields(line, *way) for line in lines]
    names = source.columns or [row[0].strip() if row else "" for row in table]
    return table, list(names)


def _turned(
    table: _Table, named: Sequence[str], source: Source, wanted: Sequence[str], name: str
) -> pd.DataFrame:
    first = 0 if source.columns else 1
    chosen = {column: table[named.index(column)][first:] for column in wanted}
    counts = {column: len(values) for column, values in chosen.items()}
    shortest, longest = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[shortest] != counts[longest]:
        raise DataError(
            f"{name}: the line of '{shortest}' has {counts[shortest]} values, that of '{longest}' "
            f"has {counts[longest]}; in a transposed file all lines have as many"
        )
    frame = pd.DataFrame(chosen, dtype=str)
    return frame.set_axis(range(1, len(frame) + 1), axis=0)
