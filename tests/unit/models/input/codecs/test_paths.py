"""Paths into a payload: what one finds, and what is said about a text that is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DecodeError
from models.input.codecs.json_row import JsonRowDecoder
from models.input.codecs.paths import (
    MAX_CHARACTERS,
    MAX_STEPS,
    Every,
    Path,
    PathError,
    Pick,
    check_differ,
    finder,
    parsed,
    rendered,
    single,
)
from models.input.codecs.reading import Fields, Reading

DOCUMENT = {
    "a": {"b": 1.5, "0": "key of a digit", "": "key without a sign"},
    "Channel1.Device1.Tag1": 4.2,
    "x[0]": 5,
    'say "hi"': 6,
    "back\\slash": 7,
    "null": None,
    "list": [10, 11, [12, 13]],
    "values": [
        {"id": "FT101", "v": 31},
        {"id": 103, "v": 32},
        {"id": 4.5, "v": 33},
        {"id": True, "v": 34},
        {"id": "Channel1.Device1.Tag1", "v": 35},
        {"id": "a]b", "v": 36},
        {"key.dotted": "x=y", "v": 37},
        {"id": None, "v": 38},
        {"id": ["FT102"], "v": 39},
        {"id": "", "v": 40},
        "no object",
        {"id": "twice", "v": 41},
        {"id": "twice", "v": 42},
    ],
}

FOUND: dict[str, tuple[str, Any]] = {
    "key": ("x", None),
    "dotted": ("a.b", 1.5),
    "digit as a key": ("a.0", "key of a digit"),
    "empty key in quotes": ('a.""', "key without a sign"),
    "dots after backslashes": (r"Channel1\.Device1\.Tag1", 4.2),
    "dots in quotes": ('"Channel1.Device1.Tag1"', 4.2),
    "brackets in quotes": ('"x[0]"', 5),
    "brackets after backslashes": (r"x\[0\]", 5),
    "quotes in quotes": (r'"say \"hi\""', 6),
    "backslash in quotes": (r'"back\\slash"', 7),
    "backslash after a backslash": (r"back\\slash", 7),
    "null": ("null", None),
    "first element": ("list[0]", 10),
    "last element of a list in a list": ("list[-1][-1]", 13),
    "element beyond the end": ("list[3]", None),
    "element before the start": ("list[-4]", None),
    "element of an object": ("a[0]", None),
    "element of a text": ("Channel1[0]", None),
    "key of a list": ("list.b", None),
    "key of a number": ("a.b.c", None),
    "element by its text": ("values[?id=FT101].v", 31),
    "element by a whole number": ("values[?id=103].v", 32),
    "element by a number with a fraction": ("values[?id=4.5].v", 33),
    "element by true": ("values[?id=true].v", 34),
    "element by a text with dots": ("values[?id=Channel1.Device1.Tag1].v", 35),
    "element by a text in quotes": ('values[?id="a]b"].v', 36),
    "element by a key in quotes": ('values[?"key.dotted"=x=y].v', 37),
    "element by an empty text": ('values[?id=""].v', 40),
    "element by null": ("values[?id=null].v", None),
    "element by a list": ("values[?id=FT102].v", None),
    "element that no array has": ("values[?id=FT999].v", None),
    "element of what is no array": ("a[?id=FT101].v", None),
}


@pytest.mark.parametrize(("path", "wanted"), FOUND.values(), ids=FOUND)
def test_path_finds_its_value(path: str, wanted: object) -> None:
    found = finder(single(path))(DOCUMENT)
    assert (type(found), found) == (type(wanted), wanted)


def test_null_is_told_from_what_is_absent() -> None:
    for path, is_there in {"null": True, "none": False, "list[9]": False, "a.b.c": False}.items():
        assert (finder(single(path))(DOCUMENT, "absent") != "absent") is is_there


def test_two_elements_of_one_text_are_no_choice() -> None:
    with pytest.raises(DecodeError, match="element_repeated"):
        finder(single("values[?id=twice].v"))(DOCUMENT)


REFUSED = {
    "empty": ("", "ends after 0 characters; allowed there is a key"),
    "dot at the end": ("a.", "ends after 2 characters; allowed there is a key"),
    "two dots": ("a..b", "has '.' as character 3; allowed there is a key"),
    "dot before a bracket": ("a.[0]", "has '[' as character 3; allowed there is a key"),
    "bracket that is not opened": ("a]", "has ']' as character 2"),
    "quote in a key": ('a"b', "has '\"' as character 2"),
    "text after a quoted key": ('"a"b', "has 'b' as character 4; allowed there is a dot or ["),
    "quote that is not closed": ('"a.b', "ends after 4 characters; allowed there is the quote"),
    "backslash before a letter": (r"a\b", "has 'b' as character 3; allowed there is one of ."),
    "backslash at the end": ("a\\", "ends after 2 characters; allowed there is one of ."),
    "bracket that is not closed": ("a[1", "allowed there is the number of an element"),
    "word in brackets": ("a[x]", "has 'x' as character 3; allowed there is the number"),
    "number with a fraction": ("a[1.5]", "has '1' as character 3; allowed there is the number"),
    "number in other digits": ("a[٣]", "has '٣' as character 3; allowed there is the number"),
    "nothing in brackets": ("a[]", "has ']' as character 3; allowed there is the number"),
    "choice without a text": ("a[?id]", "has ']' as character 6"),
    "choice with an empty text": ("a[?id=]", "has ']' as character 7; allowed there is a text"),
    "choice without a key": ("a[?=x]", "has '=' as character 4; allowed there is the key"),
    "choice by a path": ("a[?b.c=x]", "has '.' as character 5; allowed there is the key"),
    "choice that is not closed": ("a[?id=x", "ends after 7 characters; allowed there is ]"),
    "star with more": ("a[*x]", "has 'x' as character 4; allowed there is ]"),
    "too long": ("a" * (MAX_CHARACTERS + 1), f"at most {MAX_CHARACTERS} are allowed"),
    "too many steps": (".".join("a" * (MAX_STEPS + 1)), f"at most {MAX_STEPS} are allowed"),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_path_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(PathError) as caught:
        parsed(text)
    assert told in str(caught.value)


def test_every_element_is_a_path_but_not_one_to_a_single_value() -> None:
    assert parsed("values[*].v") == ("values", Every(), "v")
    with pytest.raises(PathError, match="every element of an array, and one value is needed"):
        single("values[*].v")


SAME = {
    "quotes": ("a.b", '"a"."b"'),
    "backslash and quotes": (r"a\.b", '"a.b"'),
    "zeros before a number": ("a[1]", "a[01]"),
    "quotes in a choice": ("a[?id=x].v", 'a[?"id"="x"].v'),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_two_signals_at_one_path_are_refused_in_any_spelling(one: str, other: str) -> None:
    with pytest.raises(PathError, match="pressure and flow are both bound to the path"):
        check_differ({"pressure": one, "valve": "valve", "flow": other})


def test_paths_that_differ_are_not_refused() -> None:
    check_differ({"a": "a.b", "b": '"a.b"', "c": "a[0]", "d": 'a."0"', "e": "a[?id=0]"})


words = st.text(max_size=6) | st.text('.[]"=\\*?-0a', max_size=6)
steps = words | st.integers(-(10**8), 10**8) | st.builds(Pick, words, words) | st.just(Every())
paths = st.lists(steps, min_size=1, max_size=6).map(tuple)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
)


@given(path=paths)
def test_rendered_path_is_parsed_to_an_equal_one(path: Path) -> None:
    assert parsed(rendered(path)) == path


@given(text=st.text() | st.text('.[]"=\\*?-0a', max_size=30))
def test_any_text_is_a_path_or_an_error_of_its_own(text: str) -> None:
    try:
        path = parsed(text)
    except PathError:
        return
    assert parsed(rendered(path)) == path


def leaves(document: object, above: Path = ()) -> list[tuple[Path, object]]:
    """Every value of a document with the path of keys and numbers that leads to it."""
    members: list[tuple[str | int, object]] = []
    if isinstance(document, dict):
        members = list(document.items())
    elif isinstance(document, list):
        members = list(enumerate(document))
    below = [leaf for step, value in members for leaf in leaves(value, (*above, step))]
    return [(above, document), *below] if above else below


@given(document=documents)
def test_every_value_is_found_at_its_path(document: object) -> None:
    for path, value in leaves(document):
        assert finder(path)(document, "absent") is value


def found_at(path: Path, document: object) -> object:
    """The value at a path, or None where an array has the wanted element twice."""
    try:
        return finder(path)(document)
    except DecodeError:
        return None


@given(document=documents, path=paths.filter(lambda path: Every() not in path))
def test_any_path_in_any_document_gives_a_value_of_it_or_none(document: object, path: Path) -> None:
    found = found_at(path, document)
    assert found is None or any(found is value for _, value in leaves(document))


def test_row_is_read_by_paths_of_every_kind() -> None:
    fields = Fields(timestamp="values[0].t", quality='"q.of.all"', sequence="seq[-1]")
    decode = JsonRowDecoder(["values[?id=103].v", '"Tag.1"', "deep.list[1]"], fields)
    payload = {
        "values": [{"t": 5, "id": "FT101", "v": 1}, {"id": 103, "v": 2.5}],
        "Tag.1": 7,
        "deep": {"list": [8, 9]},
        "q.of.all": "good",
        "seq": [1, 2],
    }
    assert decode(json.dumps(payload).encode()) == (
        Reading(5_000_000, (2.5, 7.0, 9.0), position="2"),
    )


def test_row_may_be_an_array_where_a_path_begins_in_one() -> None:
    payload = b'[{"id": "FT101", "v": 1, "t": 5}, {"id": "FT102", "v": 2}]'
    decode = JsonRowDecoder(["[?id=FT102].v"], Fields(timestamp="[0].t"))
    assert decode(payload) == (Reading(5_000_000, (2.0,)),)
    with pytest.raises(DecodeError, match="not_an_object"):
        JsonRowDecoder(["v"], Fields())(payload)


def test_quoted_key_at_the_top_is_read_beside_a_time() -> None:
    decode = JsonRowDecoder(['"Channel1.Device1.Tag1"'], Fields(timestamp='"t.s"'))
    assert decode(b'{"Channel1.Device1.Tag1": 4.5, "t.s": 5}') == (Reading(5_000_000, (4.5,)),)
