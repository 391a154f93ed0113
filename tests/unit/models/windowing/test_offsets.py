"""An offset is subtracted in double precision, however the values come."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from models.bundle.manifest import Channel, WindowSpec
from models.windowing.blocks import Blocks
from models.windowing.windows import Windows

LEVEL = 1_716_903_000.0
CHANNELS = (Channel(name="meter", offset=LEVEL, valid_range=(0.0, 2e9)), Channel(name="load"))
ROWS = np.array([[LEVEL + 0.125, 1.0], [LEVEL + 0.25, 1e-5], [LEVEL + 0.5, -7.0]])
WANTED = np.array([[0.125, 1.0], [0.25, 1e-5], [0.5, -7.0]], dtype=np.float32)


def of_rows() -> Any:  # noqa: ANN401  an array
    windows = Windows(WindowSpec(length=3), CHANNELS)
    for second, row in enumerate(ROWS.tolist()):
        windows.push("a", second * 10**9, (0, 1), row)
    return windows.take().values


def of_single_signals() -> Any:  # noqa: ANN401  an array
    windows = Windows(WindowSpec(length=3), CHANNELS)
    for second, row in enumerate(ROWS.tolist()):
        for index, value in enumerate(row):
            windows.push("a", second * 10**9 + index, (index,), (value,))
    return windows.take().values


def of_blocks() -> Any:  # noqa: ANN401  an array
    blocks = Blocks(WindowSpec(length=3, sample_period_ms=1000), CHANNELS)
    blocks.push("a", 0, (0, 1), ROWS)
    return blocks.take().values


def of_blocks_of_single_signals() -> Any:  # noqa: ANN401  an array
    blocks = Blocks(WindowSpec(length=3, sample_period_ms=1000), CHANNELS)
    for index in (1, 0):
        blocks.push("a", 0, (index,), ROWS[:, [index]])
    return blocks.take().values


@pytest.mark.parametrize(
    "windows", [of_rows, of_single_signals, of_blocks, of_blocks_of_single_signals]
)
def test_steps_that_float32_could_not_hold_are_in_the_window(
    windows: Callable[[], Any],
) -> None:
    assert np.array_equal(windows(), WANTED[None])


def test_range_is_about_the_value_before_the_offset() -> None:
    windows = Windows(WindowSpec(length=1), CHANNELS)
    windows.push("a", 1, (0, 1), (2.1e9, 1.0))
    assert np.array_equal(windows.take().values, [[[np.nan, 1.0]]], equal_nan=True)


def test_manifest_without_an_offset_is_written_as_before() -> None:
    assert "offset" not in Channel(name="load").model_dump(mode="json")
    assert Channel(name="meter", offset=5.0).model_dump(mode="json")["offset"] == 5.0


def test_state_has_no_offset() -> None:
    with pytest.raises(ValidationError, match="a state has no offset"):
        Channel(name="valve", codes={"open": 1.0}, offset=5.0)
