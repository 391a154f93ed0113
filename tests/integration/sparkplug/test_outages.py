"""The edge node while something fails: the agent, the broker, the host, the inputs."""

from pathlib import Path

import pytest

from tests.kit.bundles.published import Published
from tests.kit.gateway.mqtt_client import push
from tests.kit.sparkplug.site import Site, alarms, hours, site
from tests.kit.waiting import eventually

STATE = "spBv1.0/STATE/scada"


def numbers(one: Site, kind: str) -> list[int]:
    """The `bdSeq` of each message of a kind."""
    return [
        metric.long_value
        for seen in list(one.host.seen)
        if seen.kind == kind
        for metric in seen.payload.metrics
        if metric.name == "bdSeq"
    ]


def test_killed_agent_is_dead_by_its_will_and_is_born_under_the_next_number(tmp_path: Path) -> None:
    with site(tmp_path) as one:
        one.read("p0", 1.0)
        one.host.wait_for("DBIRTH l1:p0")
        one.gateway.kill()
        (death,) = one.host.wait_for("NDEATH")
        assert (death.flags, death.payload.HasField("seq")) == ((1, False), False)
        (metric,) = death.payload.metrics
        assert (metric.name, metric.datatype, metric.long_value) == ("bdSeq", 4, 0)
        one.gateway.start_serving()
        one.host.wait_for("NBIRTH", 2)
        assert numbers(one, "NBIRTH") == [0, 1]
        one.read("p0", 2.0)
        one.host.wait_for_value("l1:p0", "mass/score", 2.0)
        assert one.gateway.stop() == 0
        eventually(lambda: numbers(one, "NDEATH")[1:], message="the node to die on purpose")
        assert set(numbers(one, "NDEATH")[1:]) == {1}
        one.gateway.start_serving()
        one.host.wait_for("NBIRTH", 3)
        assert numbers(one, "NBIRTH") == [0, 1, 2]
        assert one.host.faults == []


def test_restart_of_the_broker_is_a_birth_under_the_next_number(tmp_path: Path) -> None:
    with site(tmp_path) as one:
        one.read("p0", 1.0)
        one.host.wait_for("DBIRTH l1:p0")
        one.broker.kill()
        one.gateway.wait_for_log("Connection refused")
        one.broker.start()
        one.gateway.wait_for_log("connected for Sparkplug", 2)
        # Births are not retained: a host that comes back later than the node asks for them.
        eventually(one.host.paho.is_connected, 60.0, "the host to be connected again")
        one.host.command("NCMD", "Node Control/Rebirth", value=True)
        one.host.wait_for("NBIRTH", 2)
        one.host.wait_for("DBIRTH l1:p0", 2)
        first, *others = numbers(one, "NBIRTH")
        assert (first, set(others)) == (0, {1}), "a try that reached no broker sent no CONNECT"
        assert one.host.told["l1:p0", "mass/score"][-1].value == 1.0


def test_swap_is_told_as_data_of_the_node_without_a_birth(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    for bundle in (alarms(2), hours(1)):
        published.publish(bundle)
    with site(tmp_path, published) as one:
        one.read("p0", 1.0)
        one.host.wait_for("DBIRTH l1:p0")
        births = [kind for kind in one.host.kinds() if "BIRTH" in kind]
        push(one.plant, "mass", 2)
        told = one.host.wait_for_value("", "mass/model/seq", 2)
        assert one.host.values("", "mass/model/version")[-1] == "1.0.2"
        assert not told.is_historical
        (data,) = [seen for seen in one.host.seen if seen.kind == "NDATA"]
        assert len(data.payload.metrics) == 3, "the other stream has the same model as before"
        one.read("p0", 2.0)
        one.host.wait_for_value("l1:p0", "mass/score", 2.0)
        assert [kind for kind in one.host.kinds() if "BIRTH" in kind] == births
        assert one.host.faults == []


def test_device_dies_when_its_inputs_are_gone_and_lives_when_they_are_back(tmp_path: Path) -> None:
    with site(tmp_path, max_age_s=1.0) as one:
        one.read("p0", 1.0)
        one.host.wait_for("DBIRTH l1:p0")
        (death,) = one.host.wait_for("DDEATH l1:p0")
        assert (death.flags, list(death.payload.metrics)) == ((0, False), [])
        assert death.payload.HasField("timestamp")
        one.read("p0", 2.0)
        one.host.wait_for("DBIRTH l1:p0", 2)
        assert one.host.told["l1:p0", "mass/score"][-1].value == 2.0
        assert one.host.faults == []


def test_asset_beyond_the_limit_takes_the_place_of_the_one_that_is_silent_longest(
    tmp_path: Path,
) -> None:
    with site(tmp_path, limits={"max_assets": 2}) as one:
        for asset in ("p0", "p1", "p2"):
            one.read(asset, 1.0)
            one.host.wait_for(f"DBIRTH l1:{asset}")
        one.host.wait_for("DDEATH l1:p0")
        one.read("p0", 2.0)
        one.host.wait_for("DBIRTH l1:p0", 2)
        one.host.wait_for("DDEATH l1:p1")
        assert one.host.faults == []


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_node_is_born_when_the_primary_host_is_online_and_dies_with_it(
    tmp_path: Path, protocol: str
) -> None:
    with site(tmp_path, primary_host="scada", broker={"protocol": protocol}) as one:
        one.host.command("NCMD", "Node Control/Rebirth", value=True, retain=True)
        one.gateway.wait_for_log(f"by {STATE}")
        one.read("p0", 1.0)
        one.plant.wait_for("millhand/gw1/metrics")
        assert one.host.kinds() == []
        one.host.state("other", online=True, at_ms=5_000)
        one.host.state("scada", online=True, at_ms=2_000)
        one.host.wait_for("DBIRTH l1:p0")
        one.host.state("scada", online=False, at_ms=1_000)  # the will of an earlier connection
        one.read("p0", 2.0)
        one.host.wait_for_value("l1:p0", "mass/score", 2.0)
        assert "NDEATH" not in one.host.kinds()
        one.host.state("scada", online=False, at_ms=3_000)
        one.host.wait_for("NDEATH")
        one.gateway.wait_for_log("connected for Sparkplug", 2)
        assert one.host.kinds().count("NBIRTH") == 1
        one.host.state("scada", online=True, at_ms=4_000)
        one.host.wait_for("NBIRTH", 2)
        one.host.wait_for("DBIRTH l1:p0", 2)
        assert numbers(one, "NBIRTH") == [0, 1]
        assert one.host.faults == []
