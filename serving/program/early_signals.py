"""What signals do to a program from its first line on, until `serving.signals` takes them over.

It is the first module that a program imports: before it there is only the interpreter, in which
nothing can be set. So it imports `signal` alone; what else it might use would take as long again.
SIGTERM keeps its default action: as long as nothing is open, it ends the process at once, which
systemd counts as a clean end.
"""

import signal

RELOADING = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that would end the process, and are sent to make a service read its files again.

SIGHUP also comes when the terminal of a program that was started by hand is closed.
"""


def settle() -> None:
    """Make signals of `RELOADING` harmless, and have Ctrl-C end the process without a traceback.

    `serving.program.start.sheltered` may have blocked the former for the process.
    """
    for number in RELOADING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, RELOADING)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else a shell ignores it
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt() -> None:
    """Have Ctrl-C raise KeyboardInterrupt again, for a program that is ready to handle it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
