"""Arithmetic over signals, as a recipe writes it: `power = "torque * speed * 0.10472"`.

An expression is parsed by Python's grammar, and only numbers, names of signals, `+ - * / **` and a
few functions are accepted, so an expression can do nothing but arithmetic. It can be evaluated on
NumPy arrays and on a `Symbol`, so a derived signal becomes part of the ONNX graph.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

MAX_LENGTH = 500
# A power becomes so many factors in the graph.
_MAX_POWER = 4
# Bounds the size of the graph, and the depth of the recursion below.
_MAX_NODES = 200

_OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
}
_OF_ONE: Mapping[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
}
_OF_MANY: Mapping[str, Callable[[Any, Any], Any]] = {"min": np.minimum, "max": np.maximum}


class Expression:
    """A parsed expression that contains nothing but arithmetic.

    Attributes:
        text: the expression as it was written.
        names: names of the signals in it.

    Raises:
        ValueError: the text is not arithmetic, or has no signal in it; the message names the part.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
            raise ValueError(f"'{text}' cannot be read: {exc}") from exc
        nodes = list(ast.walk(self._tree))
        if len(nodes) > _MAX_NODES:
            raise ValueError(f"the expression has {len(nodes)} parts, allowed are {_MAX_NODES}")
        _check(self._tree)
        functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        named = (node for node in nodes if isinstance(node, ast.Name) and id(node) not in functions)
        self.names = frozenset(node.id for node in named)
        if not self.names:
            raise ValueError(f"'{text}' has no signal in it")

    def evaluate(self, signals: Mapping[str, Any]) -> Any:  # noqa: ANN401  an array, or a symbol
        """The value for arrays or symbols of the signals; NaN or infinite where it is undefined."""
        return _value(self._tree, signals)


def _check(node: ast.AST) -> None:
    """Raise ValueError for whatever is not arithmetic."""
    match node:
        case ast.Constant(value=bool() as value):
            raise ValueError(f"{value} is not a number")
        case ast.Constant(value=int() | float()) | ast.Name():
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            _check(node.operand)
        case ast.BinOp(op=ast.Pow()):
            _check(node.left)
            _check_power(node.right)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            _check(node.left)
            _check(node.right)
        case ast.Call(func=ast.Name(), keywords=[]):
            _check_call(node)
        case _:
            known = ", ".join(sorted({*_OF_ONE, *_OF_MANY}))
            raise ValueError(
                f"'{ast.unparse(node)}' is not arithmetic; allowed are numbers, signals, + - * / "
                f"** and {known}"
            )


def _check_power(node: ast.AST) -> None:
    match node:
        case ast.Constant(value=int(power)) if 1 <= power <= _MAX_POWER:
            return
    raise ValueError(
        f"'** {ast.unparse(node)}': a power must be a whole number from 1 to {_MAX_POWER}"
    )


def _check_call(node: ast.Call) -> None:
    name = ast.unparse(node.func)
    count = len(node.args)
    if name not in _OF_ONE and name not in _OF_MANY:
        known = ", ".join(sorted({*_OF_ONE, *_OF_MANY}))
        raise ValueError(f"the function '{name}' is not known; known are {known}")
    if (name in _OF_ONE and count != 1) or not count:
        raise ValueError(f"'{name}' is given {count} values; it takes one")
    for argument in node.args:
        _check(argument)


def _value(node: ast.AST, signals: Mapping[str, Any]) -> Any:  # noqa: ANN401  an array, or a symbol
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name():
            return signals[node.id]
        case ast.UnaryOp():
            value = _value(node.operand, signals)
            return -value if isinstance(node.op, ast.USub) else value
        case ast.BinOp(op=ast.Pow(), right=ast.Constant(value=int(power))):
            return reduce(operator.mul, [_value(node.left, signals)] * power)
        case ast.BinOp():
            left, right = (_value(side, signals) for side in (node.left, node.right))
            return _OPERATORS[type(node.op)](left, right)
        case ast.Call(func=ast.Name(id=name)):
            values = [_value(argument, signals) for argument in node.args]
            return _OF_ONE[name](values[0]) if name in _OF_ONE else reduce(_OF_MANY[name], values)
    raise AssertionError(f"{node!r} was accepted by _check")
