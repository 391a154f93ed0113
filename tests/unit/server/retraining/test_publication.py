"""From a trained bundle to its rollout, with and without a command that signs."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tomli_w

from models.bundle.package import load_bundle
from models.training import ChampionComparison, Outcome
from server.retraining.loop import Loop
from server.retraining.opened import Opened
from server.retraining.proposals import Known
from server.retraining.report import described, text
from server.retraining.service import answered
from server.retraining.settings import Retraining
from tests.kit.children import ROOT, run
from tests.kit.rollouts.retraining import PLAN, STREAM, Plant, Said, drifting
from tests.kit.waiting import eventually

WAIT_S = 60.0
SIGN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[5])
from models.bundle.package import read_bundle
from server.rollouts.planning import read_plan
from serving.publishing.keys import Keys
from serving.publishing.rollouts import publish_plan
plan, bundle = read_plan(Path(sys.argv[1])), read_bundle(Path(sys.argv[2]).read_bytes())
publish_plan(Path(sys.argv[3]), plan, Keys(Path(sys.argv[4])), bundle=bundle)
"""
"""Signs plan and bundle, as `millhand-server rollout plan` does."""
FAIL = [sys.executable, "-c", "print('the key is locked'); raise SystemExit(1)", "{plan}"]
SLOW = [sys.executable, "-c", "import time; time.sleep(600)", "{plan}"]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def signing(plant: Plant) -> list[str]:
    folders = [str(plant.published.folder), str(plant.published.keys.folder), str(ROOT)]
    return [sys.executable, "-c", SIGN, "{plan}", "{bundle}", *folders]


def settings(plant: Plant, publish: list[str], **fields: object) -> Retraining:
    return plant.settings({"plan": str(plant.template)}, publish=publish, **fields)


def until(loop: Loop, of: Opened, *wanted: str) -> Known:
    """Look until the newest proposal has one of these states; a person accepts what is proposed."""

    def reached() -> Known | None:
        loop.turn(Said(drifting()), datetime.now(UTC))
        known = of.proposals.of(STREAM)[0]
        if known.state == "proposed":
            answered(of, known.proposal.id, "accept", by="Eva", reason="season")
        return known if known.state in wanted else None

    known = eventually(reached, WAIT_S, f"the proposal to be {' or '.join(wanted)}")
    assert known is not None
    return known


def comparing(plant: Plant, verdict: str) -> list[str]:
    """A command that trains, and says how the new model compares."""
    comparison = ChampionComparison.model_validate(
        {
            "champion": f"{STREAM}#1",
            "verdict": verdict,
            "metric": "f1",
            "of_champion": 0.9,
            "of_new": 0.5,
            "windows": 100,
            "said": f"{verdict}: f1 0.5 against 0.9",
        }
    )
    code = plant.training()
    digest = plant.folder / f"{STREAM}-2.zip"
    outcome = Outcome(
        stream=STREAM, seq=2, sha256=sha256(digest), file="", metrics={}, comparison=comparison
    )
    code[2] += "; open(sys.argv[3], 'w').write(sys.argv[4])"
    said = outcome.model_dump_json().replace("{", "{{").replace("}", "}}")
    return [*code, "{outcome}", said]


def sha256(path: Path) -> str:
    return load_bundle(path).sha256


def test_consent_publishes_and_begins_the_rollout_under_the_same_name(plant: Plant) -> None:
    with plant.opened(settings(plant, signing(plant))) as of:
        known = until(Loop(of, "run-1"), of, "published", "failed")
        (rollout,) = of.registry.rollouts()
        lines = of.ledger.lines(known.proposal.id, 100)
    assert known.state == "published", known.line.reason
    assert rollout.plan.id == known.proposal.id
    assert rollout.stage is not None
    assert (rollout.stage.state, rollout.stage.by) == ("running", "Eva")
    assert [one.what for one in lines][:2] == ["signs", "starts"]


def test_rollout_that_a_dead_server_has_not_begun_is_begun_by_the_next(plant: Plant) -> None:
    with plant.opened(settings(plant, SLOW)) as of:
        first = Loop(of, "run-1")
        known = until(first, of, "publishing")
        first.close()
        plan, bundle = known.folder / "plan.toml", known.folder / f"{STREAM}-2.zip"
        run([one.format(plan=plan, bundle=bundle) for one in signing(plant)], WAIT_S)
        until(Loop(of, "run-2"), of, "published")
        (rollout,) = of.registry.rollouts()
    assert rollout.stage is not None
    assert rollout.stage.by == "Eva"


def test_model_that_is_worse_is_published_by_nobody_but_a_person(plant: Plant) -> None:
    command = comparing(plant, "worse")
    with plant.opened(settings(plant, signing(plant), command=command)) as of:
        loop = Loop(of, "run-1")
        until(loop, of, "trained", "failed")
        loop.turn(Said(), datetime.now(UTC))
        known = until(loop, of, "trained", "failed")
        told = described(of, known)
    assert known.state == "trained", known.line.reason
    assert known.line.reason == "seq 2 is trained, worse: f1 0.5 against 0.9"
    assert told["waits"] == "the new model is worse than the one that serves"
    assert "waits       for a person" in text(told)


def test_policy_publishes_no_plan_that_serves_at_once(plant: Plant) -> None:
    groups = [{**PLAN["groups"][0], "mode": "serve"}]
    plant.template.write_bytes(tomli_w.dumps({"groups": groups}).encode())
    with plant.opened(settings(plant, signing(plant), auto="shadow")) as of:
        loop = Loop(of, "run-1")
        until_policy(loop, of)
        loop.turn(Said(), datetime.now(UTC))
        (known,) = of.proposals.all()
        told, rollouts = described(of, known), of.registry.rollouts()
    assert known.state == "trained"
    assert told["waits"].startswith('auto = "shadow" needs a plan')
    assert rollouts == ()


def until_policy(loop: Loop, of: Opened) -> None:
    """Look until the newest proposal is trained, without a person."""

    def trained() -> bool:
        loop.turn(Said(drifting()), datetime.now(UTC))
        return any(one.state == "trained" for one in of.proposals.all())

    eventually(trained, WAIT_S, "the proposal to be trained")


def test_command_that_fails_is_run_once_and_leaves_it_to_a_person(plant: Plant) -> None:
    with plant.opened(settings(plant, FAIL)) as of:
        loop = Loop(of, "run-1")
        until(loop, of, "publishing")
        known = until(loop, of, "trained")
        loop.turn(Said(), datetime.now(UTC))
        told = described(of, of.proposals.find(known.proposal.id))
    assert told["state"] == "trained"
    assert told["reason"].startswith("publishing_failed: exit code 1")
    assert "the key is locked" in told["waits"]


def test_publication_that_the_end_of_the_server_interrupts_is_left_to_a_person(
    plant: Plant,
) -> None:
    with plant.opened(settings(plant, SLOW)) as of:
        first = Loop(of, "run-1")
        until(first, of, "publishing")
        first.close()
        known = until(Loop(of, "run-2"), of, "trained")
    assert known.line.reason.startswith("publishing_failed: the server ended")


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("groups = 3", id="no groups"),
        pytest.param("seq = 9\n[[groups]]\nname = 'all'\nshare = 1.0", id="with a seq"),
        pytest.param("[", id="no TOML"),
    ],
)
def test_template_that_is_no_plan_leaves_it_to_a_person(plant: Plant, template: str) -> None:
    plant.template.write_text(template)
    with plant.opened(settings(plant, signing(plant))) as of:
        loop = Loop(of, "run-1")
        until(loop, of, "trained", "failed")
        loop.turn(Said(), datetime.now(UTC))
        (known,) = of.proposals.all()
        told = described(of, known)
    assert told["waits"].startswith("plan_unusable: no plan can be made of")
    assert told["next"][0].startswith("millhand-trainer publish ")
