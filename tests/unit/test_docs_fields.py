"""docs/topics.md: each time and each quality in its tables is read as the tables say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from models.input.codecs.qualities import NamedMap, quality_reader
from models.input.codecs.times import TimeUnit, to_time_ns
from models.input.label import UNMATCHED
from models.input.quality import Quality
from tests.unit.test_docs import answer, examples, serving

TOPICS = (Path(__file__).parents[2] / "docs/topics.md").read_text()


def rows(heading: str) -> Iterator[list[list[str]]]:
    """The texts in backticks of each cell, of each row of a section's table."""
    section = TOPICS.split(f"### {heading}\n")[1].split("\n### ")[0]
    for line in re.findall(r"^\| `.*\|$", section, re.MULTILINE):
        yield [re.findall(r"`([^`]*)`", cell) for cell in line.split("|")[1:-1]]


TIMES = {written[0]: (written[0], unit[0], utc[0]) for written, unit, utc in rows("Times")}
QUALITIES = {
    f"{name[0]}: {value} is {quality.name}": (json.loads(name[0]), value, quality)
    for name, _, *by_quality in list(rows("Qualities"))[1:]
    for quality, values in zip(Quality, by_quality, strict=True)
    for value in values
}


@pytest.mark.parametrize(("written", "unit", "utc"), TIMES.values(), ids=TIMES)
def test_time_is_read_as_the_table_says(written: str, unit: TimeUnit, utc: str) -> None:
    assert to_time_ns(json.loads(written), unit) == to_time_ns(utc, "iso8601")


@pytest.mark.parametrize(("name", "value", "wanted"), QUALITIES.values(), ids=QUALITIES)
def test_quality_is_read_as_the_table_says(name: NamedMap, value: str, wanted: Quality) -> None:
    assert quality_reader(name)(json.loads(value)) is wanted


def test_every_named_map_and_every_unit_is_in_the_tables() -> None:
    assert {name for name, _, _ in QUALITIES.values()} == {*get_args(NamedMap)}
    assert {unit for _, unit, _ in TIMES.values()} == {"ms", "s", "iso8601"}


def published(key: str) -> list[dict[str, Any]]:
    """What answers the messages of the example whose configuration has a key."""
    (example,) = [one for one in examples() if re.search(rf"^{key}", one[0], re.MULTILINE)]
    return [json.loads(sent.payload) for sent in answer(serving(example[0]), example[1])]


def test_local_time_is_answered_with_the_time_of_utc() -> None:
    (sent,) = published("timezone = ")
    assert (sent["value"], sent["timestamp"]) == (314.25, 1_760_000_000_000)


def test_worst_quality_of_a_sample_is_that_of_its_prediction() -> None:
    (sent,) = published('quality_map = "siemens_qc"')
    assert (sent["value"], sent["quality"]) == (314.25, "UNCERTAIN")


def test_values_that_a_table_of_ones_own_calls_bad_are_not_used() -> None:
    uncertain, bad = published("quality_map = {")
    assert (uncertain["value"], uncertain["quality"]) == (314.25, "UNCERTAIN")
    assert bad["value"] != uncertain["value"]


def test_every_reason_of_a_label_is_in_the_table() -> None:
    section = TOPICS.split("## Late labels\n")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", section, re.MULTILINE))
    assert {name: told[name] for name in UNMATCHED} == UNMATCHED
