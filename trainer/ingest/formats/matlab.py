"""Reads MATLAB files up to version 7: vectors side by side, or in an array of structures.

    X097_DE_time                      a vector: a value for each row
    X097RPM                           a single value: the same for every row
    data.2                            the second column of a matrix
    B0005.cycle.data.Voltage          of each element of the array of structures `B0005.cycle`
    B0005.cycle.#                     the number of that element, from 1

The first name may have a `*` where the files have different names, such as `X*_DE_time`.
"""

import fnmatch
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import scipy.io
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest.csv_dialect import missing
from trainer.ingest.formats.matlab_elements import check
from trainer.ingest.sources import OpenFile, readable

SUFFIX: Final = ".mat"
NUMBER: Final = "#"
_BLOCK_ROWS = 1 << 18
_MAX_BYTES = 1 << 30
_MAX_PATHS = 1000
_BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    MemoryError,
    struct.error,
    scipy.io.matlab.MatReadError,
)
"""What SciPy raises where a file of MATLAB is damaged."""
_Tree = Mapping[str, Any]


def blocks(
    opened: OpenFile, wanted: Sequence[str], note: Callable[[str], object]
) -> Iterator[pd.DataFrame]:
    """Read a file from its first row to its last.

    Args:
        opened: the file.
        wanted: names of the columns that must be there.
        note: called with a sentence on what was left out.

    Yields:
        The wanted columns, whose index is the number of the row in the file, from 1.

    Raises:
        DataError: the file is broken or of version 7.3, a variable is missing, is no vector, or has
            another length than the others.
    """
    tree = _loaded(opened, wanted)
    count = left_out = 0
    found = {column: _path(tree, column, opened.name) for column in wanted}
    for number, element in _elements(tree, found, opened.name):
        values: dict[str, NDArray[Any] | str] = {}
        for column, path in found.items():
            if (value := _value(element, path, number)) is not None:
                values[column] = value
        if len(values) < len(found):
            left_out += 1
            continue
        rows = _rows(values, f"{opened.name}{f' element {number}' if number else ''}")
        for begin in range(0, rows, _BLOCK_ROWS):
            size = min(_BLOCK_ROWS, rows - begin)
            columns = {name: _part(one, begin, size) for name, one in values.items()}
            first = count + begin + 1
            yield pd.DataFrame(columns).set_axis(pd.RangeIndex(first, first + size), axis=0)
        count += rows
    if left_out and not count:
        lacking = [name for name in wanted if name.rpartition(".")[2] != NUMBER]
        raise DataError(
            missing(_paths(tree), lacking, opened.name)
            or f"{opened.name}: has no rows with a value of each of {', '.join(lacking)}"
        )
    if left_out:
        note(f"{left_out} elements do not have all columns that the recipe names: left out")


def _loaded(opened: OpenFile, wanted: Sequence[str]) -> _Tree:
    """The variables that the wanted columns may be in; structures are mappings."""
    file = opened.rewound()
    size = file.seek(0, 2)
    if size > _MAX_BYTES:
        raise DataError(
            f"{opened.name}: has {size >> 20} MiB, allowed are {_MAX_BYTES >> 20}; divide it"
        )
    patterns = {column.split(".")[0] for column in wanted}
    try:
        with readable(opened.name, *_BROKEN):
            major, _ = scipy.io.matlab.matfile_version(opened.rewound())
            if major == 1:
                check(opened.rewound().read(), _MAX_BYTES)
            stored = [name for name, *_ in scipy.io.whosmat(opened.rewound())]
            names = [one for one in stored if any(fnmatch.fnmatchcase(one, p) for p in patterns)]
            tree: dict[str, Any] = scipy.io.loadmat(
                opened.rewound(), variable_names=names, simplify_cells=True
            )
    except NotImplementedError as exc:
        raise DataError(
            f"{opened.name}: is of MATLAB's version 7.3, which is HDF5; save it as version 7 by "
            "s = load('FILE'); save('FILE', '-struct', 's', '-v7')"
        ) from exc
    return {name: tree.get(name) for name in stored}


def _path(tree: _Tree, column: str, name: str) -> tuple[str, ...]:
    """The keys that lead to a column; its first name may be a pattern.

    Raises:
        DataError: no variable has this name, or several fit the pattern.
    """
    first, *rest = column.split(".")
    fitting = [one for one in tree if fnmatch.fnmatchcase(one, first)]
    if len(fitting) > 1:
        raise DataError(
            f"{name}: '{first}' fits the variables {', '.join(fitting[:10])}; write more of "
            "the one that is meant"
        )
    if not fitting:
        raise DataError(missing(_paths(tree), [column], name) or f"{name}: has no '{column}'")
    return (fitting[0], *rest)


def _elements(
    tree: _Tree, paths: Mapping[str, Sequence[str]], name: str
) -> Iterator[tuple[int, _Tree]]:
    """The file as it is for each element of its array of structures, with the element's number.

    A file without such an array is one element, with the number 0.
    """
    arrays = {one for path in paths.values() if (one := _array_of(tree, path)) is not None}
    if len(arrays) > 1:
        both = " and ".join(sorted(".".join(one) for one in arrays))
        raise DataError(
            f"{name}: {both} are arrays of structures; rows can be those of one of them"
        )
    if not arrays:
        yield 0, tree
        return
    (array,) = arrays
    for number, element in enumerate(_at(tree, array), start=1):
        yield number, _with(tree, array, element)


def _array_of(tree: _Tree, path: Sequence[str]) -> tuple[str, ...] | None:
    """The path of the array of structures that a path leads through; None if there is none."""
    for count in range(1, len(path)):
        if _is_array(_at(tree, path[:count])):
            return tuple(path[:count])
    return None


def _is_array(value: object) -> bool:
    """Whether a value is an array of structures."""
    is_many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype == object)
    return is_many and any(isinstance(one, Mapping) for one in value)  # type: ignore[attr-defined]  # it is many


def _at(value: Any, path: Sequence[str]) -> Any:  # noqa: ANN401  what MATLAB has stored
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _with(tree: _Tree, path: Sequence[str], element: object) -> _Tree:
    """The tree with an element in the place of the array that it is of."""
    first, *rest = path
    inner = _with(tree[first], rest, element) if rest else element
    return {**tree, first: inner}


def _value(tree: _Tree, path: Sequence[str], number: int) -> NDArray[Any] | str | None:
    """A vector, a single value as an array without axes, or a text; None if there is nothing."""
    if path[-1] == NUMBER:
        return np.array(number)
    value = _at(tree, path)
    if value is None and path[-1].isdecimal():
        matrix, column = _at(tree, path[:-1]), int(path[-1])
        is_there = isinstance(matrix, np.ndarray) and matrix.ndim == 2  # noqa: PLR2004  a matrix
        value = matrix[:, column - 1] if is_there and 1 <= column <= matrix.shape[1] else None
    if value is None or isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind == "O" and all(isinstance(one, str) for one in array.flat):
        array = array.astype("U")
    return array.astype(array.dtype.newbyteorder("=")) if array.size else None


def _rows(values: Mapping[str, Any], place: str) -> int:
    """The number of rows that the columns have in common."""
    for name, value in values.items():
        if isinstance(value, str):
            continue
        if value.dtype.kind not in "biufU" or value.ndim > 1:
            raise DataError(f"{place}, column '{name}': {_refusal(name, value)}")
    lengths = {
        name: len(value)
        for name, value in values.items()
        if not isinstance(value, str) and value.ndim
    }
    if len({*lengths.values()}) > 1:
        found = ", ".join(f"'{name}' {length}" for name, length in lengths.items())
        raise DataError(
            f"{place}: columns have different lengths, {found}; name only those of one length"
        )
    return next(iter(lengths.values()), 1)


def _refusal(name: str, value: NDArray[Any]) -> str:
    shape = " x ".join(map(str, value.shape))
    if value.dtype.kind not in "biufU":
        return (
            "is no vector of numbers or texts; a datetime is saved as posixtime(t), a table as "
            "table2struct(t, 'ToScalar', true)"
        )
    if value.ndim == 2:  # noqa: PLR2004  a matrix
        return f"is a matrix of {shape}; name one of its columns, such as '{name}.1'"
    return f"is an array of {shape}; allowed are vectors and columns of matrices"


def _part(value: NDArray[Any] | str, begin: int, size: int) -> Any:  # noqa: ANN401  pandas takes both
    """Some rows of a column; a single value or a text stands in all of them."""
    if isinstance(value, str) or value.dtype.kind == "U":
        texts = np.full(size, value) if isinstance(value, str) or not value.ndim else value
        texts = texts if len(texts) == size else texts[begin : begin + size]
        return pd.Series(texts.tolist(), dtype="str")
    return value[begin : begin + size] if value.ndim else np.full(size, value)


def _paths(tree: _Tree, before: str = "") -> list[str]:
    """The names by which the content of a file can be named, without columns of matrices."""
    found: list[str] = []
    for name, value in tree.items():
        inner = value
        if _is_array(value):
            inner = next(one for one in value if isinstance(one, Mapping))
            found.append(f"{before}{name}.{NUMBER}")
        is_struct = isinstance(inner, Mapping)
        found += _paths(inner, f"{before}{name}.") if is_struct else [f"{before}{name}"]
    return found[:_MAX_PATHS]
