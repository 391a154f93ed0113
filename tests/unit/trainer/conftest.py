from collections.abc import Iterator

import pytest

from tests.kit.pictures import empty_pictures


@pytest.fixture(scope="module")
def without_pictures() -> Iterator[None]:
    """For tests of what is trained, which look at no picture."""
    with empty_pictures():
        yield
