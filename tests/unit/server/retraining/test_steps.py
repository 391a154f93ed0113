"""At which step of the loop a line of the ledger is."""

import pytest

from models.rollout.plan import Plan
from server.retraining.steps import steps_of
from server.rollouts.ledger import Line, What
from tests.kit.rollouts.retraining import STREAM, later

PLAN = Plan.model_validate(
    {
        "id": "press-retrain-1",
        "stream": STREAM,
        "seq": 2,
        "deadline": later(9),
        "groups": [
            {"name": "first", "gateways": ["gw1"]},
            {"name": "rest", "share": 1.0, "mode": "serve"},
        ],
    }
)


def line(what: What, state: str, stage: int = 0) -> Line:
    return Line("2026-11-30T08:00:00Z", PLAN.id, 1, stage, state, what, "a reason", "Eva")


def steps(*lines: Line, plan: Plan | None = PLAN) -> list[str]:
    """The steps of lines, the oldest first."""
    return steps_of(lines[::-1], plan)[::-1]


def test_each_line_from_the_proposal_to_the_last_group_has_its_step() -> None:
    asked = [
        line("retrains", state)
        for state in ("proposed", "accepted", "training", "trained", "publishing", "published")
    ]
    rolled = [line("starts", "running"), *(line("signs", "running", at) for at in (1, 2, 3))]
    assert steps(*asked, *rolled) == [
        "proposal",
        "consent",
        "training",
        "training",
        "publication",
        "publication",
        "rollout",
        "shadow, first",
        "serving, first",
        "serving, rest",
    ]


@pytest.mark.parametrize("ends", ["declined", "expired", "failed"])
def test_what_ends_a_proposal_is_at_the_step_that_it_ends(ends: str) -> None:
    asked = [line("retrains", "proposed"), line("retrains", "accepted")]
    assert steps(*asked, line("retrains", ends)) == ["proposal", "consent", "consent"]
    assert steps(line("retrains", ends)) == ["proposal"]


def test_rollout_whose_plan_is_not_known_has_the_number_of_its_step() -> None:
    rolled = [line("starts", "running"), line("signs", "held", 2)]
    assert steps(*rolled, plan=None) == ["rollout", "rollout, step 2"]
    assert steps(line("signs", "running", 9)) == ["rollout, step 9"]
