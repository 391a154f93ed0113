"""`why`: messages of every product are explained, also those that are dropped."""

import json
from pathlib import Path

import pytest

from models.bundle.manifest import Channel
from models.sparkplug.datatype import DataType
from models.sparkplug.encoder import encode
from models.sparkplug.payload import Metric, Payload
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.corpus.cases import CODES, SIGNALS, Case, cases
from tests.kit.wording import names
from tests.unit.agent.cli.test_why import explained, keep

ALL = list(cases())
# A message that others have to come before is not explained by itself.
EXAMPLES = {one.dialect: one for one in ALL if one.name == "documented example" and not one.before}
REFUSED = {
    f"{one.dialect}: {one.name}": one
    for one in ALL
    if not (one.readings or one.before) and one.refused
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gateway")
    channels = tuple(Channel(name=name, codes=CODES.get(name, {})) for name in SIGNALS)
    keep(folder, linear_bundle("mass", 1, [1.0] * len(SIGNALS), channels=channels))
    return folder


def explained_by(folder: Path, case: Case, payload: bytes = b"", **signals: str) -> str:
    """The explanation of a payload, by default that of the case; `signals` in place of its own."""
    # An input of a pipeline carries all signals of its model.
    bound = {name: f"absent-{name}" for name in SIGNALS} | (signals or case.source["signals"])
    source = {**case.source, "signals": bound}
    return explained(folder, case.topic, payload or case.payload, inputs=[source])


@pytest.mark.parametrize("case", EXAMPLES.values(), ids=EXAMPLES)
def test_example_of_every_product_is_explained_with_its_values(case: Case, folder: Path) -> None:
    lines = explained_by(folder, case)
    reading = case.readings[0]
    assert names(lines, f"asset {reading.asset}", f"quality {reading.quality}")
    for name, value in reading.values.items():
        assert names(lines, f"{name}: {value:g}")


@pytest.mark.parametrize("dialect", ["litmus", "neuron", "influx", "thingsboard-gateway"])
def test_names_of_the_tags_are_told_where_none_is_bound(dialect: str, folder: Path) -> None:
    lines = explained_by(folder, EXAMPLES[dialect], pressure="PT9")
    assert names(lines, "dropped as no_signal", 'tag "PT9": not there', '"PT101"')


def test_places_of_time_and_quality_are_told_where_they_cannot_be_read(folder: Path) -> None:
    payload = b'{"timestamp": 1760000000000, "values": [{"id": "P", "v": 1, "q": "?", "t": 1}]}'
    lines = explained_by(folder, EXAMPLES["kepware"], payload, pressure="P")
    assert names(lines, "quality_unknown", "quality at q of each tag", "true and false")
    payload = payload.replace(b'"t": 1', b'"t": []')
    lines = explained_by(folder, EXAMPLES["kepware"], payload, pressure="P")
    assert names(lines, "time_malformed", "t of each tag, or timestamp beside the tags (ms)")


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_message_that_gives_no_reading_is_explained_with_its_reason(
    case: Case, folder: Path
) -> None:
    assert f"dropped as {case.refused}" in explained_by(folder, case)


@pytest.mark.parametrize(
    ("dialect", "given", "said"),
    [
        ("telegraf", {"asset": "tags.hots"}, ("tags.hots", "tags.host")),
        ("opcua", {"asset": "dataSetWriterName"}, ("dataSetWriterName", "DataSetWriterName")),
    ],
    ids=["telegraf", "opcua"],
)
def test_asset_that_is_not_at_its_path_is_told_with_the_nearest(
    dialect: str, given: dict[str, str], said: tuple[str, str], folder: Path
) -> None:
    case = EXAMPLES[dialect]
    topic = {"topic": "hub/{site}"}
    missing = case._replace(source={**case.source, **topic, **given}, topic="hub/s1")
    lines = explained_by(folder, missing).splitlines()
    at = lines.index(f"    asset at {said[0]}: nothing there")
    assert names(lines[at + 1], "nearest", json.dumps(said[1]))
    assert any(line.startswith("  dropped as asset_missing") for line in lines)
    there = missing._replace(source={**missing.source, "asset": said[1]})
    assert f"    asset at {said[1]}: " in explained_by(folder, there)


def metric(name: str | None, value: float = 1.0) -> Metric:
    return Metric(name, 7, 1_760_000_000_000, DataType.DOUBLE, value)


def test_metrics_of_a_birth_are_told_with_the_nearest_to_one_that_is_missing(folder: Path) -> None:
    case = next(one for one in ALL if one.dialect == "sparkplug" and one.name == "birth")
    birth = encode(Payload(1, [metric("Hydraulics/Presure"), metric("Other")], 1), is_birth=True)
    lines = explained_by(folder, case, birth, pressure="Hydraulics/Pressure").splitlines()
    at = lines.index('    pressure at metric "Hydraulics/Pressure": not there')
    assert lines[at + 1] == '      nearest: "Hydraulics/Presure"'
    assert '    not bound: "Hydraulics/Presure", "Other"' in lines
    node = encode(Payload(1, [metric("bdSeq")], 0), is_birth=True)
    of_node = case._replace(topic="spBv1.0/works/NBIRTH/n1")
    assert "not there" not in explained_by(folder, of_node, node)


@pytest.mark.parametrize("served", [True, False], ids=["with a model", "before there is one"])
def test_alias_that_no_birth_has_named_is_told(
    served: bool,  # noqa: FBT001  two cases of one fact
    folder: Path,
    tmp_path: Path,
) -> None:
    case = next(one for one in ALL if one.dialect == "sparkplug" and one.name == "birth")
    data = encode(Payload(1, [metric(None), metric(None)], 2), is_birth=False)
    of_data = case._replace(topic=case.topic.replace("BIRTH", "DATA"))
    lines = explained_by(folder if served else tmp_path, of_data, data).splitlines()
    assert "    2 by alias: their names are in the birth of the node or the device" in lines
    assert any(line.startswith("  dropped as birth_missing") for line in lines) == served
