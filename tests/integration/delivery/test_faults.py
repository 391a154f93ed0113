"""The faults of `make chaos`, a few strikes each: nothing lost, made up or out of order."""

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.faults import FAULTS, Fault
from chaos.publisher_faults import PUBLISHER_FAULTS
from chaos.trial import run

SEED = 7
TRIALS = {"agent-steps": 6, "half-open": 1, "refused": 1}
LONG = ("full-disk", "stock-publisher")
"""Wait for a disk that is tried again every ten seconds, and for backlogs: in `make chaos` only."""
OTHERS = 2
OF_THE_BROKER = ("broker-term", "broker-kill")
"""They need the profile's saving after every change, which takes long where others use the disk."""


@pytest.mark.parametrize(
    "fault",
    [one for one in (*FAULTS, *PUBLISHER_FAULTS) if one.name not in LONG],
    ids=lambda fault: fault.name,
)
def test_fault_under_load_breaks_no_promise(fault: Fault, tmp_path: Path) -> None:
    if fault.name not in OF_THE_BROKER:
        fault = replace(fault, options={"autosave_on_changes": False} | fault.options)
    rows = run(fault, TRIALS.get(fault.name, OTHERS), SEED, tmp_path, lambda _number: None)
    assert [row for row in rows if not row.is_good] == []
