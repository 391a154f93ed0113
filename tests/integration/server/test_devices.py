"""Without the device of the configuration the server does not start, unless it may fall back."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import python
from tests.kit.model_server import ModelServer

MISSING = {"device": "cuda"}
EXIT_CONFIG = 78


def server_of(folder: Path, inference: Mapping[str, object]) -> ModelServer:
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    sections = {"inference": inference}
    return ModelServer(folder / "home", published, [{"stream": "mass"}], sections)


@pytest.mark.parametrize(("command", "code"), [("run", EXIT_CONFIG), ("check", 1)])
def test_missing_device_is_refused_with_the_remedy(tmp_path: Path, command: str, code: int) -> None:
    config = server_of(tmp_path, MISSING).write_config()
    ran = subprocess.run(
        python("server", command, "--config", config),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == code
    told = ran.stdout + ran.stderr
    assert "inference.device is 'cuda'" in told
    assert "install onnxruntime-gpu" in told
    assert "Traceback" not in told


def test_fallback_is_told_in_log_and_metadata(tmp_path: Path) -> None:
    with server_of(tmp_path, {**MISSING, "fallback": "cpu"}) as server:
        server.start_serving()
        parameters = server.request("GET", "/v2/models/mass").document["parameters"]
        assert parameters["device"] == "cpu"
        assert "onnxruntime-gpu" in parameters["device_fallback"]
        assert "WARNING device falls back to the processor" in server.log


def test_processor_is_named_in_the_metadata(tmp_path: Path) -> None:
    with server_of(tmp_path, {}) as server:
        server.start_serving()
        parameters = server.request("GET", "/v2/models/mass").document["parameters"]
        assert parameters["device"] == "cpu"
        assert "device_fallback" not in parameters
