"""onnxruntime gets a graph as a file that nobody can change, or as bytes where that fails."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from serving.runtime.sealed import sealed
from serving.session import Session
from tests.kit.bundles.graphs import linear_bundle

CONTENT = bytes(range(256)) * 1000


@contextmanager
def no_room_for_files() -> Iterator[None]:
    """Every file is refused its first byte (RLIMIT_FSIZE of setrlimit(2))."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_sealed_file_has_the_content_and_refuses_another() -> None:
    with sealed(CONTENT) as path:
        assert path is not None
        assert path.read_bytes() == CONTENT
        file = os.open(path, os.O_RDWR)
        with pytest.raises(PermissionError):
            os.write(file, b"other")
        with pytest.raises(PermissionError):
            os.ftruncate(file, 0)
        os.close(file)
        assert path.read_bytes() == CONTENT


def test_sealed_file_is_gone_afterwards() -> None:
    before = open_files()
    with sealed(CONTENT) as path:
        assert path is not None
    assert not path.exists()
    assert open_files() == before


def test_graph_is_loaded_from_its_bytes_where_there_is_no_room_for_a_file() -> None:
    bundle, before = linear_bundle("s", 1, [1.0, 10.0], bias=0.5), open_files()
    with no_room_for_files():
        with sealed(bundle.model) as path:
            found = path
        session = Session(bundle, is_shared=True)
    assert found is None
    assert open_files() == before
    assert session.run(np.ones((1, 1, 2), np.float32))["value"].tolist() == [11.5]
