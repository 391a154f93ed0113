"""How answers of a model are explained by its signals: a part of the manifest."""

from collections.abc import Collection
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_ORDERS: Final = 64
MAX_EXCHANGES: Final = 1 << 25
"""Signals that are exchanged or kept in all windows of one explanation together, at most."""


class Explain(BaseModel):
    """How much of an answer each signal contributes, and which answers say so.

    A signal contributes what the answer changes by when the signal's samples take the place of
    those in a reference window. The model itself answers the windows that are mixed for this, so
    that it holds for any graph.

    Attributes:
        when: which answers carry their reasons without being asked. `alarm`: those that become an
            alarm, one of `alarms` that the answer before was not. `always`: all.
        method: how contributions are computed. `shapley`: signals are exchanged one after the
            other in several orders, and the changes averaged; contributions add up to the
            difference between the answers to the window and to the reference. `occlusion`: each
            signal alone is exchanged for the reference; they need not add up.
        orders: number of orders, of which each second one is the reverse of the one before; 0 for
            `occlusion`.
        reference: index of the reference among the golden windows. It is made up from medians and
            moments of normal training windows, and is no row of anybody's history.
        output: output that is explained; of `probabilities` the one of the class that is answered.
        alarms: class indices that count as an alarm; empty for a regression.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    when: Literal["alarm", "always"]
    method: Literal["shapley", "occlusion"]
    orders: Annotated[int, Field(ge=0, le=MAX_ORDERS, multiple_of=2)] = 0
    reference: Annotated[int, Field(ge=0)]
    output: Literal["value", "score", "probabilities"]
    alarms: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=10_000)] = ()

    @model_validator(mode="after")
    def _orders_fit_the_method(self) -> Self:
        if (self.orders > 0) != (self.method == "shapley"):
            raise ValueError(
                f"orders of the method '{self.method}' is {self.orders}; allowed are 2, 4 and so "
                f"on up to {MAX_ORDERS} for 'shapley', and 0 for 'occlusion'"
            )
        return self

    def count(self, width: int) -> int:
        """How many windows the model answers at most, to explain one of `width` signals."""
        return self.orders * (width - 1) + 2 if self.orders else width + 1

    def check(self, width: int, golden_count: int, outputs: Collection[str], classes: int) -> None:
        """Check that the rest of the manifest has what is named here.

        Args:
            width: number of signals.
            golden_count: number of golden windows.
            outputs: names of the outputs.
            classes: number of classes; 0 for a regression.

        Raises:
            ValueError: it has not; the message names the key.
        """
        if self.count(width) * width > MAX_EXCHANGES:
            raise ValueError(
                f"explain.orders is {self.orders}, which is too many for {width} signals; allowed "
                f"are {MAX_EXCHANGES} exchanges of a signal in all"
            )
        if self.reference >= golden_count:
            raise ValueError(
                f"explain.reference is {self.reference}, and the {golden_count} golden windows "
                "are counted from 0"
            )
        if self.output not in outputs:
            raise ValueError(
                f"explain.output is '{self.output}'; the outputs are {', '.join(outputs)}"
            )
        if beyond := [index for index in self.alarms if index >= classes]:
            raise ValueError(f"explain.alarms has {beyond[0]}; there are {classes} classes, from 0")
