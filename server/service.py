"""The server as a service: what it logs at its start and at its end, and what signals do to it."""

import asyncio
import os
import sys
from importlib.metadata import version
from pathlib import Path
from time import monotonic

import uvloop

from server.settings import Settings
from serving import log
from serving.preflight.files import exposed
from serving.program import state_lock
from serving.program.installation import installed_version
from serving.signals import Signals


def serve(settings: Settings, config: Path) -> int:
    """Answer requests until a signal ends the process; returns the exit code.

    Args:
        settings: the configuration.
        config: file that it was read from.

    Raises:
        TransientError: another program uses the state folder.
    """
    log.start(settings.log.level)
    signals, began_s = Signals(settings.limits.log_interval_s), monotonic()
    _tell_start(settings, config)
    code = received = 0
    try:
        with state_lock.held(settings.server.state_dir) as is_held:
            if not is_held:
                log.warning("state folder cannot be locked", folder=settings.server.state_dir)
            run = _alone if settings.server.workers == 1 else _with_workers
            code, received = run(settings, signals)
    except BaseException as exc:
        if not signals.have_ended_start:
            log.error("stopped", reason=f"{type(exc).__name__}: {exc}")
            raise
    uptime_s = round(monotonic() - began_s, 1)
    log.info("stopped", reason=signals.stopped_by, uptime_s=uptime_s, received=received)
    return code


def _alone(settings: Settings, signals: Signals) -> tuple[int, int]:
    """Answer in this process; returns the exit code, and how many requests it has received."""
    from server.app import Program  # noqa: PLC0415  a mistake in a file is reported at once

    program = Program(settings, signals.report)
    signals.end_by(program.stop)
    uvloop.run(program.run())
    return 0, program.tally.received


def _with_workers(settings: Settings, signals: Signals) -> tuple[int, int]:
    """Have several processes answer; returns as `_alone`."""
    from server.workers.supervisor import Supervisor  # noqa: PLC0415  one process does without it

    supervisor = Supervisor(settings, signals.report)
    signals.end_by(supervisor.stop)
    return asyncio.run(supervisor.run()), supervisor.received


def _tell_start(settings: Settings, config: Path) -> None:
    """Log what runs where, by which somebody who has only the log can tell."""
    log.info(
        "starting",
        version=version("millhand"),
        config=str(config.absolute()),
        host=os.uname().nodename,
        streams=settings.names,
        python=sys.version.split()[0],
        onnxruntime=installed_version("onnxruntime"),
        pid=os.getpid(),
    )
    for secret in exposed(settings.secrets):
        log.warning("secret may be read by others", reason=secret)
    for exposure in settings.exposures:
        log.warning("tokens may be read by others", reason=exposure)
