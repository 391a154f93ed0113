"""Virtual environments for the peers in Python, in the user's cache, in versions that are fixed."""

import os
import sys
from pathlib import Path

from tests.kit.children import run

MLSERVER = ("mlserver==1.7.1", "onnxruntime")
MLFLOW = ("mlflow==3.17.0", "onnx", "onnxruntime")
_INSTALL_S = 900.0


def environment(name: str, requirements: tuple[str, ...]) -> Path:
    """The Python of an environment; it is made where it is missing or has other requirements.

    Args:
        name: name of its folder.
        requirements: what is installed into it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "millhand-bench" / name
    stamp, wanted = folder / "requirements.txt", "\n".join(requirements)
    python = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        run([sys.executable, "-m", "venv", "--clear", os.fspath(folder)], _INSTALL_S)
        pip = [os.fspath(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run([*pip, "install", *requirements], _INSTALL_S)
        stamp.write_text(wanted)
    return python
