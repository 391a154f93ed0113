"""The example that the document has of a stream: a golden window that can be sent as it is."""

from pathlib import Path

import numpy as np

from models.bundle.package import Bundle
from server.openapi.example import MAX_VALUES, Example, example_of
from serving.model import prove
from serving.store import Store
from tests.kit.bundles.graphs import linear_bundle


def shown(folder: Path, bundle: Bundle, *, is_kept: bool = True) -> Example | None:
    """The example of a bundle that is kept on disk, or is not."""
    store = Store(folder, keep=2)
    if is_kept:
        store.bundles_dir.mkdir(parents=True)
        store.path(bundle.ref).write_bytes(bundle.content)
    return example_of(prove(bundle), store)


def test_example_is_a_whole_window_with_its_golden_answer(tmp_path: Path) -> None:
    found = shown(tmp_path, linear_bundle("mass", 1, [1.0, 10.0]))
    assert found is not None
    assert np.isfinite(found.window).all()
    ((low, high),) = found.window
    assert np.isclose(found.outputs["value"], low + 10 * high)


def test_bundle_that_is_gone_from_disk_has_no_example(tmp_path: Path) -> None:
    assert shown(tmp_path, linear_bundle("mass", 1, [1.0, 10.0]), is_kept=False) is None


def test_large_window_has_no_example(tmp_path: Path) -> None:
    length = MAX_VALUES // 2
    assert shown(tmp_path / "a", linear_bundle("mass", 1, [1.0, 10.0], length=length)) is not None
    assert shown(tmp_path / "b", linear_bundle("mass", 1, [1.0, 10.0], length=length + 1)) is None
