"""Payloads of every product that has a payload format of its own, each with its readings.

A file beside this module has the cases of one payload format, after which it is named, or of a
product whose payloads another format reads:

    [input]                     settings of the input, as in the configuration of a gateway
    [unsupported]               a required kind of case -> why the product has no such payload
    [[case]]
    name = "bad tag"
    topic = "..."               the topic, and settings of the input that differ; both optional
    input = { asset = "..." }
    payload = '...'             or payload_base64
    before = [{ topic = "...", payload = "..." }]       messages that come first
    readings = [{ asset = "l1", time = "2025-10-09T08:53:20Z", quality = "BAD", flow = nan }]
    refused = "time_missing"    code of what cannot be used; without readings, of the message

A reading without a time has that of its arrival, and one without a quality is GOOD. The payloads
are made up, after the shapes that the products document.
"""

import tomllib
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any, Final, NamedTuple

from models.errors import ReadingError
from models.input.codecs.times import to_time_ns
from models.input.pipeline import Pipeline
from models.input.quality import NAMES, Quality
from models.input.routes import Routes

FOLDER: Final = Path(__file__).parent
SIGNALS: Final = ("pressure", "flow", "running", "state")
"""Signals of the model; an input binds those that it names."""
CODES: Final = {"state": {"closed": 0.0, "open": 1.0}}
KINDS: Final = (
    "documented example",
    "bad tag",
    "missing tag",
    "boolean",
    "text beside the bound tags",
    "batch",
    "seven digits",
    "three times",
)
"""What every payload format has a case of, or says why there is none."""


class Read(NamedTuple):
    """A reading, in a form that can be compared.

    Attributes:
        asset: the asset that it is of.
        time_ns: its source time, nanoseconds since 1970; None for the time of arrival.
        quality: the quality that its source states: GOOD, UNCERTAIN or BAD.
        values: the values by signal, None for a missing one.
    """

    asset: str
    time_ns: int | None
    quality: str
    values: Mapping[str, float | None]


class Case(NamedTuple):
    """One payload with what has to come of it.

    Attributes:
        dialect: the payload format, which the file is named after.
        name: what the case shows.
        source: settings of the input.
        topic: topic of the message.
        payload: the payload.
        before: topics and payloads of the messages that come first.
        readings: the readings, in the order in which they come.
        refused: code of what cannot be used; empty if all can.
    """

    dialect: str
    name: str
    source: Mapping[str, Any]
    topic: str
    payload: bytes
    before: Sequence[tuple[str, bytes]]
    readings: Sequence[Read]
    refused: str


class Reader:
    """Reads messages as agent and trainer do.

    Args:
        case: the case whose input and messages before count.
    """

    def __init__(self, case: Case) -> None:
        pipeline = Pipeline.model_validate({"stream": "s", "inputs": [case.source]})
        self._routes = Routes(pipeline, SIGNALS, CODES)
        for topic, payload in case.before:
            self(topic, payload)

    def __call__(self, topic: str, payload: bytes) -> tuple[list[Read], str]:
        """The readings of a message, and the code of what cannot be used; empty if all can."""
        found: list[Read] = []
        route = self._routes.route(topic)
        assert route is not None, topic
        try:
            for part, reading in route.readings(payload):
                names = [SIGNALS[index] for index in part.channels]
                values = zip(names, map(_comparable, reading.values), strict=True)
                quality = NAMES[reading.quality]
                found.append(Read(part.asset, reading.time_ns, quality, dict(values)))
        except ReadingError as exc:
            return found, exc.reason
        return found, ""


def documents() -> Mapping[str, Mapping[str, Any]]:
    """The content of each file, by the name of its payload format."""
    return {one.stem: tomllib.loads(one.read_text()) for one in sorted(FOLDER.glob("*.toml"))}


def cases() -> Iterator[Case]:
    """All cases."""
    for dialect, document in documents().items():
        for case in document["case"]:
            yield _case(dialect, document["input"], case)


def _case(dialect: str, source: Mapping[str, Any], case: Mapping[str, Any]) -> Case:
    settings = {"dialect": dialect, **source, **case.get("input", {})}
    return Case(
        dialect,
        case["name"],
        {key: value for key, value in settings.items() if key != "example_topic"},
        case.get("topic", settings.get("example_topic", settings["topic"])),
        _payload(case),
        [(one["topic"], _payload(one)) for one in case.get("before", ())],
        [_read(one) for one in case.get("readings", ())],
        case.get("refused", ""),
    )


def _payload(case: Mapping[str, str]) -> bytes:
    if "payload_base64" in case:
        return b64decode(case["payload_base64"])
    return case["payload"].encode()


def _read(written: Mapping[str, Any]) -> Read:
    values = {key: _comparable(one) for key, one in written.items() if key in SIGNALS}
    time = written.get("time")
    time_ns = None if time is None else to_time_ns(time, "iso8601")
    return Read(written["asset"], time_ns, written.get("quality", Quality.GOOD.name), values)


def _comparable(value: float) -> float | None:
    return None if isnan(value) else float(value)
