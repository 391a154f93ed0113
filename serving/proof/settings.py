"""Settings of the proof of a bundle: what a model may need on this machine."""

from typing import Annotated, Literal

from pydantic import Field

from models.settings import Seconds, Section

Factor = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(gt=0, le=86_400_000, allow_inf_nan=False)]


class Proof(Section):
    """What a model may need on this machine, measured in a child process before it serves.

    Attributes:
        seconds: seconds of one processor core that loading the model, answering its golden vectors
            and measuring it may take. By the clock it may take six times as long.
        memory_bytes: bytes of memory that the model may take beside the program itself, when it is
            loaded and when it answers the largest batch.
        latency: what happens to a model that is slower than `latency_factor` or `latency_ms`
            allows: with `warn` it serves, and log and feedback say so; with `refuse` it is refused.
        latency_factor: how many times the `latency_ms_p99` of the bundle's budget one window may
            take on this machine (99th percentile).
        latency_ms: milliseconds that one window may take on this machine (99th percentile),
            whatever the bundle's budget is; None: only the budget counts.
    """

    seconds: Annotated[Seconds, Field(ge=1)] = 5.0
    memory_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 256 << 20
    latency: Literal["warn", "refuse"] = "warn"
    latency_factor: Factor = 4.0
    latency_ms: Milliseconds | None = None
