"""What `check` says of retained messages that no signal can use."""

from pathlib import Path

from agent.cli.check import find_unheld
from agent.config.settings import Settings
from models.bundle.manifest import Channel
from serving.store import Store
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.wording import names

CHANNELS = (Channel(name="flow"), Channel(name="set_point", max_age_ms=1000))


def settings(folder: Path) -> Settings:
    inputs = [
        {"topic": "a/{asset}", "signals": {"flow": "flow"}, "last_known": True},
        {"topic": "b/{asset}", "signals": {"set_point": "sp"}, "last_known": True},
    ]
    return Settings.model_validate(
        {
            "gateway": {"id": "gw1", "state_dir": folder},
            "broker": {"host": "localhost"},
            "registry": {"url": "file:///registry", "root": "root.json"},
            "pipelines": [{"stream": "mass", "inputs": inputs}],
        }
    )


def test_last_known_for_signals_without_an_age_is_warned_of_with_its_place(tmp_path: Path) -> None:
    assert find_unheld(settings(tmp_path)) == []
    bundle = linear_bundle("mass", 1, [1.0, 1.0], channels=CHANNELS)
    store = Store(tmp_path, keep=2)
    store.bundles_dir.mkdir(parents=True)
    store.path(bundle.ref).write_bytes(bundle.content)
    store.commit(bundle.ref, None)
    (answer,) = find_unheld(settings(tmp_path))
    assert answer.kind == "warn"
    assert names(answer.text, "pipelines[0].inputs[0].last_known", "max_age_s")
    store.path(bundle.ref).write_bytes(b"broken")
    assert find_unheld(settings(tmp_path)) == []
