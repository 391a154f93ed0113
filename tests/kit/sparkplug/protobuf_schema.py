"""The schema of Sparkplug B 3.0.0 (chapter 6.4.1) for the runtime of Protocol Buffers.

It reads and writes what `models.sparkplug` writes and reads, without a line of it. Fields of
templates and data sets that no test needs are left out.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_UINT32, _UINT64 = FieldDescriptorProto.TYPE_UINT32, FieldDescriptorProto.TYPE_UINT64
_FLOAT, _DOUBLE = FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE
_BOOL, _STRING = FieldDescriptorProto.TYPE_BOOL, FieldDescriptorProto.TYPE_STRING
_BYTES = FieldDescriptorProto.TYPE_BYTES
_PACKAGE = "sparkplug"
_SCALARS = (
    ("int_value", _UINT32),
    ("long_value", _UINT64),
    ("float_value", _FLOAT),
    ("double_value", _DOUBLE),
    ("boolean_value", _BOOL),
    ("string_value", _STRING),
)


def payload_class() -> Any:  # noqa: ANN401  the runtime makes the class
    """The class of the message `Payload`."""
    file = FileDescriptorProto(name="sparkplug.proto", package=_PACKAGE, syntax="proto2")
    _property_messages(file)
    _metric_messages(file)
    payload = file.message_type.add(name="Payload")
    _add(payload, "timestamp", 1, _UINT64)
    _add(payload, "metrics", 2, "Metric", is_repeated=True)
    _add(payload, "seq", 3, _UINT64)
    _add(payload, "uuid", 4, _STRING)
    _add(payload, "body", 5, _BYTES)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


def _property_messages(file: FileDescriptorProto) -> None:
    properties = file.message_type.add(name="PropertySet")
    _add(properties, "keys", 1, _STRING, is_repeated=True)
    _add(properties, "values", 2, "PropertyValue", is_repeated=True)
    one = file.message_type.add(name="PropertyValue")
    _add(one, "type", 1, _UINT32)
    _add(one, "is_null", 2, _BOOL)
    _add_values(one, 3, ("propertyset_value", "PropertySet"))


def _metric_messages(file: FileDescriptorProto) -> None:
    rows = file.message_type.add(name="DataSet")
    _add(rows, "num_of_columns", 1, _UINT64)
    _add(rows, "columns", 2, _STRING, is_repeated=True)
    template = file.message_type.add(name="Template")
    _add(template, "version", 1, _STRING)
    _add(template, "metrics", 2, "Metric", is_repeated=True)
    metric = file.message_type.add(name="Metric")
    scalars = (_STRING, _UINT64, _UINT64, _UINT32, _BOOL, _BOOL, _BOOL)
    names = ("name", "alias", "timestamp", "datatype", "is_historical", "is_transient", "is_null")
    for number, (name, kind) in enumerate(zip(names, scalars, strict=True), 1):
        _add(metric, name, number, kind)
    _add(metric, "metadata", 8, _BYTES)
    _add(metric, "properties", 9, "PropertySet")
    others = (("bytes_value", _BYTES), ("dataset_value", "DataSet"), ("template_value", "Template"))
    _add_values(metric, 10, *others)


def _add_values(message: DescriptorProto, first: int, *others: tuple[str, int | str]) -> None:
    message.oneof_decl.add(name="value")
    for number, (name, kind) in enumerate((*_SCALARS, *others), first):
        _add(message, name, number, kind).oneof_index = 0


def _add(
    message: DescriptorProto, name: str, number: int, kind: int | str, *, is_repeated: bool = False
) -> FieldDescriptorProto:
    field: FieldDescriptorProto = message.field.add(name=name, number=number)
    if isinstance(kind, str):
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = kind
    field.label = (
        FieldDescriptorProto.LABEL_REPEATED if is_repeated else FieldDescriptorProto.LABEL_OPTIONAL
    )
    return field
