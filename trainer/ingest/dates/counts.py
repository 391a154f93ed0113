"""Event times that are numbers: counts since an origin, and rows that are evenly apart."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest.columns import Columns
from trainer.ingest.dates.formats import PLAUSIBLE_YEARS, UNIX_EPOCH, ways_to_count
from trainer.recipe.time_section import UNIT_NS, YEARS, TimeAxis

_END_NS = 9 * 10**18  # in the year 2255


def counted(columns: Columns, axis: TimeAxis, unit_ns: int) -> NDArray[np.int64]:
    """Times of a column of numbers, which count units of `unit_ns` nanoseconds from the origin.

    Raises:
        DataError: a row has no number, or one that leads beyond the years that can be held.
    """
    column = axis.name
    raw = columns.frame[column]
    if not pd.api.types.is_numeric_dtype(raw.dtype):
        raw = pd.to_numeric(columns.text(column), errors="coerce")
    # Whole numbers stay integers: a double is exact to 256 ns only for nanoseconds since 1970.
    whole = pd.api.types.is_integer_dtype(raw.dtype)
    count = raw.to_numpy(dtype=np.int64) if whole else columns.numbers(column).astype(np.float64)
    start_ns = pd.Timestamp(axis.origin).as_unit("ns").value
    bad = ~(np.abs(count + start_ns / unit_ns) < _END_NS / unit_ns)
    if bad.any():
        needed = f"a number of {axis.unit} since {axis.origin} is needed"
        ways = ways_to_count(str(raw[bad].iloc[0]))
        raise columns.wrong(column, bad, f"{needed}; {ways}" if ways else needed)
    units = np.floor(count).astype(np.int64)
    elapsed = units * unit_ns + np.round((count - units) * unit_ns).astype(np.int64)
    shifted: NDArray[np.int64] = elapsed + start_ns
    return shifted


def unlikely(columns: Columns, axis: TimeAxis, stamps: NDArray[np.int64]) -> str | None:
    """A note on a count since 1970 that gives a plausible year in another unit only."""
    text = str(columns.frame[axis.name].iloc[0])
    moment = np.datetime64(int(stamps[0]), "ns").astype("datetime64[s]")
    if axis.origin != UNIX_EPOCH or moment.astype("M8[Y]").astype(int) + 1970 in PLAUSIBLE_YEARS:
        return None
    ways = ways_to_count(text)
    place = columns.place(axis.name, columns.lines[0])
    return f"times begin in {moment}Z, for {place}; {ways}" if ways else None


def of_rows(number: NDArray[np.int64], axis: TimeAxis | None) -> NDArray[np.int64]:
    """Times of rows with a constant step; the number of each row if there is no time axis.

    Raises:
        DataError: the last row lies too far in the future.
    """
    if axis is None or axis.unit is None:
        return number
    start, step = round(axis.origin.timestamp()) * 10**9, (axis.every or 1) * UNIT_NS[axis.unit]
    if len(number) and start + int(number[-1]) * step >= _END_NS:
        raise DataError(
            f"row {int(number[-1]) + 1} would be after the year {YEARS[1]}, {axis.every or 1:g} "
            f"{axis.unit} apart since {axis.origin}; correct data.time.unit, every or origin"
        )
    if step == round(step):  # exact beyond the digits of a double
        return number * round(step) + start
    stamps: NDArray[np.int64] = np.round(number * step).astype(np.int64) + start
    return stamps
