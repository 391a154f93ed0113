"""Public plant data: the folder that MILLHAND_DATA names. docs/data.md says where it comes from."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    folder = os.environ.get("MILLHAND_DATA", "")
    if not folder:
        pytest.skip("MILLHAND_DATA is not set: it names the folder of public data, docs/data.md")
    path = Path(folder)
    assert path.is_dir(), f"MILLHAND_DATA is {folder!r}, which is no folder"
    return path
