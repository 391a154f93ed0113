"""A device that is missing, or that runs nothing of a graph, is refused or told."""

from importlib.util import find_spec

import numpy as np
import onnxruntime as ort
import pytest
from pydantic import ValidationError

from models.errors import GoldenMismatchError, IncompatibleBundleError
from serving.model import prove
from serving.runtime.chosen import choose
from serving.runtime.device import CPU, Device, DeviceError
from serving.runtime.settings import Inference
from tests.kit.bundles.graphs import linear_bundle

BUNDLE = linear_bundle("mass", 1, [1.0, 10.0])
IDLE = Device("azure", "AzureExecutionProvider")
"""A provider that every build has, and that runs no operator of ours."""
WINDOW = np.array([[[1.0, 2.0]]], np.float32)
HAS_OPENVINO = find_spec("onnxruntime_ep_openvino") is not None


def test_processor_is_chosen_by_default() -> None:
    assert choose(Inference()) == CPU


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("cuda", "onnxruntime-gpu"),
        ("cuda:1", "onnxruntime-gpu"),
        ("tensorrt", "TensorRT"),
        ("openvino:GPU", "onnxruntime-ep-openvino"),
    ],
)
def test_device_without_a_provider_is_refused_with_what_to_install(name: str, package: str) -> None:
    if name.startswith("openvino") and HAS_OPENVINO:
        pytest.skip("onnxruntime-ep-openvino is installed")
    with pytest.raises(DeviceError) as caught:
        choose(Inference(device=name))
    found = str(caught.value)
    for word in (f"inference.device is '{name}'", "CPUExecutionProvider", package):
        assert word in found


def test_missing_device_is_replaced_by_the_processor_only_where_that_is_allowed() -> None:
    chosen = choose(Inference(device="cuda", fallback="cpu"))
    assert chosen.is_cpu
    assert "onnxruntime-gpu" in chosen.reason


@pytest.mark.parametrize("name", ["gpu", "cpu:1", "cuda:x", "openvino:TPU", "", "CUDA"])
def test_unknown_device_is_refused_by_the_settings(name: str) -> None:
    with pytest.raises(ValidationError):
        Inference(device=name)


def test_model_of_which_nothing_runs_on_the_device_is_refused() -> None:
    with pytest.raises(IncompatibleBundleError, match="no operator") as caught:
        prove(BUNDLE, IDLE)
    assert "'azure'" in str(caught.value)
    assert "inference.fallback" in str(caught.value)


def test_model_that_falls_back_answers_and_says_why() -> None:
    model = prove(BUNDLE, Device(IDLE.name, IDLE.provider, may_fall_back=True))
    assert model.session.device.is_cpu
    assert "no operator" in model.session.device.reason
    assert model.session.run(WINDOW)["value"].tolist() == [21.0]


def test_model_proves_itself_on_a_plugged_device_and_is_timed_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    # The processor offers itself in the way of plug-in providers too.
    plugged = tuple(one for one in ort.get_ep_devices() if one.ep_name == CPU.provider)
    model = prove(BUNDLE, Device("plugged", CPU.provider, plugged=plugged[:1]))
    assert model.session.device.name == "plugged"
    assert model.session.run(WINDOW)["value"].tolist() == [21.0]
    (timed,) = [one for one in caplog.records if one.message == "device timed"]
    fields = vars(timed)["fields"]
    assert (fields["device"], fields["seq"]) == ("plugged", 1)
    assert fields["device_ms"] > 0
    assert fields["cpu_ms"] > 0


@pytest.mark.skipif(not HAS_OPENVINO, reason="onnxruntime-ep-openvino is not installed")
def test_openvino_computes_with_as_many_digits_as_the_processor() -> None:
    """By itself it takes bfloat16 where the processor has it, which no golden vector allows."""
    model = prove(BUNDLE, choose(Inference(device="openvino:CPU")))
    assert model.session.device.name == "openvino:CPU"
    assert model.session.run(WINDOW)["value"].tolist() == [21.0]


def test_model_that_answers_otherwise_on_the_device_is_refused() -> None:
    wrong = linear_bundle("mass", 1, [1.0, 10.0], golden_wrong=True)
    plugged = tuple(one for one in ort.get_ep_devices() if one.ep_name == CPU.provider)
    with pytest.raises(GoldenMismatchError, match="'plugged'"):
        prove(wrong, Device("plugged", CPU.provider, plugged=plugged[:1]))
