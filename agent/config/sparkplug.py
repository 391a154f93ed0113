"""The settings of the edge node by which predictions are published as Sparkplug B."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from models.settings import Count, Seconds, Section

Element = Annotated[str, StringConstraints(pattern=r"^[^+/#\x00-\x1f\x7f-\x9f]+$", max_length=128)]
"""A name that stands in topics of Sparkplug: any text without + / # (Sparkplug 3.0.0, 4.1)."""


class Sparkplug(Section):
    """The edge node. It is on where the section `[sparkplug]` is there.

    Attributes:
        group_id: group of nodes that the gateway belongs to.
        edge_node_id: name of the node in its group; empty for the gateway's id. No other node of
            the group may have it.
        primary_host: id of the host application without which nothing is published; None: the node
            publishes whether a host is there or not.
        client_id: MQTT client id of the node's own connection; empty for `<client id>-sparkplug`.
        username: user name of the node's own connection; None for that of `[broker]`. It needs its
            own where the broker takes the user name for the client id.
        password_file: file with the password of `username`, whose surrounding white space is
            ignored.
        typed_data: whether data repeat the data types of the births, which Sparkplug advises
            against; for hosts that do not remember them, such as those on npm's sparkplug-payload.
        max_age_s: seconds without an input of an asset after which its device is reported dead.
        max_waiting: predictions that may wait for the connection; beyond, the oldest are dropped.
    """

    group_id: Element
    edge_node_id: Element | None = Field(None, description="default: gateway.id")
    primary_host: Element | None = None
    client_id: str = Field("", description="default: <client id>-sparkplug", max_length=128)
    username: str | None = None
    password_file: Path | None = None
    typed_data: bool = False
    max_age_s: Seconds = 300.0
    max_waiting: Count = 10_000

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file must be set both, or neither")
        return self
