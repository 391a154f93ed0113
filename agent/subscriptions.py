"""The topic filters of the agent: what it subscribes to, and what the broker said to that."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent.control import Control
from agent.mqtt.reconnect import Reconnector
from agent.mqtt.subscription import Subscription
from agent.streams.pipeline import Pipeline
from serving import log
from serving.store import Store
from serving.worker import Worker


class Subscriptions:
    """Keeps the broker's subscriptions at what the pipelines can answer.

    Inputs of a pipeline without a model are not subscribed to: what nobody can answer is better
    left at the broker than received and dropped.

    Args:
        reconnector: the connection to the broker.
        control: names the topic filter of what is desired.
        pipelines: name the topic filters of their inputs.
        store: remembers the filters, for the day on which the configuration drops one.
        worker: writes to the store.

    Attributes:
        is_awaiting: whether the broker has yet to answer a SUBSCRIBE.
    """

    def __init__(
        self,
        reconnector: Reconnector,
        control: Control,
        pipelines: Sequence[Pipeline],
        store: Store,
        worker: Worker,
    ) -> None:
        self._reconnector = reconnector
        self._control = control
        self._pipelines = pipelines
        self._store = store
        self._worker = worker
        self.is_awaiting = False
        self._filters: set[str] = set()

    @property
    def refused(self) -> Sequence[str]:
        """Topic filters that the broker does not permit, of those that the agent needs."""
        connection = self._reconnector.connection
        refused = connection.refused_filters if connection is not None else []
        return [name for name in refused if name != self._control.own_status.filter]

    @property
    def granted_less(self) -> Sequence[str]:
        """Topic filters on which the broker delivers at QoS 0, although QoS 1 was asked for."""
        connection = self._reconnector.connection
        return connection.granted_less if connection is not None else []

    def refresh(self, *, is_asked_again: bool = False) -> None:
        """Subscribe to the inputs of every pipeline that has a model, and to what is desired.

        Args:
            is_asked_again: whether only what the broker has refused is to be gained: retained
                messages of what it has granted are then not sent once more.
        """
        connection = self._reconnector.connection
        if not self._reconnector.is_up or connection is None:
            return
        own = (self._control.desired, self._control.own_status, *self._control.further)
        wanted = {one.filter: one for one in own}
        for one in self._inputs():
            if is_asked_again:
                one = replace(one, is_asked_again=True)  # noqa: PLW2901  the same subscription
            before = wanted.get(one.filter)
            wanted[one.filter] = replace(one, state=True) if before and before.state else one
        gone = [old for old in self._store.subscriptions() if old not in wanted]
        if gone:
            connection.unsubscribe(gone)
        connection.subscribe(list(wanted.values()))
        self.is_awaiting = True
        if self._filters != wanted.keys():
            self._filters = set(wanted)
            self._worker.submit(lambda: self._keep(sorted(wanted)))

    def follow(self) -> None:
        """Log the broker's answer once it has come: from then on no message is missed."""
        connection = self._reconnector.connection
        if self.is_awaiting and connection is not None and not connection.subscribing:
            self.is_awaiting = False
            refused = len(self.refused)
            log.info("subscribed", filters=len(self._filters) - refused, refused=refused)

    def retry(self) -> None:
        """Ask again for what the broker refused; permissions change."""
        if self.refused:
            self.refresh(is_asked_again=True)

    def _inputs(self) -> Iterator[Subscription]:
        """The inputs of every pipeline that has a model."""
        for pipeline in self._pipelines:
            for one in pipeline.settings.inputs if pipeline.model is not None else ():
                state = pipeline.holding.is_on and one.takes_retained
                yield Subscription(one.filter, one.qos, state)
                for name in one.filters[1:]:
                    yield Subscription(name, one.qos, state=True)

    def _keep(self, filters: list[str]) -> None:
        """On the worker. Without the record, a filter that is dropped later is not unsubscribed."""
        try:
            self._store.keep_subscriptions(filters)
        except OSError as exc:
            log.warning("subscriptions cannot be recorded", reason=exc.strerror)
