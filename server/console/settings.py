"""The settings of the page: `[console]`, and `[console.broker]` with the keys of the agent's."""

from typing import Annotated

from pydantic import AfterValidator, Field

from models.settings import Section
from server.console.topics import PredictionTopic
from serving.mqtt.settings import Broker


def _checked(text: str) -> str:
    PredictionTopic(text)
    return text


Predictions = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_checked)]
"""A topic filter of predictions, as `PredictionTopic` reads it."""


class Console(Section):
    """The page, and what is kept for it. Without this section there is none.

    Attributes:
        broker: the broker whose predictions and gateways are shown. The server only reads there.
        predictions: topic filters of the predictions. `{stream}` names the level with the stream,
            other `{names}` those that make up the asset; without them the payload says both.
        history_hours: hours for which values, model swaps and drift are kept.
        history_bytes: bytes of the file that they are kept in; beyond, the oldest go first.
        points_per_minute: points that are kept of each asset and minute. A point has the least, the
            greatest and the last value of its time, the greatest score and the worst quality.
        max_assets: assets that are shown; beyond, the one that was silent for longest goes.
        max_gateways: gateways that are shown; further ones are left out.
        max_clients: browsers that are sent events at the same time; further ones get 429.
        max_payload_bytes: bytes of a message; a longer one is left out.
    """

    broker: Broker
    predictions: Annotated[tuple[Predictions, ...], Field(min_length=1, max_length=64)] = (
        "+/+/+/_inference/+",
    )
    history_hours: Annotated[float, Field(ge=0.1, le=24 * 366)] = 24.0
    history_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 36)] = 128 << 20
    points_per_minute: Annotated[int, Field(ge=1, le=60)] = 4
    max_assets: Annotated[int, Field(ge=1, le=20_000)] = 2_000
    max_gateways: Annotated[int, Field(ge=1, le=10_000)] = 500
    max_clients: Annotated[int, Field(ge=1, le=1_000)] = 32
    max_payload_bytes: Annotated[int, Field(ge=1024, le=16 << 20)] = 256 << 10

    @property
    def point_ms(self) -> int:
        """Milliseconds that one kept point stands for."""
        return 60_000 // self.points_per_minute
