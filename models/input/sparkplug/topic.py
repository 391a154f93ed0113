"""Topics of Sparkplug B: `spBv1.0/{group}/{type}/{node}/{device}` (Sparkplug 3.0.0, chapter 4)."""

from typing import Final, NamedTuple

from models.input.topics import Levels, TemplateError, TopicTemplate

NAMESPACE: Final = "spBv1.0"
TYPE: Final = "type"
"""Name of the level for the type of a message, which is no part of the asset."""
_NODE_LEVELS: Final = 4


class Address(NamedTuple):
    """What a topic names.

    Attributes:
        kind: type of the message, such as `DDATA`.
        group: id of the group.
        node: id of the edge node.
        device: id of the device; empty in messages of the node itself.
    """

    kind: str
    group: str
    node: str
    device: str = ""


class SparkplugTemplate:
    """A template of such topics, with or without the device.

    Args:
        template: the template as it was written.

    Attributes:
        filter: topic filter of all messages of the nodes: also of their births and deaths, and of
            other devices, which count in the sequence.
        has_device: whether the template is one of devices.
        device_name: name of the level of the device; empty where the template has a text there, or
            is one of nodes.

    Raises:
        TemplateError: the template has another form.
    """

    def __init__(self, template: TopicTemplate) -> None:
        levels = template.text.split("/")
        self.has_device = len(levels) == _NODE_LEVELS + 1
        is_formed = len(levels) == _NODE_LEVELS or self.has_device
        if not is_formed or levels[0] != NAMESPACE or levels[2] != f"{{{TYPE}}}":
            raise TemplateError(
                f"topic '{template.text}': dialect sparkplug needs "
                f"{NAMESPACE}/{{group}}/{{type}}/{{node}}/{{device}}, or the same without the "
                "device for metrics of the nodes; a text may stand for group, node and device"
            )
        if template.is_open:
            raise TemplateError(f"topic '{template.text}': a device is one level: write {{device}}")
        self._group, self._node = levels[1], levels[3]
        self._device = levels[4] if self.has_device else ""
        self.device_name = self._device.strip("{}") if self._device.startswith("{") else ""
        self.filter = "/".join(
            "+" if level.startswith("{") else level for level in levels[:_NODE_LEVELS]
        )
        self.filter += "/#"

    def match(self, topic: str) -> tuple[Levels, Address] | None:
        """The named levels of group and node in a topic, and what it names; None if it is another.

        Topics of any device and of the node itself match; see `takes`.
        """
        found = topic.split("/")
        if found[0] != NAMESPACE or not _NODE_LEVELS <= len(found) <= _NODE_LEVELS + 1:
            return None
        _, group, kind, node, *device = found
        named: dict[str, str] = {}
        for wanted, level in ((self._group, group), (self._node, node)):
            if wanted.startswith("{") and level:
                named[wanted.strip("{}")] = level
            elif wanted != level:
                return None
        return Levels(named), Address(kind, group, node, *device)

    def takes(self, device: str) -> bool:
        """Whether the input is for this device; for the node itself where it is empty."""
        if not self.has_device:
            return not device
        return bool(device) and (bool(self.device_name) or device == self._device)
