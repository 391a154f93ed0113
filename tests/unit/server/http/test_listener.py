"""The socket that clients connect to, before anybody has."""

import asyncio

from server.http.application import Application
from server.http.listener import Listener
from server.http.routes import Routes
from server.http.tally import Tally
from server.settings import Limits, Server


def test_stop_before_it_listens_ends_it_as_well() -> None:
    """As when a service is stopped while it still loads its models."""
    begun: list[bool] = []
    application = Application(Routes(()), Tally(), lambda _: None, 60.0)
    listener = Listener(application, Server(port=0), Limits(), None, lambda: begun.append(True))
    listener.stop()
    asyncio.run(asyncio.wait_for(listener.serve(), 20.0))
    assert begun == [True]
