"""What a Sparkplug B payload says, without its bytes (Sparkplug 3.0.0, chapter 6.4)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

BD_SEQ: Final = "bdSeq"
"""Name of the metric that tells which birth and which death belong together."""
REBIRTH: Final = "Node Control/Rebirth"
"""Name of the metric by which a host asks for births."""


class Unsupported(NamedTuple):
    """Stands for a value that is recognised but not read.

    Attributes:
        kind: what it is, such as `template` or `data set`.
    """

    kind: str


Value: TypeAlias = float | int | bool | str | Unsupported | None
"""Whole numbers are as the bytes carry them, without a sign; see `models.sparkplug.datatype.typed`.

None stands for null, and where there is no value at all.
"""


class Property(NamedTuple):
    """A property of a metric, such as its unit.

    Attributes:
        datatype: number of its data type, see `models.sparkplug.datatype.DataType`.
        value: its value.
    """

    datatype: int
    value: Value


NO_PROPERTIES: Mapping[str, Property] = MappingProxyType({})
"""What a metric without properties has."""


class Metric(NamedTuple):
    """One metric of a node or a device.

    Attributes:
        name: name of the metric; None where only the alias is given, as in data.
        alias: number that stands for the name since the birth; None without one.
        timestamp_ms: time of the value, milliseconds since 1970; None without one.
        datatype: number of the data type, see `models.sparkplug.datatype.DataType`; 0 where it is
            that of the birth.
        value: the value.
        is_historical: whether the value is old, and does not replace the present one.
        is_transient: whether hosts need not store the value.
        properties: properties by name, such as `Quality`.
    """

    name: str | None = None
    alias: int | None = None
    timestamp_ms: int | None = None
    datatype: int = 0
    value: Value = None
    is_historical: bool = False
    is_transient: bool = False
    properties: Mapping[str, Property] = NO_PROPERTIES


class Payload(NamedTuple):
    """The content of one message.

    Attributes:
        timestamp_ms: when it was sent, milliseconds since 1970; None without one.
        metrics: metrics, in order.
        seq: number of the message, 0 to 255; None in a death of a node, which has none.
    """

    timestamp_ms: int | None = None
    metrics: Sequence[Metric] = ()
    seq: int | None = None

    @property
    def bd_seq(self) -> int | None:
        """Number by which a death belongs to a birth of the node; None without one."""
        for metric in self.metrics:
            if metric.name == BD_SEQ and type(metric.value) is int:
                return metric.value
        return None
