"""Symbols: arrays of a graph that is being written. NumPy code that runs on them adds ONNX nodes.

A step of ours (features, scaling, monitor) is written once, in NumPy. Given an array it computes;
given a `Symbol` the same lines write the graph, so the two cannot differ:

    def compute(x):                       Mul, ReduceSum, Div, Sqrt
        return np.sqrt((x * x).sum(axis=1) / length)

NumPy calls `__array_ufunc__` (NEP 13) and `__array_function__` (NEP 18) of a symbol. Only functions
that mean the same in NumPy and ONNX are known here. Anything else raises `TypeError` while the
graph is written, so a wrong node is never written.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray
from onnx import helper, numpy_helper

ML = "ai.onnx.ml"
# The newest that skl2onnx 1.20 knows; `trainer.graph.converters` declares 5 for TreeEnsemble.
_ML_VERSION = 3
_BOOL = np.dtype(np.bool_)
# As the end of a slice: ONNX clips it to the length of the axis.
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
    "rint": "Round",
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
        """Add a tensor that is part of the graph, and return its name."""
        name = str(self._scope.get_unique_variable_name("constant"))
        self._container.add_initializer(name, None, None, numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", domain: str = "", **marks: Any) -> str:  # noqa: ANN401  any attribute of a node
        """Add a node, and return the name of its output, which is unique unless it is given.

        `kind` is the operator's name in `domain`, empty for ONNX's own; `marks` its attributes.
        """
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
    """A tensor that the graph will compute, as an array that NumPy functions accept.

    Attributes:
        nodes: adds further nodes to the graph.
        name: name of the tensor in the graph.
        dtype: type of its values. NumPy scalars and arrays combined with it are cast to this type.
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
        """Add the node of an elementwise function (NEP 13)."""
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
        """Add the nodes of one of the functions in `_FUNCTIONS` (NEP 18)."""
        written = _FUNCTIONS.get(function)
        if written is None:
            raise TypeError(f"np.{function.__name__} has no ONNX node")
        return written(*inputs, **named)

    def __getitem__(self, key: Any) -> "Symbol":  # noqa: ANN401  NumPy's own
        """Index with slices of step one, and with whole numbers, which remove their axis."""
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
        """The values cast to another type."""
        wanted = np.dtype(dtype)
        if wanted == self.dtype:
            return self
        return self.node(
            "Cast", self.name, dtype=wanted, to=helper.np_dtype_to_tensor_dtype(wanted)
        )

    def sum(self, axis: int, *, keepdims: bool = False) -> "Symbol":
        """The sums along one axis."""
        return self._reduced("ReduceSum", axis, keepdims=keepdims)

    def min(self, axis: int, *, keepdims: bool = False) -> "Symbol":
        """The minima along one axis."""
        return self._reduced("ReduceMin", axis, keepdims=keepdims)

    def max(self, axis: int, *, keepdims: bool = False) -> "Symbol":
        """The maxima along one axis."""
        return self._reduced("ReduceMax", axis, keepdims=keepdims)

    def reshape(self, *shape: int) -> "Symbol":
        """The values in another shape; one size may be -1, and is computed."""
        return self.node("Reshape", self.name, self.nodes.constant(np.array(shape)))

    def power_spectrum(self, length: int) -> "Symbol":
        """The power spectrum along axis 1; see the function of this name."""
        last = self.nodes.constant(np.array([-1]))
        single = self.nodes.add("Unsqueeze", self.name, last)
        size, axis = (self.nodes.constant(np.array(one)) for one in (length, 1))
        found = self.node("DFT", single, size, axis, onesided=1)
        squared: Symbol = found * found
        return squared.sum(axis=-1)

    def convolution(self, weights: NDArray[np.float32], dilation: int, padding: int) -> "Symbol":
        """The convolution along the last axis; see the function of this name."""
        kernels = self.nodes.constant(weights[:, np.newaxis, np.newaxis])
        pads = [0, padding, 0, padding]
        return self.node("Conv", self.name, kernels, dilations=[1, dilation], pads=pads)

    def write(self, output: str) -> None:
        """Give the tensor the name of an output of the graph, or of the converted step."""
        self.nodes.add("Identity", self.name, output=output)

    def operand(self, operand: object, dtype: DTypeLike) -> str:
        """The operand's name in the graph; an array or a scalar becomes a constant of `dtype`."""
        if isinstance(operand, Symbol):
            return operand.name
        return self.nodes.constant(np.asarray(operand, dtype=dtype))

    def node(self, kind: str, *inputs: str, dtype: DTypeLike | None = None, **marks: Any) -> Self:  # noqa: ANN401  any attribute of a node
        """The output of a further node; it has this symbol's type unless `dtype` is given."""
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
        x: float64 `[n, length, channels]`, an array or a symbol.
        length: number of samples, which a symbol does not know.

    Returns:
        Float64 `[n, length // 2 + 1, channels]`.
    """
    if isinstance(x, Symbol):
        return x.power_spectrum(length)
    found = np.fft.rfft(x, length, axis=1)
    return found.real * found.real + found.imag * found.imag


def convolution(x: Any, weights: NDArray[np.float32], dilation: int, padding: int) -> Any:  # noqa: ANN401  an array, or a symbol
    """The convolution of signals with kernels along the last axis, each signal on its own.

    Args:
        x: float32 `[n, 1, signals, length]`, an array or a symbol.
        weights: the kernels, `[kernels, taps]`.
        dilation: number of samples from one weight to the next.
        padding: number of zeros before the first sample, and after the last.

    Returns:
        Float32 `[n, kernels, signals, length + 2 * padding - dilation * (taps - 1)]`.
    """
    if isinstance(x, Symbol):
        return x.convolution(weights, dilation, padding)
    padded = np.pad(x[:, 0], ((0, 0), (0, 0), (padding, padding)))
    reach = dilation * (weights.shape[1] - 1)
    seen = np.lib.stride_tricks.sliding_window_view(padded, reach + 1, axis=2)[..., ::dilation]
    return np.swapaxes(weights @ np.ascontiguousarray(np.swapaxes(seen, 2, 3)), 1, 2)


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
    np.transpose: lambda values, axes: values.node("Transpose", values.name, perm=list(axes)),
}
