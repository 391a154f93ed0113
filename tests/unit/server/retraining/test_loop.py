"""The closed loop: what is proposed, who says yes, and what every state leads to."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.retraining.errors import RetrainingError
from server.retraining.evidence.triggers import asked_for
from server.retraining.loop import Loop
from server.retraining.opened import Opened
from server.retraining.proposals import POLICY, Known
from server.retraining.proposing import propose
from server.retraining.report import described
from server.retraining.service import answered
from server.rollouts.errors import FencedError
from serving.publishing.rollouts import publish_plan
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.bundles.publishing import make_plan
from tests.kit.rollouts.retraining import STREAM, Plant, Said, drifting, later
from tests.kit.waiting import eventually

WAIT_S = 60.0
NOW = datetime.now(UTC)
SLOW = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def last(of: Opened) -> Known:
    return of.proposals.of(STREAM)[0]


def states(of: Opened) -> list[str]:
    """The states that the newest proposal has had, the first one first."""
    return [one.state for one in of.proposals.lines(last(of))][::-1]


def until(loop: Loop, of: Opened, *wanted: str) -> Known:
    """Look until the newest proposal has one of these states."""

    def reached() -> Known | None:
        loop.turn(Said(drifting()), datetime.now(UTC))
        known = of.proposals.of(STREAM)
        return known[0] if known and known[0].state in wanted else None

    known = eventually(reached, WAIT_S, f"the proposal to be {' or '.join(wanted)}")
    assert known is not None
    return known


def accept(of: Opened) -> None:
    answered(of, last(of).proposal.id, "accept", by="Eva", reason="the season has changed")


def test_drift_is_proposed_once_and_waits_for_a_person(plant: Plant) -> None:
    with plant.opened(plant.settings()) as of:
        loop = Loop(of, "run-1")
        for _ in range(3):
            loop.turn(Said(drifting()), NOW)
        (known,) = of.proposals.all()
        document = json.loads((known.folder / "proposal.json").read_text())
        told = described(of, known)
    assert known.state == "proposed"
    assert document["recipe"] == str(plant.recipe)
    assert document["recordings"]["files"] == document["recordings"]["newer"] == 1
    assert document["champion"]["seq"] == 1
    assert document["gateways"][0]["worst"] == "CDP"
    assert "at 1.40 times its limit for 7.0 h" in document["reason"]
    assert told["next"][0].startswith("millhand-server retrain accept press-retrain-1")


def test_what_was_accepted_is_trained_and_tells_how_to_publish(plant: Plant) -> None:
    settings = plant.settings({"plan": str(plant.template)})
    with plant.opened(settings) as of:
        loop = Loop(of, "run-1")
        loop.turn(Said(drifting()), NOW)
        accept(of)
        known = until(loop, of, "trained", "failed")
        told = described(of, known)
        plan = (known.folder / "plan.toml").read_text()
        said = {one.state: one.by for one in of.proposals.lines(known)}
        output = (known.folder / "output.log").read_text()
    assert states_of(told) == ["proposed", "accepted", "training", "trained"]
    assert said == {
        "proposed": "controller c1",
        "accepted": "Eva",
        "training": "Eva",
        "trained": "controller c1",
    }
    assert told["result"]["bundle"]["seq"] == 2
    assert told["next"][0].startswith("millhand-server rollout plan ")
    assert plan.startswith('id = "press-retrain-1"\nstream = "press"\nseq = 2\n')
    assert output == "trained\n"


def states_of(told: dict[str, object]) -> list[str]:
    lines = told["ledger"]
    assert isinstance(lines, list)
    return [one["state"] for one in lines if one["what"] == "retrains"][::-1]


def test_bundle_that_a_person_publishes_ends_the_proposal(plant: Plant) -> None:
    with plant.opened(plant.settings()) as of:
        loop = Loop(of, "run-1")
        loop.turn(Said(drifting()), NOW)
        accept(of)
        known = until(loop, of, "trained", "failed")
        plant.published.publish_file(known.folder / "press-2.zip")
        ended = until(loop, of, "published")
    assert ended.line.by == "the holder of the targets key"


def test_policy_accepts_by_its_own_name(plant: Plant) -> None:
    with plant.opened(plant.settings(auto="shadow")) as of:
        loop = Loop(of, "run-1")
        known = until(loop, of, "trained", "failed")
        consent = of.proposals.consent(known)
    assert (known.state, consent) == ("trained", POLICY)


def test_declined_proposal_is_not_made_again_before_the_quiet_time(plant: Plant) -> None:
    with plant.opened(plant.settings()) as of:
        loop = Loop(of, "run-1")
        loop.turn(Said(drifting()), NOW)
        answered(of, last(of).proposal.id, "decline", by="Tom", reason="a sensor was exchanged")
        loop.turn(Said(drifting()), later(0.9))
        before = [one.state for one in of.proposals.all()]
        loop.turn(Said(drifting()), later(1.1))
        after = [one.state for one in of.proposals.all()]
    assert before == ["declined"]
    assert sorted(after) == ["declined", "proposed"]


def test_proposal_that_nobody_answers_expires(plant: Plant) -> None:
    with plant.opened(plant.settings()) as of:
        loop = Loop(of, "run-1")
        loop.turn(Said(drifting()), NOW)
        loop.turn(Said(), later(8))
        known = last(of)
        with pytest.raises(RetrainingError, match="retraining_state: press-retrain-1 is expired"):
            accept(of)
    assert known.state == "expired"
    assert "nobody has answered" in known.line.reason


def test_of_two_decisions_at_once_one_counts(plant: Plant) -> None:
    with plant.opened(plant.settings()) as of:
        Loop(of, "run-1").turn(Said(drifting()), NOW)
        known = last(of)
        of.proposals.move(known, "declined", by="Tom", reason="no")
        with pytest.raises(FencedError):
            of.proposals.move(known, "accepted", by="Eva", reason="yes")
        decided = last(of).line
    assert (decided.state, decided.by) == ("declined", "Tom")


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        pytest.param(
            [sys.executable, "-c", "print('no memory left'); raise SystemExit(3)"],
            "training_failed",
            "its exit code is 3: no memory left",
            id="error",
        ),
        pytest.param(
            [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"],
            "training_failed",
            "ended by signal 9",
            id="killed",
        ),
        pytest.param(
            [sys.executable, "-c", "print('x' * 10_000_000)"],
            "training_failed",
            "no bundle",
            id="without a bundle",
        ),
        pytest.param(
            [sys.executable, "-c", "bytearray(1 << 30)"],
            "training_failed",
            "MemoryError",
            id="too much memory",
        ),
        pytest.param(SLOW, "training_stopped", "retraining.train_s", id="too long"),
    ],
)
def test_training_that_fails_says_why(
    plant: Plant, command: list[str], code: str, words: str
) -> None:
    limit_s = 2.0 if code == "training_stopped" else 600.0
    settings = plant.settings(
        command=command, train_s=limit_s, memory_bytes=256 << 20, output_bytes=2048
    )
    with plant.opened(settings) as of:
        loop = Loop(of, "run-1")
        loop.turn(Said(drifting()), NOW)
        accept(of)
        known = until(loop, of, "failed", "trained")
        output = (known.folder / "output.log").read_bytes()
    assert known.line.reason.startswith(f"{code}: ")
    assert words in known.line.reason
    assert len(output) <= 2048


def test_training_that_the_end_of_the_server_interrupts_is_begun_once_more(plant: Plant) -> None:
    with plant.opened(plant.settings(command=SLOW)) as of:
        first = Loop(of, "run-1")
        first.turn(Said(drifting()), NOW)
        accept(of)
        until(first, of, "training")
        first.close()
        second = Loop(of, "run-2")
        until(second, of, "accepted")
        until(second, of, "training")
        second.close()
        known = until(Loop(of, "run-3"), of, "failed")
        tried = states(of)
        by = {one.by for one in of.proposals.lines(known) if one.state == "accepted"}
    assert tried == [
        "proposed",
        "accepted",
        "training",
        "accepted",
        "training",
        "failed",
    ]
    assert by == {"Eva"}
    assert known.line.reason.startswith("training_stopped: ")


def test_nothing_is_proposed_while_a_rollout_is_under_way(plant: Plant) -> None:
    plan = make_plan("press-2", stream=STREAM)
    bundle = make_bundle(make_manifest(stream=STREAM, seq=2))
    publish_plan(plant.published.folder, plan, plant.published.keys, bundle=bundle)
    with plant.opened(plant.settings()) as of:
        loop = Loop(of, "run-1")
        loop.turn(Said(drifting()), NOW)
        found = of.proposals.all()
    assert found == []
    assert loop.troubles[STREAM].startswith("rollout_under_way: rollout press-2")


@pytest.mark.parametrize(
    ("sections", "code"),
    [
        pytest.param({"bundle": {"stream": "other"}}, "recipe_unreadable", id="of another stream"),
        pytest.param({"data": {"time": {}}}, "recipe_unreadable", id="without data"),
        pytest.param({"data": {"files": ["${NOWHERE_AT_ALL}/*"]}}, "recipe_unreadable", id="unset"),
        pytest.param({"data": {"files": ["none/*.csv"]}}, "no_recordings", id="without files"),
    ],
)
def test_recipe_that_cannot_be_trained_by_is_refused(
    plant: Plant, sections: dict[str, object], code: str
) -> None:
    plant.write_recipe(**sections)
    with plant.opened(plant.settings()) as of, pytest.raises(RetrainingError) as refused:
        propose(of, STREAM, asked_for("season", []), by="Eva", now=NOW)
    assert refused.value.reason == code


def test_recordings_that_are_older_than_the_bundle_are_too_few(plant: Plant) -> None:
    settings = plant.settings({"min_recordings": 2})
    with plant.opened(settings) as of:
        with pytest.raises(RetrainingError) as refused:
            propose(of, STREAM, asked_for("season", []), by="Eva", now=NOW)
        with pytest.raises(RetrainingError) as unknown:
            propose(of, "other", asked_for("season", []), by="Eva", now=NOW)
    assert refused.value.reason == "few_recordings"
    assert "1 of the 1 files" in str(refused.value)
    assert unknown.value.reason == "stream_unknown"


def test_nothing_is_accepted_where_nothing_can_train(plant: Plant) -> None:
    with plant.opened(plant.settings(command=["no-such-trainer", "{recipe}"])) as of:
        Loop(of, "run-1").turn(Said(drifting()), NOW)
        with pytest.raises(RetrainingError) as refused:
            accept(of)
        state = last(of).state
    assert refused.value.reason == "trainer_missing"
    assert state == "proposed"


def test_proposals_beyond_the_limit_make_room(plant: Plant) -> None:
    with plant.opened(plant.settings(max_proposals=2, quiet_s=0.0)) as of:
        for _ in range(4):
            known = propose(of, STREAM, asked_for("season", []), by="Eva", now=datetime.now(UTC))
            of.proposals.move(known, "declined", by="Tom", reason="not now")
        found = [one.proposal.id for one in of.proposals.all()]
    assert found == ["press-retrain-4", "press-retrain-3"]
