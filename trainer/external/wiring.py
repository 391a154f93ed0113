"""Nodes that are added to a graph, one after the other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

from trainer.external.labels import ML

# Names of added nodes and constants begin with this; `graph.py` puts another prefix before the
# graph's own, so they cannot collide.
MARK = "millhand_"
# From opset 18 on ReduceMax takes its axes as an input, before as an attribute.
_AXES_ARE_INPUT_SINCE = 18


@dataclass
class Wiring:
    """Adds nodes and constants to a graph.

    Attributes:
        graph: the graph, which is changed.
        opset: version of ONNX's own operators that the graph imports.
    """

    graph: GraphProto
    opset: int

    @property
    def added(self) -> list[NodeProto]:
        """The nodes that were added, by another `Wiring` of this graph too."""
        return [node for node in self.graph.node if node.name.startswith(MARK)]

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401  as ONNX
        """Add a node, and return the name of its output, which is unique."""
        name = f"{MARK}{len(self.graph.node)}_{kind}"
        self.end(kind, *inputs, name=name, **attributes)
        return name

    def end(self, kind: str, *inputs: str, name: str, **attributes: Any) -> None:  # noqa: ANN401  as ONNX
        """Add a node whose output is called `name`."""
        domain = ML if kind == "LabelEncoder" else ""
        node = helper.make_node(
            kind, inputs, [name], name=f"{MARK}{name}", domain=domain, **attributes
        )
        self.graph.node.append(node)

    def constant(self, value: object, dtype: type = np.int64) -> str:
        """Add a constant, and return its name."""
        name = f"{MARK}constant_{len(self.graph.initializer)}"
        self.graph.initializer.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def highest(self, tensor: str, *, name: str) -> None:
        """Add a node `name` with the largest value of each row of `tensor`."""
        if self.opset < _AXES_ARE_INPUT_SINCE:
            self.end("ReduceMax", tensor, name=name, axes=[1], keepdims=0)
        else:
            self.end("ReduceMax", tensor, self.constant([1]), name=name, keepdims=0)
