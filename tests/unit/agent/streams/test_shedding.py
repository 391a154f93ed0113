"""What a backlog drops: never the newest message of a topic, never more than necessary."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.inputs import Input, Outcome
from agent.streams.shedding import POLICIES, Backlog, Waiting, decimate, latest
from models.input.routes import Route
from serving.mqtt.packets import Received

topics = st.lists(st.sampled_from("abcd"), max_size=60)
limits = st.integers(1, 20)
policies = st.sampled_from(sorted(POLICIES))


def filled(policy: str, wanted: list[str], limit: int) -> tuple[Backlog, list[Input]]:
    """A backlog in which one message of each topic waits, and the inputs of all messages."""
    backlog, inputs = Backlog(policy, limit), []
    for number, topic in enumerate(wanted):
        message = Received(topic, b"%d" % number, 1, retained=False, repeated=False, at_ns=0)
        inputs.append(Input(1, (topic, message.payload)))
        backlog.add(Route(topic, (), lambda _: [], topic), message, inputs[-1])
    return backlog, inputs


def numbers(taken: list[Waiting]) -> list[int]:
    return [int(one.message.payload) for one in taken]


@given(policy=policies, wanted=topics, limit=limits)
def test_whatever_waits_is_taken_in_order_or_dropped_and_counted(
    policy: str, wanted: list[str], limit: int
) -> None:
    backlog, inputs = filled(policy, wanted, limit)
    taken = numbers(backlog.take())
    assert taken == sorted(taken)
    dropped = [n for n, one in enumerate(inputs) if one.outcome is Outcome.DROPPED]
    assert sorted(taken + dropped) == list(range(len(wanted)))
    assert {inputs[n].reason for n in dropped} <= {POLICIES[policy][0]}
    assert backlog.shed == len(dropped)
    assert len(backlog) == 0


@given(policy=policies, wanted=topics, limit=limits)
def test_newest_of_every_topic_is_taken_and_all_where_all_can_be_answered(
    policy: str, wanted: list[str], limit: int
) -> None:
    taken = numbers(filled(policy, wanted, limit)[0].take())
    newest = {topic: number for number, topic in enumerate(wanted)}
    assert set(newest.values()) <= set(taken)
    assert len(wanted) > limit or len(taken) == len(wanted)
    assert len(taken) <= max(limit, len(set(wanted))) + (policy == "decimate") * len(set(wanted))


@given(policy=policies, wanted=topics, limit=limits)
def test_what_follows_a_gap_on_its_topic_is_marked_and_nothing_else(
    policy: str, wanted: list[str], limit: int
) -> None:
    backlog, inputs = filled(policy, wanted, limit)
    taken = backlog.take()
    last: dict[str, int] = defaultdict(lambda: -1)
    for one, number in zip(taken, numbers(taken), strict=True):
        between = inputs[last[one.message.topic] + 1 : number]
        is_gap = any(other.key[0] == one.message.topic for other in between)
        assert one.follows_gap is is_gap
        last[one.message.topic] = number


@given(wanted=topics, limit=limits)
def test_latest_gives_up_as_few_as_it_can(wanted: list[str], limit: int) -> None:
    kept = sum(latest(wanted, limit))
    assert kept == min(len(wanted), max(limit, len(set(wanted))))


@given(wanted=topics, limit=limits)
def test_decimate_keeps_each_nth_of_a_topic_counted_from_its_newest(
    wanted: list[str], limit: int
) -> None:
    every = -(-len(wanted) // limit)
    kept: Counter[str] = Counter()
    for topic, is_kept in zip(wanted, decimate(wanted, limit), strict=True):
        kept[topic] += is_kept
    assert kept == {topic: -(-count // every) for topic, count in Counter(wanted).items()}


@pytest.mark.parametrize(
    ("policy", "expected"), [("latest", [0, 5, 6, 7]), ("decimate", [0, 1, 3, 5, 7])]
)
def test_policies_in_one_example(policy: str, expected: list[int]) -> None:
    assert numbers(filled(policy, list("abbbbbbb"), 4)[0].take()) == expected
