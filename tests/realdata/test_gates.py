"""Gates of a rollout on public recordings: identical, retrained and damaged candidates.

Some of them answer in the shadow of a real agent behind a real broker; for the others their answers
go to the same gates offline. `python -m benchmarks.recorded.gates` has all of them answer at
the gateway. A block is as long as the longer correlation time of both bundles, or as the bound of
it where there is no more.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.realdata.plants import PLANTS, Kind
from tests.realdata.trial import (
    FIRST_LOOK,
    Ended,
    Trial,
    at_the_gateway,
    counters,
    offline_trial,
    verdict,
)

LOOK = 500

pytestmark = pytest.mark.usefixtures("data")


def shown(name: str, kind: Kind, ended: Ended) -> str:
    """The figure of one trial."""
    return f"gates, {name}, {kind}: {ended.end} after {ended.windows} windows ({ended.message})"


@pytest.mark.parametrize(
    ("name", "kind", "end"),
    [
        ("ai4i", "identical", "no worse"),
        ("ai4i", "damaged", "disagreement"),
        ("skab", "retrained", "direction"),
    ],
)
def test_trial_at_a_gateway_ends_as_it_does_offline(
    name: str,
    kind: Kind,
    end: str,
    data: Path,
    tmp_path: Path,
) -> None:
    """The evidence is what the answers of both graphs make of it, window by window."""
    trial = Trial.of(name, kind, data)
    found = at_the_gateway(tmp_path, trial, LOOK)
    evidence = found.evidence
    assert found.end == end
    assert evidence.verdict == verdict(evidence), "as its own counters say"
    assert not evidence.left_out
    again = offline_trial(trial, FIRST_LOOK, most=evidence.compared)
    assert counters(evidence) == counters(again.evidence)


@pytest.mark.parametrize(
    ("name", "kind", "end"),
    [
        ("ai4i", "retrained", "direction"),
        ("nab", "identical", "open"),
        ("nab", "retrained", "open"),
        ("nab", "damaged", "rank"),
        ("skab", "identical", "no worse"),
        ("skab", "damaged", "out_of_range"),
        ("cmapss", "retrained", "open"),
        ("cmapss", "damaged", "out_of_range"),
    ],
)
def test_trial_over_a_recording_ends_as_it_should(
    name: str, kind: Kind, end: str, data: Path, figure: Callable[[str], None]
) -> None:
    """The retrained detectors of SKAB and AI4I do differ, by more than is allowed.

    That of SKAB has no alarm in 6 % of the windows, where the champion has one; that of AI4I finds
    65 failures of 104 instead of 58, and has 24 false alarms instead of 8. The nine weeks of NAB
    and the hundred engines of C-MAPSS have too few blocks to show a good model.
    """
    found = offline_trial(Trial.of(name, kind, data), FIRST_LOOK)
    figure(shown(name, kind, found))
    assert found.end == end


def test_retrained_detector_is_not_stopped_where_the_plan_accepts_its_alarms(
    data: Path, figure: Callable[[str], None]
) -> None:
    """That of AI4I has more alarms than the one before, and disagrees in few windows."""
    found = offline_trial(Trial.of("ai4i", "retrained", data), FIRST_LOOK, accept=("direction",))
    figure(shown("ai4i", "retrained", found))
    assert found.end == "open", "the recording ends some blocks before it is shown to be no worse"
    assert found.windows == len(PLANTS["ai4i"].windows(data)[1])
    assert found.evidence.gates["direction"].hits > 2 * found.evidence.gates["direction"].misses
