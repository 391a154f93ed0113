"""Rollouts by a real server, with a real broker, a signed registry and the command line."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from models.control.documents import Status
from models.control.topics import ControlTopics
from serving.publishing import repository
from serving.publishing.rollouts import read_rollouts
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.broker.proxy import TO_BROKER, Proxy
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.bundles.published import Published
from tests.kit.bundles.publishing import split_keys
from tests.kit.children import python
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.http.access_tokens import make_tokens
from tests.kit.model_server import ModelServer, Reply
from tests.kit.rollouts.world import Gateway
from tests.kit.waiting import eventually

STREAM = "press"
WAIT_S = 60.0
LONG = [
    {"name": "first", "gateways": ["gw1"], "soak_s": 86_400.0},
    {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": 0.0},
]
"""Groups of a rollout that is not over before a person has decided."""


class Site:
    """Three gateways, which obey what is signed and say so at the broker, and a server."""

    def __init__(self, folder: Path, broker: Mosquitto, client: PlantClient) -> None:
        self.folder, self.broker, self._client = folder, broker, client
        self.published = Published.create(folder)
        self.published.publish(make_bundle(make_manifest(stream=STREAM, seq=1)))
        self._tokens = make_tokens(folder / "tokens", "admin")
        online = split_keys(self.published.keys, folder / "online", "online")
        self.server = ModelServer(
            folder / "server",
            self.published,
            [{"stream": STREAM}],
            {
                "rollouts": {
                    "registry": str(self.published.folder),
                    "keys": str(online.folder),
                    "name": "c1",
                    "turn_s": 0.1,
                    "settle_s": 0.3,
                    "broker": {"host": "127.0.0.1", "port": broker.port},
                },
                "access": {
                    "tokens_file": str(folder / "tokens"),
                    "open_scopes": ["infer", "read"],
                },
            },
        )
        self.server.write_config()
        self.gateways = {name: Gateway(name, 1) for name in ("gw1", "gw2", "gw3")}
        self._now = datetime.now(UTC)
        for gateway in self.gateways.values():
            self.say(gateway)

    def rollout(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `millhand-server rollout`."""
        command = python("server", "rollout", *arguments, "--config", self.config)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)

    def reach(self, port: int) -> None:
        """Have the commands reach the broker at another port."""
        rollouts = dict(self.server.sections["rollouts"])
        rollouts |= {"broker": {"host": "127.0.0.1", "port": port, "reconnect_max_s": 0.5}}
        self.server.sections = {**self.server.sections, "rollouts": rollouts}
        self.server.write_config()

    @property
    def config(self) -> str:
        """Path of server.toml."""
        return str(self.server.folder / "server.toml")

    def plan(self, **fields: object) -> str:
        """Path of a plan: gw1 compares first, then all others serve."""
        path = self.folder / "plan.toml"
        document = {
            "id": "press-2",
            "stream": STREAM,
            "seq": 2,
            "deadline": datetime.now(UTC) + timedelta(days=9),
            "groups": [
                {"name": "first", "gateways": ["gw1"], "soak_s": 1.0},
                {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": 0.0},
            ],
            **fields,
        }
        path.write_bytes(tomli_w.dumps(document).encode())
        return str(path)

    def planned(self, **fields: object) -> subprocess.CompletedProcess[str]:
        """Sign a plan, along with the bundle that it is about."""
        bundle = self.folder / "new.zip"
        bundle.write_bytes(make_bundle(make_manifest(stream=STREAM, seq=2)).content)
        keys = str(self.published.keys.folder)
        plan = self.plan(**fields)
        return self.rollout("plan", plan, "--keys", keys, "--bundle", str(bundle))

    def say(self, gateway: Gateway) -> None:
        """Publish what a gateway says."""
        topics, said = ControlTopics(gateway.name), gateway.says
        status = Status.model_construct(state="online" if gateway.is_online else "offline")
        self._client.publish(topics.status, json.loads(status.to_json()), retain=True)
        for topic, document in (
            (topics.current(STREAM), said.current),
            (topics.evidence(STREAM), said.evidence),
        ):
            if document is not None:
                self._client.publish(topic, document.model_dump(), retain=True)

    def obey(self) -> str:
        """Have the gateways look into the registry and say what they do; the rollout's state."""
        found = read_rollouts(self.published.folder, self.published.keys)
        self._now += timedelta(minutes=10)
        for one in found:
            for gateway in self.gateways.values():
                gateway.act(one.plan, one.stage, self._now)
                gateway.compare(100, 0, one.plan)
                self.say(gateway)
        return found[0].stage.state if found and found[0].stage else ""

    def decide(self, wish: str, **said: str) -> Reply:
        """Decide over HTTP, with a token that may."""
        path = f"/v1/rollouts/press-2/{wish}"
        authorization = f"Bearer {self._tokens['admin']}"
        return self.server.request("POST", path, said, Authorization=authorization)

    def told(self) -> Any:  # noqa: ANN401  any JSON value
        """The rollout as HTTP tells it."""
        return self.server.request("GET", "/v1/rollouts/press-2").document


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with mosquitto(tmp_path / "broker") as broker, PlantClient(broker.port, []) as client:
        made = Site(tmp_path, broker, client)
        with made.server:
            yield made


def test_a_rollout_goes_to_all_gateways_is_reverted_and_survives_a_kill(site: Site) -> None:
    planned = site.planned()
    started = site.rollout("start", "press-2", "--by", "Eva")
    site.server.start()
    eventually(
        lambda: site.obey() == "running" and site.gateways["gw1"].seq == 2, WAIT_S, "gw1 to serve"
    )
    site.server.kill()
    site.server.start()
    eventually(lambda: site.obey() == "done", WAIT_S, "the rollout to be done")
    eventually(
        lambda: site.obey() and {one.seq for one in site.gateways.values()} == {2},
        WAIT_S,
        "all gateways to serve",
    )
    status = site.rollout("status", "press-2")
    decided = site.decide("revert", reason="noise", by="Tom")
    assert decided.status == 200, decided.error
    eventually(
        lambda: site.obey() and {one.seq for one in site.gateways.values()} == {1},
        WAIT_S,
        "all gateways to go back",
    )
    eventually(lambda: site.told().get("state") == "reverted", WAIT_S, "the report to follow")
    lines = site.told()["ledger"]
    assert planned.returncode == 0, planned.stderr
    assert "compares for 30.5 hours at least" in planned.stdout
    assert started.returncode == 0, started.stderr
    assert "press-2: press to seq 2, done, step 3 of 3" in status.stdout
    assert "shown to be no worse" in status.stdout
    assert next(one["by"] for one in lines if one["what"] == "decides") == "Tom (token admin)"
    assert [one["stage"] for one in lines if one["what"] == "decides"][::-1] == [1, 2, 3, 3, 3]
    assert sum(one["what"] == "takes over" for one in lines) == 2


def test_a_hold_reaches_every_gateway_while_no_controller_runs(site: Site) -> None:
    site.planned(groups=LONG)
    site.rollout("start", "press-2", "--by", "Eva")
    site.server.start()
    eventually(lambda: site.obey() and site.told().get("stage"), WAIT_S, "the first step")
    site.server.kill()
    held = site.rollout("hold", "press-2", "--by", "Eva", "--reason", "press 3 is serviced")
    assert held.returncode == 0, held.stderr
    assert "3 gateways were told" in held.stdout
    with PlantClient(site.broker.port, ["millhand/+/desired/press"]) as reader:

        def states() -> set[str]:
            documents = (reader.latest(f"millhand/{one}/desired/press") for one in site.gateways)
            return {one["rollout"]["state"] if one else "" for one in documents}

        eventually(lambda: states() == {"held"}, WAIT_S, "every gateway to be told")
    site.server.start()
    eventually(lambda: site.told().get("state") == "held", WAIT_S, "the report to follow")
    assert site.told()["reason"] == "press 3 is serviced"


def test_gateways_that_the_broker_lets_nobody_tell_do_not_count_as_told(tmp_path: Path) -> None:
    rights = "topic read millhand/#\n" + "".join(
        f"topic write millhand/{one}\n"
        for one in ("+/status", "+/current/#", "+/evidence/#", "gw1/desired/#")
    )
    with (
        mosquitto(tmp_path / "broker", acl=rights) as broker,
        PlantClient(broker.port, []) as client,
    ):
        site = Site(tmp_path, broker, client)
        planned = site.planned(groups=LONG)
        site.rollout("start", "press-2", "--by", "Eva")
        said = ("--by", "Eva", "--reason", "press 3 is serviced", "--wait", "3")
        held = site.rollout("hold", "press-2", *said)
    assert planned.returncode == 0, planned.stderr
    assert "1 gateway was told. 2 gateways were not" in held.stdout, held.stdout
    assert "the right to write millhand/+/desired/#" in held.stdout


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        pytest.param(1, ["3 gateways were told."], id="and made again"),
        pytest.param(
            1_000_000,
            [
                "connection to the broker was lost before all were told: ",
                "0 of 3 gateways are known to be told",
                "Rollout press-2 is held all the same: that is signed",
                "millhand-server rollout status press-2",
            ],
            id="for good",
        ),
    ],
)
def test_connection_that_is_lost_while_gateways_are_told(
    site: Site, losses: int, words: list[str]
) -> None:
    lost = 0

    def lose(_number: int, direction: str, passed: bytes) -> None:
        nonlocal lost
        if direction == TO_BROKER and b"/desired/press" in passed and lost < losses:
            lost += 1
            raise ConnectionResetError  # which the proxy takes for the end of the connection

    site.planned(groups=LONG)
    site.rollout("start", "press-2", "--by", "Eva")
    with Proxy(site.broker.port, lose) as proxy:
        site.reach(proxy.port)
        said = ("--by", "Eva", "--reason", "press 3 is serviced", "--wait", "5")
        held = site.rollout("hold", "press-2", *said)
    assert held.returncode == 0, held.stderr
    assert lost >= 1
    assert [one for one in words if one not in held.stdout] == [], held.stdout


def test_a_damaged_ledger_stops_the_controller_until_it_is_rebuilt(site: Site) -> None:
    site.planned()
    site.rollout("start", "press-2", "--by", "Eva")
    ledger = site.server.state_dir / "rollouts" / "ledger.sqlite3"
    ledger.write_bytes(b"no ledger" * 1000)
    site.server.start()

    def trouble() -> str:
        found: str = site.server.request("GET", "/v1/rollouts").document["trouble"]
        return found if "damaged" in found else ""

    said = eventually(trouble, WAIT_S, "the trouble to be told")
    refused = site.rollout("hold", "press-2", "--by", "Eva", "--reason", "noise")
    states = {site.obey() for _ in range(5)}
    rebuilt = site.rollout("rebuild", "--by", "Eva")
    eventually(lambda: site.obey() and site.told().get("stage"), WAIT_S, "the first step")
    assert "millhand-server rollout rebuild --by NAME" in said
    assert "no rollout is followed" in site.server.log
    assert (refused.returncode, refused.stderr[:23]) == (1, "rollout_ledger_damaged:")
    assert states == {"running"}
    assert "is kept as" in rebuilt.stdout
    assert (ledger.parent / "ledger.sqlite3.damaged").exists()


def test_the_ledger_of_another_registry_is_refused(site: Site, tmp_path: Path) -> None:
    site.planned()
    site.rollout("start", "press-2", "--by", "Eva")
    other = Published.create(tmp_path / "other")
    rollouts = dict(site.server.sections["rollouts"])
    rollouts |= {"registry": str(other.folder), "keys": str(other.keys.folder)}
    site.server.sections = {**site.server.sections, "rollouts": rollouts}
    site.server.write_config()
    refused = site.rollout("status", "press-2", "--wait", "1")
    foreign = site.rollout("hold", "press-2", "--by", "Eva", "--reason", "noise")
    assert refused.returncode == 1
    assert "there is no rollout 'press-2'" in refused.stderr
    assert foreign.stderr.startswith("rollout_ledger_other: ")
    assert "belongs to another registry" in foreign.stderr


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param(
            {"groups": [{"name": "first", "gateways": ["gw9"]}]},
            "group_of_nobody",
            id="group of nobody",
        ),
        pytest.param({"from_seqs": [7]}, "from_nobody", id="from what nobody runs"),
        pytest.param(
            {"deadline": datetime.now(UTC) + timedelta(hours=9)},
            "never_shown",
            id="never shown in time",
        ),
        pytest.param({"colour": "red"}, "plan_unreadable", id="unknown key"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_with_a_code_and_nothing_is_signed(
    site: Site, fields: dict[str, object], code: str
) -> None:
    refused = site.planned(**fields)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{code}: ")
    assert read_rollouts(site.published.folder, site.published.keys) == ()


def test_plan_beside_which_something_is_missing_says_what_to_give(site: Site) -> None:
    keys, plan = str(site.published.keys.folder), site.plan()
    unpublished = site.rollout("plan", plan, "--keys", keys, "--unchecked")
    mistaken = site.rollout("plan", plan, "--keys", keys, "--bundle", plan)
    keyless = site.rollout("plan", plan, "--keys", f"{keys}-of-nobody")
    other = site.folder / "other.zip"
    other.write_bytes(make_bundle(make_manifest(stream="fans", seq=2)).content)
    foreign = site.rollout("plan", plan, "--keys", keys, "--bundle", str(other))
    assert "has no bundle press#2: give it along with the plan" in unpublished.stderr
    assert mistaken.stderr.startswith(f"wrong_bundle: {plan}: ")
    assert "--bundle takes what millhand-trainer train has written" in mistaken.stderr
    assert "keys-of-nobody is no folder: give that of the targets key" in keyless.stderr
    assert foreign.stderr.startswith("wrong_bundle: the bundle is fans#2")
    assert {one.returncode for one in (unpublished, mistaken, keyless, foreign)} == {1}
    assert [one.stream for one in repository.listing(site.published.folder)] == [STREAM]
