"""Answers of both bundles that a rollout is told with."""

from server.rollouts.drawn import MOST, drawn
from server.rollouts.rules.standing import standings
from tests.kit.rollouts.documents import evidence, member, plan, view

ANSWERS = [[1_772_000_000_000, 0.2, 0.3]]


def test_gateways_that_disagree_most_come_first_and_few_are_told() -> None:
    groups = [{"name": "all", "share": 1.0, "soak_s": 60.0}]
    hits = {"a": 0, "b": 5, "c": 1, "d": 2, "e": 9}
    fleet = view(
        *(
            member(name, "shadow", shown=evidence(10, count, answers=ANSWERS))
            for name, count in hits.items()
        )
    )
    wanted = plan(groups=groups)
    found = drawn(wanted, standings(wanted, fleet)[0], fleet)
    assert [one["gateway"] for one in found] == ["e", "b", "d"][:MOST]
    assert found[0]["answers"] == ((1_772_000_000_000, 0.2, 0.3),)


def test_answers_of_another_comparison_are_not_drawn() -> None:
    other = evidence(10, answers=ANSWERS, rollout="press-4")
    older = evidence(10, answers=ANSWERS, candidate=3)
    fleet = view(
        *(member(name, "shadow", shown=one) for name, one in zip("ab", (other, older), strict=True))
    )
    wanted = plan()
    assert drawn(wanted, standings(wanted, fleet)[0], fleet) == []
