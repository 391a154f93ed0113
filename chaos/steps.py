"""The agent dies, or its system calls fail, at a step that is chosen: strace does it.

Everything that an agent does to the world is a system call, so killing it at the n-th of each kind
goes through every step there is, from the first connect to the acknowledgement of a backlog,
without a hook in the agent. strace runs as a grandchild (-D), so that the agent stays our child.
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
"""System call, and which of its calls on one thread since the start is the last; in turns."""


def killed_at(call: str, when: int) -> Sequence[str]:
    """What to start the agent under, so that it is killed as it enters that call."""
    return _injected(call, f"signal=SIGKILL:when={when}")


def failing(calls: Sequence[str], error: str, when: str = "1+") -> Sequence[str]:
    """What to start the agent under, so that these calls fail with `error`, such as ENOSPC.

    Args:
        calls: that are not made.
        error: what the agent is told instead.
        when: which of them on each thread: `3` the third, `3+` all from that on.
    """
    return _injected(",".join(calls), f"error={error}:when={when}")


def _injected(calls: str, what: str) -> Sequence[str]:
    strace = shutil.which("strace")
    assert strace is not None, "strace is missing; on Debian: apt install strace"
    traced = ("-e", f"trace={calls}", "-e", f"inject={calls}:{what}")
    return (strace, "-D", "-f", "-qq", "-o", "/dev/null", *traced)
