"""What a gateway says of a model in the shadow, in words."""

import pytest

from models.control.rollout import Evidence
from server.console.evidence import words
from serving.gates.evidence import Limits

SAID = {
    "stream": "mass", "champion": 1, "candidate": 2, "block_s": 600.0, "compared": 700,
    "left_out": {},
}  # fmt: skip


def said(**fields: object) -> str:
    return words(Evidence.model_validate(SAID | fields))


def gate(hits: int, misses: int, limit: float = 0.03) -> dict[str, object]:
    return {"disagreement": {"kind": "rate", "hits": hits, "misses": misses, "limit": limit}}


def test_open_evidence_says_how_many_blocks_are_missing() -> None:
    needed = Limits(disagreement=0.03).blocks_needed(0)
    assert needed == 183
    assert said(gates=gate(0, 41)) == "41 of 183 blocks, 0 disagree, limit 3 %, needs 142 more"


@pytest.mark.parametrize("verdict", ["worse", "no worse"])
def test_evidence_that_shows_something_says_what(verdict: str) -> None:
    shown = said(gates=gate(1, 400), verdict=verdict)
    assert shown == f"401 blocks, 1 disagree, limit 3 %, shown to be {verdict}"


def test_hard_gate_is_said_with_its_reason() -> None:
    assert said(tripped="storm", message="31 of 60 windows") == (
        "ended by the gate storm: 31 of 60 windows"
    )


@pytest.mark.parametrize(
    "gates",
    [{}, gate(0, 5, limit=0.0), gate(0, 5, limit=1.0)],
    ids=["no gate", "no limit", "a limit of all"],
)
def test_evidence_without_a_block_that_counts_names_the_windows(gates: dict[str, object]) -> None:
    assert said(gates=gates) == "700 windows compared, no block of time yet"


@pytest.mark.parametrize("hits", [50_000, 10**15], ids=["many", "beyond all counting"])
def test_evidence_that_can_show_nothing_any_more_says_so(hits: int) -> None:
    assert "can no longer be shown" in said(gates=gate(hits, 0))
