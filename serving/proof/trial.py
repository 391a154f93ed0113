"""The parent's side of a proof: it starts the child, waits for its answer, and explains its end.

A graph that nobody has loaded on this machine may crash, ask for gigabytes or never end, at any
moment from the loading on. So it is first loaded, answered and measured in a child process,
`serving.proof.trial_child`, with limits on memory and time (ADR 22). The serving process then only
loads what the child has shown to load.

Contract: `examine` blocks until the child has answered or ended, so it is called on a worker. When
it returns or raises, the child has ended or was killed, and no other process was touched.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from models.errors import MillhandError
from serving.child import Flag, Patience, lines, started
from serving.proof.refusals import (
    ClockTimeError,
    CpuTimeError,
    CrashError,
    MemoryLimitError,
    ProofCancelledError,
    ProofFailedError,
    error_of,
)
from serving.proof.request import Evidence, ProofRequest
from serving.proof.wording import OUT_OF_MEMORY, REMEDY, megabytes

_END_S: Final = 5.0  # for a child without an answer to have ended
_MAX_SAID: Final = 65_536  # bytes of the child's standard error, which is what a pipe holds
_MAX_SHOWN: Final = 300
_FROM_OUTSIDE: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that no graph causes: they are sent to the service, and say nothing of the model."""


@dataclass(frozen=True, slots=True)
class _Death:
    """How a child ended that has not answered.

    Attributes:
        stage: what it was doing, in words.
        code: its exit code; negative for a signal; None if it goes on without an output.
        said: what it wrote to standard error.
    """

    stage: str
    code: int | None
    said: str


def examine(request: ProofRequest, cancelled: Flag) -> Evidence:
    """Load, answer and measure a bundle or a graph in a child process; blocks.

    Args:
        request: what to prove, and within which limits.
        cancelled: event to set, on any thread, to end the proof within about 0.1 s.

    Returns:
        What was measured; its latency is not compared with its limit here.

    Raises:
        BundleError: the bundle did not pass; see `serving.proof.refusals` for the kinds.
        ProofCancelledError, ProofFailedError: nothing is known of the bundle.
    """
    patience = Patience(
        ends_at=monotonic() + request.clock_s,
        cancelled=cancelled,
        on_timeout=ClockTimeError(
            f"the proof was not finished within {request.clock_s:g} s by the clock, though it had "
            f"not used {request.seconds:g} s of a processor core: the machine has other work; "
            "raise that limit (on a gateway proof.seconds)"
        ),
        on_cancel=ProofCancelledError("the proof was cancelled; it is made after the next start"),
    )
    try:
        outcome = _outcome(request, patience)
    except OSError as exc:
        raise ProofFailedError(f"the child cannot be started: {exc.strerror}") from exc
    if isinstance(outcome, _Death):
        raise _explained(outcome, request)
    if outcome.pop("state") == "refused":
        raise error_of(outcome["error"], outcome["message"])
    return Evidence.from_fields(outcome)


def _outcome(request: ProofRequest, patience: Patience) -> dict[str, Any] | _Death:
    """The child's answer, or how it ended without one."""
    stage, code = "starting", None
    with _pipe() as (reader, writer):
        with started("serving.proof.trial_child", request.to_json(), stderr=writer) as child:
            for line in lines(child.stdout, patience):
                message: dict[str, Any] = json.loads(line)
                if message["state"] != "begun":
                    return message
                stage = message["stage"]
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(_END_S)
        with suppress(BlockingIOError):  # it has written nothing
            return _Death(stage, code, os.read(reader, _MAX_SAID).decode(errors="replace"))
        return _Death(stage, code, "")


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """A pipe for standard error that never blocks: what does not fit into it is lost."""
    ends = os.pipe()
    try:
        for end in ends:
            os.set_blocking(end, False)
        yield ends
    finally:
        for end in ends:
            os.close(end)


def _explained(death: _Death, request: ProofRequest) -> MillhandError:
    """The error for a child that ended without an answer."""
    stage = death.stage
    number = -death.code if death.code is not None and death.code < 0 else 0
    if number == signal.SIGXCPU:
        return CpuTimeError(
            f"{stage} was not finished within {request.seconds:g} s of a processor core: the model "
            "is too slow for this machine, or never ends; raise that limit (on a gateway "
            "proof.seconds), or train a smaller model"
        )
    if number == signal.SIGKILL or any(sign in death.said for sign in OUT_OF_MEMORY):
        by = "was killed from outside, as happens where memory runs out" if number else "failed"
        return MemoryLimitError(
            f"{stage} {by}; allowed are {megabytes(request.memory_bytes)} beside the program, with "
            f"up to {request.batch} windows at a time: {REMEDY}"
        )
    if number in _FROM_OUTSIDE:
        return ProofFailedError(
            f"the child was ended from outside by {_name(number)} when it was {stage}, as systemd "
            "ends all processes of a service that stops; the bundle is proven again"
        )
    if number:
        return CrashError(
            f"{stage} crashed the process by {_name(number)}: onnxruntime cannot run this graph; "
            "export the model in another way, or make it smaller (such as trees that are less deep)"
        )
    end = "went on without an answer" if death.code is None else f"ended with {death.code}"
    return ProofFailedError(f"the child {end} when it was {stage}: {_last_line(death.said)}")


def _name(number: int) -> str:
    try:
        found = signal.Signals(number)
    except ValueError:
        return f"signal {number}"
    return f"{found.name} ({signal.strsignal(number)})"


def _last_line(said: str) -> str:
    found = said.strip().splitlines()
    return found[-1][:_MAX_SHOWN] if found else "it said nothing"
