"""Explains the predictions of a request: those that the bundle names, or those that are asked for.

The model is asked through the same queue as by requests, so that an explanation delays nobody more
than a request of as many windows does. What there is no time or room for is answered without its
reasons, and counted in the answer.
"""

from collections.abc import Awaitable, Callable, Sequence
from math import isfinite
from time import monotonic
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.windowing.windows import Batch
from server.batching.job import Outputs
from server.http.refusals import RefusedError
from serving.explanation.explainer import Explainer, Reasons
from serving.explanation.onset import Onset
from serving.model import Model

Ask = Callable[[NDArray[np.float32], float], Awaitable[Outputs]]
"""Has the model answer windows `[n, length, channels]`, within so many seconds."""
ASKED: Final = {"true": True, "false": False}
"""Values of the parameter `why`; without it the bundle decides."""


def asked(query: str | None) -> bool | None:
    """Whether a request wants reasons; None: the bundle decides.

    Args:
        query: value of the parameter `why`; None without it.

    Raises:
        RefusedError: the parameter has another value.
    """
    if query is None:
        return None
    if query not in ASKED:
        raise RefusedError(f"why is '{query[:40]}'; allowed are {' and '.join(ASKED)}")
    return ASKED[query]


class Explaining:
    """Explains the predictions of one version of a model.

    Args:
        model: the model.
        max_explained: predictions of a request that are explained.
        request_s: seconds that this may take.
    """

    def __init__(self, model: Model, max_explained: int, request_s: float) -> None:
        self._explainer, self._name = model.explainer, model.manifest.stream
        self._most, self._request_s = max_explained, request_s

    def check(self, is_asked: bool | None) -> None:  # noqa: FBT001  None is a third answer
        """Refuse a request for reasons where the bundle does not say how to find any.

        Raises:
            RefusedError: it does not.
        """
        if is_asked and self._explainer is None:
            raise RefusedError(
                f"the bundle of {self._name} does not say how answers are explained: it is of an "
                "earlier release, or its recipe has explain = 'never'; ask without why"
            )

    async def reasons(
        self,
        batch: Batch,
        values: Sequence[Any],
        is_asked: bool | None,  # noqa: FBT001  as above
        ask: Ask,
    ) -> tuple[Sequence[Reasons | None], int]:
        """The reasons of each prediction, and how many that were due have none.

        Args:
            batch: windows of the request.
            values: value of each prediction; None where there is none.
            is_asked: whether the request wants reasons; None: the bundle decides.
            ask: asks the model.
        """
        found: list[Reasons | None] = [None] * len(values)
        explainer, deadline_s = self._explainer, monotonic() + self._request_s
        if explainer is None or is_asked is False:
            return found, 0
        due = _due(explainer, batch, values, is_all=bool(is_asked))
        for place in due[: self._most]:
            if (left_s := deadline_s - monotonic()) <= 0:
                break
            try:
                found[place] = await _one(
                    explainer, batch.values[place], values[place], lambda some: ask(some, left_s)
                )
            except RefusedError:  # too many wait, its time is over, or the model fails
                break
        return found, sum(found[place] is None for place in due)


def _due(
    explainer: Explainer, batch: Batch, values: Sequence[Any], *, is_all: bool
) -> Sequence[int]:
    if is_all or explainer.explain.when == "always":
        return [place for place, one in enumerate(values) if one is not None and isfinite(one)]
    return Onset(explainer.explain.alarms, len(values)).of(batch.assets, values)


async def _one(
    explainer: Explainer,
    window: NDArray[np.float32],
    value: float,
    ask: Callable[[NDArray[np.float32]], Awaitable[Outputs]],
) -> Reasons | None:
    answers = [explainer.explained(await ask(block), value) for block in explainer.blocks(window)]
    return explainer.reasons(window, np.concatenate(answers))
