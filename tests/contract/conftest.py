from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.broker.sites import KEEPING_SITES, SITES, SITES_OF_5, Site, site


@pytest.fixture(params=SITES)
def any_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Every kind of broker that the agent supports."""
    with site(request.param, tmp_path / "broker") as opened:
        yield opened


@pytest.fixture(params=KEEPING_SITES)
def keeping_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The brokers that keep messages that were not acknowledged."""
    with site(request.param, tmp_path / "broker") as opened:
        yield opened


@pytest.fixture(params=SITES_OF_5)
def site_of_5(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The brokers that speak MQTT 5."""
    with site(request.param, tmp_path / "broker") as opened:
        yield opened
