"""The plan of a rollout: what cannot be meant is refused, and steps follow from the groups."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from models.rollout.assignment import assigned
from models.rollout.membership import group_of, place
from models.rollout.plan import Plan
from models.rollout.stage import Stage

TIME = datetime(2026, 11, 30, tzinfo=UTC)
CANARIES = {"name": "canaries", "gateways": ["press-1", "press-2"]}
FIFTH = {"name": "fifth", "share": 0.2, "mode": "serve"}
REST = {"name": "rest", "share": 0.8}


def plan(**more: object) -> Plan:
    fields: dict[str, Any] = {
        "id": "r1",
        "stream": "mass",
        "seq": 8,
        "groups": [CANARIES, FIFTH, REST],
        "deadline": TIME,
    }
    return Plan.model_validate({**fields, **more})


def stage(**more: object) -> Stage:
    fields = {"rollout": "r1", "stream": "mass", "epoch": 1, "time": TIME}
    return Stage.model_validate({**fields, **more})


def test_a_group_with_a_shadow_is_two_steps() -> None:
    steps = [(step.group, step.mode) for step in plan().steps]
    assert steps == [(0, "shadow"), (0, "serve"), (1, "serve"), (2, "shadow"), (2, "serve")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": []}, "at least 1 item"),
        ({"groups": [{"name": "nobody"}]}, "must have either gateways or a share"),
        ({"groups": [{**CANARIES, "share": 0.5}]}, "must have either gateways or a share"),
        ({"groups": [CANARIES, CANARIES]}, "the same name"),
        ({"groups": [CANARIES, {**CANARIES, "name": "b"}]}, "'press-1' is named in two groups"),
        ({"groups": [{"name": "a", "gateways": ["x", "x"]}]}, "names a gateway twice"),
        ({"groups": [REST, {**FIFTH, "share": 0.3}]}, "more than 1 in all"),
        ({"from_seqs": [7, 8]}, "also in from_seqs"),
        ({"supersedes": "r1"}, "supersede itself"),
        ({"deadline": "2026-11-30T00:00:00"}, "timezone"),
        ({"later": 1}, "Extra inputs"),
    ],
    ids=str,
)
def test_plan_that_cannot_be_meant_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        plan(**change)


def test_gateway_that_is_named_belongs_to_its_group_wherever_its_place_is() -> None:
    assert {group_of(plan(), one) for one in ("press-1", "press-2")} == {0}


def test_shares_divide_a_fleet_and_leave_nobody_out() -> None:
    found = Counter(group_of(plan(), f"gw{number}") for number in range(10_000))
    assert found.keys() == {1, 2}
    assert found[1] == pytest.approx(2000, abs=160)  # four standard deviations


def test_each_rollout_begins_with_other_gateways() -> None:
    first = {gateway for gateway in map(str, range(1000)) if place("r1", gateway) < 0.1}
    second = {gateway for gateway in map(str, range(1000)) if place("r2", gateway) < 0.1}
    assert len(first & second) < len(first) / 2


def test_place_is_that_of_sha256() -> None:
    # printf r1/gw1 | sha256sum: the first 16 hexadecimal digits divided by 2**64
    assert place("r1", "gw1") == pytest.approx(int("544cbd4f077122d7", 16) / 2**64)


@pytest.mark.parametrize(
    ("newest", "gateway", "serves", "part"),
    [
        (stage(stage=0), "press-1", 7, "former"),
        (stage(stage=1), "press-1", 7, "shadow"),
        (stage(stage=1), "gw1", 7, "former"),
        (stage(stage=2), "press-1", 7, "serve"),
        (stage(stage=5), "gw1", None, "serve"),
        (stage(stage=2, state="held"), "press-1", 7, "former"),
        (stage(stage=2, state="held"), "press-1", 8, "serve"),
        (stage(stage=1, state="held"), "press-1", 7, "shadow"),
        (stage(stage=5, state="reverted"), "press-1", 8, "former"),
        (stage(stage=5, state="done"), "gw1", 7, "serve"),
    ],
    ids=str,
)
def test_gateway_does_what_is_open_to_its_group(
    newest: Stage, gateway: str, serves: int | None, part: str
) -> None:
    assert assigned(plan(), newest, gateway, serves=serves).part == part


def test_gateway_of_no_group_keeps_what_it_has() -> None:
    found = assigned(plan(groups=[CANARIES]), stage(stage=2), "gw1", serves=7)
    assert (found.part, found.group) == ("former", "")
    assert "not for this gateway" in found.reason


def test_gateway_with_another_bundle_than_the_plan_begins_from_keeps_it() -> None:
    found = assigned(plan(from_seqs=[6]), stage(stage=2), "press-1", serves=7)
    assert found.part == "former"
    assert "does not begin from seq 7" in found.reason


@pytest.mark.parametrize(
    ("found", "known", "is_obeyed"),
    [
        ((1, 1), None, True),
        ((1, 2), (1, 1), True),
        ((2, 1), (1, 1), True),
        ((1, 1), (1, 1), False),
        ((1, 1), (1, 2), False),
        ((1, 5), (2, 1), False),
        ((2, 1), (1, 2), False),
    ],
    ids=str,
)
def test_neither_epoch_nor_stage_is_ever_lower(
    found: tuple[int, int], known: tuple[int, int] | None, *, is_obeyed: bool
) -> None:
    before = stage(epoch=known[0], stage=known[1]) if known is not None else None
    assert stage(epoch=found[0], stage=found[1]).follows(before) is is_obeyed
