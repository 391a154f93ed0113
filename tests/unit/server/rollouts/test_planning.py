"""Plans that people write, and those that cannot be meant."""

from datetime import timedelta
from pathlib import Path

import pytest

from server.rollouts.documents import SignedRollout
from server.rollouts.errors import PlanError
from server.rollouts.planning import check_plan, hours_to_show, read_plan
from tests.kit.rollouts.documents import START, member, plan, stage, view

FLEET = view(*(member(name) for name in ("a", "b", "c", "y", "z")))


def test_a_plan_that_can_be_meant_is_taken() -> None:
    check_plan(plan(from_seqs=[4]), now=START, known=(), view=FLEET)
    assert hours_to_show(plan()) == pytest.approx(183 * 600 / 3600)


@pytest.mark.parametrize("state", ["running", "held"])
def test_a_second_rollout_of_a_stream_is_refused_unless_it_supersedes_the_first(
    state: str,
) -> None:
    first = SignedRollout(plan(), stage(1, state=state))
    with pytest.raises(PlanError, match=rf'press-5 of press is {state}.*supersedes = "press-5"'):
        check_plan(plan(id="other"), now=START, known=[first], view=FLEET)
    check_plan(plan(id="other", supersedes="press-5"), now=START, known=[first], view=FLEET)
    over = SignedRollout(plan(), stage(3, state="done"))
    check_plan(plan(id="other"), now=START, known=[over], view=FLEET)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param(
            {"groups": [{"name": "first", "gateways": ["x"]}]}, "group_of_nobody", id="unknown"
        ),
        pytest.param(
            {"groups": [{"name": "first", "share": 0.0001}]}, "group_of_nobody", id="too small"
        ),
        pytest.param({"from_seqs": [3]}, "from_nobody", id="from what nobody runs"),
        pytest.param({"deadline": START + timedelta(hours=3)}, "deadline_too_early", id="soak"),
        pytest.param({"deadline": START + timedelta(hours=33)}, "never_shown", id="gates"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_code(
    fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(PlanError) as caught:
        check_plan(plan(**fields), now=START, known=(), view=FLEET)
    assert caught.value.reason == reason


def test_rare_windows_need_more_hours_and_the_refusal_says_how_many() -> None:
    check_plan(plan(), now=START, known=(), view=FLEET)
    with pytest.raises(PlanError, match=r"183\.0 hours each at least .* and 165\.0 hours are left"):
        check_plan(plan(), now=START, known=(), view=FLEET, window_s=3600.0)


def test_a_file_that_is_no_plan_is_refused_with_a_line_for_each_mistake(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('id = "r"\nstream = "press"\nseq = 0\ncolour = "red"\n')
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    lines = str(caught.value).splitlines()
    assert caught.value.reason == "plan_unreadable"
    assert {line.split(": ")[-2].split(".")[0] for line in lines} == {
        "seq",
        "colour",
        "groups",
        "deadline",
    }
    with pytest.raises(PlanError, match="cannot be read"):
        read_plan(tmp_path / "none.toml")
