"""How old the metadata of the registry are is known over a restart."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving.registry.high_water_mark import HighWaterMark
from serving.updates.freshness import Freshness

DAY_S = 86_400.0


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    """A state folder in which metadata were accepted a day ago."""
    HighWaterMark(datetime.now(UTC) - timedelta(days=1), {}).write(tmp_path / "trust.json")
    return tmp_path


def test_age_goes_on_after_a_restart_and_begins_anew_with_each_look(accepted: Path) -> None:
    now_s = [0.0]
    fresh = Freshness(lambda: now_s[0])
    assert fresh.age_s is None
    fresh.begin(accepted)
    assert fresh.age_s == pytest.approx(DAY_S, abs=60)
    fresh.note()
    now_s[0] = 7.0
    assert fresh.age_s == 7.0


@pytest.mark.parametrize("content", [None, b"damaged"], ids=["no file", "damaged"])
def test_age_is_not_known_before_metadata_were_accepted(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "trust.json").write_bytes(content)
    fresh = Freshness()
    fresh.begin(tmp_path)
    assert fresh.age_s is None
