"""The agent as a service: what it logs at its start and at its end, and what signals do to it."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Final

from agent.config.secrets import exposed
from agent.config.settings import Settings
from serving import log, state_lock

_Call = Callable[[], None]
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_IGNORED: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that would end the process, and are sent to make a service read its files again.

SIGHUP also comes when the terminal of an agent that was started by hand is closed.
"""


class _StopError(BaseException):
    """The process shall end although it has not begun to serve; no `except Exception` takes it."""


class Signals:
    """Signals that the process has received.

    Args:
        log_interval_s: seconds in which one that is ignored is logged at most once.

    Attributes:
        stopped_by: name of the signal that ends the process; empty so far.
        stop: ends the hot loop; None before it turns, when a signal ends the process at once.
    """

    def __init__(self, log_interval_s: float) -> None:
        self.stopped_by = ""
        self.stop: _Call | None = None
        self._ignored: set[str] = set()
        self._limited = log.Limited(log_interval_s)
        for number in _STOPPING:
            signal.signal(number, self._end)
        for number in _IGNORED:
            signal.signal(number, self._ignore)

    def report(self) -> None:
        """Log the signals that were ignored since the last call.

        The hot loop calls it, because a handler may interrupt another line that is being logged.
        """
        while self._ignored:
            name = self._ignored.pop()
            remedy = "the configuration is read at a start only: restart the agent to change it"
            self._limited.warning(name, "signal ignored", signal=name, remedy=remedy)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self.stopped_by = signal.Signals(number).name
        if self.stop is None:
            raise _StopError
        self.stop()

    def _ignore(self, number: int, _frame: FrameType | None) -> None:
        self._ignored.add(signal.Signals(number).name)


def serve(settings: Settings, config: Path) -> None:
    """Serve predictions until a signal ends the process.

    Args:
        settings: the configuration.
        config: file that it was read from.

    Raises:
        TransientError: another agent uses the state folder.
    """
    log.start(settings.log.level)
    signals, began_s = Signals(settings.limits.log_interval_s), monotonic()
    _tell_start(settings, config)
    totals = _none
    try:
        with state_lock.held(settings.gateway.state_dir) as is_held:
            if not is_held:
                log.warning("state folder cannot be locked", folder=settings.gateway.state_dir)
            from agent.app import build  # noqa: PLC0415  a mistake in a file is reported at once

            reactor = build(settings, signals.report)
            totals, signals.stop = reactor.totals, reactor.stop
            reactor.run()
    except _StopError:
        pass
    except BaseException as exc:
        log.error("stopped", reason=f"{type(exc).__name__}: {exc}", **totals())
        raise
    uptime_s = round(monotonic() - began_s, 1)
    log.info("stopped", reason=signals.stopped_by, uptime_s=uptime_s, **totals())


def _none() -> Mapping[str, int]:
    """The totals before there is a hot loop."""
    return {}


def _tell_start(settings: Settings, config: Path) -> None:
    """Log what runs where, by which somebody who has only the log can tell."""
    broker = settings.broker
    log.info(
        "starting",
        version=version("millhand"),
        config=str(config.absolute()),
        gateway=settings.gateway.id,
        host=os.uname().nodename,
        broker=f"{broker.host}:{broker.port}",
        python=sys.version.split()[0],
        onnxruntime=version("onnxruntime"),
        pid=os.getpid(),
    )
    for secret in exposed(settings):
        log.warning("secret may be read by others", reason=secret)
