"""Arrays of a graph that is being written: NumPy code that runs on them adds the ONNX nodes.

A step of ours (features, scaling, monitors) is written once, in NumPy. Given numbers it computes;
given a `Symbol` the same lines write the graph, so the two cannot drift apart:

    def compute(x):                       Mul, ReduceSum, Div, Sqrt
        return np.sqrt((x * x).sum(axis=1) / length)

Only what NumPy and ONNX understand alike is here; anything else raises `TypeError` when the graph
is written, never a wrong node.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray
from onnx import helper, numpy_helper

ML = "ai.onnx.ml"
_ML_VERSION = 3
_BOOL = np.dtype(np.bool_)
_TO_THE_END = np.iinfo(np.int64).max

_UFUNCS: Mapping[str, str] = {
    "absolute": "Abs",
    "add": "Add",
    "divide": "Div",
    "exp": "Exp",
    "greater": "Greater",
    "isnan": "IsNaN",
    "less": "Less",
    "log": "Log",
    "logical_and": "And",
    "matmul": "MatMul",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "negative": "Neg",
    "sqrt": "Sqrt",
    "subtract": "Sub",
    "tanh": "Tanh",
}
_ANSWERS_WITH_BOOL = {"greater", "isnan", "less", "logical_and"}


class Nodes:
    """Adds nodes to the graph that is being written; a node is known by the name of its output."""

    def __init__(self, scope: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
        self._scope = scope
        self._container = container

    def constant(self, array: NDArray[Any]) -> str:
        """A tensor that is part of the graph."""
        name = str(self._scope.get_unique_variable_name("constant"))
        self._container.add_initializer(name, None, None, numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", domain: str = "", **marks: Any) -> str:  # noqa: ANN401  any attribute of a node
        """Add a node; its output gets a name of its own unless `output` gives one."""
        output = output or str(self._scope.get_unique_variable_name(kind.lower()))
        self._container.add_node(
            kind,
            list(inputs),
            [output],
            op_domain=domain,
            op_version=_ML_VERSION if domain else None,
            name=self._scope.get_unique_operator_name(kind),
            **marks,
        )
        return output


class Symbol(NDArrayOperatorsMixin):
    """What a node of the graph will compute, as an array that NumPy takes.

    Attributes:
        nodes: where further nodes go.
        name: of the tensor in the graph.
        dtype: of its values; constants that meet it are cast to it.
    """

    def __init__(self, nodes: Nodes, name: str, dtype: DTypeLike) -> None:
        self.nodes = nodes
        self.name = name
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    def __array_ufunc__(
        self,
        ufunc: np.ufunc,
        method: str,
        *inputs: Any,  # noqa: ANN401  numbers, arrays and symbols
        **named: Any,  # noqa: ANN401  NumPy's own
    ) -> "Symbol":
        """Add the node of an elementwise function."""
        kind = _UFUNCS.get(ufunc.__name__)
        if kind is None or method != "__call__" or named:
            raise TypeError(f"np.{ufunc.__name__}.{method} with {sorted(named)} has no ONNX node")
        dtype = next(one.dtype for one in inputs if isinstance(one, Symbol))
        names = [self.operand(one, dtype) for one in inputs]
        result = _BOOL if ufunc.__name__ in _ANSWERS_WITH_BOOL else dtype
        return self.node(kind, *names, dtype=result)

    def __array_function__(
        self,
        function: Callable[..., Any],
        _types: object,
        inputs: Sequence[Any],
        named: Mapping[str, Any],
    ) -> "Symbol":
        """Add the nodes of one of the functions in `_FUNCTIONS`."""
        written = _FUNCTIONS.get(function)
        if written is None:
            raise TypeError(f"np.{function.__name__} has no ONNX node")
        return written(*inputs, **named)

    def __getitem__(self, key: Any) -> "Symbol":  # noqa: ANN401  NumPy's own
        """Slices with a step of one, and whole numbers, which take their axis away."""
        keys = key if isinstance(key, tuple) else (key,)
        found = self
        gone = 0
        for position, part in enumerate(keys):
            axis = position - gone
            if isinstance(part, slice):
                found = found._slice(part, axis)
            else:
                index = self.nodes.constant(np.array(int(part), dtype=np.int64))
                found = found.node("Gather", found.name, index, axis=axis)
                gone += 1
        return found

    def astype(self, dtype: DTypeLike) -> "Symbol":
        """The same values as another type of number."""
        wanted = np.dtype(dtype)
        if wanted == self.dtype:
            return self
        return self.node(
            "Cast", self.name, dtype=wanted, to=helper.np_dtype_to_tensor_dtype(wanted)
        )

    def sum(self, axis: int, *, keepdims: bool = False) -> "Symbol":
        """Sums along one axis."""
        return self._reduced("ReduceSum", axis, keepdims=keepdims)

    def min(self, axis: int, *, keepdims: bool = False) -> "Symbol":
        """The least along one axis."""
        return self._reduced("ReduceMin", axis, keepdims=keepdims)

    def max(self, axis: int, *, keepdims: bool = False) -> "Symbol":
        """The greatest along one axis."""
        return self._reduced("ReduceMax", axis, keepdims=keepdims)

    def reshape(self, *shape: int) -> "Symbol":
        """The same values in another shape; -1 is what is left over."""
        return self.node("Reshape", self.name, self.nodes.constant(np.array(shape)))

    def power_spectrum(self, length: int) -> "Symbol":
        """See the function of the same name."""
        last = self.nodes.constant(np.array([-1]))
        single = self.nodes.add("Unsqueeze", self.name, last)
        size, axis = (self.nodes.constant(np.array(one)) for one in (length, 1))
        found = self.node("DFT", single, size, axis, onesided=1)
        squared: Symbol = found * found
        return squared.sum(axis=-1)

    def write(self, output: str) -> None:
        """Make it an output of the graph, or of the step."""
        self.nodes.add("Identity", self.name, output=output)

    def operand(self, operand: object, dtype: DTypeLike) -> str:
        """Its name in the graph; of numbers a constant of this type."""
        if isinstance(operand, Symbol):
            return operand.name
        return self.nodes.constant(np.asarray(operand, dtype=dtype))

    def node(self, kind: str, *inputs: str, dtype: DTypeLike | None = None, **marks: Any) -> Self:  # noqa: ANN401  any attribute of a node
        """What a further node computes, of the same type unless another is named."""
        name = self.nodes.add(kind, *inputs, **marks)
        return type(self)(self.nodes, name, self.dtype if dtype is None else dtype)

    def _slice(self, part: slice, axis: int) -> "Symbol":
        if part == slice(None):
            return self
        if part.step not in (None, 1):
            raise TypeError(f"a slice with a step of {part.step} has no ONNX node here")
        stop = _TO_THE_END if part.stop is None else part.stop
        bounds = [self.nodes.constant(np.array([one])) for one in (part.start or 0, stop, axis)]
        return self.node("Slice", self.name, *bounds)

    def _reduced(self, kind: str, axis: int, *, keepdims: bool) -> "Symbol":
        axes = self.nodes.constant(np.array([axis]))
        return self.node(kind, self.name, axes, keepdims=int(keepdims))


def power_spectrum(x: Any, length: int) -> Any:  # noqa: ANN401  an array, or a symbol
    """Squared magnitude of the discrete Fourier transform of real values along axis 1.

    Args:
        x: float64 `[n, length, channels]`, numbers or a symbol.
        length: which a symbol does not know of itself.

    Returns:
        `[n, length // 2 + 1, channels]`.
    """
    if isinstance(x, Symbol):
        return x.power_spectrum(length)
    found = np.fft.rfft(x, length, axis=1)
    return found.real * found.real + found.imag * found.imag


def _where(condition: Symbol, chosen: Any, other: Any) -> Symbol:  # noqa: ANN401  numbers, arrays and symbols
    values = [one for one in (chosen, other) if isinstance(one, Symbol)]
    dtype = values[0].dtype if values else np.result_type(chosen, other)
    names = [condition.operand(one, dtype) for one in (chosen, other)]
    return condition.node("Where", condition.name, *names, dtype=dtype)


def _concatenate(parts: Sequence[Symbol], axis: int = 0) -> Symbol:
    first, *_ = parts
    return first.node("Concat", *(part.name for part in parts), axis=axis)


def _take(values: Symbol, indices: NDArray[np.int64], axis: int) -> Symbol:
    return values.node("Gather", values.name, values.nodes.constant(indices), axis=axis)


_FUNCTIONS: Mapping[Callable[..., Any], Callable[..., Symbol]] = {
    np.where: _where,
    np.concatenate: _concatenate,
    np.take: _take,
}
