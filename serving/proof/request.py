"""What the child process of a proof is asked, and what it answers.

The child writes a message at the begin of each stage, and one answer:

    {"state": "begun", "stage": "loading the graph"}
    {"state": "passed", ...the fields of Evidence...}
    {"state": "refused", "error": "golden_mismatch", "message": ...}
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

MAX_REQUEST_BYTES: Final = 32 << 10
"""Bytes that the child reads as its request."""
CLOCK_FACTOR: Final = 6
"""Times the seconds of the processor that a proof may take by the clock."""


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """Which bundle to prove, and within which limits.

    Attributes:
        path: path of the bundle; with `windows` of a bare ONNX graph.
        batch: number of windows in the largest batch that is answered.
        seconds: seconds of one processor core that the proof may take, beside the start of the
            child.
        memory_bytes: bytes of memory that it may take, beside the program itself.
        latency_factor: how many times the latency of the bundle's budget is allowed.
        latency_ms: milliseconds that are allowed for one window, 99th percentile; None for any.
        windows: path of an .npy file of windows, float32 `[n, length, channels]`, that a bare graph
            is to answer; None for a bundle, which brings its golden windows along.
    """

    path: Path
    batch: int
    seconds: float
    memory_bytes: int
    latency_factor: float = 1.0
    latency_ms: float | None = None
    windows: Path | None = None

    @property
    def clock_s(self) -> float:
        """Seconds that the proof may take by the clock."""
        return CLOCK_FACTOR * self.seconds

    def to_json(self) -> bytes:
        """The request as the child reads it: UTF-8 JSON, paths as text."""
        return json.dumps(asdict(self), default=str).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "ProofRequest":
        """Read what `to_json` has written.

        Raises:
            ValueError, TypeError, KeyError: the content is not such a request.
        """
        fields = json.loads(content)
        windows = fields["windows"]
        paths = {"path": Path(fields["path"]), "windows": windows and Path(windows)}
        return cls(**(fields | paths))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of a model that has passed its proof.

    Attributes:
        golden_error: largest absolute difference of a float output from its golden value.
        latency_p50_ms: median of the time for one window, milliseconds.
        latency_p99_ms: 99th percentile of it, milliseconds.
        latency_limit_ms: milliseconds that are allowed for it; infinity where nothing limits it.
        batch: number of windows in the largest batch that was answered. It is smaller than the one
            that was asked for where that would have taken more than the time of the proof.
        batch_p50_ms: median of the time for that batch, milliseconds.
        batch_p99_ms: 99th percentile of it, milliseconds.
        memory_bytes: peak of the memory for reading, loading and answering that batch, in bytes,
            beside the program itself.
        runtime: version of onnxruntime.
    """

    golden_error: float
    latency_p50_ms: float
    latency_p99_ms: float
    latency_limit_ms: float
    batch: int
    batch_p50_ms: float
    batch_p99_ms: float
    memory_bytes: int
    runtime: str

    def to_fields(self) -> dict[str, Any]:
        """The fields as JSON can carry them; None for a latency without a limit."""
        limit = self.latency_limit_ms
        return asdict(self) | {"latency_limit_ms": None if math.isinf(limit) else limit}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Evidence":
        """Read what `to_fields` has made.

        Raises:
            TypeError: there are other fields.
        """
        limit = fields.get("latency_limit_ms")
        return cls(**(fields | {"latency_limit_ms": math.inf if limit is None else limit}))
