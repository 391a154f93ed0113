"""What a person decides about a rollout, and what is said where it cannot be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.rollout.stage import Stage
from server.rollouts.controller import Controller
from server.rollouts.decisions import Decisions, Wish
from server.rollouts.errors import DecisionError, DocumentError
from server.rollouts.ledger import Ledger, Line
from tests.kit.rollouts.documents import START, plan
from tests.kit.rollouts.world import Gateway, World

ID = "press-5"
Act = Callable[[Decisions], Stage]


@pytest.fixture
def decisions(tmp_path: Path) -> Iterator[Decisions]:
    """Of a rollout that is planned, and was not started."""
    world = World(plan(), [Gateway("a", 4)], START)
    ledger = Ledger(tmp_path / "ledger.sqlite3", "registry")
    yield Decisions(world.registry, ledger, lambda: world.now)
    ledger.close()


def start(decisions: Decisions) -> Stage:
    return decisions.start(ID, by="Eva", reason="begin")


def does(wish: Wish, rollout: str = ID) -> Act:
    return lambda decisions: decisions.decide(wish, rollout, by="Eva", reason="noise")


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        pytest.param(
            [does("hold")],
            "press-5 is not started; hold needs one that is running: begin it by millhand-server "
            "rollout start press-5 --by NAME",
            id="hold before the start",
        ),
        pytest.param(
            [start, start],
            "press-5 was started before; it is running: it may be held or reverted",
            id="start twice",
        ),
        pytest.param(
            [start, does("hold"), start],
            "press-5 was started before; it is held: it may be resumed or reverted",
            id="start of one that is held",
        ),
        pytest.param(
            [start, does("resume")],
            "press-5 is running; resume needs one that is held: it may be held or reverted",
            id="resume of one that runs",
        ),
        pytest.param(
            [start, does("revert"), does("revert")],
            "press-5 is reverted; revert needs one that is running or held or done: it is over; "
            "sign a new plan with another id",
            id="revert twice",
        ),
        pytest.param(
            [start, does("hold", "pres-5")],
            "there is no rollout 'pres-5'; the registry has press-5",
            id="misspelt",
        ),
    ],
)
def test_decision_that_cannot_be_says_what_is_there_and_what_can_be_done(
    decisions: Decisions, acts: list[Act], words: str
) -> None:
    for act in acts[:-1]:
        act(decisions)
    with pytest.raises(DecisionError) as refused:
        acts[-1](decisions)
    assert words in str(refused.value)


class Interrupted(Ledger):
    """A ledger beside which a controller begins at a person's line of one kind."""

    at = ""
    begin: Callable[[], None]

    def append(self, line: Line) -> None:
        """Add a line, and let the controller begin: after a decision, before its signature."""
        is_due = line.what == self.at and line.by == "Eva" and line.state == "held"
        if is_due and self.at == "signs":
            self.begin()
        super().append(line)
        if is_due and self.at == "decides":
            self.begin()


@contextmanager
def beginning(folder: Path, at: str) -> Iterator[tuple[World, Decisions]]:
    """A rollout that is started; a controller begins while a person holds it."""
    world = World(plan(), [Gateway("a", 4)], START)
    path = folder / "ledger.sqlite3"
    of_person, of_controller = Interrupted(path, "registry"), Ledger(path, "registry")
    controller = Controller(world.registry, of_controller, world, name="c", run="run-1")
    of_person.at, of_person.begin = at, lambda: controller.turn(world, world.now)
    decisions = Decisions(world.registry, of_person, lambda: world.now)
    start(decisions)
    yield world, decisions
    of_person.close()
    of_controller.close()


@pytest.mark.parametrize("at", ["decides", "signs"])
def test_hold_that_a_controller_carries_out_as_it_begins_has_succeeded(
    tmp_path: Path, at: str
) -> None:
    with beginning(tmp_path, at) as (world, decisions):
        assert does("hold")(decisions).state == "held"
        newest = world.registry.stages[ID]
    assert (newest.state, newest.reason, newest.epoch) == ("held", "noise", 3)


def test_hold_that_nobody_could_sign_is_not_told_as_carried_out(tmp_path: Path) -> None:
    def away(*_: object) -> None:
        raise DocumentError("the disk of the registry is full")

    with beginning(tmp_path, "decides") as (world, decisions):
        world.registry.check = away
        with pytest.raises(DocumentError, match="is full"):
            does("hold")(decisions)
    assert world.registry.stages[ID].state == "running"
