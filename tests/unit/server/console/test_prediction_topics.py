"""Which topics are predictions, and what their levels say."""

import pytest
from pydantic import ValidationError

from server.console.settings import Console
from server.console.topics import Named, PredictionTopic

TOPIC = "plant/l1/pump7/_inference/pump-health"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("+/+/+/_inference/+", Named(None, None)),
        ("plant/{line}/{asset}/_inference/{stream}", Named("pump-health", "l1/pump7")),
        ("plant/+/{asset}/_inference/+", Named(None, "pump7")),
        ("plant/#", Named(None, None)),
        ("{site}/#", Named(None, "plant")),
        ("#", Named(None, None)),
        ("plant/{line}/{asset}/_inference/other", None),
        ("plant/{line}/_inference/{stream}", None),
        ("umh/#", None),
    ],
)
def test_named_levels_say_what_the_payload_would(text: str, named: Named | None) -> None:
    assert PredictionTopic(text).match(TOPIC) == named


def test_broker_is_told_wildcards() -> None:
    found = PredictionTopic("umh/v1/acme/{line}/{asset}/_inference/{stream}").filter
    assert found == "umh/v1/acme/+/+/_inference/+"


@pytest.mark.parametrize(
    "text",
    ["", "a/#/b", "a/b+", "a/{line}x", "a/{Line}", "$share/g/a", "a\0b"],
    ids=lambda text: text.replace("\0", "NUL") or "nothing",
)
def test_text_that_is_no_filter_is_refused_in_the_configuration(text: str) -> None:
    with pytest.raises(ValidationError):
        Console.model_validate({"broker": {"host": "h"}, "predictions": [text]})
