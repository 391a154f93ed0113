"""What a stream does in a rollout: hints are limited, and its state follows from what serves."""

from pathlib import Path
from typing import Any

import pytest

from models.control.rollout import RolloutHint
from serving.incidents.quarantine import Quarantined
from serving.registry.part import Part
from serving.registry.refusals import BelowFloorError
from serving.updates.rollout import Change, Participation

HINT_S = 10.0
HEALTHY_S = 60.0


def part(**more: object) -> Part:
    fields: dict[str, Any] = {"rollout": "r1", "seq": 2, "group": "first", "role": "serve"}
    return Part(**(fields | {"epoch": 1, "stage": 1, "state": "running"} | more))


def hint(epoch: int, stage: int, state: str = "running", rollout: str = "r1") -> RolloutHint:
    return RolloutHint.model_validate(
        {"id": rollout, "epoch": epoch, "stage": stage, "state": state}
    )


def state_of(taking: Participation, serves: int | None) -> str:
    shown = taking.shown(serves, ())
    assert shown is not None
    return shown.state


def test_hints_without_end_cause_a_look_every_now_and_then() -> None:
    taking, looks, due_s = Participation(), 0, float("inf")
    for number in range(1000):
        now_s = float(number)
        if taking.heed(hint(number + 2, 1)):
            due_s = min(due_s, taking.next_look_s(now_s, HINT_S))
        if now_s >= due_s:
            taking.look(now_s)
            taking.take(part(), None)
            looks, due_s = looks + 1, float("inf")
    assert 90 <= looks <= 100


def test_hint_that_is_never_found_true_is_looked_for_less_and_less() -> None:
    taking, now_s, waits = Participation(), 0.0, []
    taking.heed(hint(9, 1))
    for _ in range(5):
        taking.look(now_s)
        taking.take(part(), None)
        due_s = taking.next_look_s(now_s, HINT_S)
        waits.append(due_s - now_s)
        now_s = due_s
    assert waits == [20, 40, 80, 160, 320]


def test_hint_of_what_is_known_causes_no_look() -> None:
    taking = Participation(part=part(epoch=2, stage=3))
    assert not taking.heed(hint(2, 3))
    assert taking.heed(hint(3, 3))
    assert taking.heed(hint(1, 1, rollout="r2"))


def test_release_of_a_hold_causes_a_look() -> None:
    taking = Participation(part=part())
    taking.heed(hint(1, 1, "held"))
    taking.look(0.0)
    assert taking.heed(hint(1, 1))


@pytest.mark.parametrize(
    ("word", "is_forbidden"),
    [
        pytest.param(hint(1, 1, "held"), True, id="held"),
        pytest.param(hint(1, 1), False, id="running"),
        pytest.param(hint(0, 1, "held"), False, id="held before the stage"),
        pytest.param(hint(1, 1, "held", "r0"), False, id="another rollout"),
        pytest.param(None, False, id="nothing"),
    ],
)
def test_change_that_is_under_way_is_not_made_once_it_is_held(
    word: RolloutHint | None, *, is_forbidden: bool
) -> None:
    taking = Participation(part=part(), hint=word)
    assert taking.forbids(2, 1) is is_forbidden
    assert not taking.forbids(2, 2)


def test_bundle_is_on_probation_until_it_has_served_for_long_enough() -> None:
    taking = Participation(part=part())
    assert not taking.tick(2, 0.0, HEALTHY_S)
    assert state_of(taking, 2) == "probation"
    assert taking.tick(2, HEALTHY_S, HEALTHY_S)
    assert state_of(taking, 2) == "serving"
    assert not taking.tick(2, HEALTHY_S + 1, HEALTHY_S)
    assert not taking.tick(1, HEALTHY_S + 2, HEALTHY_S)
    assert state_of(taking, 2) == "probation"


@pytest.mark.parametrize(
    ("asked", "serves", "state"),
    [
        pytest.param(part(role="former"), 1, "waiting", id="group is not open"),
        pytest.param(part(role="shadow"), 1, "shadow", id="shadow"),
        pytest.param(part(role="serve"), 1, "waiting", id="on its way"),
        pytest.param(part(role="former", state="reverted"), 1, "returned", id="reverted"),
        pytest.param(part(role="former", state="reverted"), 2, "probation", id="going back"),
        pytest.param(part(role="pinned"), 2, "pinned", id="selected by a person"),
        pytest.param(part(state="done"), 3, "probation", id="a newer one after its end"),
    ],
)
def test_state_follows_from_what_is_asked_and_what_serves(
    asked: Part, serves: int, state: str
) -> None:
    assert state_of(Participation(part=asked), serves) == state


def test_bundle_in_quarantine_is_a_failure_with_its_code() -> None:
    put = Quarantined(
        stream="mass", seq=2, sha256="0" * 64, code="model_failed", message="words", time=""
    )
    shown = Participation(part=part()).shown(1, [put])
    assert shown is not None
    assert (shown.state, shown.gate, shown.message) == ("failed", "model_failed", "words")


def test_refused_bundle_is_a_failure_until_something_else_is_asked_for() -> None:
    taking = Participation(part=part())
    taking.refusal = BelowFloorError("too old")
    shown = taking.shown(1, ())
    assert shown is not None
    assert (shown.state, shown.gate, shown.message) == ("failed", "below_floor", "too old")
    taking.take(part(epoch=2), None)
    assert state_of(taking, 1) == "waiting"


def test_change_survives_on_disk(tmp_path: Path) -> None:
    change = Change(stream="mass", rollout="r1", seq=2, former=1)
    change.write(tmp_path)
    assert Change.read(tmp_path, "mass") == change
    assert Change.read(tmp_path, "other") is None
    (tmp_path / "rollouts/mass.json").write_bytes(b"{")
    assert Change.read(tmp_path, "mass") is None
