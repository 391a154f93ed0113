"""A condition on the columns of a row, as a recipe writes it: `mode == "auto" and load > 10`.

A condition is parsed by Python's grammar, and only comparisons, `and`, `or`, `not`, texts and the
arithmetic of `trainer.features.expression` are accepted, so it can do nothing but compare. A name
that is no plain word, such as one with a blank, stands in backticks, as in pandas.
"""

import ast
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.states import state_text
from trainer.features.expression import MAX_LENGTH, Expression

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`([^`]*)`")
_MAX_NODES = 200
_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ALLOWED = (
    "allowed are comparisons such as load > 10, mode == 'auto' and mode in ['auto', 'test'], "
    "joined by and, or, not"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition says about each row, in Kleene's logic of three values.

    Attributes:
        met: rows that meet the condition, `[rows]`.
        unmet: rows that do not; a row is in neither where a number is missing that decides.
    """

    met: NDArray[np.bool_]
    unmet: NDArray[np.bool_]


class RowFilter:
    """A parsed condition.

    Attributes:
        text: the condition as it was written.
        numbers: names of the columns that are read as numbers.
        texts: names of the columns that are read as text.

    Raises:
        ValueError: the text is no condition, or names no column; the message names the part.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_LENGTH:
            raise ValueError(f"has {len(text)} characters, allowed are {MAX_LENGTH}")
        self._names: dict[str, str] = {}
        plain = _QUOTED.sub(self._plain, text.strip())
        try:
            self._tree = ast.parse(plain, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
            raise ValueError(f"'{text}' cannot be read: {exc}; {_ALLOWED}") from exc
        if sum(1 for _ in ast.walk(self._tree)) > _MAX_NODES:
            raise ValueError(f"'{text}' has more than {_MAX_NODES} parts")
        texts, numbers = set[str](), set[str]()
        for comparison in self._comparisons(self._tree):
            found = _text_comparison(comparison)
            if found is not None:
                texts.add(found[0])
            else:
                numbers |= self._compared_numbers(comparison)
        self.texts = tuple(sorted(map(self._named, texts)))
        self.numbers = tuple(sorted(map(self._named, numbers)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns that the condition needs, each once."""
        return tuple(dict.fromkeys([*self.numbers, *self.texts]))

    def judge(
        self,
        numbers: Mapping[str, NDArray[Any]],
        isin: Callable[[str, Collection[str]], NDArray[np.bool_]],
    ) -> Verdict:
        """Say for each row whether it meets the condition.

        Args:
            numbers: the columns of `numbers`, float `[rows]`, NaN for no value.
            isin: tells which rows have one of some texts in a column of `texts`, `[rows]`; ""
                stands for no text.
        """
        plain = {name: numbers[self._named(name)] for name in self._aliases(numbers)}
        return self._judged(self._tree, plain, isin)

    def _judged(
        self,
        node: ast.expr,
        numbers: Mapping[str, NDArray[Any]],
        isin: Callable[[str, Collection[str]], NDArray[np.bool_]],
    ) -> Verdict:
        match node:
            case ast.BoolOp():
                parts = [self._judged(value, numbers, isin) for value in node.values]
                every, some = np.logical_and.reduce, np.logical_or.reduce
                met, unmet = (every, some) if isinstance(node.op, ast.And) else (some, every)
                return Verdict(met([one.met for one in parts]), unmet([one.unmet for one in parts]))
            case ast.UnaryOp():
                inner = self._judged(node.operand, numbers, isin)
                return Verdict(inner.unmet, inner.met)
            case ast.Compare() if (found := _text_comparison(node)) is not None:
                name, wanted, is_in = found
                same = isin(self._named(name), wanted)
                return Verdict(same, ~same) if is_in else Verdict(~same, same)
            case ast.Compare():
                return _numbers_judged(node, numbers)
        raise AssertionError(f"{node!r} was accepted by _comparisons")

    def _comparisons(self, node: ast.expr) -> Iterator[ast.Compare]:
        """All comparisons of the condition; raises ValueError for whatever else is in it."""
        match node:
            case ast.BoolOp():
                for value in node.values:
                    yield from self._comparisons(value)
            case ast.UnaryOp(op=ast.Not()):
                yield from self._comparisons(node.operand)
            case ast.Compare():
                yield node
            case _:
                raise ValueError(f"'{self._written(node)}' compares nothing; {_ALLOWED}")

    def _compared_numbers(self, comparison: ast.Compare) -> set[str]:
        names = set[str]()
        for op in comparison.ops:
            if type(op) not in _COMPARED:
                raise ValueError(f"'{self._written(comparison)}' is not known; {_ALLOWED}")
        for side in (comparison.left, *comparison.comparators):
            if _constant(side) is None:
                try:
                    names |= Expression(ast.unparse(side)).names
                except ValueError as exc:
                    raise ValueError(f"{self._restored(str(exc))}; {_ALLOWED}") from exc
        if not names:
            raise ValueError(f"'{self._written(comparison)}' names no column")
        return names

    def _plain(self, found: re.Match[str]) -> str:
        """A plain word for a name in backticks; a text in quotes stays."""
        if found[1] is None:
            return found[0]
        if not found[1].strip():
            raise ValueError("there is no name between two backticks")
        word = f"column_{len(self._names)}_in_backticks"
        self._names[word] = found[1].strip()
        return word

    def _named(self, word: str) -> str:
        return self._names.get(word, word)

    def _aliases(self, numbers: Mapping[str, object]) -> Iterator[str]:
        """The words by which the tree calls the columns."""
        yield from (word for word, name in self._names.items() if name in numbers)
        yield from (name for name in numbers if name not in self._names.values())

    def _written(self, node: ast.AST) -> str:
        return self._restored(ast.unparse(node))

    def _restored(self, text: str) -> str:
        for word, name in self._names.items():
            text = text.replace(word, f"`{name}`")
        return text


def _numbers_judged(node: ast.Compare, numbers: Mapping[str, NDArray[Any]]) -> Verdict:
    """Compare numbers, also in a chain such as `0 < load < 10`."""
    sides = [_side(side, numbers) for side in (node.left, *node.comparators)]
    pairs = zip(node.ops, sides, sides[1:], strict=False)
    met = np.logical_and.reduce([_COMPARED[type(op)](left, right) for op, left, right in pairs])
    known = ~np.logical_or.reduce([np.isnan(side) for side in np.broadcast_arrays(*sides)])
    return Verdict(met & known, ~met & known)


def _side(node: ast.expr, numbers: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401  a number or an array
    constant = _constant(node)
    if constant is not None:
        return np.float64(constant)
    with np.errstate(all="ignore"):  # what is undefined becomes NaN
        return Expression(ast.unparse(node)).evaluate(numbers)


def _constant(node: ast.expr) -> float | None:
    """The number that a node is, with its sign; None for any other node."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=inner) if (found := _constant(inner)) is not None:
            return -found
    return None


def _text_comparison(node: ast.Compare) -> tuple[str, frozenset[str], bool] | None:
    """Column, texts, and whether they are wanted, of a comparison with texts; None for numbers."""
    match node:
        case ast.Compare(
            left=ast.Name(id=name), ops=[ast.Eq() | ast.NotEq() as op], comparators=[right]
        ) if isinstance(right, ast.Constant) and isinstance(right.value, str):
            return name, frozenset({state_text(right.value)}), isinstance(op, ast.Eq)
        case ast.Compare(
            left=ast.Name(id=name),
            ops=[ast.In() | ast.NotIn() as among],
            comparators=[ast.List(elts=elements) | ast.Tuple(elts=elements)],
        ) if elements and all(isinstance(one, ast.Constant) for one in elements):
            wanted = frozenset(state_text(ast.literal_eval(one)) for one in elements)
            return name, wanted, isinstance(among, ast.In)
    return None
