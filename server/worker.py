"""A worker as a process: it gets its place and its settings from the parent, and serves.

`server.workers.worker` starts it, by `serving.child.command`.
"""

import socket
import sys
import traceback

import orjson
import uvloop

from server.settings import Settings
from server.workers.parent import Parent, Place
from serving import log
from serving.errors import EXIT_BUG
from serving.program import early_signals, standard_error
from serving.program.outcome import exit_code
from serving.program.start import starting
from serving.signals import Signals


def main() -> None:
    """Serve until the parent ends the process; the arguments are descriptors of two sockets."""
    early_signals.settle()
    with starting():
        end, clients = (socket.socket(fileno=int(one)) for one in sys.argv[3:])
        try:
            sys.exit(exit_code(lambda: _serve(end, clients)))
        except Exception:  # noqa: BLE001  the top of the process: a bug ends it, the parent starts it again
            standard_error.report(traceback.format_exc())
            sys.exit(EXIT_BUG)


def _serve(end: socket.socket, clients: socket.socket) -> int:
    with end.makefile("rb", buffering=0) as unbuffered:  # the messages after it are read later
        first = unbuffered.readline()
    if not first:
        return 0  # the parent has ended
    given = orjson.loads(first)
    settings = Settings(**given["settings"])
    log.start(settings.log.level, given["number"])
    signals = Signals(settings.limits.log_interval_s)
    place = Place(given["number"], clients, Parent(end))
    try:
        from server.app import Program  # noqa: PLC0415  a signal may end the process before

        program = Program(settings, signals.report, place)
        signals.end_by(program.stop)
        uvloop.run(program.run())
    except BaseException:
        if not signals.have_ended_start:
            raise
    return 0
