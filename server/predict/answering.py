"""The way of a request with rows: read, cut into windows, answered by the model, written."""

from functools import partial
from time import time_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.windowing.windows import Batch
from server.batching.scheduler import Version
from server.http.answer import Answer
from server.oip.tensors import WindowTensor
from server.predict.cut import Cut, Cutter, Origin
from server.predict.predictions import Predictions, usable
from server.predict.rows import Row, RowReader
from server.predict.settings import Predict
from server.settings import Limits
from server.streams.explaining import Explaining
from server.streams.per_version import PerVersion
from server.streams.served import ServedStreams


class Parts:
    """What reads, cuts and writes for one version of a model.

    Args:
        version: the version.
        limits: limits of a request.
        predict: limits of its rows.

    Attributes:
        rows: reads rows.
        tensor: reads windows that a client has cut.
        cutter: cuts rows into windows.
        predictions: writes predictions.
        explaining: explains predictions.
    """

    __slots__ = ("cutter", "explaining", "predictions", "rows", "tensor")

    def __init__(self, version: Version, limits: Limits, predict: Predict) -> None:
        manifest = version.model.manifest
        self.rows = RowReader(manifest, predict.max_rows)
        self.tensor = WindowTensor(manifest)
        self.cutter = Cutter(manifest, limits.max_body_bytes)
        self.predictions = Predictions(manifest, version.model.sha256)
        self.explaining = Explaining(version.model, predict.max_explained, limits.request_s)


class Answering:
    """Answers rows, and windows that a client has cut, as MQTT would.

    Args:
        served: the streams that are served.
        limits: limits of a request.
        predict: limits of its rows.
    """

    def __init__(self, served: ServedStreams, limits: Limits, predict: Predict) -> None:
        self._served = served
        self._parts = PerVersion(served, lambda version: Parts(version, limits, predict))

    def parts(self, version: Version) -> Parts:
        """What reads, cuts and writes for a version."""
        return self._parts.of(version)

    async def rows(
        self,
        version: Version,
        readings: Any,  # noqa: ANN401  any JSON value
        is_asked: bool | None = None,  # noqa: FBT001  None is a third answer
    ) -> Answer:
        """Predictions for rows of readings.

        Args:
            version: the version.
            readings: the rows.
            is_asked: whether the request wants to know which signals the predictions are due to;
                None: the bundle decides.

        Raises:
            RefusedError: see `Explaining.check`, `RowReader.read`, `Cutter.cut` and
                `ServedStreams.answer`.
        """
        received_ns, parts = time_ns(), self.parts(version)
        parts.explaining.check(is_asked)
        with version.measures.decode:
            cut = parts.cutter.cut(parts.rows.read(readings, received_ns))
        return await self._answer(version, cut, received_ns, is_asked)

    async def windows(self, version: Version, values: NDArray[np.float64]) -> Answer:
        """Predictions for windows `[n, length, channels]`; they get the time of their arrival.

        Raises:
            RefusedError: see `ServedStreams.answer`.
        """
        received_ns, stream = time_ns(), version.model.manifest.stream
        windows, qualities = self.parts(version).tensor.judged(values)
        count = len(windows)
        origins = [
            Origin(Row(stream, received_ns, (), window.tobytes()), number)
            for number, window in enumerate(windows)
        ]
        batch = Batch([stream] * count, [received_ns] * count, qualities, windows)
        return await self._answer(version, Cut(batch, origins, ()), received_ns)

    async def _answer(
        self,
        version: Version,
        cut: Cut,
        received_ns: int,
        is_asked: bool | None = None,  # noqa: FBT001  as above
    ) -> Answer:
        given, parts = usable(cut.batch), self.parts(version)
        outputs = await self._served.answer(version, given) if len(given) else None
        answers = parts.predictions.answers(cut.batch, outputs)
        reasons, unexplained = await parts.explaining.reasons(
            cut.batch, answers.values, is_asked, partial(self._served.ask, version)
        )
        version.measures.explained += sum(one is not None for one in reasons)
        version.measures.unexplained += unexplained
        with version.measures.encode:
            return parts.predictions.write(cut, answers, received_ns, (reasons, unexplained))
