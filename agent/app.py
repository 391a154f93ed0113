"""The sole composition root: from settings to a reactor that can run."""

from time import monotonic

from agent import memory
from agent.clock import SteadyClock
from agent.control import Control
from agent.delivery import Delivery
from agent.link import Link
from agent.log import Limited
from agent.metrics import Metrics
from agent.notify import Notifier
from agent.pipeline import Pipeline
from agent.reactor import Parts, Reactor
from agent.router import Router
from agent.settings import Settings
from agent.store import Store
from agent.updater import Updater
from agent.worker import WakeUp, Worker


def build(settings: Settings) -> Reactor:
    """Put the agent together and serve what is kept on disk; nothing is connected yet."""
    memory.share_arenas()
    limits, time_of_day = settings.limits, SteadyClock()
    wake_up = WakeUp()
    updates, connects = Worker("updates", wake_up), Worker("connect", wake_up)
    delivery = Delivery(limits.max_in_flight, limits.max_outbox)
    control = Control(settings.gateway.id, delivery.post)
    pipelines = {one.stream: Pipeline(one, limits, time_of_day) for one in settings.pipelines}
    link = Link(
        settings.connection,
        client_id=settings.broker.client_id or f"millhand-{settings.gateway.id}",
        will=control.will,
        worker=connects,
        clock=monotonic,
    )
    store = Store(settings.gateway.state_dir, limits.keep_bundles)
    updater = Updater(settings.registry, store, worker=updates, control=control, clock=monotonic)

    def command(topic: str, payload: bytes) -> bool:
        stream = control.stream_desired_by(topic)
        if stream is None:
            return False
        updater.desire(stream, payload)
        return True

    router = Router(pipelines, command, delivery, limits, Limited(limits.log_interval_s, monotonic))
    reactor = Reactor(
        Parts(
            link=link,
            router=router,
            delivery=delivery,
            control=control,
            updater=updater,
            metrics=Metrics(router, delivery, link, tuple(pipelines.values())),
            store=store,
            notifier=Notifier(),
            wake_up=wake_up,
            workers=(updates, connects),
            pipelines=tuple(pipelines.values()),
            limits=limits,
            clock=monotonic,
            time_of_day=time_of_day,
        )
    )

    def activated() -> None:
        router.forget_routes()
        reactor.subscribe()

    updater.start(pipelines, activated)
    return reactor
