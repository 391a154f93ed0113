"""The messages with which lists of tags are measured."""

import pytest

from benchmarks.lists import FORMATS, Format, messages, source
from benchmarks.made_up import list_turns
from models.input.pipeline import Pipeline
from models.input.quality import Quality
from models.input.routes import Routes

COUNT = 300
"""More than Sparkplug has numbers for its messages."""


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"{form.name}-{form.width}")
def test_every_message_is_a_good_row_of_all_signals(form: Format) -> None:
    """So all formats give the model the same windows, and a ratio compares nothing but reading."""
    settings = {
        "stream": "s",
        "inputs": [source(form)],
        "output": {"topic": "plant/l1/{asset}/_inference/{stream}"},
    }
    names = [f"c{index}" for index in range(form.width)]
    routes = Routes(Pipeline.model_validate(settings), names)
    rows = []
    for topic, payload in messages(form, COUNT):
        route = routes.route(topic)
        found = list(route.readings(payload)) if route is not None else []
        rows += [] if "BIRTH" in topic else found
    assert [reading.quality for _, reading in rows] == [Quality.GOOD] * COUNT
    assert {tuple(part.channels) for part, _ in rows} == {tuple(range(form.width))}
    assert len({reading.time_ns for _, reading in rows}) == COUNT


def test_turns_of_lists_are_measured() -> None:
    us, parser_us = list_turns.measure(Format("kepware", 5))
    assert us > parser_us > 0
