"""Messages of one wording, which are read without being parsed: the readings are the same."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from models.errors import DecodeError
from models.input.codecs.values import to_number
from models.input.source import Input
from models.input.tags.decoder import TagsDecoder
from models.input.tags.rows import Found
from tests.kit.corpus.cases import Case, Reader, cases
from tests.kit.corpus.mutation import mutated

SIGNALS = {"pressure": "Pump.P", "flow": "Pump.F", "valve": "Pump.V"}
AT = 1_760_000_000_000
ISO = "2025-10-09T08:53:20.0000000Z"
ALL = {f"{one.dialect}: {one.name}": one for one in cases() if one.dialect != "sparkplug"}
MESSAGES = 12  # more than it takes until a pattern is made


class Plant:
    """Reads messages as a gateway that has read others before."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401  any setting
        source = {"topic": "plant/{line}", "signals": SIGNALS, **given}
        self._source = Input.model_validate(source)
        self._decoder = self._new()

    def _new(self) -> TagsDecoder:
        return TagsDecoder(self._source, [*self._source.signals.values()], [to_number] * 3)

    def read(self, payload: bytes) -> Found:
        """What a message has."""
        return self._decoder(payload)

    def read_first(self, payload: bytes) -> Found:
        """What a message has in a gateway that has read none before."""
        return self._new()(payload)

    def knows(self, payload: bytes) -> bool:
        """Whether a message need not be parsed."""
        assert self._decoder.wordings is not None
        return self._decoder.wordings.read(payload) is not None


def tag(name: str, value: object, at: object, **given: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    return {"id": name, "v": value, "q": True, "t": at, **given}


def kepware(number: int) -> dict[str, Any]:
    at = AT + number
    values = [
        tag("Pump.F", -31.5e-3 * number, at),
        tag("Other", "text", at),
        tag("Pump.V", number % 2 == 0, at),
        tag("Pump.P", number, at),
    ]
    return {"timestamp": at + 1, "values": values}


def opcua(number: int) -> dict[str, Any]:
    at = ISO.replace("20.0", f"{20 + number}.0")
    fields = {
        name: {"Value": {"Type": 11, "Body": number + 0.5}, "SourceTimestamp": at}
        for name in (*SIGNALS.values(), "Other")
    }
    message = {"DataSetWriterId": 1, "SequenceNumber": number, "Timestamp": ISO, "Payload": fields}
    return {"MessageId": f"m{number}", "MessageType": "ua-data", "Messages": [message]}


def sitewise(number: int) -> dict[str, Any]:
    at = {"timeInSeconds": AT // 1000 + number, "offsetInNanos": 5}
    value = {"value": {"doubleValue": number / 7}, "timestamp": at, "quality": "GOOD"}
    return {
        "entries": [
            {"entryId": str(number), "propertyAlias": name, "propertyValues": [value]}
            for name in (*SIGNALS.values(), "Other")
        ]
    }


DOCUMENTS = {"kepware": kepware, "opcua": opcua, "sitewise": sitewise}


@pytest.mark.parametrize("blank", ["", " "], ids=["without blanks", "with blanks"])
@pytest.mark.parametrize("dialect", DOCUMENTS)
def test_message_of_a_known_wording_has_the_readings_of_its_document(
    dialect: str, blank: str
) -> None:
    plant = Plant(dialect=dialect)
    for number in range(MESSAGES):
        text = json.dumps(DOCUMENTS[dialect](number), separators=(f",{blank}", f":{blank}"))
        assert plant.read(text.encode()) == plant.read_first(text.encode())
    assert plant.knows(text.encode())


def _unlike() -> Iterator[tuple[str, Any]]:
    """Messages that are not as all those before, by what is different."""
    for name, change in {
        "quality": {"q": False},
        "value as text": {"v": "4.5"},
        "no value": {"v": None},
        "other name": {"id": "Pump.X"},
        "time of its own": {"t": AT - 5000},
        "key more": {"q2": 1},
        "number too large": {"v": 10**400},
        "truth for a number": {"v": True},
        "time as text": {"t": str(AT)},
    }.items():
        document = kepware(99)
        document["values"][3] |= change
        yield name, document
    document = kepware(99)
    document["values"].reverse()
    yield "other order", document
    yield "tag less", {**document, "values": document["values"][1:]}
    yield "later time", kepware(10**7)


UNLIKE = dict(_unlike())


@pytest.mark.parametrize("difference", UNLIKE)
def test_message_that_is_different_is_read_as_it_stands(difference: str) -> None:
    plant = Plant(dialect="kepware")
    for number in range(MESSAGES):
        plant.read(json.dumps(kepware(number)).encode())
    payload = json.dumps(UNLIKE[difference]).encode()
    assert plant.read(payload) == plant.read_first(payload)
    assert plant.knows(payload) == (difference == "later time")


def test_names_with_an_asset_are_read_by_asset() -> None:
    signals = {"pressure": "P", "flow": "F", "valve": "V"}
    plant = Plant(dialect="kepware", name_separator=".", signals=signals)
    for number in range(MESSAGES):
        values = [
            tag(f"{line}.{name}", number + at, AT + number)
            for at, (line, name) in enumerate([("L2", "P"), ("L1", "F"), ("L2", "F"), ("L1", "P")])
        ]
        payload = json.dumps({"values": values}).encode()
        assert plant.read(payload) == plant.read_first(payload)
    assert plant.knows(payload)
    read = [(one.asset, one.reading.values) for one in plant.read(payload).readings]
    assert read == [("L2", (11.0, 13.0)), ("L1", (14.0, 12.0))]


def test_time_that_nobody_can_read_is_refused_as_ever() -> None:
    layout = {"items": "list", "name": "n", "value": "v"}
    plant = Plant(dialect="tags", timestamp="at", timestamp_unit="iso8601", tags=layout)
    tags = [{"n": name, "v": 1.5} for name in ("Pump.P", "Pump.F", "Pump.V", "Other")]
    for second in range(MESSAGES):
        at = f"2025-10-09T08:53:{second:02}Z"
        plant.read(json.dumps({"at": at, "list": tags}).encode())
    assert plant.knows(json.dumps({"at": "2025-10-09T09:00:00Z", "list": tags}).encode())
    with pytest.raises(DecodeError, match="time_malformed"):
        plant.read(json.dumps({"at": "yesterday", "list": tags}).encode())


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_damaged_message_is_read_the_same_after_many_good_ones(case: Case) -> None:
    reader, random = Reader(case), Random(1)  # noqa: S311  no secret, and the same each time
    for _ in range(MESSAGES):
        assert reader(case.topic, case.payload) == (case.readings, case.refused)
    for _ in range(5):
        payload = mutated(case.payload, [b"[{}]"], random)
        assert reader(case.topic, payload) == Reader(case)(case.topic, payload)


def test_wording_that_is_no_longer_used_is_given_up() -> None:
    plant = Plant(dialect="kepware")
    for number in range(MESSAGES):
        plant.read(json.dumps(kepware(number)).encode())
    known = json.dumps(kepware(0)).encode()
    for number in range(1_100):
        values = [tag(f"Pump.{one}", number, AT) for one in ("P", "F", "V")]
        values += [tag(f"Other{number % 61}", one, AT) for one in range(number % 3 + 1)]
        plant.read(json.dumps({"values": values}).encode())
    assert not plant.knows(known)
