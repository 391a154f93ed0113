"""The topic of a stream's late labels, and the asset that it names."""

from models.input.pipeline import Pipeline
from models.input.topics import TopicTemplate


class LabelTopic:
    """The topic of the labels of one pipeline that takes some.

    Args:
        pipeline: settings of the pipeline.

    Attributes:
        filter: the MQTT topic filter.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._template = TopicTemplate(pipeline.label_topic)
        self._names = pipeline.inputs[0].level_names
        self._stream = pipeline.stream
        self.filter = self._template.filter

    def asset(self, topic: str) -> str | None:
        """The key of the asset that a topic names, as readings have it.

        Returns:
            The key; empty where the topic does not name all of its levels, so that the label has
            to; None if it is no topic of these labels.
        """
        levels = self._template.match(topic)
        if levels is None:
            return None
        found = [levels.by_name.get(name, "") for name in self._names]
        return ("/".join(found) or self._stream) if all(found) else ""
