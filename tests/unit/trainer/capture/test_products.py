"""`record`: the payload formats of all products by options, with the rows that a gateway reads."""

import argparse
from math import isnan

import pytest

from models.input.limits import IntakeLimits
from tests.kit.corpus.cases import Case, Read, cases
from trainer.broker import Message
from trainer.capture.intake import Intake
from trainer.capture.subscription import DIALECTS, arguments, subscription

ARRIVAL_NS = 1_760_000_300_000_000_000
OPTIONS = {
    "asset": "--asset",
    "name_separator": "--name-separator",
    "timestamp_unit": "--timestamp-unit",
}
BY_OPTIONS = {
    f"{one.dialect}: {one.name}": one
    for one in cases()
    if one.source["dialect"] in DIALECTS
    and {*one.source} <= {"dialect", "topic", "signals", *OPTIONS}
    and not one.before
    # A recording has numbers; what the states are is said in the recipe.
    and not any("state" in reading.values for reading in one.readings)
}


def rows(case: Case) -> list[Read]:
    words = ["--topic", case.source["topic"], "--dialect", case.source["dialect"]]
    words += [f"--signal={name}={path}" for name, path in case.source["signals"].items()]
    words += [f"{OPTIONS[key]}={case.source[key]}" for key in OPTIONS if key in case.source]
    parser = argparse.ArgumentParser()
    arguments(parser)
    chosen = subscription(parser.parse_args(words))
    intake = Intake(chosen.pipeline, chosen.signals, IntakeLimits())
    message = Message(case.topic, case.payload, retained=False, at_ns=ARRIVAL_NS)
    return [
        Read(
            one.asset,
            one.time_ns if one.time_ns < ARRIVAL_NS else None,
            one.quality,
            {
                name: None if isnan(value) else value
                for name, value in zip(chosen.signals, one.values, strict=True)
                if value is not None
            },
        )
        for one in intake.rows(message)
    ]


def recorded(reading: Read) -> Read:
    """A reading as a row, in which the values of a BAD one are missing."""
    is_bad = reading.quality == "BAD"
    return reading._replace(values=dict.fromkeys(reading.values)) if is_bad else reading


@pytest.mark.parametrize("case", BY_OPTIONS.values(), ids=BY_OPTIONS)
def test_message_is_recorded_as_a_gateway_reads_it(case: Case) -> None:
    assert rows(case) == [recorded(one) for one in case.readings]


def test_options_are_enough_for_every_payload_format_of_a_product() -> None:
    formats = {one.source["dialect"] for one in BY_OPTIONS.values()}
    assert formats >= {*DIALECTS} - {"plain", "json", "scalar"}
