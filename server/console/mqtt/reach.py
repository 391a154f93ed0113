"""Asks the broker for `check --connect`: whether it lets the page in, and to all of its topics."""

import time
from typing import Final

from server.console.mqtt.subscriber import made_connection, new_client_id
from server.console.settings import Console
from server.mqtt.connection import Connection
from serving.mqtt.errors import BrokerError
from serving.mqtt.packets import MQTT_3_1_1, MQTT_5
from serving.preflight.answer import Answer

_POLL_S: Final = 0.02


def ask_broker(console: Console) -> Answer:
    """Connect and subscribe as the page does; one line of what came of it."""
    broker = console.broker
    where = f"console.broker {broker.host}:{broker.port}"
    versions = {"5": (MQTT_5,), "3.1.1": (MQTT_3_1_1,)}.get(broker.protocol, (MQTT_5, MQTT_3_1_1))
    reason = ""
    for version in versions:
        connection = made_connection(console, new_client_id(), version)
        try:
            connection.open()
        except BrokerError as exc:
            return Answer("FAIL", f"{where}: {exc}")
        reason = _reason(connection, broker.connect_timeout_s)
        refused = ", ".join(connection.refused_filters)
        connection.close()
        if refused:
            return Answer("FAIL", f"{where}: it refuses the topic filters {refused}")
        if not reason:
            return Answer("ok", f"{where}: connected, and subscribed to all topics")
    return Answer("FAIL", f"{where}: {reason}")


def _reason(connection: Connection, patience_s: float) -> str:
    """Why the subscriptions were not answered; empty once they are."""
    deadline_s = time.monotonic() + patience_s
    while not connection.is_subscribed and not connection.lost:
        if time.monotonic() >= deadline_s:
            return f"no answer within {patience_s:g} s"
        time.sleep(_POLL_S)
        connection.read()
    return connection.lost
