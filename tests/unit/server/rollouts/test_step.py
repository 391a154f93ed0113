"""What a rollout does next."""

from datetime import timedelta

import pytest

from models.control.documents import Current
from models.control.rollout import GateEvidence
from server.rollouts.rules.fleet import Member
from server.rollouts.rules.step import step
from serving.gates.e_values import log_above, log_unequal
from tests.kit.rollouts.documents import START, evidence, member, plan, stage, view

LATER = START + timedelta(hours=2)
NO_WORSE = evidence(300)


def test_the_first_group_is_opened_once_one_of_its_gateways_is_known() -> None:
    waiting = step(plan(), stage(), None, view(member("z")), LATER)
    opened = step(plan(), stage(), None, view(member("a"), member("z")), LATER)
    assert (waiting.action, waiting.gate, waiting.until) == ("wait", "nobody", plan().deadline)
    assert "a has never said what it runs of press" in waiting.reason
    assert opened.action == "open"


@pytest.mark.parametrize(
    ("states", "action"),
    [
        pytest.param(("shadow", "shadow", "shadow"), "open", id="all compare"),
        pytest.param(("shadow", "shadow", "waiting"), "wait", id="one has not begun"),
        pytest.param(("shadow", "shadow", "pinned"), "open", id="one takes no part"),
    ],
)
def test_a_shadow_is_over_once_the_online_gateways_show_the_bundle_to_be_no_worse(
    states: tuple[str, ...], action: str
) -> None:
    members = [
        member(name, state, shown=NO_WORSE) for name, state in zip("abc", states, strict=True)
    ]
    assert step(plan(), stage(1), None, view(*members), LATER).action == action


def test_a_shadow_without_enough_evidence_waits_and_says_for_what() -> None:
    members = [
        member("a", "shadow", shown=NO_WORSE),
        member("b", "shadow", shown=evidence(41)),
        member("c", "shadow"),
    ]
    found = step(plan(), stage(1), None, view(*members), LATER)
    assert (found.action, found.gate, found.have, found.need) == ("wait", "evidence", 1, 3)
    assert found.gateways == ("b", "c")
    assert "b (41 of 183 blocks, 0 disagree, limit 3 %, needs 142 more)" in found.reason
    assert "c (no evidence yet)" in found.reason


def test_a_single_gateway_that_shows_the_bundle_to_be_worse_is_one_among_all() -> None:
    bad = evidence(50, 12)
    alone = view(member("a", "shadow", shown=bad))
    found = step(plan(), stage(1), None, alone, LATER)
    assert (found.action, found.gate, found.gateways) == ("hold", "disagreement", ("a",))
    assert "12 disagree" in found.reason
    with_others = view(
        member("a", "shadow", shown=evidence(80, 8)),
        *(member(name, "shadow", shown=evidence(80)) for name in "bc"),
        *(member(f"more-{at}", "shadow", shown=evidence(80)) for at in range(40)),
    )
    many = plan(groups=[{"name": "all", "share": 1.0}])
    assert step(many, stage(1), None, with_others, LATER).action == "wait"


def test_alarms_on_one_side_are_held_for_a_person_whose_plan_accepts_them() -> None:
    sided = GateEvidence(kind="sign", hits=20, misses=0, log_e=log_unequal(20, 0))
    shown = evidence(300, verdict="different")
    shown = shown.model_copy(update={"gates": {**shown.gates, "direction": sided}})
    members = view(*(member(name, "shadow", shown=shown) for name in "abc"))
    held = step(plan(), stage(1), None, members, LATER)
    assert (held.action, held.gate) == ("hold", "direction")
    assert "shows the bundle to be different" in held.reason
    assert 'accept = ["direction"]' in held.reason
    nearer = GateEvidence(kind="rate", limit=0.5, hits=2, misses=14, log_e=log_above(2, 14, 0.5))
    labelled = shown.model_copy(update={"gates": {**shown.gates, "labels": nearer}})
    with_labels = view(*(member(name, "shadow", shown=labelled) for name in "abc"))
    told = step(plan(), stage(1), None, with_labels, LATER)
    assert (told.action, told.gate) == ("hold", "direction"), "labels are told, and decide nothing"
    assert "nearer to 14 of 16 late labels" in told.reason
    gates = {**evidence(50, 12).gates, "direction": sided}
    worse = shown.model_copy(update={"gates": gates, "verdict": "worse"})
    both = view(*(member(name, "shadow", shown=worse) for name in "abc"))
    assert step(plan(), stage(1), None, both, LATER).gate == "disagreement"
    accepting = plan(gates={"accept": ["direction"]})
    assert step(accepting, stage(1), None, members, LATER).action == "open"


def test_ranks_hold_a_rollout_until_a_plan_accepts_them() -> None:
    ranked = GateEvidence(kind="rate", limit=0.5, hits=30, misses=0, log_e=log_above(30, 0, 0.5))
    shown = evidence(300, verdict="worse")
    shown = shown.model_copy(update={"gates": {**shown.gates, "rank": ranked}})
    members = view(*(member(name, "shadow", shown=shown) for name in "abc"))
    held = step(plan(), stage(1), None, members, LATER)
    assert (held.action, held.gate) == ("hold", "rank")
    assert 'accept = ["rank"]' in held.reason
    accepting = plan(gates={"accept": ["rank"]})
    told = shown.model_copy(update={"verdict": "no worse"})
    members = view(*(member(name, "shadow", shown=told) for name in "abc"))
    assert step(accepting, stage(1), None, members, LATER).action == "open"


def test_evidence_against_its_own_counters_shows_nothing_and_is_said() -> None:
    forged = NO_WORSE.model_copy(update={"compared": 3})
    lenient = evidence(41, 0, verdict="no worse")
    members = [member("a", "shadow", shown=forged), member("b", "shadow", shown=lenient)]
    found = step(plan(), stage(1), None, view(*members), LATER)
    assert (found.action, found.gateways) == ("wait", ("a", "b"))
    assert "a (ignored: it has 300 blocks of 3 windows)" in found.reason
    assert "b (ignored: it says 'no worse', which its counters do not show)" in found.reason


def test_a_false_e_value_is_found_by_its_counters() -> None:
    gate = evidence(300).gates["disagreement"].model_copy(update={"log_e": 40.0})
    forged = evidence(300).model_copy(update={"gates": {"disagreement": gate}})
    found = step(plan(), stage(1), None, view(member("a", "shadow", shown=forged)), LATER)
    assert found.action == "wait"
    assert "says log E 40, but 0 of 300 make" in found.reason


def test_the_next_group_waits_until_the_former_has_soaked() -> None:
    serving = view(*(member(name, "serving", shown=NO_WORSE) for name in "abc"))
    began = step(plan(), stage(2), None, serving, LATER)
    assert (began.action, began.gate, began.settled) == ("wait", "soak", LATER)
    assert began.until == LATER + timedelta(hours=1)
    over = step(plan(), stage(2), began.settled, serving, LATER + timedelta(hours=1))
    assert over.action == "open"


def test_probation_is_not_yet_service() -> None:
    found = step(
        plan(), stage(2), None, view(member("a", "serving"), member("b", "probation")), LATER
    )
    assert (found.action, found.gate, found.settled) == ("wait", "confirmed", None)
    assert "b (probation: serves seq 5)" in found.reason


def test_what_a_gateway_says_of_itself_is_believed_only_as_far_as_it_runs_the_bundle() -> None:
    found = step(plan(), stage(2), None, view(member("a", "serving", seq=4)), LATER)
    assert (found.action, found.have) == ("wait", 0)
    assert "a (waiting: says that it serves, but runs seq 4 (serving))" in found.reason


def test_a_gateway_that_is_offline_is_neither_success_nor_failure() -> None:
    away = member("c", "serving", online=False)
    part = step(plan(), stage(2), LATER, view(member("a", "serving"), away), LATER)
    none = step(plan(), stage(2), LATER, view(away), LATER)
    assert (part.action, part.gate) == ("wait", "soak")
    assert (none.action, none.gate, none.have) == ("wait", "confirmed", 0)
    assert none.settled == LATER, "the soak goes on while the gateway is away"


def test_ten_failures_of_a_hundred_gateways_of_which_ten_are_online_hold_the_rollout() -> None:
    names = [f"g{at}" for at in range(100)]
    some = plan(groups=[{"name": "all", "gateways": names}], max_failed=5)
    members = [
        member(name, "failed", gate="storm", message="too many alarms")
        if at < 10
        else member(name, online=False)
        for at, name in enumerate(names)
    ]
    found = step(some, stage(1), None, view(*members), LATER)
    assert (found.action, found.gate, found.have, found.need) == ("hold", "failed", 10, 5)
    assert "g0 (gate storm: too many alarms)" in found.reason


def test_a_hard_gate_in_the_evidence_is_a_failure_before_the_gateway_says_so() -> None:
    tripped = evidence(3, tripped="storm", verdict="worse", message="too many alarms")
    found = step(plan(), stage(1), None, view(member("a", "shadow", shown=tripped)), LATER)
    assert (found.action, found.gate) == ("hold", "failed")
    assert "gate storm has ended the comparison" in found.reason


def test_a_degraded_gateway_has_failed() -> None:
    said = member("a", "serving").current
    assert said is not None
    degraded = Member(
        "a",
        is_online=True,
        current=said.model_copy(update={"state": "degraded", "reason": "failed"}),
    )
    assert step(plan(), stage(2), None, view(degraded), LATER).gate == "failed"


def test_after_the_deadline_the_rollout_is_held_with_what_it_has_waited_for() -> None:
    late = plan().deadline
    found = step(plan(), stage(1), None, view(member("a", "shadow", shown=evidence(41))), late)
    assert (found.action, found.gate) == ("hold", "deadline")
    assert "41 of 183 blocks" in found.reason


def test_an_incomplete_view_opens_nothing_but_still_holds() -> None:
    good = [member(name, "shadow", shown=NO_WORSE) for name in "abc"]
    waiting = step(plan(), stage(1), None, view(*good, missing="no connection"), LATER)
    held = step(plan(), stage(1), None, view(member("a", "failed"), missing="no"), LATER)
    assert (waiting.action, waiting.gate, waiting.reason) == ("wait", "broker", "no connection")
    assert held.action == "hold"


@pytest.mark.parametrize("state", ["held", "reverted", "done"])
def test_what_a_person_has_to_decide_rests(state: str) -> None:
    good = view(*(member(name, "shadow", shown=NO_WORSE) for name in "abc"))
    found = step(plan(), stage(1, state=state, reason="noise", by="Eva"), None, good, LATER)
    assert (found.action, found.reason) == ("rest", f"{state} by Eva: noise")


def test_gateways_that_serve_another_bundle_take_no_part() -> None:
    limited = plan(from_seqs=[4])
    members = [member("a", "shadow", shown=NO_WORSE), member("b", "waiting", seq=2)]
    assert step(limited, stage(1), None, view(*members), LATER).action == "open"


def test_the_rollout_is_done_once_the_last_group_has_soaked() -> None:
    served = view(*(member(name, "serving") for name in ("a", "b", "c", "y", "z")))
    found = step(plan(), stage(3), START, served, LATER)
    assert found.action == "done"


def test_a_gateway_that_has_never_heard_of_the_rollout_is_waited_for() -> None:
    silent = Member("b", is_online=True, current=Current(stream="press", state="serving", seq=4))
    found = step(plan(), stage(1), None, view(member("a", "shadow"), silent), LATER)
    assert "b (waiting: has not said that it knows the rollout)" in found.reason
