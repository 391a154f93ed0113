"""The place of a document that comes nearest to a path at which there is nothing."""

import pytest

from agent.cli.places import MAX_PLACES, located, nearest, nearest_text, places
from models.input.codecs.paths import rendered, single

DOCUMENT = {
    "ts": 1,
    "Channel1.Device1.PT101": 2,
    "hydraulics": {"pressure": 3, "raw": {"flow": 4}},
    "values": [{"id": "FT101", "v": 5}, {"id": "FT102", "v": 6}],
    "trend": [7, 8],
    "empty": {},
}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("Hydraulics.Pressure", "hydraulics.pressure"),
        ("Channel1.Device1.PT101", '"Channel1.Device1.PT101"'),
        ("hydraulic.pressure", "hydraulics.pressure"),
        ("hydraulics.presure", "hydraulics.pressure"),
        ("values[?id=ft101].v", "values[?id=FT101].v"),
        ("values[?id=FT103].v", "values[?id=FT102].v"),
        ("Flow", "hydraulics.raw.flow"),
        ("data.hydraulics.pressure", "hydraulics.pressure"),
        ("values[9].v", "values[0].v"),
        ("temperature", None),
    ],
    ids=[
        "upper and lower case",
        "a key with dots",
        "a misspelt key above",
        "a misspelt key",
        "an element in another case",
        "an element with a similar text",
        "the same key at another depth",
        "a level too many",
        "an element beyond the end",
        "nothing alike",
    ],
)
def test_nearest_place_is_the_one_that_was_meant(wanted: str, found: str | None) -> None:
    place = nearest(DOCUMENT, single(wanted), places(DOCUMENT))
    assert (None if place is None else rendered(place)) == found


def test_places_are_the_values_in_the_order_of_the_document() -> None:
    assert [rendered(path) for path in places(DOCUMENT)] == [
        "ts",
        '"Channel1.Device1.PT101"',
        "hydraulics.pressure",
        "hydraulics.raw.flow",
        "values[0].id",
        "values[0].v",
        "values[1].id",
        "values[1].v",
        "trend",
        "empty",
    ]
    assert len(places([{"v": 1}] * (MAX_PLACES + 1))) == MAX_PLACES
    assert places([]) == []


def test_element_that_a_path_picks_is_located_by_its_number() -> None:
    path = located(DOCUMENT, single("values[?id=FT102].v"))
    assert rendered(path) == "values[1].v"
    assert rendered(located(DOCUMENT, single("trend[-1]"))) == "trend[1]"


def test_nearest_text_is_that_with_the_fewest_differences_in_any_case() -> None:
    assert nearest_text("Presure", ["flow", "pressure", "temperature"]) == "pressure"
    assert nearest_text("speed", ["flow", "pressure"]) is None
