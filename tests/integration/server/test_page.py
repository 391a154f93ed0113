"""The page in a browser: it shows what the plant says, and asks nobody but its server."""

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.browser import browser
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.plant_page import page_server
from tests.kit.plant_view import STREAM, VIEWS, PlantView
from tests.kit.waiting import eventually

GATEWAY = "millhand/gw1"
TIME = "2026-11-29T03:00:00.000Z"


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlantView]:
    folder = tmp_path_factory.mktemp("page")
    with (
        mosquitto(folder / "broker") as broker,
        PlantClient(broker.port) as client,
        page_server(folder, broker.port, points_per_minute=60) as server,
        browser(folder / "profile") as chromium,
    ):
        server.start_serving()
        yield PlantView(chromium, server, broker, client)


def test_values_change_without_a_reload(view: PlantView) -> None:
    view.open()
    view.chromium.evaluate("window.isTheSame = true")
    for score in (11.25, 12.5, 13.75):
        view.predict("l1/changing", score)
        view.wait_for_row("l1/changing", str(score))
    assert view.chromium.evaluate("window.isTheSame") is True


def test_abnormal_asset_comes_first_and_goes_back_once_it_is_normal(view: PlantView) -> None:
    view.open()
    for asset in ("l1/a1", "l1/a2", "l9/z9"):
        view.predict(asset, 10.0)
    view.wait_for_row("l9/z9")
    view.predict("l9/z9", 90.0)
    eventually(lambda: "l9/z9" in first(view), 10.0)
    assert "Abnormal" in first(view)
    assert "90 of 50" in first(view)
    assert view.texts(".count-abnormal") == ["1 abnormal"]
    view.predict("l9/z9", 10.0)
    eventually(lambda: "l9/z9" not in first(view), 10.0)
    assert view.texts(".count-abnormal") == []


def first(view: PlantView) -> str:
    return view.text(".assets tbody tr")


def test_signals_behind_an_alarm_are_shown_for_as_long_as_it_lasts(view: PlantView) -> None:
    reasons = [
        {"signal": "c1", "value": 7.25, "share": 0.61},
        {"signal": "c0", "value": None, "share": -0.2},
    ]
    view.predict("l1/hot", 90.0, why=reasons)
    view.open()
    view.wait_for_row("l1/hot", "first by c1")
    view.open(f"#/stream/{STREAM}/l1%2Fhot")
    view.wait_for_text(".reasons", "c1 7.25")
    assert "61 %" in view.text(".reasons")
    assert "c0 missing 20 % against it" in view.text(".reasons")
    view.predict("l1/hot", 91.0)
    view.wait_for_text(".newest", "91 of 50")
    assert "c1" in view.text(".reasons")
    view.predict("l1/hot", 10.0)
    view.wait_for_text(".newest", "Normal")
    assert view.text(".reasons") == ""
    view.predict("l1/hot", 90.0)
    view.wait_for_text(".newest", "Abnormal")
    assert view.text(".reasons") == ""


@pytest.mark.parametrize(("quality", "kind"), [("BAD", "Bad"), ("UNCERTAIN", "Uncertain")])
def test_answer_that_is_not_good_says_so_in_words_with_its_reason(
    view: PlantView, quality: str, kind: str
) -> None:
    view.open()
    view.predict("l1/doubtful", 10.0, quality=quality, reason="input_missing")
    view.wait_for_row("l1/doubtful", quality)
    assert kind in view.row("l1/doubtful")
    assert "input missing" in view.row("l1/doubtful")
    view.predict("l1/doubtful", 10.0)


def test_trend_of_a_detector_is_its_score_below_the_threshold(view: PlantView) -> None:
    view.open()
    first, last = trend(view, "l1/rising", 10.0, 40.0)
    (limit,) = re.findall(r"M0 ([\d.]+)H", drawn(view, "l1/rising", "limit"))
    # The scale is from the least score to the threshold, which is 50; y points down.
    assert (first, last, float(limit)) == (21.0, 7.5, 3.0)


def test_trend_of_a_classifier_is_the_probability_of_its_label(view: PlantView) -> None:
    view.open()
    fields = {"stream": "valves", "label": "worn", "value": 2}
    first, last = trend(view, "l1/worn", 0.9, 0.5, **fields)
    # The scale is from 0 to 1, so that a small change looks small.
    assert (first, last) == (4.8, 12.0)


def trend(view: PlantView, asset: str, before: float, now: float, **fields: object) -> list[float]:
    """Heights of the first and the last point of the line, after two scores, in pixels."""

    def heights(score: float) -> list[float]:
        view.predict(asset, score, **fields)
        return [float(one) for one in re.findall(r"[ML]\S+ ([\d.]+)", drawn(view, asset, "course"))]

    eventually(lambda: len(heights(before)) > 1, 20.0)
    eventually(lambda: heights(now)[-1] != heights(now)[0], 20.0)
    found = heights(now)
    return [found[0], found[-1]]


def drawn(view: PlantView, asset: str, name: str) -> str:
    """The path of a part of an asset's sparkline; empty without one."""
    found: str = view.chromium.evaluate(
        "[...document.querySelectorAll('.assets tbody tr')]"
        f".find(one => one.innerText.includes('{asset}'))"
        f"?.querySelector('.spark .{name}')?.getAttribute('d') ?? ''"
    )
    return found


def test_age_grows_by_itself_and_a_silent_asset_becomes_stale(view: PlantView) -> None:
    view.open()
    for score in (10.0, 11.0, 12.0):
        view.predict("l1/silent", score)
        view.wait_for_row("l1/silent", f"{score:g} of 50")
    assert "Normal" in view.row("l1/silent")
    view.wait_for_row("l1/silent", "Stale")
    assert "stale" in view.row("l1/silent")


def test_text_filters_the_assets(view: PlantView) -> None:
    for asset in ("l1/here", "l1/there7"):
        view.predict(asset, 10.0)
    view.open()
    view.wait_for_row("l1/there7")
    view.chromium.evaluate("document.querySelector('.filter').focus()")
    view.chromium.ask("Input.insertText", text="there7")
    eventually(lambda: len(view.texts(".assets tbody tr")) == 1)
    view.chromium.ask("Input.insertText", text=" nothing")
    view.wait_for_text(".empty", "No asset matches")
    assert "there7" not in view.text(".assets")


def test_exchange_of_the_model_is_marked_while_one_watches(view: PlantView) -> None:
    view.predict("l1/swapped", 10.0)
    view.run(1)
    view.open(f"#/stream/{STREAM}/l1%2Fswapped")
    view.wait_for_text("h1", "l1/swapped")
    eventually(lambda: "0 exchanges of the model" in view.label, 20.0)
    view.run(2)
    eventually(lambda: "1 exchange of the model" in view.label, 20.0)
    view.chromium.evaluate("document.querySelector('.swaps').closest('details').open = true")
    view.wait_for_text(".swaps tbody", "#2")
    assert "gw1" in view.text(".swaps tbody")


def test_refused_update_is_shown_with_what_goes_on_and_what_to_do(view: PlantView) -> None:
    view.run(1)
    status = {"state": "online", "version": "1.0", "since": TIME}
    view.client.publish(f"{GATEWAY}/status", status, retain=True)
    refused = {"stream": STREAM, "seq": 7, "state": "refused", "error": "proof_latency"}
    said = {"message": "a batch takes 412 ms", "activity": "", "time": TIME}
    view.client.publish(f"{GATEWAY}/feedback", refused | said)
    view.open("#/gateways")
    view.wait_for_text(".refusal", "a batch takes 412 ms")
    told = view.text(".refusal")
    assert f"{STREAM} #7 was refused" in told
    assert "What to do: Train a faster model" in told
    assert "1.0.1 #1 goes on serving" in told
    assert "online" in view.text(".presence")


def test_form_is_shown_once_its_values_are_known_and_they_stay(view: PlantView) -> None:
    slow = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    view.chromium.ask("Network.emulateNetworkConditions", latency=700, **slow)
    try:
        view.open(f"#/try/{STREAM}")
        eventually(lambda: view.texts(".field"), 20.0)
        shown = view.chromium.evaluate("document.getElementById('signal-c0').value")
    finally:
        view.chromium.ask("Network.emulateNetworkConditions", latency=0, **slow)
    asked = f"fetch('/v1/streams/{STREAM}').then((one) => one.json())"
    readings = view.chromium.evaluate(asked)["example"]["request"]["readings"]
    newest = readings[-1] if isinstance(readings, list) else readings
    assert float(shown) == newest["c0"]


def test_form_asks_the_model_and_its_curl_line_gets_the_same_answer(view: PlantView) -> None:
    view.open(f"#/try/{STREAM}")
    eventually(lambda: len(view.texts(".field")) == 2, 10.0)
    for name, text in (("c0", "7.25"), ("c1", "6")):
        view.chromium.evaluate(f"document.getElementById('signal-{name}').select()")
        view.chromium.ask("Input.insertText", text=text)
    view.chromium.evaluate("document.querySelector('main form').requestSubmit()")
    view.wait_for_text("[aria-live] .facts", "67.25")
    assert "abnormal" in view.text("[aria-live] .facts")
    line = view.text(".copyable pre")
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, timeout=20, check=True)
    (answer,) = json.loads(done.stdout)["predictions"]
    assert (answer["score"], answer["label"]) == (67.25, "abnormal")


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("address", VIEWS)
def test_view_fits_complains_of_nothing_and_asks_nobody_else(
    view: PlantView, address: str, width: int
) -> None:
    view.predict("l1/fitting", 10.0)
    view.open(address, width)
    eventually(lambda: view.text("main h1"))
    assert view.chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert view.chromium.complaints == []
    asked = [one for one in view.chromium.requests if one != "about:blank"]
    assert len(asked) > 5
    assert [one for one in asked if not one.startswith(f"{view.origin}/")] == []


def test_policy_of_the_page_stops_what_was_put_in(view: PlantView) -> None:
    view.open()
    put = "document.body.append(Object.assign(document.createElement('script'), {text: '%s'}))"
    view.chromium.evaluate(put % "window.wasRun = true")
    view.chromium.evaluate(
        "document.body.append(Object.assign(new Image(), {src: 'http://192.0.2.1/x.png'}))"
    )
    said = eventually(lambda: "".join(view.chromium.complaints))
    assert view.chromium.evaluate("window.wasRun") is None
    assert "Content Security Policy" in said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", VIEWS)
def test_view_has_no_serious_fault_for_those_who_see_little(
    view: PlantView, address: str, scheme: str
) -> None:
    view.predict("l1/fair", 90.0)
    view.predict("l1/doubtful", 10.0, quality="UNCERTAIN", reason="input_imputed")
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    view.chromium.ask("Emulation.setEmulatedMedia", features=media)
    view.open(address)
    eventually(lambda: view.text("main h1"))
    assert view.accessibility() == []


def test_keyboard_reaches_the_views_the_filter_and_an_asset(view: PlantView) -> None:
    view.predict("l1/reached", 10.0)
    view.open()
    view.wait_for_row("l1/reached")
    reached = []
    for _ in range(20):
        for kind in ("keyDown", "keyUp"):
            view.chromium.ask("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", **TAB)
        reached.append(view.chromium.evaluate(FOCUSED))
    assert reached[0] == "Skip to content"
    assert {"Plant", "Streams", "Gateways", "Try it", "Filter by text"} <= set(reached)
    assert any(one.startswith("l1/") for one in reached)
    assert view.chromium.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


TAB = {"windowsVirtualKeyCode": 9}
FOCUSED = "document.activeElement.ariaLabel ?? document.activeElement.innerText"
