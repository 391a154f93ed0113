"""The machine and the versions that the figures were measured with."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from tests.kit.broker.brokers import program

_PACKAGES = ("paho-mqtt", "onnxruntime", "numpy", "orjson", "scikit-learn")
_VERSION_S = 10.0


def machine_line() -> str:
    """Return processor, cores, kernel, load before the run, and versions in one line."""
    packages = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, "
        f"load {os.getloadavg()[0]:.2f} before the run; Python {platform.python_version()}, "
        f"{_mosquitto()}, {packages}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _mosquitto() -> str:
    banner = subprocess.run(
        [program("mosquitto"), "-h"],
        capture_output=True,
        text=True,
        timeout=_VERSION_S,
        check=False,
    ).stdout  # its exit code for help is not 0
    return banner.splitlines()[0].replace(" version", "")
