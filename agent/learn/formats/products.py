"""Takes documents of named products apart into their tags; none for a document of another.

A function may fail with KeyError, TypeError or AttributeError on a document of another product.
The shapes are those that the products document.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

_LINE: Final = re.compile(
    r"(?P<name>[^,\s]+)(?P<tags>(?:,[^=\s]+=[^\s]+)?) (?P<fields>[^ ]+=[^ ].*?)(?: -?[0-9]+)?"
)


class Tag(NamedTuple):
    """One tag of a message.

    Attributes:
        name: its name, as the configuration binds it.
        value: its value; None where it could not be read.
        time: its source time, as the payload has it; None without one.
    """

    name: str
    value: object
    time: object = None


def kepware(document: Any) -> Sequence[Tag]:  # noqa: ANN401  any JSON value
    """The IoT Gateway: its standard template, and an array with an object for each tag."""
    if isinstance(document, dict):
        return [
            Tag(one["id"], one["v"], one.get("t", document.get("timestamp")))
            for one in _objects(document.get("values"))
        ]
    return [Tag(one["tagname"], one["value"], one.get("timestamp")) for one in _objects(document)]


def litmus(document: Any) -> Sequence[Tag]:  # noqa: ANN401  any JSON value
    """Litmus Edge: one tag a message."""
    if "success" not in document or "registerId" not in document:
        return ()
    return [Tag(document["tagName"], document["value"], document.get("timestamp"))]


def neuron(document: Any) -> Sequence[Tag]:  # noqa: ANN401  any JSON value
    """EMQX Neuron: an object of values, or an array of tags."""
    if "node" not in document or "group" not in document:
        return ()
    at = document.get("timestamp")
    if "tags" in document:
        return [Tag(one["name"], one.get("value"), at) for one in _objects(document["tags"])]
    failed = dict.fromkeys(document.get("errors") or ())
    return [Tag(name, one, at) for name, one in {**failed, **document["values"]}.items()]


def opcua(document: Any) -> Sequence[Tag]:  # noqa: ANN401  any JSON value
    """OPC UA PubSub in JSON: network messages, data set messages and samples, alone or in arrays.

    OPC UA Part 14, 7.2.5; the layouts of OPC Publisher.
    """
    tags: list[Tag] = []
    for part in document if isinstance(document, list) else [document]:
        if isinstance(part.get("NodeId"), str) and isinstance(part.get("Value"), dict):
            name = part.get("DisplayName") or part["NodeId"]
            tags.append(_of_data_value(name, part["Value"], part.get("Timestamp")))
            continue
        inner = part.get("Messages", [part] if "Payload" in part else None)
        if inner is None:
            inner = [{"Payload": part}] if _are_data_values(part) else []
        for one in inner if isinstance(inner, list) else [inner]:
            tags += [
                _of_data_value(name, value, one.get("Timestamp"))
                for name, value in (one.get("Payload") or {}).items()
            ]
    return tags


def _are_data_values(part: Mapping[str, Any]) -> bool:
    return bool(part) and all(
        isinstance(one, dict) and "SourceTimestamp" in one for one in part.values()
    )


def _of_data_value(name: str, value: Any, at: object) -> Tag:  # noqa: ANN401  any JSON value
    if not isinstance(value, dict):
        return Tag(name, value, at)
    # With its type in the reversible encoding (OPC 10000-6, 5.4.2.17): {"Type": 11, "Body": 4.2}.
    found = value.get("Value", value.get("Body"))
    found = found.get("Body") if isinstance(found, dict) else found
    return Tag(name, found, value.get("SourceTimestamp", at))


def telegraf(document: Any) -> Sequence[Tag]:  # noqa: ANN401  any JSON value
    """Telegraf's serializer json: one metric, or a batch; a field behind the name of its metric."""
    parts = document.get("metrics", [document])
    return [
        Tag(f"{part['name']}.{name}", value, part.get("timestamp"))
        for part in parts
        if isinstance(part["name"], str) and isinstance(part["tags"], dict)
        for name, value in part["fields"].items()
    ]


def sitewise(document: Any) -> Sequence[Tag]:  # noqa: ANN401  any JSON value
    """AWS IoT SiteWise: the values of one property, or of several."""
    return [
        Tag(part.get("propertyAlias") or part["propertyId"], _first(one["value"]))
        for part in (document if isinstance(document, list) else [document])
        for one in part["propertyValues"]
    ]


def influx(document: Any) -> Sequence[Tag]:  # noqa: ANN401  text, or any JSON value
    """Influx line protocol, which is no JSON."""
    if not isinstance(document, str):
        return ()
    tags: list[Tag] = []
    for line in document.strip().splitlines()[:1_000]:
        found = _LINE.fullmatch(line)
        if found is None:
            return ()
        for name, _, value in (part.partition("=") for part in found["fields"].split(",")):
            tags.append(Tag(f"{found['name']}.{name}", _of_line(value)))
    return tags


def _of_line(text: str) -> object:
    """A value as the line protocol writes it: 1.5, 3i, 3u, t, false, "text"."""
    if text in ("t", "T", "true", "True", "TRUE"):
        return True
    if text in ("f", "F", "false", "False", "FALSE"):
        return False
    if text.startswith('"'):
        return text.strip('"')
    try:
        return float(text.rstrip("iu"))
    except ValueError:
        return None


def _first(found: Mapping[str, object]) -> object:
    """The first value of an object; None of an empty one."""
    return next(iter(found.values()), None)


def _objects(found: Any) -> list[dict[str, Any]]:  # noqa: ANN401  any JSON value
    """The elements of an array of objects; none for anything else."""
    is_list = isinstance(found, list) and all(isinstance(one, dict) for one in found)
    return found if is_list else []


def thingsboard_gateway(document: Any) -> Sequence[Tag]:  # noqa: ANN401  any JSON value
    """ThingsBoard's gateway API: rows with `ts` and `values` by the name of the device."""
    return [
        Tag(name, value, row["ts"])
        for rows in document.values()
        for row in _objects(rows)
        for name, value in row["values"].items()
    ]


def sparkplug_json(document: Any) -> Sequence[Tag]:  # noqa: ANN401  any JSON value
    """Sparkplug as JSON, as Cirrus Link's modules publish it."""
    if "seq" not in document:
        return ()
    return [
        Tag(one["name"], one.get("value"), one.get("timestamp", document.get("timestamp")))
        for one in _objects(document["metrics"])
    ]
