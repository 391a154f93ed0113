"""The states of an update, and what may follow on what."""

from collections.abc import Callable

import pytest

from models.control.documents import Desired
from serving.model import Model
from serving.updates.update import NEXT, UNDER_WAY, State, Update


class EmptySlot:
    """A slot in which nothing serves."""

    failure = None
    model: Model | None = None

    def prepare(self, model: Model) -> Callable[[], bool]:
        raise NotImplementedError(model)


def update(state: State = State.WANTED) -> Update:
    return Update(EmptySlot(), Desired(stream="mass"), state)


def test_update_begins_as_wanted_and_serves_nothing() -> None:
    found = update()
    assert (found.state, found.is_under_way, found.serving) == (State.WANTED, False, None)


def test_every_state_is_reached_and_left() -> None:
    assert NEXT.keys() == set(State)
    assert all(NEXT.values())
    assert {state for following in NEXT.values() for state in following} == set(State)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("following", State)
def test_only_the_changes_of_the_table_are_allowed(state: State, following: State) -> None:
    found = update(state)
    if following in NEXT[state]:
        found.enter(following)
        assert found.state is following
    else:
        with pytest.raises(ValueError, match=f"from {state} to {following}"):
            found.enter(following)
        assert found.state is state


def test_what_was_not_proven_never_serves() -> None:
    assert [state for state in State if State.ON_TRIAL in NEXT[state]] == [
        State.PULLING,  # only a bundle that serves already
        State.VERIFIED,
    ]


def test_refusal_does_not_begin_anew_by_itself_while_it_is_under_way() -> None:
    assert State.REFUSED not in UNDER_WAY
    assert State.REFUSED not in NEXT[State.ON_TRIAL]
