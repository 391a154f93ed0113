"""The page of a server that asks for a token: who brings one sees the plant, and asks its model."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.browser import browser
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.http.access_tokens import make_tokens
from tests.kit.plant_page import page_server
from tests.kit.plant_view import STREAM, PlantView
from tests.kit.waiting import eventually

ENTER = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
STORED = "JSON.stringify([location.href, document.cookie, {...localStorage}, {...sessionStorage}])"


class Closed(NamedTuple):
    """A page that only opens with a token."""

    view: PlantView
    tokens: dict[str, str]

    def come(self) -> None:
        """Open the page in a browser that knows no token, and wait for the form."""
        view = self.view
        view.chromium.open("about:blank", 1400)
        view.chromium.ask("Network.clearBrowserCookies")
        origin = {"origin": view.origin, "storageTypes": "local_storage"}
        view.chromium.ask("Storage.clearDataForOrigin", **origin)
        view.chromium.requests.clear()
        view.chromium.open(f"{view.origin}/", 1400)
        view.wait_for_text("main h1", "A token is needed")

    def enter(self, field: str, token: str) -> None:
        """Type a token into a field in the place of what stands there, and press Enter."""
        chromium = self.view.chromium
        chromium.evaluate(f"document.getElementById('{field}').select()")
        chromium.ask("Input.insertText", text=self.tokens.get(token, token))
        for kind in ("keyDown", "keyUp"):
            chromium.ask("Input.dispatchKeyEvent", type=kind, **ENTER)

    def sign_in(self) -> None:
        """Open the page with a token that may read."""
        self.come()
        self.enter("token", "read")
        self.view.wait_for_text(".connection", "live")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    folder = tmp_path_factory.mktemp("closed")
    tokens = make_tokens(folder / "tokens", "read", "infer")
    with (
        mosquitto(folder / "broker") as broker,
        PlantClient(broker.port) as client,
        page_server(folder, broker.port) as server,
        browser(folder / "profile") as chromium,
    ):
        access = {"tokens_file": str(folder / "tokens")}
        server.sections = {**server.sections, "access": access}
        server.start_serving()
        yield Closed(PlantView(chromium, server, broker, client), tokens)


def test_wrong_token_is_refused_in_words_and_the_right_one_opens_the_page(closed: Closed) -> None:
    view = closed.view
    view.predict("l1/closed", 10.0)
    closed.come()
    assert "scope read" in view.text(".token")
    assert view.text(".connection") == "no token"
    assert view.texts(".assets") == []
    closed.enter("token", "millhand_stranger")
    view.wait_for_text(".token .problem", "the token is not known")
    closed.enter("token", "infer")
    view.wait_for_text(".token .problem", "this needs read")
    closed.enter("token", "read")
    view.wait_for_row("l1/closed", "10 of 50")
    view.wait_for_text(".connection", "live")
    assert view.texts(".token") == []


def test_token_stays_out_of_the_address_the_browser_and_the_log(closed: Closed) -> None:
    view = closed.view
    closed.come()
    closed.enter("token", "infer")
    view.wait_for_text(".token .problem", "this needs read")
    closed.enter("token", "read")
    view.wait_for_text(".connection", "live")
    places = {
        "addresses": view.chromium.requests,
        "browser": view.chromium.evaluate(STORED),
        "log": view.server.log,
    }
    assert len(view.chromium.requests) > 5
    assert "access refused" in view.server.log
    for place, content in places.items():
        for token in closed.tokens.values():
            assert token not in str(content), place


def test_form_that_the_browser_itself_sends_puts_no_token_into_the_address(
    closed: Closed,
) -> None:
    chromium = closed.view.chromium
    closed.come()
    chromium.evaluate("document.getElementById('token').focus()")
    chromium.ask("Input.insertText", text=closed.tokens["read"])
    before = len(chromium.requests)
    # As an extension or a password manager does: no script of the page is asked.
    chromium.evaluate("document.querySelector('form.token').submit()")
    eventually(lambda: chromium.ask("Page.enable") == {} and len(chromium.requests) > before)
    assert closed.tokens["read"] not in str(chromium.requests)


def test_session_outlives_a_reload_and_ends_with_its_token(closed: Closed) -> None:
    closed.sign_in()
    closed.view.open("#/gateways")
    assert closed.view.texts(".token") == []
    path = closed.view.server.folder.parent / "tokens"
    lines = path.read_text()
    path.write_text(next(one for one in lines.splitlines() if one.startswith("infer ")))
    try:
        eventually(lambda: closed.view.server.log.count("were read again") == 1, 20.0)
        closed.view.chromium.open(f"{closed.view.origin}/", 1400)
        closed.view.wait_for_text("main h1", "A token is needed")
    finally:
        path.write_text(lines)
        eventually(lambda: closed.view.server.log.count("were read again") == 2, 20.0)


def test_form_says_that_asking_a_model_needs_another_token(closed: Closed) -> None:
    view = closed.view
    closed.sign_in()
    view.go(f"#/try/{STREAM}")
    eventually(lambda: len(view.texts(".fields .field")) == 2, 10.0)
    ask = "document.querySelector('main form').requestSubmit()"
    view.chromium.evaluate(ask)
    view.wait_for_text("[aria-live] .problem", "needs a token with the scope infer")
    assert "session of this page may only read" in view.text("[aria-live] .problem")
    assert "403" not in view.text("[aria-live]")
    eventually(lambda: view.chromium.evaluate("document.activeElement.id") == "asking")
    closed.enter("asking", "read")
    view.wait_for_text("[aria-live] .problem", "the token 'read' has the scopes read")
    closed.enter("asking", "infer")
    view.wait_for_text("[aria-live] .facts", "GOOD")
    assert not view.text("[aria-live] .problem")
    assert 'Authorization: Bearer $TOKEN"' in view.text(".copyable pre")
    assert closed.tokens["infer"] not in view.chromium.evaluate("document.body.innerText")
    assert closed.tokens["infer"] not in str(view.chromium.requests)


def test_form_asks_for_a_token_where_only_reading_is_open(closed: Closed) -> None:
    view = closed.view
    view.server.stop()
    access = view.server.sections["access"]
    view.server.sections = {
        **view.server.sections, "access": {**access, "open_scopes": ["read"]},
    }  # fmt: skip
    view.server.start_serving()
    view.chromium.ask("Network.clearBrowserCookies")
    view.open(f"#/try/{STREAM}")
    eventually(lambda: len(view.texts(".fields .field")) == 2, 10.0)
    view.chromium.evaluate("document.querySelector('main form').requestSubmit()")
    view.wait_for_text("[aria-live] .problem", "needs a token with the scope infer")
    closed.enter("asking", "infer")
    view.wait_for_text("[aria-live] .facts", "GOOD")
    assert not view.text("[aria-live] .problem")
