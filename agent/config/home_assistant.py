"""`[home_assistant]`: whether predictions are announced to Home Assistant, and how."""

import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from models.input.pipeline import Pipeline
from models.input.topics import TopicTemplate, is_level
from models.settings import Seconds, Section

MAX_ASSETS: Final = 500
"""Assets of all streams that are announced: some 400 KiB in one message."""
_OBJECT_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def _levels(text: str) -> str:
    if text and not all(map(is_level, text.split("/"))):
        raise ValueError(f"'{text}' is no topic: levels without + # and $, joined by slashes")
    return text


def _object_id(text: str) -> str:
    if text and not _OBJECT_ID.fullmatch(text):
        raise ValueError(
            f"'{text}' is not taken by Home Assistant: letters, digits, _ and -, at most 64"
        )
    return text


class HomeAssistant(Section):
    """The announcement of predictions to Home Assistant, by MQTT device discovery.

    Attributes:
        enabled: whether the assets that pipelines list are announced.
        prefix: discovery prefix of Home Assistant.
        object_id: name of the gateway in the topic of the announcement; empty for the gateway id.
        status_topic: topic on which Home Assistant says that it has started; empty for
            `<prefix>/status`.
        expire_after_s: seconds after which Home Assistant takes a prediction for outdated; None:
            as the model's period and ages say.
    """

    enabled: bool = False
    prefix: Annotated[str, AfterValidator(_levels), Field(min_length=1)] = "homeassistant"
    object_id: Annotated[str, AfterValidator(_object_id)] = Field(
        "", description="default: the gateway id"
    )
    status_topic: Annotated[str, AfterValidator(_levels)] = Field(
        "", description="default: <prefix>/status"
    )
    expire_after_s: Seconds | None = Field(
        None, description="default: by the model's period and ages"
    )

    @property
    def birth_topic(self) -> str:
        """Topic on which Home Assistant says that it has started."""
        return self.status_topic or f"{self.prefix}/status"

    def topic(self, gateway: str) -> str:
        """Topic of the announcement of a gateway."""
        return f"{self.prefix}/device/{self.object_id or gateway}/config"

    def check(self, gateway: str, pipelines: Sequence[Pipeline]) -> None:
        """Check that there is something to announce, and not too much.

        Raises:
            ValueError: what was found, and what to change.
        """
        if not self.enabled:
            return
        if not self.object_id and not _OBJECT_ID.fullmatch(gateway):
            raise ValueError(
                f"home_assistant: gateway.id '{gateway}' has signs that Home Assistant does not "
                "take: set home_assistant.object_id to a name of letters, digits, _ and -"
            )
        count = sum(len(pipeline.assets) for pipeline in pipelines)
        if not 1 <= count <= MAX_ASSETS:
            raise ValueError(
                f"home_assistant announces the assets that pipelines list: 1 to {MAX_ASSETS} in "
                f"all, found {count}; list them as assets of a pipeline"
            )
        for number, pipeline in enumerate(pipelines):
            for asset in pipeline.assets:
                if prediction_topic(pipeline, asset) is None:
                    raise ValueError(
                        f"home_assistant: pipelines[{number}].assets: '{asset}' has not the levels "
                        f"{', '.join(pipeline.inputs[0].level_names)} of its inputs, so it has no "
                        "predictions: correct it, or leave it out"
                    )


def prediction_topic(pipeline: Pipeline, asset: str) -> str | None:
    """The topic of an asset's predictions; None if it has other levels than the inputs name."""
    names = pipeline.inputs[0].level_names
    found = asset.split("/", max(0, len(names) - 1)) if names else []
    if len(found) != len(names) or (not names and asset != pipeline.stream):
        return None
    levels = {"stream": pipeline.stream, **dict(zip(names, found, strict=True))}
    try:
        return TopicTemplate(pipeline.output_topic).render(levels)
    except ValueError:
        return None
