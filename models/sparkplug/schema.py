"""The fields of Sparkplug B 3.0.0 by their keys (chapter 6.4.1).

A key is the number of a field times 8, and its wire type; see `models.sparkplug.wire`.
"""

from typing import Final

SENT_AT, METRIC, SEQ, UUID, BODY = 1 << 3, 2 << 3 | 2, 3 << 3, 4 << 3 | 2, 5 << 3 | 2
"""Fields of a payload."""
PAYLOAD_KEYS: Final = frozenset((SENT_AT, METRIC, SEQ, UUID, BODY))

NAME, ALIAS, AT, DATATYPE = 1 << 3 | 2, 2 << 3, 3 << 3, 4 << 3
IS_HISTORICAL, IS_TRANSIENT, IS_NULL = 5 << 3, 6 << 3, 7 << 3
METADATA, PROPERTIES = 8 << 3 | 2, 9 << 3 | 2
"""Fields of a metric beside its value."""
METRIC_KEYS: Final = frozenset(
    (NAME, ALIAS, AT, DATATYPE, IS_HISTORICAL, IS_TRANSIENT, IS_NULL, METADATA, PROPERTIES)
)
METRIC_VALUE: Final = 10
"""Number of the first field for the value of a metric, `int_value`."""
METRIC_UNSUPPORTED: Final = ("bytes", "data set", "template", "extension")
"""What the fields behind the values of a metric that are read are for, in order."""

SET_NAME, SET_VALUE = 1 << 3 | 2, 2 << 3 | 2
"""Fields of a set of properties: all names, and all properties."""
SET_KEYS: Final = frozenset((SET_NAME, SET_VALUE))

PROPERTY_TYPE, PROPERTY_IS_NULL = 1 << 3, 2 << 3
"""Fields of a property beside its value."""
PROPERTY_KEYS: Final = frozenset((PROPERTY_TYPE, PROPERTY_IS_NULL))
PROPERTY_VALUE: Final = 3
"""Number of the first field for the value of a property, `int_value`."""
PROPERTY_UNSUPPORTED: Final = ("property set", "list of property sets", "extension")
"""What the fields behind the values of a property that are read are for, in order."""

INT, LONG, FLOAT, DOUBLE, BOOLEAN, STRING = 0, 1 << 3, 2 << 3 | 5, 3 << 3 | 1, 4 << 3, 5 << 3 | 2
"""The six kinds of value, each by what its key is more than that of `int_value`."""
