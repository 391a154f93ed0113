"""Control topics are built and recognised in one place."""

import pytest

from models.control.topics import ControlTopics


def test_each_document_has_its_topic() -> None:
    topics = ControlTopics("gw1")
    assert topics.status == "millhand/gw1/status"
    assert topics.feedback == "millhand/gw1/feedback"
    assert topics.metrics == "millhand/gw1/metrics"
    assert topics.desired("mass") == "millhand/gw1/desired/mass"
    assert topics.current("mass") == "millhand/gw1/current/mass"


def test_filters_are_topics_with_wildcards() -> None:
    assert ControlTopics("+").current("+") == "millhand/+/current/+"


@pytest.mark.parametrize(
    ("topic", "stream"),
    [
        ("millhand/gw1/desired/mass", "mass"),
        ("millhand/gw1/desired/", ""),
        ("millhand/gw2/desired/mass", None),
        ("millhand/gw1/current/mass", None),
        ("millhand/gw1/desired/mass/more", None),
        ("plant/gw1/desired/mass", None),
        ("", None),
    ],
)
def test_stream_is_that_of_the_gateways_own_desired_topic(topic: str, stream: str | None) -> None:
    assert ControlTopics("gw1").stream_desired_by(topic) == stream


@pytest.mark.parametrize("topic", ["millhand/gw1/status", "millhand/gw1/current/mass"])
def test_gateway_is_read_off_a_topic(topic: str) -> None:
    assert ControlTopics.of(topic) == ControlTopics("gw1")


@pytest.mark.parametrize("topic", ["", "millhand", "millhand/gw1", "plant/gw1/status", "a/b/c/d/e"])
def test_topic_of_somebody_else_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="not a topic of"):
        ControlTopics.of(topic)
