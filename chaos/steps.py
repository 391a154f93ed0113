"""The steps at which strace kills the agent, or lets its system calls fail.

Whatever the agent does outside of its own memory is a system call. To kill it at the n-th call of
each kind therefore covers all steps, from the first connect to the acknowledgement of a backlog,
without any code for it in the agent. strace runs as a grandchild (-D), so that the agent stays a
child of this process.
"""

import shutil
from collections.abc import Sequence
from typing import Final

_KILLED_AT: Final[dict[str, Sequence[int]]] = {
    "sendto": (*range(1, 17), 24, 40, 80),  # CONNECT, SUBSCRIBE, predictions, acknowledgements
    "recvfrom": (*range(1, 11), 20, 40, 80),  # CONNACK, the backlog, confirmations
    "epoll_wait": (*range(1, 11), 20, 40, 80),  # between two turns
    "write": range(1, 9),  # the log, and files
    "fsync": range(1, 9),  # files: what is subscribed to, and what must survive
    "rename": range(1, 5),
}
STEPS: Final = tuple(
    (call, whens[number])
    for number in range(max(map(len, _KILLED_AT.values())))
    for call, whens in _KILLED_AT.items()
    if number < len(whens)
)
"""System call, and number of the call on one thread at which the agent is killed."""


def killed_at(call: str, when: int) -> Sequence[str]:
    """The command to start the agent under, so that it is killed as it enters the call."""
    return _injected(call, f"signal=SIGKILL:when={when}")


def failing(calls: Sequence[str], error: str, when: str = "1+") -> Sequence[str]:
    """The command to start the agent under, so that some of its system calls fail.

    Args:
        calls: names of the system calls that fail.
        error: name of the error that they return, such as ENOSPC.
        when: number of the calls that fail on each thread: `3` the third, `3+` all from there on.
    """
    return _injected(",".join(calls), f"error={error}:when={when}")


def _injected(calls: str, what: str) -> Sequence[str]:
    strace = shutil.which("strace")
    assert strace is not None, "strace is missing; on Debian: apt install strace"
    traced = ("-e", f"trace={calls}", "-e", f"inject={calls}:{what}")
    return (strace, "-D", "-f", "-qq", "-o", "/dev/null", *traced)
