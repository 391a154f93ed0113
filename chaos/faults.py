"""The faults, each of which disturbs a site under load a number of times.

A strike returns when it happened, and the newest source time of the plant at that moment. The site
has recovered once every stream has answered a newer reading.
"""

import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NamedTuple

from chaos.rig import GATEWAY, LOGINS, RECOVER_S, STEADY, Rig, Setup
from chaos.steps import STEPS, failing, killed_at
from chaos.traffic import (
    OVERSIZED_ASSET,
    ROW_ASSETS,
    ROWS,
    SMALL_PACKET_BYTES,
    large_row,
    row,
)
from tests.kit.broker.proxy import TO_BROKER, TO_CLIENT
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

EXIT_BUG = 70
PATIENCE_TICKS = (100, 1_000)
"""Ticks of the plant after which a step that may never come is given up, and one that will come."""
DEATH_S = 120.0
SUBSCRIBED = "INFO subscribed"
KEPT_AGAIN = "windows are kept on disk again"


class Moment(NamedTuple):
    """When a fault struck: `at_s` on the monotonic clock, `mark_ms` the newest source time then."""

    at_s: float
    mark_ms: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to disturb a site.

    Attributes:
        name: name of the fault for `--only`.
        title: what the fault is, for the table.
        trials: default number of strikes.
        strike: function that strikes once, given the site, the dice and the number of the strike;
            it returns None where there was nothing to strike.
        check: function that is called after the last strike with the number of strikes; it raises
            AssertionError where something else went wrong.
        options: options of the broker, in place of those of the shipped profile.
        gives_up: reason for which the agent may give predictions up as long as it counts them;
            empty: it may not.
        setup: what is special about the site.
    """

    name: str
    title: str
    trials: int
    strike: Callable[[Rig, Random, int], Moment | None]
    check: Callable[[Rig, int], None] = lambda _site, _strikes: None
    options: dict[str, Any] = field(default_factory=dict)
    gives_up: str = ""
    setup: Setup = STEADY


def moment(site: Rig) -> Moment:
    """The present moment."""
    return Moment(time.monotonic(), site.plant.now_ms)


def kill_agent(site: Rig, dice: Random, _number: int) -> Moment:
    """Kill the agent while it serves, and every other time once more while it starts."""
    struck = moment(site)
    site.gateway.kill()
    if dice.random() < 0.5:  # noqa: PLR2004  even chances
        started = time.monotonic()
        until_s = dice.uniform(0.0, 0.5)
        site.gateway.start()
        eventually(lambda: time.monotonic() - started > until_s)
        site.gateway.kill()
    site.gateway.start()
    return struck


def kill_at_step(site: Rig, _dice: Random, number: int) -> Moment | None:
    """Start the agent so that it is killed at a step, and then start it undisturbed."""
    call, when = STEPS[number % len(STEPS)]
    site.gateway.stop()
    site.gateway.under = killed_at(call, when)
    code = _run_until_death(site, PATIENCE_TICKS[0])
    struck = moment(site)
    site.gateway.start()
    return struck if code == -signal.SIGKILL else None


def full_disk(site: Rig, dice: Random, _number: int) -> Moment:
    """Let writes to the disk fail for a while, and kill the agent once windows are kept again."""
    site.gateway.stop()
    before = site.gateway.log.count(KEPT_AGAIN)
    site.gateway.under = failing(("fsync", "fdatasync", "rename"), "ENOSPC", "1")
    site.gateway.start()
    site.gateway.under = ()
    site.plant.pass_ticks(dice.randrange(40, 80))
    eventually(
        lambda: site.gateway.log.count(KEPT_AGAIN) > before,
        RECOVER_S,
        "windows to be kept again",
    )
    struck = moment(site)
    site.gateway.kill()
    site.gateway.start()
    return struck


def raise_in_loop(site: Rig, dice: Random, number: int) -> Moment:
    """Let the hot loop meet an error that nobody handles: the whole process must end.

    Without memory a library may end the process by a signal before Python can log an error.
    """
    site.gateway.stop()
    if number % 2:
        site.gateway.under = failing(("epoll_wait",), "EIO", str(dice.randrange(20, 200)))
        code, allowed = _run_until_death(site, PATIENCE_TICKS[1]), {EXIT_BUG}
    else:
        code, allowed = _run_out_of_memory(site), {EXIT_BUG, -signal.SIGSEGV, -signal.SIGABRT}
    struck = moment(site)
    site.gateway.start()
    assert code in allowed, f"the agent ended with {code}, allowed is one of {allowed}"
    return struck


def stop_broker(site: Rig, _dice: Random, _number: int) -> Moment:
    """End the broker by SIGTERM, and start it again."""
    struck = moment(site)
    site.broker.restart()
    return struck


def kill_broker(site: Rig, _dice: Random, _number: int) -> Moment:
    """End the broker by SIGKILL, and start it again."""
    struck = moment(site)
    site.broker.kill()
    site.broker.start()
    return struck


def cut(site: Rig, dice: Random, number: int) -> Moment:
    """Close the connection within a packet, in the one and the other direction in turns."""
    cuts = site.proxy.cuts
    site.proxy.cut_after(dice.randrange(1, 2_000), (TO_BROKER, TO_CLIENT)[number % 2])
    eventually(lambda: site.proxy.cuts > cuts, message="the connection to be cut")
    return moment(site)


def half_open(site: Rig, _dice: Random, _number: int) -> Moment:
    """Let nothing pass on the connection any more, without closing it."""
    site.proxy.silence()
    return moment(site)


def throttle(site: Rig, dice: Random, _number: int) -> Moment:
    """Limit the connection for two seconds to a fraction of the usual traffic."""
    struck = moment(site)
    site.proxy.throttle(dice.randrange(2_000, 8_000))
    site.plant.pass_ticks(50)
    site.proxy.throttle(None)
    return struck


def lose_session(site: Rig, _dice: Random, _number: int) -> Moment:
    """Let the broker throw away the agent's session, with all messages that it keeps for it."""
    # The broker takes the user's name as the client id, and a first CONNECT asks for a clean start.
    client = PlantClient(site.broker.port, login=(GATEWAY, LOGINS[GATEWAY]))
    struck = moment(site)
    with client:
        return struck


def lost_sessions_are_counted(site: Rig, strikes: int) -> None:
    """Check that the agent has counted each lost session."""
    eventually(
        lambda: site.scada.metrics.get("sessions_lost") == strikes,
        message=f"the agent to count {strikes} lost sessions",
    )


def refuse_output(site: Rig, _dice: Random, _number: int) -> Moment:
    """Forbid the predictions of one asset until many others have been published.

    The agent gives up predictions behind which ten readings wait (`limits.max_refused`).
    """
    topic = f"plant/{ROW_ASSETS[0]}/_inference/#"
    permitted = site.broker.acl
    _permit(site, permitted.replace(f"user {GATEWAY}\n", f"user {GATEWAY}\ntopic deny {topic}\n"))
    struck = moment(site)
    try:
        site.recovered(*struck)
        site.plant.pass_ticks(50)  # twice as many readings as may be in flight
        site.recovered(*moment(site))
    finally:
        _permit(site, permitted)
    return struck


def oversize_output(site: Rig, _dice: Random, number: int) -> Moment:
    """Publish a reading whose prediction is larger than the broker accepts."""
    struck = moment(site)
    site.plant.add(row(ROWS, OVERSIZED_ASSET, number, "telemetry", (1.0, 2.0)))
    return struck


def oversized_are_counted(site: Rig, strikes: int) -> None:
    """Check that the agent has counted each of these predictions as dropped."""
    eventually(
        lambda: site.scada.dropped("too_large") == strikes,
        message=f"the agent to count {strikes} predictions as too large",
    )


def _run_until_death(site: Rig, patience_ticks: int) -> int | None:
    """Start the agent under strace until it dies; it goes on where it never comes to the step.

    Args:
        site: the site.
        patience_ticks: ticks of the plant that it serves before it is stopped. They are counted
            from its subscription on: beside other load its start takes long under strace.
    """
    before = site.gateway.log.count(SUBSCRIBED)
    site.gateway.start()
    site.gateway.under = ()
    process = site.gateway.process
    assert process is not None
    eventually(
        lambda: process.poll() is not None or site.gateway.log.count(SUBSCRIBED) > before,
        DEATH_S,
        "the agent to serve, or to die before",
    )
    ticks = site.plant.ticks
    eventually(
        lambda: process.poll() is not None or site.plant.ticks > ticks + patience_ticks, DEATH_S
    )
    if process.poll() is None:
        site.gateway.stop()
    return process.returncode


def _run_out_of_memory(site: Rig) -> int | None:
    """Give a serving agent no more memory, and publish a large reading."""
    site.gateway.start_serving()
    process = site.gateway.process
    assert process is not None
    site.plant.pass_ticks(1)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
    site.plant.add(large_row(site.plant.ticks))
    eventually(lambda: process.poll() is not None, RECOVER_S, "the agent to end without memory")
    return process.returncode


def _permit(site: Rig, acl: str) -> None:
    reloads = site.broker.log.count("Reloading config")
    site.broker.write_acl(acl)
    site.broker.reload()
    eventually(lambda: site.broker.log.count("Reloading config") > reloads)


FAULTS: Final = (
    Fault("agent-kill", "kill -9 of the agent, any time", 100, kill_agent),
    Fault("agent-steps", "kill -9 of the agent at each step", len(STEPS), kill_at_step),
    Fault("agent-bug", "an error nobody expects, in the loop", 10, raise_in_loop),
    Fault("full-disk", "full disk for a while, then kill -9 of the agent", 5, full_disk),
    Fault("broker-term", "SIGTERM of the broker", 10, stop_broker),
    Fault("broker-kill", "kill -9 of the broker", 20, kill_broker),
    Fault("cut", "connection cut within a packet", 30, cut),
    Fault(
        "half-open",
        "half-open connection",
        4,
        half_open,
        # Saving after every change, the broker needs longer for the readings that come until the
        # keep-alive is over than the agent does to notice it.
        options={"autosave_on_changes": False},
    ),
    Fault("throttled", "connection throttled for 2 s", 6, throttle),
    Fault(
        "session-lost", "session lost at the broker", 10, lose_session, lost_sessions_are_counted
    ),
    Fault(
        "refused",
        "output of one asset not permitted for 2 s",
        3,
        refuse_output,
        gives_up="refused",
    ),
    Fault(
        "oversized",
        "output larger than the broker takes",
        10,
        oversize_output,
        oversized_are_counted,
        {"max_packet_size": SMALL_PACKET_BYTES},
    ),
)
