"""The rollouts of the demo, from an empty folder to the summary: a good model, then a bad one."""

from contextlib import ExitStack
from typing import Any, Final

from rich.console import Console

from demo.broker import running_broker
from demo.link import Link
from demo.release import run_steps
from demo.rollout.play import Play, Stage
from demo.rollout.publisher import Publisher
from demo.rollout.scenario import SITES
from demo.rollout.sites import PREDICTION_TOPIC, PREDICTIONS, Gateway
from demo.server import ModelServer
from demo.show import Options, work_folder
from demo.workshop import Workshop
from tests.kit.broker.brokers import HOST, Broker

_TOPICS: Final = [PREDICTIONS, "millhand/+/current/+"]


def run_rollouts(options: Options, console: Console) -> bool:
    """Run the demo of rollouts; return whether every promise was kept.

    Raises:
        KitError: a part did not start, ended before its time, or failed.
    """
    with ExitStack() as stack:
        work = stack.enter_context(work_folder(console, keep=options.keep))
        broker = stack.enter_context(running_broker(work, "mosquitto"))
        console.print(f"{broker.name} listens on {HOST}:{broker.port}", highlight=False)
        workshop = Workshop(work, broker.port, options.hours)
        publisher = Publisher(workshop)
        run_steps(publisher.make(), console)
        publisher.split_keys()
        places = (workshop.registry, workshop.trusted_root)
        agents = [Gateway(name, work, broker, *places).child for name in SITES]
        for agent in agents:
            stack.enter_context(agent)
        link = stack.enter_context(Link(broker.port, _TOPICS))
        sections = _sections(workshop, publisher, broker)
        server = stack.enter_context(ModelServer(work, broker, *places, sections))
        console.rule("[bold]three sites", align="left")
        console.print(f"the rollouts as a page: {server.address}#/rollouts", highlight=False)
        stage = Stage(console, link, publisher, server, [broker.child, *agents, server.child])
        return Play(stage).run(options.seconds)


def _sections(
    workshop: Workshop, publisher: Publisher, broker: Broker
) -> dict[str, dict[str, Any]]:
    """What the server is told besides its registry and the streams."""
    return {
        "rollouts": {
            "registry": str(workshop.registry),
            "keys": str(publisher.online_keys),
            "broker": {"host": HOST, "port": broker.port},
            "settle_s": 1.0,
        },
        "console": {"predictions": [PREDICTION_TOPIC]},
        # On this machine only: elsewhere hold, resume and revert need a token.
        "access": {"open_scopes": ["infer", "read", "admin"]},
    }
