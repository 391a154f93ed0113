"""The agent as a service: what it logs at its start and at its end, and what signals do to it."""

import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from time import monotonic

from agent.config.settings import Settings
from serving import log
from serving.preflight.files import exposed
from serving.program import state_lock
from serving.signals import Signals


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
            signals.end_by(reactor.stop)
            totals = reactor.totals
            reactor.run()
    except BaseException as exc:
        if not signals.have_ended_start:
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
    for secret in exposed(settings.secrets):
        log.warning("secret may be read by others", reason=secret)
