"""Plans that people write, and those that cannot be meant."""

from datetime import timedelta
from pathlib import Path

import pytest

from models.bundle.correlation import Correlation, CorrelationTime
from models.bundle.manifest import WindowSpec
from models.bundle.package import Bundle, pack_bundle
from models.bundle.reference import Condition, Document, Histogram, Quantity, write_reference
from server.rollouts.errors import PlanError
from server.rollouts.planning import (
    block_seconds,
    check_bundle,
    check_plan,
    hours_to_show,
    read_plan,
)
from serving.publishing.rollouts import Rollout
from tests.kit.bundles.factories import make_manifest, make_members
from tests.kit.rollouts.documents import START, member, plan, stage, view

FLEET = view(*(member(name) for name in ("a", "b", "c", "y", "z")))


def test_a_plan_that_can_be_meant_is_taken() -> None:
    check_plan(plan(from_seqs=[4]), now=START, known=(), view=FLEET)
    assert hours_to_show(plan(), 600) == pytest.approx(183 * 600 / 3600)


@pytest.mark.parametrize("state", ["running", "held"])
def test_a_second_rollout_of_a_stream_is_refused_unless_it_supersedes_the_first(
    state: str,
) -> None:
    first = Rollout(plan(), stage(1, state=state))
    with pytest.raises(PlanError, match=rf'press-5 of press is {state}.*supersedes = "press-5"'):
        check_plan(plan(id="other"), now=START, known=[first], view=FLEET)
    check_plan(plan(id="other", supersedes="press-5"), now=START, known=[first], view=FLEET)
    over = Rollout(plan(), stage(3, state="done"))
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
    words = r"183\.0 hours each at least, in blocks of 3600 s, .* and 165\.0 hours are left"
    with pytest.raises(PlanError, match=words):
        check_plan(plan(), now=START, known=(), view=FLEET, block_s=3600.0)


def remembering(seq: int, seconds: float) -> Bundle:
    """A bundle of a plant whose answers stay correlated for so long, with a window a second."""
    level, condition = Histogram(edges=(), counts=(0,)), Condition(counts=(0, 0, 0, 0))
    manifest = make_manifest(length=2, window=WindowSpec(length=2, sample_period_ms=1000), seq=seq)
    quantity = Quantity(count=0, missing_share=1, level=level, condition=condition)
    document = Document(
        signals={channel.name: quantity for channel in manifest.channels},
        score=quantity.model_copy(update={"count": 1, "quantiles": {"0": 0.0, "1": 1.0}}),
        reason="made for a test",
        correlation=Correlation(answer=CorrelationTime(windows=seconds, seconds=seconds)),
    )
    members = make_members(manifest) | {"reference.json": write_reference(document)}
    return pack_bundle(manifest, members)


@pytest.mark.parametrize(
    ("stated_s", "known_s", "block_s"),
    [
        pytest.param(None, (30.0, 90.0), 90.0, id="the longer time of both"),
        pytest.param(None, (), 600.0, id="no bundle is known"),
        pytest.param(45.0, (30.0, 90.0), 45.0, id="the plan states it"),
        pytest.param(0.5, (30.0,), 1.0, id="windows come less often"),
    ],
)
def test_a_block_lasts_as_long_as_the_bundles_know_unless_the_plan_says_otherwise(
    stated_s: float | None, known_s: tuple[float, ...], block_s: float
) -> None:
    asked = plan(gates={"block_s": stated_s})
    bundles = [remembering(seq, known) for seq, known in enumerate(known_s, start=4)]
    assert block_seconds(asked, bundles) == block_s


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


@pytest.mark.parametrize(
    ("written", "words"),
    [
        pytest.param(
            "sop_s = 60",
            "groups[0].sop_s: is no key of a plan; allowed are name, gateways, share, mode",
            id="misspelt key",
        ),
        pytest.param(
            'mode = "shade"', "groups[0].mode: found 'shade'; input should be", id="unknown word"
        ),
        pytest.param(
            "soak_s = -1", "groups[0].soak_s: found -1; input should be greater", id="below zero"
        ),
        pytest.param(
            "[gates]\naccept = 'rank'",
            "gates.accept: found 'rank'; a list is needed, in brackets",
            id="text for a list",
        ),
    ],
)
def test_mistake_in_a_plan_says_key_finding_and_what_is_allowed(
    tmp_path: Path, written: str, words: str
) -> None:
    path = tmp_path / "plan.toml"
    head = 'id = "r"\nstream = "press"\nseq = 5\ndeadline = 2026-12-20T12:00:00Z\n'
    path.write_text(f'{head}[[groups]]\nname = "first"\nshare = 1.0\n{written}\n')
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    assert str(caught.value).startswith(f"plan_unreadable: {path}: {words}")


@pytest.mark.parametrize("deadline", ["2026-12-20", "2026-12-20T12:00:00", "'next week'"])
def test_deadline_that_names_no_moment_says_how_one_is_written(
    tmp_path: Path, deadline: str
) -> None:
    path = tmp_path / "plan.toml"
    groups = '[[groups]]\nname = "first"\nshare = 1.0\n'
    path.write_text(f'id = "r"\nstream = "press"\nseq = 5\ndeadline = {deadline}\n{groups}')
    with pytest.raises(PlanError, match=r"deadline: found .*, as 2026-12-20T12:00:00Z"):
        read_plan(path)


def test_bundle_of_another_stream_or_number_is_not_published_along() -> None:
    bundle = remembering(6, 30.0)
    mine = plan(stream=bundle.manifest.stream, seq=6)
    check_bundle(mine, bundle)
    for other in (plan(seq=6), plan(stream=bundle.manifest.stream, seq=5)):
        with pytest.raises(PlanError, match=r"wrong_bundle: the bundle is .*#6, and the plan is"):
            check_bundle(other, bundle)
