"""Whether the device of the configuration can be used, and which devices there are."""

from collections.abc import Iterator

from serving.preflight.answer import Answer
from serving.runtime.chosen import choose
from serving.runtime.device import DeviceError, seen
from serving.runtime.settings import Inference


def try_device(settings: Inference) -> Iterator[Answer]:
    """Choose the device as `run` does, and name all that there are."""
    try:
        device = choose(settings)
    except DeviceError as exc:
        yield Answer("FAIL", str(exc))
    else:
        if device.reason:
            yield Answer("warn", f"the processor would take the place of a device: {device.reason}")
        yield Answer("ok", f"models would run on the device '{device.name}'")
    yield Answer("ok", f"devices of this machine: {'; '.join(seen())}")
