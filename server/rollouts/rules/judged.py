"""What the evidence of a gateway shows, computed again from its counters.

A verdict that a gateway has written is believed for nothing. Evidence whose own words contradict
its counters is ignored, and said.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import exp, isclose, log
from typing import Final

from models.control.rollout import Evidence, GateEvidence
from models.rollout.plan import Gates, Plan
from serving.gates.e_values import log_below, trials_to_show
from serving.gates.evidence import GATES, MOST_BLOCKS, UNDECIDED
from serving.gates.gate import Gate

DISAGREEMENT: Final = "disagreement"
"""The gate by which a candidate is shown to be no worse."""
LABELS: Final = "labels"
"""The gate of late labels: a hit is a label from which the candidate was further away."""
_RELATIVE: Final = 1e-6
_ABSOLUTE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Judged:
    """What the evidence of one gateway shows.

    Attributes:
        fault: why it is ignored; empty if it is not. The rest is empty where it is.
        log_e: logarithm of the e-value against "the candidate is no worse", by gate.
        is_no_worse: whether it is shown that the candidate is no worse.
        tripped: code of the hard gate that has ended the comparison; empty for none.
        said: the evidence in words.
    """

    fault: str = ""
    log_e: Mapping[str, float] = field(default_factory=dict)
    is_no_worse: bool = False
    tripped: str = ""
    said: str = ""


def judged(plan: Plan, evidence: Evidence) -> Judged:
    """What evidence shows of the bundle of a plan.

    Args:
        plan: the plan, whose gates are asked.
        evidence: as the gateway has published it.
    """
    if fault := _not_of(plan, evidence):
        return Judged(fault=fault, said=f"ignored: {fault}")
    computed = {name: _log_e(one) for name, one in evidence.gates.items()}
    stopping = {name: one for name, one in computed.items() if name not in plan.gates.accept}
    is_worse = max(stopping.values(), default=0.0) >= stop_at(plan.gates, computed)
    no_worse = not is_worse and not evidence.tripped and _is_shown(plan.gates, evidence)
    if fault := _contradiction(evidence, computed, no_worse=no_worse):
        return Judged(fault=fault, said=f"ignored: {fault}")
    worst = max(stopping, key=lambda name: stopping[name]) if is_worse else ""
    words = _words(plan.gates, evidence, no_worse=no_worse, worst=worst)
    words += _of_labels(evidence.gates.get(LABELS))
    return Judged("", computed, no_worse, evidence.tripped, words)


def stop_at(gates: Gates, names: Iterable[str]) -> float:
    """Logarithm of the e-value from which on a gate stops: alpha is shared by all gates."""
    return log(len({*GATES, *names}) / gates.alpha)


def shown_by(gate: str) -> str:
    """What a gate shows a candidate to be, in a word."""
    return "different" if gate in UNDECIDED else "worse"


def log_mean(log_e: list[float]) -> float:
    """Logarithm of the mean of e-values, which is one itself, however they depend on each other."""
    greatest = max(log_e)
    return greatest + log(sum(exp(one - greatest) for one in log_e) / len(log_e))


def _not_of(plan: Plan, evidence: Evidence) -> str:
    """Why evidence says nothing of the bundle of a plan; empty if it does."""
    wanted = plan.gates.block_s
    if evidence.rollout != plan.id:
        return f"it is of {evidence.rollout or 'no rollout'}"
    if evidence.stream != plan.stream or evidence.candidate != plan.seq:
        return f"it compares {evidence.stream} seq {evidence.candidate}"
    if wanted is not None and evidence.block_s < wanted * (1 - _RELATIVE):
        return f"its blocks last {evidence.block_s:g} s, the plan asks for {wanted:g} s"
    gate = evidence.gates.get(DISAGREEMENT)
    return "" if gate is None else _misused(plan.gates, evidence, gate)


def _misused(gates: Gates, evidence: Evidence, gate: GateEvidence) -> str:
    """Why a gate of disagreement is not that of the plan; empty if it is."""
    if gate.kind != "rate" or not isclose(gate.limit, gates.disagreement, rel_tol=_RELATIVE):
        return f"its limit is {gate.limit:g}, the plan's is {gates.disagreement:g}"
    blocks = gate.hits + gate.misses
    if blocks > evidence.compared:
        return f"it has {blocks} blocks of {evidence.compared} windows"
    return ""


def _log_e(gate: GateEvidence) -> float:
    if gate.kind == "rate" and not 0 < gate.limit < 1:
        return 0.0
    return Gate(gate.kind, gate.limit, gate.hits, gate.misses).log_e


def _is_shown(gates: Gates, evidence: Evidence) -> bool:
    gate = evidence.gates.get(DISAGREEMENT)
    if gate is None:
        return False
    return log_below(gate.hits, gate.misses, gates.disagreement) >= log(1 / gates.beta)


def _contradiction(evidence: Evidence, log_e: Mapping[str, float], *, no_worse: bool) -> str:
    """What evidence says against its own counters; empty if nothing."""
    for name, gate in evidence.gates.items():
        if gate.kind == "rate" and not 0 < gate.limit < 1:
            return f"gate {name} has the limit {gate.limit:g}"
        if not isclose(gate.log_e, log_e[name], rel_tol=_RELATIVE, abs_tol=_ABSOLUTE):
            counted = f"{gate.hits} of {gate.hits + gate.misses}"
            return f"gate {name} says log E {gate.log_e:.4g}, but {counted} make {log_e[name]:.4g}"
    if evidence.verdict == "no worse" and not no_worse:
        return "it says 'no worse', which its counters do not show"
    return ""


def _of_labels(gate: GateEvidence | None) -> str:
    """What late labels say, for a person who has to decide; empty where none was compared."""
    if gate is None or not gate.hits + gate.misses:
        return ""
    return f"; nearer to {gate.misses} of {gate.hits + gate.misses} late labels"


def _words(gates: Gates, evidence: Evidence, *, no_worse: bool, worst: str) -> str:
    if evidence.tripped:
        return f"gate {evidence.tripped} has ended the comparison: {evidence.message}"
    gate = evidence.gates.get(DISAGREEMENT)
    if gate is None:
        return f"{evidence.compared} windows compared, none of a block yet"
    blocks = gate.hits + gate.misses
    limit = f"{gate.hits} disagree, limit {100 * gates.disagreement:.3g} %"
    if worst:
        return f"{blocks} blocks, {limit}, shown to be {shown_by(worst)} by gate {worst}"
    needed = trials_to_show(gate.hits, gates.disagreement, gates.beta, MOST_BLOCKS)
    if no_worse:
        return f"{blocks} blocks, {limit}, shown to be no worse"
    if needed is None:
        return f"{blocks} blocks, {limit}, cannot be shown to be no worse any more"
    return (
        f"{blocks} of {max(needed, blocks)} blocks, {limit}, needs {max(0, needed - blocks)} more"
    )
