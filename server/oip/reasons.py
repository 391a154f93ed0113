"""The output `why`: the signals that each answer is due to, for clients that ask for it by name."""

from functools import partial
from typing import Any

import numpy as np
import orjson

from models.windowing.windows import Batch
from server.batching.job import Outputs
from server.batching.scheduler import Version
from server.oip.inference import WHY, Wanted
from server.streams.explaining import Explaining
from server.streams.per_version import PerVersion
from server.streams.served import ServedStreams


class ReasonsOutput:
    """Adds the output `why` to the outputs of a model, where a request names it.

    Args:
        served: the streams that are served.
        max_explained: windows of a request that are explained; the others get an empty text.
        request_s: seconds that this may take.
    """

    def __init__(self, served: ServedStreams, max_explained: int, request_s: float) -> None:
        self._served = served
        self._explaining = PerVersion(
            served, lambda version: Explaining(version.model, max_explained, request_s)
        )

    def check(self, version: Version, wanted: Wanted) -> None:
        """Refuse a request for reasons where the bundle does not say how to find any.

        Raises:
            RefusedError: it does not.
        """
        self._explaining.of(version).check(WHY in wanted.outputs)

    async def added(self, version: Version, wanted: Wanted, outputs: Outputs) -> Outputs:
        """The outputs, with the reasons of each window as JSON text, `[n]`, where they are wanted.

        Args:
            version: the version that has answered.
            wanted: what the client has asked for.
            outputs: what the model has answered.
        """
        if WHY not in wanted.outputs:
            return outputs
        windows, count = wanted.windows, len(wanted.windows)
        batch = Batch([wanted.id or ""] * count, [0] * count, list(wanted.qualities), windows)
        values: list[Any] = outputs["value"].ravel().tolist()
        reasons, missing = await self._explaining.of(version).reasons(
            batch,
            values,
            True,  # noqa: FBT003  it is asked for
            partial(self._served.ask, version),
        )
        version.measures.explained += sum(one is not None for one in reasons)
        version.measures.unexplained += missing
        texts = ["" if one is None else orjson.dumps(one).decode() for one in reasons]
        return {**outputs, WHY: np.array(texts, dtype=np.str_)}
