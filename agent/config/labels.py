"""What the topics of late labels must not be."""

from collections.abc import Iterator, Sequence

from models.control.topics import ControlTopics
from models.input.pipeline import Pipeline
from models.input.topics import TopicTemplate, overlap


def check_labels(pipelines: Sequence[Pipeline], gateway: str) -> None:
    """Check that no topic of labels is one of readings, predictions or the agent itself.

    Args:
        pipelines: the pipelines of the configuration.
        gateway: id of the gateway.

    Raises:
        ValueError: such a topic; the message names both, and what to do.
    """
    others = [
        *_others(pipelines),
        (f"{ControlTopics(gateway).base}/#", "the agent's own documents"),
    ]
    for number, pipeline in enumerate(pipelines):
        if pipeline.labels is None:
            continue
        topic = TopicTemplate(pipeline.label_topic)
        wrong = next((text for name, text in others if overlap(topic.filter, name)), None)
        if wrong is not None:
            raise ValueError(
                f"pipelines[{number}].labels: topic '{topic.text}' has topics in common with "
                f"{wrong}: set labels.topic to one that nothing else is published on"
            )


def _others(pipelines: Sequence[Pipeline]) -> Iterator[tuple[str, str]]:
    """The topic filters of readings and predictions, each with words for it."""
    for number, pipeline in enumerate(pipelines):
        for place, source in enumerate(pipeline.inputs):
            for name in source.filters:
                yield name, f"pipelines[{number}].inputs[{place}], '{source.topic}'"
        output = TopicTemplate(pipeline.output_topic.replace("{stream}", pipeline.stream)).filter
        words = f"the predictions of pipelines[{number}], '{pipeline.output_topic}'"
        yield output, words
        if pipeline.output.scalars:
            yield f"{output}/+", words
