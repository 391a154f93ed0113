"""The faults in which publishers, or limits of the broker, are as they often are elsewhere."""

import json
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from agent.config.settings import ConnectionSettings
from agent.mqtt.connection import Connection, Will
from agent.mqtt.subscription import Subscription
from chaos.faults import Fault, Moment, kill_agent, moment
from chaos.plant import Plant
from chaos.rig import GATEWAY, Rig, Setup
from chaos.stock_plant import StockPlant
from chaos.traffic import behind, row
from serving.mqtt.packets import MQTT_5
from tests.kit.broker.brokers import HOST
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.evil import evil_bundle
from tests.kit.gateway.supervisor import Supervisor
from tests.kit.waiting import eventually

DISORDER_TICKS: Final = 100
"""Allowed lateness, ms: the plant's clock goes on by a millisecond a tick, so these are 4 s."""
BACKLOG_TICKS: Final = (10, 30)
"""Ticks for which the broker is away: at most 300 readings wait."""
EVIL: Final = "evil"
LEFT_OUT: Final = "input left out"
POISON_S: Final = 120.0
HEALTHY_S: Final = 5.0
_SOME: Final = 100  # messages
INPUT_FILTERS: Final = ("plant/+/+/telemetry", "plant/+/+/row", "plant/+/+/signal/+")


def kill_broker_under_backlog(site: Rig, dice: Random, _number: int) -> Moment:
    """Kill the broker, and start it again once the publishers have a backlog."""
    site.broker.kill()
    site.plant.pass_ticks(dice.randrange(*BACKLOG_TICKS))
    struck = moment(site)
    site.broker.start()
    return struck


def backlogs_are_covered(site: Rig, _strikes: int) -> None:
    """Check that readings did come out of order, and none too late for the windows.

    What the broker delivers a second time after its crash is late, too, and is not meant here.
    """
    readings = [*site.wire.delivered]
    assert behind(readings, 0), "the publishers sent everything in order"
    late = behind(readings, DISORDER_TICKS)
    assert not late, f"{late} readings came later than disorder_ms allows"


def leave_qos_2_behind(site: Rig, _dice: Random, _number: int) -> Moment:
    """Kill the agent, and let another client subscribe at QoS 2 under the same client id.

    The agent subscribes at QoS 1 again, but what the broker has stored meanwhile comes at QoS 2.
    """
    site.gateway.kill()
    secret = site.gateway.folder.parent / "password"
    login = {"username": GATEWAY, "password_file": secret}
    settings = ConnectionSettings(host=HOST, port=site.broker.port, **login)
    other = Connection(settings, GATEWAY, Will(f"plant/{GATEWAY}/will", b""), MQTT_5)
    other.open()
    eventually(lambda: _has(other, lambda: other.accepted), POISON_S, "the broker to accept")
    other.subscribe([Subscription(topic_filter, 2) for topic_filter in INPUT_FILTERS])
    # It acknowledges nothing of what it reads, so all of that is left for the agent.
    eventually(lambda: _has(other, lambda: not other.subscribing), POISON_S, "SUBACK")
    other.close()
    site.plant.pass_ticks(5)
    struck = moment(site)
    site.gateway.start()
    return struck


def with_evil_model(gateway: Gateway) -> None:
    """Serve a third stream by a model that the agent dies of where a reading is above 70."""
    topic = "plant/{line}/{asset}/evil"
    gateway.pipelines.append({"stream": EVIL, "inputs": [{"topic": topic, "timestamp": "ts"}]})
    gateway.keep(evil_bundle("crash above 70", EVIL, 1))
    # Else its deaths add up over the strikes, and the model itself is given up. The time must be
    # longer than the reading needs to come again, also beside other load.
    gateway.sections["updates"] = {**gateway.sections["updates"], "healthy_s": HEALTHY_S}


def publish_poison(site: Rig, _dice: Random, number: int) -> Moment:
    """Publish a reading that the agent dies of until it has learned to leave it out."""
    known = site.gateway.log.count(LEFT_OUT)
    struck = moment(site)
    with Supervisor(site.gateway):
        site.plant.add(row(EVIL, "l1/e1", number, "evil", (80.0, 0.0)))
        eventually(
            lambda: site.gateway.log.count(LEFT_OUT) > known, POISON_S, "the reading to be left out"
        )
    record = site.gateway.state_dir / "deaths.json"
    eventually(
        lambda: not json.loads(record.read_bytes())["models"], POISON_S, "deaths to be forgotten"
    )
    return struck


def _has(connection: Connection, come: Callable[[], bool]) -> bool:
    connection.flush()
    connection.read(_SOME)
    return come()


PUBLISHER_FAULTS: Final = (
    Fault(
        "stock-publisher",
        "kill -9 of the broker, while ordinary publishers go on",
        10,
        kill_broker_under_backlog,
        backlogs_are_covered,
        setup=Setup(StockPlant, disorder_ms=DISORDER_TICKS, is_disordered=True),
    ),
    Fault(
        "one-in-flight",
        "one message in flight, kill -9 of the agent",
        20,
        kill_agent,
        # Saving after every change, the broker does not get through a queue one by one.
        options={"autosave_on_changes": False},
        setup=Setup(broker={"receive_maximum": 1}),
    ),
    Fault(
        "qos2",
        "a session with a subscription at QoS 2, kill -9 of the agent",
        20,
        leave_qos_2_behind,
        options={"autosave_on_changes": False},
        setup=Setup(partial(Plant, qos=2)),
    ),
    Fault(
        "poison",
        "a reading of which the model of another stream kills the agent",
        5,
        publish_poison,
        options={"autosave_on_changes": False},
        setup=Setup(prepare=with_evil_model),
    ),
)
