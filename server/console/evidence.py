"""What a gateway says of a model in the shadow of another one, in words for the page."""

from typing import Any, Final

from models.control.rollout import Evidence, GateEvidence
from serving.gates.e_values import trials_to_show
from serving.gates.evidence import MOST_BLOCKS, Limits

DISAGREEMENT: Final = "disagreement"
"""The gate by which a candidate is shown to be no worse."""


def comparison(evidence: Evidence) -> dict[str, Any]:
    """The evidence of a gateway as the page is told of it."""
    return {
        "rollout": evidence.rollout,
        "champion": evidence.champion,
        "candidate": evidence.candidate,
        "verdict": evidence.verdict,
        "tripped": evidence.tripped,
        "words": words(evidence),
    }


def words(evidence: Evidence) -> str:
    """The evidence in words, such as "41 of 60 blocks, 2 disagree, limit 3 %, needs 19 more".

    How many blocks are needed goes by the usual probability of letting a worse model through, 1 %:
    a plan may ask for another.
    """
    if evidence.tripped:
        return f"ended by the gate {evidence.tripped}: {evidence.message or 'no reason given'}"
    gate = evidence.gates.get(DISAGREEMENT)
    if gate is None or not 0 < gate.limit < 1:
        return f"{evidence.compared} windows compared, no block of time yet"
    blocks = gate.hits + gate.misses
    found = f"{gate.hits} disagree, limit {100 * gate.limit:.3g} %"
    if evidence.verdict != "open":
        return f"{blocks} blocks, {found}, shown to be {evidence.verdict}"
    needed = _needed(gate)
    if needed is None:
        return f"{blocks} blocks, {found}, can no longer be shown to be no worse"
    more = max(0, needed - blocks)
    return f"{blocks} of {blocks + more} blocks, {found}, needs {more} more"


def _needed(gate: GateEvidence) -> int | None:
    if gate.hits + gate.misses > MOST_BLOCKS:
        return None
    return trials_to_show(gate.hits, gate.limit, Limits().beta, MOST_BLOCKS)
