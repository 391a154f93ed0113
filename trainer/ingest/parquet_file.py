"""Reads a Parquet file in blocks of rows; no other module looks at pyarrow's types.

Columns keep their types: numbers stay numbers, times stay times, and repeated texts stay the
dictionaries that they are stored as.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trainer.errors import AbsentColumnError, DataError
from trainer.ingest.csv_dialect import missing, repeated
from trainer.ingest.message_file import RETAINED, ROWS_KEY
from trainer.ingest.sources import OpenFile, readable

_BLOCK_CELLS = 1 << 21
_MOST_ROWS = 1 << 18
_BUFFER_BYTES = 1 << 20
_REFUSED = (
    pa.types.is_nested,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_duration,
    pa.types.is_time,
    pa.types.is_interval,
)


def blocks(
    opened: OpenFile,
    rows: Literal["samples", "messages"] | None,
    wanted: Sequence[str],
    note: Callable[[str], object],
    *,
    repeating: Sequence[str] = (),
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame | None]]:
    """Read a file from its first row to its last.

    Args:
        opened: the file.
        rows: what a row is; None: what the metadata of the file says, and samples without any.
        wanted: names of the columns that must be there.
        note: called with a sentence on what was cleaned.
        repeating: the wanted columns with few different texts, such as the names of assets.

    Yields:
        The wanted columns in their order, and for messages which of them each message carried:
        those that are not null, and none of them of a retained one. The index of both is the number
        of the row, from 1. Each row is in one block, and the memory used does not grow with the
        size of the file.

    Raises:
        DataError: the file is broken, or a column is missing or has a type that is not allowed.
    """
    name = opened.name
    with readable(name, pa.ArrowException):
        schema = pq.read_schema(opened.rewound())
        chosen = _chosen(schema.names, wanted, name, note)
        for column, raw in chosen.items():
            _check_type(schema.field(schema.names.index(raw)).type, f"{name} column '{column}'")
        said = rows or (schema.metadata or {}).get(ROWS_KEY, b"").decode()
        marked = [RETAINED] if said == "messages" and RETAINED in schema.names else []
        coded = [raw for column, raw in chosen.items() if column in repeating]
        # Without a buffer, a column of a row group would be read whole.
        with pq.ParquetFile(
            opened.rewound(), buffer_size=_BUFFER_BYTES, read_dictionary=coded
        ) as file:
            first = 1
            for batch in _batches(file, [*dict.fromkeys([*chosen.values(), *marked])]):
                index = pd.RangeIndex(first, first + len(batch))
                carried = _frame(batch, chosen, index, _carried) if said == "messages" else None
                if carried is not None and marked:
                    is_retained = _series(batch.column(RETAINED)).fillna(value=False)
                    carried[is_retained.to_numpy(dtype=bool)] = False
                yield _frame(batch, chosen, index, _series), carried
                first += len(batch)


def _frame(
    batch: Any,  # noqa: ANN401  pyarrow has no types
    chosen: Mapping[str, str],
    index: pd.RangeIndex,
    series: Callable[[Any], Any],
) -> pd.DataFrame:
    """A batch with `series` of each of its columns."""
    frame = pd.DataFrame({column: series(batch.column(raw)) for column, raw in chosen.items()})
    return frame.set_axis(index, axis=0)


def _carried(column: Any) -> NDArray[np.bool_]:  # noqa: ANN401  pyarrow has no types
    carried: NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return carried


def _batches(file: Any, columns: Sequence[str]) -> Iterator[Any]:  # noqa: ANN401  pyarrow has no types
    """All batches, group by group: a reader of several groups keeps all of them in memory."""
    rows = min(_MOST_ROWS, max(1, _BLOCK_CELLS // len(columns)))
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=rows, row_groups=[group], columns=columns)


def _chosen(
    stored: Sequence[str], wanted: Sequence[str], name: str, note: Callable[[str], object]
) -> dict[str, str]:
    """The name under which each of the wanted columns is stored."""
    columns = [raw.strip() for raw in stored]
    for column, raw in zip(columns, stored, strict=True):
        if column != raw:
            note(f"header '{raw}' read as '{column}'")
    if mistake := missing(columns, wanted, name):
        raise AbsentColumnError(mistake, [one for one in wanted if one not in columns])
    if mistake := repeated(columns, wanted, name):
        raise DataError(mistake)
    return {column: stored[columns.index(column)] for column in wanted}


def _check_type(kind: Any, place: str) -> None:  # noqa: ANN401  pyarrow has no types
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    if isinstance(inner, pa.BaseExtensionType) or any(refused(inner) for refused in _REFUSED):
        raise DataError(
            f"{place}: holds {kind}, allowed are numbers, texts and timestamps; store one value "
            "a row in a column of its own, or do not name the column"
        )


def _series(column: Any) -> "pd.Series[Any]":  # noqa: ANN401  pyarrow has no types
    """A column as a pandas series, without a Python object for each row."""
    kind = column.type
    if pa.types.is_dictionary(kind) and not _is_text(kind.value_type):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_decimal(kind) or pa.types.is_null(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
    series: pd.Series[Any] = column.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    return series


def _is_text(kind: Any) -> bool:  # noqa: ANN401  pyarrow has no types
    return any(
        is_text(kind)
        for is_text in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
        )
    )
