"""The topics of one edge node (Sparkplug 3.0.0, chapter 4)."""

from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "spBv1.0"


@dataclass(frozen=True, slots=True)
class NodeTopics:
    """The topics of a node and of its devices.

    Attributes:
        group: id of the group.
        node: id of the node in the group.
    """

    group: str
    node: str

    def of(self, kind: str, device: str = "") -> str:
        """The topic of a kind of message, such as `NBIRTH`, or with a device `DDATA`."""
        topic = f"{NAMESPACE}/{self.group}/{kind}/{self.node}"
        return f"{topic}/{device}" if device else topic

    @property
    def node_commands(self) -> str:
        """The topic of commands to the node."""
        return self.of("NCMD")

    @property
    def device_commands(self) -> str:
        """The topic filter of commands to all its devices."""
        return self.of("DCMD", "+")


def device_id(asset: str) -> str:
    """The name of the device that stands for an asset: levels are separated by colons."""
    return asset.replace("/", ":")


def state_topic(host: str) -> str:
    """The topic on which a host application says whether it is online."""
    return f"{NAMESPACE}/STATE/{host}"
