"""Payloads that are no JSON text, and those whose names stand on another topic."""

import gzip
import json
import tomllib
from collections.abc import Callable
from typing import Any

import cbor2
import msgpack
import pytest

from agent.learn.seen.encoding import NOT_JSON, document_of
from agent.learn.seen.wire import Wire
from models.input.pipeline import Pipeline
from models.input.routes import Routes
from tests.kit.corpus.encoded import WRITERS
from tests.unit.agent.learn.test_draft import comments, drafted, heard, inputs, rows

WRITE = pytest.mark.parametrize("encoding", WRITERS)
VALUES = "ie/d/j/simatic/v1/s7c1/dp/r/press/default"
METADATA = "ie/m/j/simatic/v1/s7c1/dp"
ANYTHING = {
    "a number of CBOR": cbor2.dumps(4.25),
    "keys that are numbers": cbor2.dumps({1: 4.25}),
    "more than a document": msgpack.packb({"p": 1}) + b"\0",
    "half a document": gzip.compress(b'{"p": 1}')[:-4],
    "an array of numbers": msgpack.packb([1, 2, 3]),
    "gzip of text": gzip.compress(b"open"),
    "gzip that inflates beyond the limit": gzip.compress(b'{"p": "%s"}' % (b"x" * 2_000_000)),
}


@WRITE
def test_rows_in_an_encoding_are_read_by_it(encoding: str) -> None:
    documents = [{"ts": 1_760_000_000_000 + n, "p": 4.25, "f": 31} for n in range(3)]
    (source,) = inputs(*rows("a/p1", *map(WRITERS[encoding], documents)))
    assert source == {
        "topic": "a/{asset}",
        "dialect": "json",
        "timestamp": "ts",
        "timestamp_unit": "ms",
        "encoding": encoding,
        "signals": {"p": "p", "f": "f"},
    }


@WRITE
def test_tags_of_a_product_in_an_encoding_are_read_by_it(encoding: str) -> None:
    tags = [{"id": "C.D.PT", "v": 4.25, "q": True, "t": 1}, {"id": "C.D.FT", "v": 3, "q": True}]
    (source,) = inputs(*rows("k/l1", *[WRITERS[encoding]({"timestamp": 1, "values": tags})] * 3))
    assert (source["dialect"], source["encoding"]) == ("kepware", encoding)


def test_assets_in_names_with_slashes_are_read_as_the_draft_says() -> None:
    at = {"timeInSeconds": 1_760_000_000, "offsetInNanos": 0}
    documents = [
        {
            "propertyAlias": f"/acme/{machine}/{tag}",
            "propertyValues": [{"value": {"doubleValue": 4.25}, "timestamp": at}],
        }
        for machine in ("press", "drill")
        for tag in ("PT101", "FT102")
    ]
    (source,) = inputs(*rows("sitewise/s1", *documents * 2))
    assert (source["dialect"], source["name_separator"]) == ("sitewise", "/")
    names = list(source["signals"])
    routes = Routes(Pipeline.model_validate({"stream": "s", "inputs": [source]}), names)
    route = routes.route("sitewise/s1")
    assert route is not None
    payload = json.dumps(documents[0]).encode()
    (part,) = [part for part, _ in route.readings(payload)]
    assert part.asset.endswith("acme:press")


@pytest.mark.parametrize(("scale", "unit"), [(1, None), (1_000, "ms")], ids=["usual", "another"])
def test_unit_of_times_that_a_product_does_not_have_by_default_is_set(
    scale: int, unit: str | None
) -> None:
    document = {
        "fields": {"PT101": 4.25},
        "name": "opcua",
        "tags": {"host": "gateway"},
        "timestamp": 1_760_000_000 * scale,
    }
    (source,) = inputs(*rows("telegraf/hall2", *[document] * 3))
    assert (source["dialect"], source.get("timestamp_unit")) == ("telegraf", unit)


@pytest.mark.parametrize("write", [cbor2.dumps, msgpack.packb], ids=["cbor", "msgpack"])
def test_byte_string_of_floats_is_a_block(write: Callable[[Any], bytes]) -> None:
    samples = b"\0\0\x88\x40" * 40
    (source,) = inputs(*rows("a/p1", *[write({"x": samples})] * 3))
    assert source["dialect"] == "block"
    assert source["encoding"] in ("cbor", "msgpack")
    assert source["signals"] == {"x": "x"}


@pytest.mark.parametrize("payload", ANYTHING.values(), ids=ANYTHING)
def test_what_may_be_anything_is_taken_for_nothing(payload: bytes) -> None:
    assert document_of(payload) == ("", NOT_JSON)


def connector(*ids: str, live: bool = False) -> Wire:
    """Values of two ids, of which the metadata name those that are given."""
    definitions = [{"name": f"PT{key}", "id": key} for key in ids]
    collection = {"name": "default", "topic": VALUES, "dataPointDefinitions": definitions}
    metadata = {"connections": [{"name": "press", "dataPoints": [collection]}]}
    listed = [{"id": key, "val": 4.25, "ts": "2025-10-09T08:53:20.159Z"} for key in ("1", "2")]
    wire = heard(*rows(VALUES, *[{"vals": listed}] * 3))
    if ids:
        wire.topics |= heard((METADATA, metadata), retained=not live).topics
    return wire


@pytest.mark.parametrize("live", [False, True], ids=["retained", "just published"])
def test_ids_get_the_names_of_the_metadata(live: bool) -> None:  # noqa: FBT001  two cases of one fact
    wire = connector("1", "2", live=live)
    (pipeline,) = tomllib.loads("\n".join(drafted(wire).lines))["pipelines"]
    assert pipeline["inputs"][0]["signals"] == {"PT1": "PT1", "PT2": "PT2"}
    told = comments(wire)
    assert "UNSURE" not in told
    assert "Left out" not in told


def test_ids_without_a_name_are_told() -> None:
    told = comments(connector("1"))
    assert "1 ids have no name in the metadata, such as 2" in told


def test_metadata_that_were_not_heard_are_told() -> None:
    assert "were not heard on ie/m/j/simatic/v1/+/dp" in comments(connector())
