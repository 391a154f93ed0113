"""Topic templates match topics, find the asset in them, and refuse text that is not a topic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.input.topics import TemplateError, TopicTemplate, overlap

PLANT = TopicTemplate("plant/{line}/{asset}/{signal}")
level = st.text(st.characters(exclude_characters="/+#$\x00", exclude_categories=["Cs"]), min_size=1)


def test_filter_has_a_wildcard_for_every_named_level() -> None:
    assert PLANT.filter == "plant/+/+/+"
    assert PLANT.names == ("line", "asset", "signal")


def test_asset_is_every_named_level_but_the_signal() -> None:
    levels = PLANT.match("plant/l1/pump7/flow")
    assert levels is not None
    assert (levels.asset, levels.signal) == ("l1/pump7", "flow")


def test_template_without_names_has_no_asset() -> None:
    levels = TopicTemplate("furnace/telemetry").match("furnace/telemetry")
    assert levels is not None
    assert (levels.asset, levels.signal) == ("", None)


@pytest.mark.parametrize(
    "topic", ["plant/l1/p", "plant/l1/p/flow/x", "plan/l1/p/flow", "", "plant//p/flow"]
)
def test_other_topics_do_not_match(topic: str) -> None:
    assert PLANT.match(topic) is None


def test_leading_slash_is_an_empty_first_level() -> None:
    template = TopicTemplate("/neuron/{node}/{group}")
    assert template.filter == "/neuron/+/+"
    levels = template.match("/neuron/n1/g1")
    assert levels is not None
    assert levels.asset == "n1/g1"
    assert template.render(levels.by_name) == "/neuron/n1/g1"
    assert template.match("neuron/n1/g1") is None
    assert template.difference("neuron/n1/g1") == "begins with a slash, the topic does not"
    other = TopicTemplate("neuron/{node}").difference("/neuron/n1")
    assert other == "does not begin with a slash, the topic does"


OPEN = TopicTemplate("plant/{line}/{path...}")
DEPTHS = {
    "plant/l1/p1": "l1/p1",
    "plant/l1/a/b/c/d": "l1/a/b/c/d",
    "plant/l1": None,
    "plant/l1/": None,
    "plant/l1/a//b": None,
    "plant/l1/a/": None,
    "plant//a/b": None,
    "plan/l1/a": None,
}


@pytest.mark.parametrize(("topic", "asset"), DEPTHS.items(), ids=DEPTHS)
def test_last_level_may_stand_for_several(topic: str, asset: str | None) -> None:
    levels = OPEN.match(topic)
    assert (levels.asset if levels is not None else None) == asset
    assert (OPEN.difference(topic) == "") is (levels is not None)


def test_filter_of_variable_depth_ends_in_a_wildcard() -> None:
    assert (OPEN.filter, OPEN.names) == ("plant/+/#", ("line", "path"))


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ("plant/l1", "has at least 3 levels, the topic 2"),
        ("plant/l1/a//b", "level 4 of the topic is empty"),
        ("plan/l1/a/b", "level 1 is 'plant', in the topic 'plan'"),
    ],
)
def test_topic_that_is_too_short_or_has_gaps_is_told(topic: str, told: str) -> None:
    assert OPEN.difference(topic) == told


@given(line=level, path=st.lists(level, min_size=1, max_size=5).map("/".join))
def test_rendered_topic_of_any_depth_matches_with_the_same_levels(line: str, path: str) -> None:
    levels = OPEN.match(OPEN.render({"line": line, "path": path}))
    assert levels is not None
    assert levels.by_name == {"line": line, "path": path}


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "a/+", "a/#", "$a/b"])
def test_path_that_no_topic_may_have_is_not_rendered(path: str) -> None:
    with pytest.raises(TemplateError, match="path"):
        OPEN.render({"line": "l1", "path": path})


@given(line=level, asset=level, signal=level)
def test_rendered_topic_matches_with_the_same_levels(line: str, asset: str, signal: str) -> None:
    given = {"line": line, "asset": asset, "signal": signal}
    levels = PLANT.match(PLANT.render(given))
    assert levels is not None
    assert levels.by_name == given


@given(topic=st.text())
def test_any_topic_matches_or_does_not(topic: str) -> None:
    levels = PLANT.match(topic)
    assert levels is None or PLANT.render(levels.by_name) == topic


@pytest.mark.parametrize("asset", ["", "a/b", "a+", "#", "$SYS", pytest.param("a\0", id="zero")])
def test_level_that_no_topic_may_have_is_not_rendered(asset: str) -> None:
    with pytest.raises(TemplateError, match="asset"):
        PLANT.render({"line": "l1", "asset": asset, "signal": "s"})


def test_missing_level_is_not_rendered() -> None:
    with pytest.raises(TemplateError, match="signal"):
        PLANT.render({"line": "l1", "asset": "p"})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        pytest.param("plant/\0", "NUL", id="zero"),
        ("plant/{path...}/x", "must be the last"),
        ("plant/{path...}/{rest...}", "must be the last"),
        ("plant/{path}/{path...}", "twice"),
        ("plant/{signal...}", "one level"),
        ("plant/{path..}", "level '{path..}'"),
        ("plant/x{path...}", "level 'x{path...}'"),
        ("plant/+/x", "{asset}"),
        ("plant/#", "{asset}"),
        ("$share/group/plant/{asset}", "shared subscriptions"),
        ("plant/{asset}/{asset}", "twice"),
        ("plant/pump-{asset}", "level 'pump-{asset}'"),
        ("plant/{a}{b}", "level '{a}{b}'"),
        ("plant/{Asset}", "level '{Asset}'"),
        ("plant/{asset", "level '{asset'"),
        ("plant/{}", "level '{}'"),
    ],
)
def test_text_that_is_no_template_is_refused_with_the_reason(text: str, named: str) -> None:
    with pytest.raises(TemplateError) as caught:
        TopicTemplate(text)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("+/b", "a/+", True),
        ("a/+/c", "a/b/+", True),
        ("a/b", "a/c", False),
        ("a/+", "b/+", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "+", True),
        ("a/#", "b/+/c", False),
        ("#", "/a", True),
        ("a/b/#", "a", False),
        ("a/+/#", "a/b", True),
        ("/a", "a", False),
        ("/a", "+/a", True),
        ("/a", "+", False),
    ],
)
def test_filters_overlap_where_a_topic_fits_both(one: str, other: str, *, common: bool) -> None:
    assert overlap(one, other) is common
    assert overlap(other, one) is common
