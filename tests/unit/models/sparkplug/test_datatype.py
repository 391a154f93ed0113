import pytest

from models.errors import DecodeError
from models.sparkplug.datatype import DataType, typed
from models.sparkplug.payload import Unsupported, Value


@pytest.mark.parametrize(
    ("carried", "datatype", "expected"),
    [
        pytest.param(0xFFFF_FFFF, DataType.INT8, -1, id="int8 in 32 bits"),
        pytest.param(0xFF, DataType.INT8, -1, id="int8 in 8 bits"),
        pytest.param(0x8000, DataType.INT16, -32_768, id="int16 in 16 bits"),
        pytest.param(0x7FFF_FFFF, DataType.INT32, 2**31 - 1, id="int32"),
        pytest.param(0x8000_0000, DataType.INT32, -(2**31), id="least int32"),
        pytest.param(2**64 - 1, DataType.INT64, -1, id="int64"),
        pytest.param(2**64 - 1, DataType.UINT64, 2**64 - 1, id="uint64"),
        pytest.param(255, DataType.UINT8, 255, id="uint8"),
        pytest.param(1.5, DataType.FLOAT, 1.5, id="float"),
        pytest.param(True, DataType.BOOLEAN, True, id="boolean"),
        pytest.param("on", DataType.TEXT, "on", id="text"),
        pytest.param(None, DataType.TEMPLATE, None, id="null of any type"),
    ],
)
def test_value_means_what_its_data_type_says(
    carried: Value, datatype: DataType, expected: object
) -> None:
    value = typed(carried, datatype)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("carried", "datatype", "reason"),
    [
        pytest.param(Unsupported("template"), DataType.TEMPLATE, "unsupported", id="template"),
        pytest.param(Unsupported("bytes"), 31, "unsupported", id="array of doubles"),
        pytest.param(1, 99, "unsupported", id="unknown type"),
        pytest.param(1, DataType.UNKNOWN, "unsupported", id="no type"),
        pytest.param(1, DataType.DOUBLE, "not_a_number", id="whole number for a double"),
        pytest.param(1, DataType.BOOLEAN, "not_a_number", id="whole number for a boolean"),
        pytest.param("1", DataType.INT32, "not_a_number", id="text for a number"),
        pytest.param(256, DataType.UINT8, "not_finite", id="too large for uint8"),
        pytest.param(0x1_0000, DataType.INT16, "not_finite", id="too large for int16"),
        pytest.param(0xFFFF_0000, DataType.INT8, "not_finite", id="too small for int8"),
    ],
)
def test_value_of_another_type_is_refused(carried: Value, datatype: int, reason: str) -> None:
    with pytest.raises(DecodeError) as refused:
        typed(carried, datatype)
    assert refused.value.reason == reason
