"""What can go wrong, and how it is made to: each fault strikes a site under load, again and again.

A strike says when it happened (monotonic seconds) and what was newest at the plant by then; the
site has recovered once every stream answers something newer.
"""

import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NamedTuple

from chaos.rig import GATEWAY, LOGINS, RECOVER_S, Rig
from chaos.steps import STEPS, failing, killed_at
from chaos.traffic import OVERSIZED_ASSET, ROW_ASSETS, ROWS, SMALL_PACKET_BYTES, large_row, row
from tests.kit.broker.proxy import TO_BROKER, TO_CLIENT
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

EXIT_BUG = 70
KEPT_AGAIN = "windows are kept on disk again"


class Moment(NamedTuple):
    """When a fault struck: `at_s` monotonic, `mark_ms` the newest source time then."""

    at_s: float
    mark_ms: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to disturb a site.

    Attributes:
        name: for `--only`.
        says: for the table.
        trials: how often it strikes unless told otherwise.
        strike: does it once, the n-th time; None if there was nothing to strike this time.
        check: after the last, raises AssertionError if something else went wrong.
        options: of the broker, in place of the profile's.
        gives_up: the reason under which the agent may give predictions up, as long as it counts
            every one; empty: it may not.
    """

    name: str
    says: str
    trials: int
    strike: Callable[[Rig, Random, int], Moment | None]
    check: Callable[[Rig, int], None] = lambda _site, _strikes: None
    options: dict[str, Any] = field(default_factory=dict)
    gives_up: str = ""


def moment(site: Rig) -> Moment:
    """Now."""
    return Moment(time.monotonic(), site.plant.now_ms)


def kill_agent(site: Rig, dice: Random, _number: int) -> Moment:
    """Kill it while it serves; every other time once more while it starts."""
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
    """Start the agent so that it dies at a step, and then without that."""
    call, when = STEPS[number % len(STEPS)]
    site.gateway.stop()
    site.gateway.under = killed_at(call, when)
    code = _run_until_death(site)
    struck = moment(site)
    site.gateway.start()
    return struck if code == -signal.SIGKILL else None


def full_disk(site: Rig, dice: Random, _number: int) -> Moment:
    """Nothing can be made durable for a while; once it can, and windows are kept, a kill."""
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
    """Have the hot loop meet an error it does not know: the process must end, never half of it.

    Without memory a library of ours may end it by a signal before Python can say anything.
    """
    site.gateway.stop()
    if number % 2:
        site.gateway.under = failing(("epoll_wait",), "EIO", str(dice.randrange(20, 200)))
        code, allowed = _run_until_death(site), {EXIT_BUG}
    else:
        code, allowed = _run_out_of_memory(site), {EXIT_BUG, -signal.SIGSEGV, -signal.SIGABRT}
    struck = moment(site)
    site.gateway.start()
    assert code in allowed, f"the agent ended with {code}, allowed is one of {allowed}"
    return struck


def stop_broker(site: Rig, _dice: Random, _number: int) -> Moment:
    """SIGTERM, and start again."""
    struck = moment(site)
    site.broker.restart()
    return struck


def kill_broker(site: Rig, _dice: Random, _number: int) -> Moment:
    """Kill -9, and start again."""
    struck = moment(site)
    site.broker.kill()
    site.broker.start()
    return struck


def cut(site: Rig, dice: Random, number: int) -> Moment:
    """Close the connection within a packet, one way and the other."""
    cuts = site.proxy.cuts
    site.proxy.cut_after(dice.randrange(1, 2_000), (TO_BROKER, TO_CLIENT)[number % 2])
    eventually(lambda: site.proxy.cuts > cuts, message="the connection to be cut")
    return moment(site)


def half_open(site: Rig, _dice: Random, _number: int) -> Moment:
    """Nothing gets through any more, and nobody is told."""
    site.proxy.silence()
    return moment(site)


def throttle(site: Rig, dice: Random, _number: int) -> Moment:
    """Let through a fraction of what flows, for two seconds."""
    struck = moment(site)
    site.proxy.throttle(dice.randrange(2_000, 8_000))
    site.plant.pass_ticks(50)
    site.proxy.throttle(None)
    return struck


def lose_session(site: Rig, _dice: Random, _number: int) -> Moment:
    """Have the broker forget the agent's session, and all that it keeps for it."""
    # The broker takes the user's name as the client id, and a first CONNECT asks for a clean start.
    client = PlantClient(site.broker.port, login=(GATEWAY, LOGINS[GATEWAY]))
    struck = moment(site)
    with client:
        return struck


def lost_sessions_are_told(site: Rig, strikes: int) -> None:
    """Each is a gap, and counted as one."""
    eventually(
        lambda: site.scada.metrics.get("sessions_lost") == strikes,
        message=f"the agent to count {strikes} lost sessions",
    )


def refuse_output(site: Rig, _dice: Random, _number: int) -> Moment:
    """Permit the predictions of one asset no more, until many others have come.

    Those that ten readings wait behind are given up by then (`limits.max_refused`).
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
    """Ask for a prediction that is larger than the broker takes."""
    struck = moment(site)
    site.plant.add(row(ROWS, OVERSIZED_ASSET, number, "telemetry", (1.0, 2.0)))
    return struck


def oversized_are_counted(site: Rig, strikes: int) -> None:
    """As drops, one each."""
    eventually(
        lambda: site.scada.dropped("too_large") == strikes,
        message=f"the agent to count {strikes} predictions as too large",
    )


def _run_until_death(site: Rig) -> int | None:
    """Start the agent under what kills it; a step that it never comes to kills nobody."""
    site.gateway.start()
    site.gateway.under = ()
    process = site.gateway.process
    assert process is not None
    ticks = site.plant.ticks
    eventually(lambda: process.poll() is not None or site.plant.ticks > ticks + 100)
    if process.poll() is None:
        site.gateway.stop()
    return process.returncode


def _run_out_of_memory(site: Rig) -> int | None:
    """Give a serving agent no more memory, and something large to take in."""
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
    Fault("half-open", "half-open connection", 4, half_open),
    Fault("throttled", "connection throttled for 2 s", 6, throttle),
    Fault("session-lost", "session lost at the broker", 10, lose_session, lost_sessions_are_told),
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
