"""A retraining in a browser: why it was proposed, and the decision of a person."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.broker.brokers import HOST, mosquitto
from tests.kit.browser import browser
from tests.kit.children import python, run
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.model_server import ModelServer
from tests.kit.plant_view import PlantView
from tests.kit.rollouts.retraining import STREAM, Plant
from tests.kit.waiting import eventually

NAME = f"{STREAM}-retrain-1"
WAIT_S = 60.0
FAILING = [sys.executable, "-c", "print('no space left'); raise SystemExit(4)"]


@pytest.fixture
def view(tmp_path: Path) -> Iterator[PlantView]:
    """The page of a server with a proposal."""
    plant = Plant(tmp_path / "plant")
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port) as client,
        browser(tmp_path / "profile") as chromium,
    ):
        address = {"host": HOST, "port": broker.port, "reconnect_max_s": 0.5}
        server = ModelServer(
            tmp_path / "home",
            plant.published,
            [{"stream": STREAM}],
            {
                "console": {"broker": address},
                "rollouts": {**plant.rollouts, "broker": address},
                "retraining": {
                    "streams": [{"stream": STREAM, "recipe": str(plant.recipe)}],
                    "command": FAILING,
                    "look_s": 0.1,
                },
                "access": {"open_scopes": ["infer", "read", "admin"]},
            },
        )
        said = ("--by", "Anna", "--reason", "new tools since Monday")
        run(
            python(
                "server", "retrain", "propose", STREAM, *said, "--config", server.write_config()
            ),
            WAIT_S,
        )
        with server:
            yield PlantView(chromium, server.start(), broker, client)


def standing(view: PlantView) -> str:
    """The state of the proposal."""
    return view.text(".rollout .standing")


@pytest.mark.parametrize("width", [400, 1400])
def test_proposal_is_shown_with_its_reason_and_decided_by_a_person(
    view: PlantView, width: int
) -> None:
    view.open("#/retraining", width)
    view.wait_for_text(".rollout h2", NAME)
    eventually(lambda: "Proposed" in standing(view), WAIT_S)
    assert "new tools since Monday" in view.text(".rollout")
    assert "1 file" in view.text(".rollout")
    assert view.chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert view.accessibility() == []
    for name, text in (("reason", "the season has changed"), ("by", "Bert")):
        view.chromium.evaluate(f"document.querySelector('.decide [name={name}]').select()")
        view.chromium.ask("Input.insertText", text=text)
    view.chromium.evaluate("document.querySelector('.decide button[value=accept]').click()")
    eventually(lambda: "Failed" in standing(view), WAIT_S)
    view.chromium.evaluate("document.querySelector('.ledger').open = true")
    ledger = view.texts(".ledger tbody tr")
    assert any("accepted" in one and "Bert the season has changed" in one for one in ledger)
    assert any("training_failed" in one and "no space left" in one for one in ledger)
    steps = view.texts(".ledger tbody [data-name=step]")
    assert steps == ["training", "training", "consent", "proposal"]
    assert "step: training" in standing(view)
    assert view.chromium.complaints == []
    view.broker.stop()
    view.wait_for_text(".problem", "no connection to the broker")
    gap = view.chromium.evaluate(
        "(card => card.getBoundingClientRect().top "
        "- card.previousElementSibling.getBoundingClientRect().bottom)"
        "(document.querySelector('.problem + .rollout'))"
    )
    assert gap >= 10
