"""What a training has come to, as the trainer tells other programs: `train --outcome FILE`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.bundle.manifest import Name, Sha256


class ChampionComparison(BaseModel):
    """A new model beside the champion, on the same windows of the test part.

    Attributes:
        champion: stream and seq of the champion, such as `pump-health#3`.
        verdict: what the interval of the difference proves.
        metric: name of the metric that is compared.
        of_champion: the metric of the champion.
        of_new: the metric of the new model.
        windows: windows that were compared.
        said: the same in one sentence, with the interval.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    champion: str
    verdict: Literal["better", "not shown to be better", "worse"]
    metric: str
    of_champion: float
    of_new: float
    windows: int
    said: Annotated[str, Field(max_length=10_000)]


class Outcome(BaseModel):
    """A bundle that was trained.

    Attributes:
        stream: name of the stream.
        seq: number of the bundle.
        sha256: digest of the bundle.
        file: path of the bundle.
        metrics: its metrics on the test part, by name.
        comparison: the comparison with the champion; None where there was none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    stream: Name
    seq: int
    sha256: Sha256
    file: str
    metrics: dict[str, float]
    comparison: ChampionComparison | None = None
