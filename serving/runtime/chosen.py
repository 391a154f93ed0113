"""Chooses the device of the configuration, once it has answered a graph of one operator."""

from dataclasses import replace
from typing import Final

import numpy as np

from models.errors import IncompatibleBundleError
from serving.errors import ModelFailedError
from serving.runtime.device import CPU, Device, DeviceError, find
from serving.runtime.graph import load_graph, run_graph
from serving.runtime.settings import Inference

_PROBE: Final = (
    b'\x08\x08:=\n\x11\n\x06window\x12\x01b"\x04Relu\x12\x01pZ\x14\n\x06window\x12\n\n\x08\x08\x01'
    b"\x12\x04\n\x02\x08\x01b\x0f\n\x01b\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)
"""An ONNX model of one Relu, from `window` to `b`, both float32 `[1]`."""


def choose(settings: Inference) -> Device:
    """Choose the device that models run on.

    Returns:
        The device of the configuration; the processor, with the reason, where that device cannot be
        used and `fallback` allows it.

    Raises:
        DeviceError: the device cannot be used, and `fallback` is `refuse`.
    """
    may_fall_back = settings.fallback == "cpu"
    try:
        device = replace(find(settings.device), may_fall_back=may_fall_back)
        if not device.is_cpu:
            _try(device)
    except DeviceError as exc:
        if not may_fall_back:
            raise
        return replace(CPU, reason=str(exc))
    return device


def _try(device: Device) -> None:
    try:
        run_graph(load_graph(_PROBE, device), ["b"], np.zeros(1, np.float32))
    except (IncompatibleBundleError, ModelFailedError) as exc:
        raise DeviceError(
            f"inference.device is '{device.name}', which does not work: {exc}; mend it, or set "
            'inference.device = "cpu"'
        ) from exc
