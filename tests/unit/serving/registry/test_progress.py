"""A pull may take hours, and its messages stay few."""

from itertools import count

import pytest

from serving.child import MAX_OUTPUT_BYTES
from serving.registry import pull_child


def test_pull_that_takes_hours_tells_each_per_cent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count(0.0, 10.0)
    monkeypatch.setattr(pull_child, "monotonic", lambda: next(seconds))
    told: list[dict[str, object]] = []
    on_progress = pull_child._throttled(told.append)  # noqa: SLF001  the messages of a pull
    total = 20_000
    for received in range(1, total + 1):  # two days, at a chunk each ten seconds
        on_progress(received, total)
    assert len(told) == 101
    assert told[-1] == {"state": "downloading", "received": total, "total": total}
    assert sum(len(str(one)) for one in told) < MAX_OUTPUT_BYTES / 10
