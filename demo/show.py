"""The whole demo, from an empty folder to the summary at the end."""

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from demo.broker import Choice, running_broker
from demo.console.board import Board
from demo.console.display import Display
from demo.gateway import CONTROL_TOPICS, GATEWAY, Gateway, configuration
from demo.link import Link
from demo.live import Performance, Stage
from demo.plant.scenario import WINDOW
from demo.promises.ledger import Ledger
from demo.promises.verdicts import agreed, latency_numbers, verdicts
from demo.release import BackgroundSteps, run_steps
from demo.server import ModelServer
from demo.telemetry import PREDICTIONS
from demo.workshop import Workshop
from tests.kit.broker.brokers import HOST, Broker
from tests.kit.children import Child, python

_SERVING_S = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to run the demo.

    Args:
        seconds: seconds to publish; None: until Ctrl-C.
        broker: the broker to use.
        keep: whether the work folder stays after the end.
        picture: file for the picture of the table that shows most; None: no picture.
        hours: hours in a day of the recorded history.
        rollout: whether rollouts over three gateways are shown instead.
    """

    seconds: float | None
    broker: Choice
    keep: bool
    picture: Path | None
    hours: int
    rollout: bool = False


def run_demo(options: Options, console: Console) -> bool:
    """Run the demo; return whether every promise was kept.

    Raises:
        KitError: a part did not start, ended before its time, or failed.
    """
    ledger = Ledger(warm_up=WINDOW - 1)
    with ExitStack() as stack:
        work = stack.enter_context(work_folder(console, keep=options.keep))
        broker = stack.enter_context(running_broker(work, options.broker))
        console.print(f"{broker.name} listens on {HOST}:{broker.port}", highlight=False)
        workshop = Workshop(work, broker.port, options.hours)
        run_steps([*workshop.record(), *workshop.make(1)], console)
        agent = stack.enter_context(_agent(workshop, broker))
        link = stack.enter_context(Link(broker.port, [PREDICTIONS, *CONTROL_TOPICS]))
        run_steps([workshop.push(1)], console)
        gateway = _serving(agent, link)
        server = stack.enter_context(
            ModelServer(work, broker, workshop.registry, workshop.trusted_root)
        )
        _show_addresses(console, server)
        board = Board(f"millhand demo: 4 pumps, {broker.name}, gateway {GATEWAY}", ledger)
        update = stack.enter_context(
            BackgroundSteps([*workshop.make(2), workshop.push(2)], work / "update.log")
        )
        display = stack.enter_context(Display(console, board, options.picture))
        stage = Stage(
            link, display, board, ledger, gateway, update, [broker.child, agent, server.child]
        )
        performance = Performance(stage, options.seconds)
        with ended_by_signals(performance.stop):
            performance.play()
        performance.agreement.compare(server.predict)
    return _sum_up(console, performance, ledger)


@contextmanager
def work_folder(console: Console, *, keep: bool) -> Iterator[Path]:
    """Make a folder for all files, which goes at the end unless it is to be kept."""
    work = Path(tempfile.mkdtemp(prefix="millhand-demo-"))
    try:
        yield work
    finally:
        if keep:
            console.print(f"kept: {work}", highlight=False)
        else:
            shutil.rmtree(work)


def _agent(workshop: Workshop, broker: Broker) -> Child:
    """Write the agent's configuration; return the agent as a process that is not started yet."""
    config = workshop.work / "agent.toml"
    text = configuration(
        broker,
        state=workshop.work / "state",
        registry=workshop.registry,
        root=workshop.trusted_root,
    )
    config.write_text(text, encoding="utf-8")
    command = python("agent", "run", "--config", config)
    return Child("agent", command, workshop.work / "agent.log")


def _serving(agent: Child, link: Link) -> Gateway:
    """Wait until the agent is online and serves the first version; return its state."""
    gateway = Gateway()

    def serves() -> bool:
        for arrival in link.arrivals(time.monotonic()):
            gateway.receive(arrival)
        return gateway.online and gateway.seq == 1

    agent.wait_until(serves, _SERVING_S)
    return gateway


def _show_addresses(console: Console, server: ModelServer) -> None:
    """Print where the page is, and requests to try."""
    for line in (f"the plant as a page: {server.address}", *server.curl_lines):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM end the run in order; a second one interrupts the demo."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    def restore() -> None:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        restore()

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        restore()


def _sum_up(console: Console, performance: Performance, ledger: Ledger) -> bool:
    """Print the verdicts; return whether every promise was kept."""
    # A run until Ctrl-C may be stopped before the second version was pushed.
    swap = performance.swap
    found = verdicts(ledger, performance.detection, swap if performance.must_swap else None)
    found.append(agreed(performance.agreement))
    table = Table(title="What was promised", title_justify="left", show_header=False)
    for verdict in found:
        kept = "[green]kept[/green]" if verdict.kept else "[bold red]BROKEN[/bold red]"
        table.add_row(verdict.promise, kept, verdict.numbers)
    console.print(table)
    for name, latencies_s in (
        ("from sending to receiving", ledger.latencies_s),
        ("of that within the agent", ledger.agent_latencies_s),
    ):
        console.print(f"{name}: {latency_numbers(latencies_s)}", highlight=False)
    return all(verdict.kept for verdict in found)
