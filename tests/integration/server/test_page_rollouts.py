"""A rollout in a browser: how far it is and why, and the decisions of a person."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.control.documents import Status
from models.control.topics import ControlTopics
from models.rollout.plan import Plan
from serving.publishing.rollouts import publish_plan, read_rollouts
from tests.kit.broker.brokers import HOST, mosquitto
from tests.kit.browser import browser
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.bundles.published import Published
from tests.kit.bundles.publishing import split_keys
from tests.kit.children import python
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.http.access_tokens import make_tokens
from tests.kit.model_server import ModelServer, Reply
from tests.kit.plant_page import page_server
from tests.kit.plant_view import PlantView
from tests.kit.rollouts.world import Gateway
from tests.kit.waiting import eventually

STREAM = "press"
ROLLOUT = "press-2"
WAIT_S = 60.0
NAMES = ("gw1", "gw2", "gw3")
ANSWERS = (
    (1_772_000_000_000, 0.2, 0.25),
    (1_772_000_060_000, 0.3, 0.75),
    (1_772_000_120_000, 0.3, 0.3),
)


class Fleet:
    """Gateways that obey what is signed, and say so at the broker.

    Args:
        published: the registry.
        client: publishes what they say.
    """

    def __init__(self, published: Published, client: PlantClient) -> None:
        self._published, self._client = published, client
        self._now = datetime.now(UTC)
        self.gateways = [Gateway(name, 1) for name in NAMES]
        self._say()

    def obey(self, blocks: int = 0, hits: int = 0) -> bool:
        """Have all look into the registry once, and compare so many further blocks; always true."""
        (found,) = read_rollouts(self._published.folder, self._published.keys)
        self._now += timedelta(minutes=10)
        for gateway in self.gateways:
            gateway.act(found.plan, found.stage, self._now)
            if blocks:
                gateway.compare(blocks, hits, found.plan)
        self._say()
        return True

    def _say(self) -> None:
        for gateway in self.gateways:
            topics, said = ControlTopics(gateway.name), gateway.says
            online = Status.model_construct(state="online").to_json()
            self._client.publish(topics.status, online, retain=True)
            shown = said.evidence
            if shown is not None:
                shown = shown.model_copy(update={"answers": ANSWERS})
            for topic, document in (
                (topics.current(STREAM), said.current),
                (topics.evidence(STREAM), shown),
            ):
                if document is not None:
                    self._client.publish(topic, document.model_dump(), retain=True)


def planned(folder: Path) -> Published:
    """A registry with a plan: gw1 compares first, then all others serve."""
    published = Published.create(folder)
    published.publish(make_bundle(make_manifest(stream=STREAM, seq=1)))
    groups = [
        {"name": "first", "gateways": ["gw1"], "soak_s": 1.0},
        {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": 0.0},
    ]
    deadline = datetime.now(UTC) + timedelta(days=9)
    plan = Plan.model_validate(
        {"id": ROLLOUT, "stream": STREAM, "seq": 2, "deadline": deadline, "groups": groups}
    )
    bundle = make_bundle(make_manifest(stream=STREAM, seq=2))
    publish_plan(published.folder, plan, published.keys, bundle=bundle)
    return published


def served(folder: Path, port: int, **access: object) -> ModelServer:
    """A server with the plan, which is not started yet, and neither is its rollout."""
    published = planned(folder)
    broker = {"host": HOST, "port": port, "reconnect_max_s": 0.5}
    rollouts: dict[str, object] = {
        "registry": str(published.folder),
        "keys": str(split_keys(published.keys, folder / "online", "online").folder),
        "name": "c1",
        "turn_s": 0.1,
        "settle_s": 0.3,
        "broker": broker,
    }
    sections: dict[str, Mapping[str, object]] = {
        "console": {"broker": broker},
        "rollouts": rollouts,
        "access": access,
    }
    return ModelServer(folder / "home", published, [{"stream": STREAM}], sections)


def begin(server: ModelServer) -> None:
    """Start the rollout by the command."""
    arguments = ("rollout", "start", ROLLOUT, "--by", "Anna", "--reason", "the model of March")
    command = python("server", *arguments, "--config", server.write_config())
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PlantView, Fleet]]:
    folder = tmp_path_factory.mktemp("rollouts")
    with (
        mosquitto(folder / "broker") as broker,
        PlantClient(broker.port) as client,
        browser(folder / "profile") as chromium,
        served(folder / "site", broker.port, open_scopes=["infer", "read", "admin"]) as server,
    ):
        fleet = Fleet(server.published, client)
        begin(server)
        yield PlantView(chromium, server.start(), broker, client), fleet


@pytest.fixture
def view(rolled: tuple[PlantView, Fleet]) -> PlantView:
    """The page of a server whose rollout is under way."""
    return rolled[0]


@pytest.fixture
def fleet(rolled: tuple[PlantView, Fleet]) -> Fleet:
    """The gateways of that rollout."""
    return rolled[1]


def fill(view: PlantView, **fields: str) -> None:
    """Type into the fields of the form, in the place of what stands there."""
    for name, text in fields.items():
        view.chromium.evaluate(f"document.querySelector('.decide [name={name}]').select()")
        view.chromium.ask("Input.insertText", text=text)


def press(view: PlantView, wish: str) -> None:
    view.chromium.evaluate(f"document.querySelector('.decide button[value={wish}]').click()")


def decided(view: PlantView, wish: str, **said: str) -> Reply:
    return view.server.request("POST", f"/v1/rollouts/{ROLLOUT}/{wish}", json.dumps(said).encode())


def standing(view: PlantView) -> str:
    """The state of the rollout, and its step."""
    return view.text(".rollout .standing")


def test_rollout_says_how_far_it_is_on_which_evidence_and_who_has_decided(
    view: PlantView, fleet: Fleet
) -> None:
    view.open("#/rollouts")
    view.wait_for_text(".rollout h2", f"{STREAM} to #2, rollout {ROLLOUT}")
    eventually(lambda: "step 1 of 3" in standing(view), WAIT_S)
    eventually(lambda: fleet.obey() and "1 in shadow" in view.text(".progress p"), WAIT_S)
    fleet.obey(41, 2)
    said = "41 of 362 blocks, 2 disagree, limit 3 %, needs 321 more"
    eventually(lambda: said in view.text(".members"), WAIT_S)
    assert view.texts(".rollout .group h3") == [
        "Group first opened for the shadow",
        "Group rest not opened yet",
    ]
    eventually(lambda: "Waits: group first" in view.text(".rollout .next"), WAIT_S)
    view.chromium.evaluate("document.querySelector('.ledger').open = true")
    ledger = view.texts(".ledger tbody tr")
    assert any("starts" in one and "Anna the model of March" in one for one in ledger)


def test_answers_of_both_models_are_drawn_over_each_other(view: PlantView, fleet: Fleet) -> None:
    view.open("#/rollouts")
    eventually(lambda: fleet.obey(1) and view.text(".pair figcaption"), WAIT_S)
    caption = view.text(".pair figcaption")
    assert "gw1: #4 serves #2 in its shadow" in " ".join(caption.split())
    assert "0.300 and 0.750" in caption
    drawn = "[...document.querySelectorAll('.pair canvas')].map((one) => one.width > 200)"
    assert view.chromium.evaluate(drawn) == [True]
    assert view.chromium.complaints == []


def test_person_holds_and_resumes_with_a_reason_and_a_name(view: PlantView) -> None:
    view.open("#/rollouts")
    eventually(lambda: "Running" in standing(view), WAIT_S)
    fill(view, reason="the line stands still", by="Bert")
    press(view, "hold")
    eventually(lambda: "Held" in standing(view), WAIT_S)
    eventually(lambda: "by Bert: the line stands still" in view.text(".rollout"), WAIT_S)
    fill(view, reason="it runs again")
    press(view, "resume")
    eventually(lambda: "Running" in standing(view), WAIT_S)
    view.chromium.evaluate("document.querySelector('.ledger').open = true")
    lines = eventually(
        lambda: [one for one in view.texts(".ledger tbody tr") if "it runs again" in one]
    )
    assert all("Bert" in one for one in lines)


def test_decision_without_a_reason_is_not_sent(view: PlantView) -> None:
    view.open("#/rollouts")
    eventually(lambda: "Running" in standing(view), WAIT_S)
    view.chromium.requests.clear()
    fill(view, by="Bert")
    press(view, "hold")
    missing = "document.querySelector('.decide [name=reason]').validity.valueMissing"
    assert view.chromium.evaluate(missing) is True
    assert [one for one in view.chromium.requests if one.endswith("/hold")] == []


@pytest.mark.parametrize(
    ("wish", "said", "found"),
    [
        ("resume", {"reason": "because", "by": "Bert"}, "is running"),
        ("hold", {"reason": "because"}, "by has 0 characters"),
        ("hold", {"reason": " ", "by": "Bert"}, "reason has 0 characters"),
        ("hold", {"reason": "x" * 501, "by": "Bert"}, "501 characters"),
    ],
    ids=["state", "nobody", "no reason", "long reason"],
)
def test_decision_that_is_not_allowed_is_refused_with_the_reason(
    view: PlantView, wish: str, said: dict[str, str], found: str
) -> None:
    reply = decided(view, wish, **said)
    assert (reply.status, found in reply.error) == (400, True), reply.error


def test_rollout_that_there_is_not_is_refused_with_those_that_there_are(view: PlantView) -> None:
    said = json.dumps({"reason": "because", "by": "Bert"}).encode()
    reply = view.server.request("POST", "/v1/rollouts/nobody/hold", said)
    assert reply.status == 400
    assert ROLLOUT in reply.error


@pytest.mark.parametrize("width", [400, 1400])
def test_view_fits_complains_of_nothing_and_can_be_read_by_all(view: PlantView, width: int) -> None:
    view.open("#/rollouts", width)
    eventually(lambda: standing(view), WAIT_S)
    view.chromium.evaluate("document.querySelector('.ledger').open = true")
    assert view.chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert view.beside == []
    assert view.chromium.complaints == []
    assert view.accessibility() == []


def test_server_without_a_controller_says_so(view: PlantView) -> None:
    folder = view.server.folder.parent.parent / "without"
    with page_server(folder, view.broker.port) as server:
        PlantView(view.chromium, server.start(), view.broker, view.client).open("#/rollouts")
        view.wait_for_text(".empty", "No rollouts here")
        assert "[rollouts]" in view.text(".empty")
        assert view.chromium.complaints == []
        view.go("#/retraining")
        view.wait_for_text(".empty", "No retraining here")
        view.go("#/plant")
        eventually(lambda: not {"Rollouts", "Retraining"} & {*view.texts("nav a")})
        assert "Plant" in view.texts("nav a")


def test_page_asks_for_a_token_where_it_may_only_read(view: PlantView) -> None:
    folder = view.server.folder.parent.parent / "reading"
    with served(folder, view.broker.port) as server:
        begin(server)
        page = PlantView(view.chromium, server.start(), view.broker, view.client)
        page.open("#/rollouts")
        eventually(lambda: "Running" in standing(page), WAIT_S)
        assert page.texts(".decide [name=token]") == []
        fill(page, reason="because", by="Bert")
        press(page, "hold")
        page.wait_for_text(".decide .problem", "a token with the scope admin")
        assert len(page.texts(".decide [name=token]")) == 1
        assert "Running" in standing(page)


def test_decision_needs_a_token_with_the_scope_admin(view: PlantView) -> None:
    folder = view.server.folder.parent.parent / "closed"
    folder.mkdir()
    tokens = make_tokens(folder / "tokens", "read", "admin")
    with served(folder, view.broker.port, tokens_file=str(folder / "tokens")) as server:
        begin(server)
        server.start()
        path = f"/v1/rollouts/{ROLLOUT}/hold"
        said = json.dumps({"reason": "because", "by": "Bert"}).encode()

        def status(name: str) -> int:
            token = {"Authorization": f"Bearer {tokens[name]}"} if name else {}
            return server.request("POST", path, said, **token).status

        assert (status(""), status("read")) == (401, 403)
        # The controller may have decided at the same moment: then one is to try again (503).
        assert eventually(lambda: (found := status("admin")) != 503 and found, WAIT_S) == 200


def test_revert_is_for_good(view: PlantView, fleet: Fleet) -> None:
    view.open("#/rollouts")
    eventually(lambda: "Running" in standing(view), WAIT_S)
    fill(view, reason="worse on press 3", by="Anna")
    press(view, "revert")
    eventually(lambda: "Reverted" in standing(view), WAIT_S)
    eventually(
        lambda: fleet.obey() and "back on the former model" in view.text(".progress p"), WAIT_S
    )
    assert view.texts(".decide button") == []
    assert decided(view, "hold", reason="because", by="Bert").status == 400
