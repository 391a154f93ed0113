"""What is due is done, in order, and no more often than once a tick."""

from agent.timers import TICK_S, Timers


class Hands:
    """A clock that is set by hand, and timers that note what they do."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.done: list[str] = []
        self.timers = Timers(lambda: self.now_s)

    def every(self, interval_s: float, name: str, *, is_on: list[bool] | None = None) -> None:
        note, condition = self.done.append, [True] if is_on is None else is_on
        self.timers.every(interval_s, lambda: note(name), lambda: condition[0])

    def at(self, now_s: float) -> list[str]:
        self.now_s = now_s
        self.done.clear()
        self.timers.run()
        return list(self.done)


def test_what_is_due_together_is_done_in_order() -> None:
    hands = Hands()
    hands.every(1.0, "first")
    hands.every(1.0, "second")
    assert hands.at(0.0) == ["first", "second"]


def test_each_keeps_its_own_interval() -> None:
    hands = Hands()
    hands.every(1.0, "often")
    hands.every(5.0, "rarely")
    found = [hands.at(second) for second in (0.0, 1.0, 4.0, 5.0)]
    assert found == [["often", "rarely"], ["often"], ["often"], ["often", "rarely"]]


def test_nothing_is_done_twice_in_one_tick() -> None:
    hands = Hands()
    hands.every(0.001, "hasty")
    assert [hands.at(0.0), hands.at(TICK_S / 2), hands.at(TICK_S)] == [["hasty"], [], ["hasty"]]
    assert hands.timers.due_s == 2 * TICK_S


def test_what_is_held_up_is_done_at_the_first_tick_that_allows_it() -> None:
    hands, is_on = Hands(), [False]
    hands.every(10.0, "metrics", is_on=is_on)
    assert hands.at(0.0) == []
    is_on[0] = True
    assert hands.at(1.0) == ["metrics"]
    assert hands.at(10.0) == []
    assert hands.at(11.0) == ["metrics"]
