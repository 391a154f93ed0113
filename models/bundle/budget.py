"""What serving a model costs at most: a part of the manifest."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Budget(BaseModel):
    """Limits of what serving costs, on one thread; the trainer has measured that they hold.

    Attributes:
        latency_ms_p99: 99th percentile of the time for one window, milliseconds.
        model_bytes: bytes of the graph.
        memory_bytes: peak of the memory for loading the bundle and for answering `memory_batch`
            windows at a time, in bytes, beside the program itself; None where it is not known, as
            in bundles that were made before it was measured.
        memory_batch: number of windows for which `memory_bytes` holds; None without it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    latency_ms_p99: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    model_bytes: Annotated[int, Field(ge=0)]
    memory_bytes: Annotated[int, Field(ge=0)] | None = None
    memory_batch: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _memory_has_its_batch(self) -> Self:
        if (self.memory_bytes is None) != (self.memory_batch is None):
            raise ValueError("memory_bytes and memory_batch must be given both, or neither")
        return self
