"""The four forms of MLflow's requests, taken apart.

    {"dataframe_split": {"columns": ["pressure", "flow"], "data": [[4.2, 31.5]]}}
    {"dataframe_records": [{"pressure": 4.2, "flow": 31.5}]}
    {"instances": [{"pressure": 4.2, "flow": 31.5}]}    {"instances": [[4.2, 31.5]]}
    {"inputs": {"pressure": [4.2], "flow": [31.5]}}     {"inputs": [[[4.2, 31.5]]]}

Columns are signals by name, and a column may be the time or the asset of its rows. An array
`[rows, signals]` has the signals in the order of the manifest; one with three axes has windows,
`[n, length, signals]`, also under the name `window` of the input. As in MLflow's scoring server
(mlflow/pyfunc/scoring_server, 3.17), exactly one of the forms is allowed; what it ignores beside
them is refused here.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.http.document import as_object
from server.http.refusals import RefusedError
from server.oip.tensors import INPUT
from server.predict.answering import Parts

FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
PARAMS: Final = "params"
_MAX_SHOWN: Final = 100


class Taken(NamedTuple):
    """What a request brings; one of the two is None.

    Attributes:
        rows: rows by signal name.
        windows: windows `[n, length, channels]`.
    """

    rows: Sequence[Mapping[str, Any]] | None = None
    windows: NDArray[np.float64] | None = None


def form_of(document: Mapping[str, Any]) -> str:
    """Which of the four forms a request has.

    Raises:
        RefusedError: none, more than one, or something else beside it.
    """
    found = [key for key in document if key != PARAMS]
    if len(found) != 1 or found[0] not in FORMS:
        shown = ", ".join(found)[:_MAX_SHOWN] or "nothing"
        raise RefusedError(
            f"the body has {shown}; allowed is exactly one of {', '.join(FORMS)}, and {PARAMS}"
        )
    return found[0]


def taken(form: str, content: Any, parts: Parts) -> Taken:  # noqa: ANN401  any JSON value
    """The rows or windows of a request.

    Args:
        form: one of `FORMS`.
        content: what the request has under this key.
        parts: what reads for the version that is asked.

    Raises:
        RefusedError: the content does not have its form.
    """
    readers: Mapping[str, Callable[[Any, Parts], Taken]] = {
        "dataframe_split": _split,
        "dataframe_records": _records,
        "instances": _listed,
        "inputs": _inputs,
    }
    return readers[form](content, parts)


def _split(content: Any, _: Parts) -> Taken:  # noqa: ANN401  any JSON value
    table = as_object(content, "dataframe_split")
    columns, lines = table.get("columns"), table.get("data")
    if not isinstance(columns, list) or not isinstance(lines, list) or not _are_names(columns):
        raise RefusedError(
            "dataframe_split has no list 'columns' of names that differ, or no 'data'"
        )
    return Taken([_row(columns, line, number) for number, line in enumerate(lines)])


def _records(content: Any, _: Parts) -> Taken:  # noqa: ANN401  any JSON value
    if not isinstance(content, list):
        raise RefusedError("it is no list; allowed is a list of objects, one a row")
    return Taken([_cleaned(as_object(row, f"row {n}")) for n, row in enumerate(content)])


def _listed(content: Any, parts: Parts) -> Taken:  # noqa: ANN401  any JSON value
    """A list of rows, of windows, or of objects that have one window each."""
    if not isinstance(content, list) or not content:
        raise RefusedError("it is no list; allowed are rows by signal name, or an array of numbers")
    if not isinstance(content[0], dict):
        return _array(content, parts)
    if set(content[0]) == {INPUT} and INPUT not in parts.rows.names:
        return _array([as_object(one, "an instance").get(INPUT) for one in content], parts)
    return _records(content, parts)


def _inputs(content: Any, parts: Parts) -> Taken:  # noqa: ANN401  any JSON value
    """Columns by name, an array, or an array by the name of the input."""
    if not isinstance(content, dict):
        return _listed(content, parts)
    if set(content) == {INPUT} and INPUT not in parts.rows.names:
        return _array(content[INPUT], parts)
    columns = {name: one if isinstance(one, list) else [one] for name, one in content.items()}
    lengths = set(map(len, columns.values()))
    if len(lengths) != 1:
        raise RefusedError(
            f"the columns of inputs have {sorted(lengths)} values; allowed is one length"
        )
    lines = zip(*columns.values(), strict=True)
    return Taken([_row(list(columns), list(line), number) for number, line in enumerate(lines)])


def _array(content: Any, parts: Parts) -> Taken:  # noqa: ANN401  any JSON value
    """An array of rows `[rows, signals]`, or of windows `[n, length, signals]`."""
    axes = _depth(content)
    if axes < 2:  # noqa: PLR2004  as above
        raise RefusedError(
            f"the array is {str(content)[:_MAX_SHOWN]}; allowed are rows, [[...]], with the "
            f"signals {', '.join(parts.rows.names)[:_MAX_SHOWN]}, or windows, [[[...]]]"
        )
    if axes == 2:  # noqa: PLR2004  the axes that are named above
        names = parts.rows.names
        return Taken([_row(names, line, number) for number, line in enumerate(content)])
    shape = (len(content) if isinstance(content, list) else 0, *parts.tensor.shape)
    return Taken(windows=parts.tensor.read_json(content, shape))


def _row(names: Sequence[str], line: Any, number: int) -> Mapping[str, Any]:  # noqa: ANN401  any JSON value
    if not isinstance(line, list) or len(line) != len(names):
        found = f"{len(line)} values" if isinstance(line, list) else "no list"
        raise RefusedError(
            f"row {number} is {found}; allowed are {len(names)} values: "
            f"{', '.join(names)[:_MAX_SHOWN]}"
        )
    return _cleaned(dict(zip(names, line, strict=True)))


def _cleaned(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with null for NaN and infinities, which is how pandas writes missing values."""
    return {
        name: None if isinstance(value, float) and not isfinite(value) else value
        for name, value in row.items()
    }


def _depth(content: Any) -> int:  # noqa: ANN401  any JSON value
    """How many lists are nested, as the first elements have it."""
    depth = 0
    while isinstance(content, list) and content:
        content, depth = content[0], depth + 1
    return depth


def _are_names(columns: Sequence[Any]) -> bool:
    return all(isinstance(one, str) for one in columns) and len(set(columns)) == len(columns)
