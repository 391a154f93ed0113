"""The devices of this machine that onnxruntime can run graphs on, by its execution providers.

A provider is built into the installed onnxruntime (that for CUDA into the package onnxruntime-gpu),
or it is a library of its own, which is registered first (a plug-in provider, as OpenVINO's).
"""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

from serving.errors import ConfigError

_CPU_NAME: Final = "cpu"
_PROVIDERS: Final = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_PLUG_INS: Final = {"openvino": "onnxruntime_ep_openvino"}
"""Modules that have `get_library_path()`, by the device whose provider is in that library."""
_REMEDIES: Final = {
    "cuda": "install onnxruntime-gpu in place of onnxruntime",
    "tensorrt": "install onnxruntime-gpu in place of onnxruntime, and TensorRT",
    "openvino": "install onnxruntime-ep-openvino",
}
_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    # TensorFloat-32 keeps 10 bits of a number, fewer than the tolerance of golden vectors allows.
    "cuda": {"use_tf32": "0"},
    # So does bfloat16, which OpenVINO takes by itself on processors that have it, and float16.
    "openvino": {
        "load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "f32"}, '
        '"GPU": {"INFERENCE_PRECISION_HINT": "f32"}}'
    },
}


class DeviceError(ConfigError):
    """The device of the configuration cannot be used; the message says why, and what to do."""

    code: ClassVar[str] = "device"


@dataclass(frozen=True, slots=True)
class Device:
    """A device that graphs are run on.

    Attributes:
        name: name as the configuration has it, such as `cuda:1`.
        provider: onnxruntime's name of the execution provider.
        options: options of the provider.
        plugged: the devices of a provider that is a library of its own (`OrtEpDevice`); empty for
            one that is built in.
        may_fall_back: whether the processor takes a model that cannot run on the device.
        reason: why this is the processor although another device is configured; else empty.
    """

    name: str
    provider: str
    options: Mapping[str, str] = field(default_factory=dict)
    plugged: tuple[Any, ...] = ()
    may_fall_back: bool = False
    reason: str = ""

    @property
    def is_cpu(self) -> bool:
        """Whether it is the processor by onnxruntime's own provider, the default."""
        return self.name == _CPU_NAME


CPU: Final = Device(_CPU_NAME, "CPUExecutionProvider")


def find(name: str) -> Device:
    """Find a device by its name in the configuration; whether it works is not tried.

    Raises:
        DeviceError: there is no provider for it here, or the provider finds no such device.
    """
    kind, _, which = name.partition(":")
    if kind == CPU.name:
        return CPU
    provider = _PROVIDERS[kind]
    if provider in ort.get_available_providers():
        options = {**_OPTIONS.get(kind, {}), **_selection(kind, which)}
        return Device(name, provider, options)
    if kind in _PLUG_INS and _is_registered(kind):
        return Device(name, provider, _OPTIONS[kind], plugged=_plugged(name))
    raise DeviceError(
        f"inference.device is '{name}', but onnxruntime {ort.__version__} on this machine has no "
        f"provider for it (there are: {', '.join(ort.get_available_providers())}): "
        f'{_REMEDIES[kind]}, or set inference.device = "cpu"'
    )


def seen() -> list[str]:
    """What there is to run graphs on, a line each: provider, kind of device, and its maker."""
    plugged = {one.ep_name for one in ort.get_ep_devices()}
    built_in = [name for name in ort.get_available_providers() if name not in plugged]
    return [*(f"{one.ep_name}  {_described(one)}" for one in ort.get_ep_devices()), *built_in]


def _selection(kind: str, which: str) -> Mapping[str, str]:
    if not which:
        return {}
    return {"device_type": which} if kind == "openvino" else {"device_id": which}


def _is_registered(kind: str) -> bool:
    """Register the library of a plug-in provider; False where its package is not installed.

    Raises:
        DeviceError: it is there, and cannot be loaded.
    """
    provider, module = _PROVIDERS[kind], _PLUG_INS[kind]
    try:
        path = importlib.import_module(module).get_library_path()
    except ModuleNotFoundError:
        return False
    except OSError as exc:
        raise DeviceError(f"{module} is damaged: {exc}; {_REMEDIES[kind]} again") from exc
    try:
        ort.register_execution_provider_library(provider, path)
    except Exception as exc:  # onnxruntime's errors have no common base class but this
        if "already registered" not in str(exc):
            raise DeviceError(f"{path} cannot be loaded by onnxruntime: {exc}") from exc
    return True


def _plugged(name: str) -> tuple[Any, ...]:
    """The devices that a registered provider offers, or the one kind of them that is wanted."""
    kind, _, which = name.partition(":")
    offered = [one for one in ort.get_ep_devices() if one.ep_name == _PROVIDERS[kind]]
    found = tuple(one for one in offered if which in ("", one.device.type.name))
    if not found:
        there = ", ".join(map(_described, offered)) or "none"
        wanted = f"kind {which}" if which else "any kind"
        raise DeviceError(
            f"inference.device is '{name}', whose provider was loaded, but it finds no device of "
            f"{wanted} on this machine (found: {there}): install the driver of the device, or set "
            'inference.device = "cpu"'
        )
    return found[:1]


def _described(one: Any) -> str:  # noqa: ANN401  OrtEpDevice has no types
    return f"{one.device.type.name} of {one.device.vendor or 'an unknown maker'}"
