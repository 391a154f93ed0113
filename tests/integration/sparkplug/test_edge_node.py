"""What a host sees of a gateway that runs: births, data, commands, a swap."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.kit.sparkplug.site import THRESHOLD, Site, alarms, site
from tests.kit.waiting import eventually


@pytest.fixture(scope="module")
def plant_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(autouse=True)
def no_faults(plant_site: Site) -> Iterator[None]:
    yield
    assert plant_site.host.faults == []


def test_birth_of_the_node_says_which_model_serves(plant_site: Site) -> None:
    host = plant_site.host
    birth = host.wait_for("NBIRTH")[0]
    assert host.kinds()[0] == "NBIRTH", "nothing comes before the birth of the node"
    assert (birth.flags, birth.payload.seq) == ((0, False), 0)
    control = {one.name: one for one in birth.payload.metrics if not one.HasField("alias")}
    assert control["bdSeq"].datatype == 4
    assert (control["bdSeq"].long_value, control["bdSeq"].HasField("timestamp")) == (0, True)
    rebirth = control["Node Control/Rebirth"]
    assert (rebirth.datatype, rebirth.WhichOneof("value"), rebirth.boolean_value) == (
        11,
        "boolean_value",
        False,
    )
    digest = hashlib.sha256(alarms().content).hexdigest()
    assert host.values("", "mass/model/version")[0] == "1.0.1"
    assert host.values("", "mass/model/seq")[0] == 1
    assert host.values("", "mass/model/digest")[0] == digest
    assert host.values("", "life/model/version")[0] == "1.0.1"


def test_new_asset_is_born_with_units_and_ranges_before_its_data(plant_site: Site) -> None:
    host = plant_site.host
    at_ms = plant_site.read("p0", 12.5)
    (birth,) = host.wait_for("DBIRTH l1:p0")
    metrics = {one.name: one for one in birth.payload.metrics}
    assert {name for name in metrics if name.startswith("life/")} == {
        "life/value",
        "life/quality_reason",
        "life/latency_ms",
    }
    assert properties(metrics["life/value"]) == {"engUnit": "h"}
    assert {name: one.datatype for name, one in metrics.items() if name.startswith("mass/")} == {
        "mass/value": 10,
        "mass/score": 10,
        "mass/label": 12,
        "mass/alarm": 11,
        "mass/quality_reason": 12,
        "mass/latency_ms": 10,
    }
    assert {one.timestamp for one in birth.payload.metrics} == {at_ms}
    score, latency = metrics["mass/score"], metrics["mass/latency_ms"]
    assert (score.double_value, metrics["mass/alarm"].boolean_value) == (12.5, False)
    assert properties(score) == {"threshold": THRESHOLD}
    assert properties(metrics["mass/value"]) == {"engLow": 0.0, "engHigh": 1.0}
    assert properties(latency) == {"engUnit": "ms"}
    assert [latency.is_transient, score.is_transient] == [True, False]
    aliases = [one.alias for seen in host.seen for one in seen.payload.metrics if one.alias]
    births = [one.alias for one in birth.payload.metrics]
    assert len(set(births)) == len(births)
    assert max(aliases) == max(births)


def properties(metric: object) -> dict[str, object]:
    found = metric.properties  # type: ignore[attr-defined]  # of the runtime
    return {
        key: getattr(value, value.WhichOneof("value"))
        for key, value in zip(found.keys, found.values, strict=True)
    }


def test_data_name_only_what_has_changed(plant_site: Site) -> None:
    host = plant_site.host
    plant_site.read("p1", 1.0)
    host.wait_for("DBIRTH l1:p1")
    plant_site.read("p1", 2.0)
    host.wait_for_value("l1:p1", "mass/score", 2.0)
    plant_site.read("p1", 60.0)
    host.wait_for_value("l1:p1", "mass/alarm", value=True)
    data = host.wait_for("DDATA l1:p1")
    names = {name: host.values("l1:p1", name) for _, name in host.told}
    assert names["mass/score"] == [1.0, 2.0, 60.0]
    assert names["mass/label"] == ["normal", "abnormal"]
    assert names["mass/value"] == [0.0, 1.0]
    assert names["mass/quality_reason"] == [""]
    assert {(one.flags, one.payload.HasField("timestamp")) for one in data} == {((0, False), True)}
    sent = [metric for one in data for metric in one.payload.metrics]
    assert not any(one.HasField("name") or one.HasField("datatype") for one in sent)
    assert all(one.HasField("alias") and one.HasField("timestamp") for one in sent)
    assert host.told["l1:p1", "mass/score"][-1].quality == 192


def test_quality_is_told_where_it_is_not_good(plant_site: Site) -> None:
    host = plant_site.host
    plant_site.read("p2", 1.0)
    host.wait_for("DBIRTH l1:p2")
    plant_site.read("p2", None, 1.0)
    bad = host.wait_for_value("l1:p2", "life/value", None)
    assert (bad.quality, host.told["l1:p2", "mass/score"][-1].quality) == (0, 500)
    assert host.values("l1:p2", "life/quality_reason")[-1] == "input_missing"
    plant_site.read("p2", 4.0)
    good = host.wait_for_value("l1:p2", "life/value", 5.0)
    assert (good.quality, host.told["l1:p2", "mass/score"][-1].quality) == (192, 192)
    assert host.values("l1:p2", "life/quality_reason")[-1] == ""


def test_late_reading_is_historical(plant_site: Site) -> None:
    host = plant_site.host
    plant_site.read("p3", 1.0)
    host.wait_for("DBIRTH l1:p3")
    late = {"ts": 1_759_999_990_000, "c0": 7.0, "c1": 0.0}
    plant_site.plant.publish("plant/l1/p3/telemetry", late)
    told = host.wait_for_value("l1:p3", "mass/score", 7.0)
    assert (told.is_historical, told.at_ms) == (True, late["ts"])
    assert not host.told["l1:p3", "mass/score"][0].is_historical


def test_rebirth_that_a_host_asks_for_repeats_all_births_under_the_same_number(
    plant_site: Site,
) -> None:
    host = plant_site.host
    plant_site.read("p4", 3.0)
    host.wait_for("DBIRTH l1:p4")
    before = host.kinds()
    host.command("NCMD", "Node Control/Rebirth", value=True)
    births = host.wait_for("NBIRTH", before.count("NBIRTH") + 1, timeout_s=5.0)
    host.wait_for("DBIRTH l1:p4", 2, timeout_s=5.0)
    assert "NDEATH" not in host.kinds()
    numbers = [
        metric.long_value
        for one in births
        for metric in one.payload.metrics
        if metric.name == "bdSeq"
    ]
    assert numbers == [0] * len(births)
    assert host.told["l1:p4", "mass/score"][-1].value == 3.0


@pytest.mark.parametrize("kind", ["NCMD", "DCMD l1:p0"], ids=["to the node", "to a device"])
def test_command_that_is_not_obeyed_is_counted(plant_site: Site, kind: str) -> None:
    def refused() -> int:
        metrics = plant_site.plant.latest("millhand/gw1/metrics") or {}
        counts: dict[str, int] = metrics.get("sparkplug", {}).get("commands_refused", {})
        return counts.get("not_writable", 0)

    births, before = plant_site.host.kinds().count("NBIRTH"), refused()
    plant_site.host.command(kind, "mass/value", value=True)
    eventually(lambda: refused() > before, message="the command to be counted")
    assert plant_site.host.kinds().count("NBIRTH") == births


def test_counters_tell_what_became_of_every_prediction(plant_site: Site) -> None:
    plant_site.read("p5", 1.0)
    plant_site.host.wait_for("DBIRTH l1:p5")

    def settled() -> bool:
        metrics = plant_site.plant.latest("millhand/gw1/metrics") or {}
        sparkplug = metrics.get("sparkplug", {"waiting": 1})
        if sparkplug["waiting"] or metrics["waiting"]:
            return False
        made: int = sum(sum(one["predictions"].values()) for one in metrics["streams"].values())
        return bool(made == sparkplug["predictions"] + sparkplug["unchanged"])

    assert eventually(settled, message="all predictions to be counted")
