from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sites import SITES, Site, site


@pytest.fixture(params=SITES)
def any_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Every kind of broker that the agent must get along with."""
    with site(request.param, tmp_path / "broker") as opened:
        yield opened
