"""How the trainer lets answers be explained: a reference that is normal, and a method."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.golden import Golden, read_golden
from models.bundle.manifest import Channel
from models.bundle.package import Bundle
from serving.model import explainer_of
from serving.session import Session
from tests.kit.recordings import pump_folder, pump_rows
from trainer.bundle.explained import Answering, Explained, Head, explanation
from trainer.commands.train import train
from trainer.console import Console
from trainer.estimators.fitting import Answers
from trainer.recipe.document import read_recipe

pytestmark = pytest.mark.usefixtures("without_pictures")

WIDTH, LENGTH = 4, 6
CHANNELS = tuple(Channel(name=f"c{place}") for place in range(WIDTH))


def moving(count: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(1).standard_normal((count, LENGTH, WIDTH))
    return np.asarray(10.0 + drawn).astype(np.float32)


def distance_of(feature: Callable[[NDArray[np.float32]], NDArray[Any]]) -> Answering:
    """A detector by the squared distance of a feature from that of normal windows."""
    usual = feature(moving(500)).mean(axis=0)

    def answer(windows: NDArray[np.float32]) -> Answers:
        score = ((feature(windows) - usual) ** 2).sum(axis=1).astype(np.float32)
        return {"value": (score > 1).astype(np.int64), "score": score}

    return Answering(answer, lambda answers: np.abs(answers["score"] - 1) > 1e-3)


def found(model: Answering, channels: tuple[Channel, ...] = CHANNELS) -> Explained | None:
    windows = moving(200)
    golden = Golden(windows[:40], model.answer(windows[:40]))
    return explanation("alarm", Head("score", (1,)), windows, channels, (golden, model))


def test_the_reference_moves_where_a_window_that_stands_still_is_abnormal() -> None:
    model = distance_of(lambda windows: 2 * windows.std(axis=1))
    explained = found(model)
    assert explained is not None
    still = np.full((1, LENGTH, WIDTH), 10.0, np.float32)
    assert model.answer(still)["value"] == [1]
    assert model.answer(explained.normal[np.newaxis])["value"] == [0]


def test_the_reference_is_the_last_golden_window_and_no_row_of_the_history() -> None:
    explained = found(distance_of(lambda windows: windows.mean(axis=1)))
    assert explained is not None
    golden, section = explained.golden, explained.section
    assert section.reference == len(golden.windows) - 1 == 40
    np.testing.assert_array_equal(golden.windows[-1], explained.normal)
    rows = {tuple(row) for row in moving(200).reshape(-1, WIDTH).tolist()}
    assert rows.isdisjoint(tuple(row) for row in explained.normal.tolist())


def test_one_pair_of_orders_is_enough_for_a_squared_distance() -> None:
    explained = found(distance_of(lambda windows: windows.mean(axis=1)))
    assert explained is not None
    assert (explained.section.method, explained.section.orders) == ("shapley", 2)


def test_more_orders_are_taken_where_signals_act_together() -> None:
    explained = found(distance_of(lambda windows: windows.prod(axis=2).max(axis=1)[:, np.newaxis]))
    assert explained is not None
    assert explained.section.orders > 2


def test_a_wide_model_is_explained_by_occlusion() -> None:
    windows = np.tile(moving(100), (1, 1, 20))
    channels = tuple(Channel(name=f"c{place}") for place in range(20 * WIDTH))
    mean = Answering(
        lambda some: {"value": some.mean(axis=(1, 2))}, lambda answers: answers["value"] > 0
    )
    golden = Golden(windows[:40], mean.answer(windows[:40]))
    explained = explanation("always", Head("value"), windows, channels, (golden, mean))
    assert explained is not None
    assert (explained.section.method, explained.section.orders) == ("occlusion", 0)


def test_a_signal_of_states_stays_one_of_them_in_the_reference() -> None:
    model = distance_of(lambda windows: windows.mean(axis=1))
    windows = moving(200)
    windows[:, :, 0] = np.where(windows[:, :, 0] > 10.0, 1.0, 0.0)
    channels = (Channel(name="c0", codes={"off": 0.0, "on": 1.0}), *CHANNELS[1:])
    golden = Golden(windows[:40], model.answer(windows[:40]))
    explained = explanation("alarm", Head("score", (1,)), windows, channels, (golden, model))
    assert explained is not None
    assert len(set(explained.normal[:, 0].tolist())) == 1
    assert explained.normal[0, 0] in (0.0, 1.0)


def test_a_model_that_is_undecided_everywhere_is_not_explained() -> None:
    undecided = Answering(
        distance_of(lambda windows: windows.mean(axis=1)).answer,
        lambda answers: np.zeros(len(answers["score"]), np.bool_),
    )
    assert found(undecided) is None


def trained(folder: Path, **sections: Any) -> Bundle:  # noqa: ANN401  as a recipe has them
    path = pump_folder(folder, **sections)
    return train(read_recipe(path), folder / "out", console=Console()).bundle


def test_a_trained_bundle_explains_its_alarms_and_contributions_add_up(tmp_path: Path) -> None:
    bundle = trained(tmp_path)
    section = bundle.manifest.explain
    assert section is not None
    assert section.when == "alarm"
    assert bundle.manifest.schema_version == 2
    explainer, session = explainer_of(bundle), Session(bundle)
    assert explainer is not None
    session.replay_golden(bundle.golden)
    rows = np.array([row[1:3] for row in pump_rows(400)], np.float32)
    window = rows[-bundle.manifest.window.length :]
    mixed = np.concatenate(list(explainer.blocks(window)))
    contributions = explainer.contributions(window, explainer.explained(session.run(mixed), 1))
    normal = read_golden(bundle.golden, bundle.manifest).windows[section.reference]
    ends = explainer.explained(session.run(np.stack([window, normal])), 1)
    assert contributions.sum() == pytest.approx(ends[0] - ends[1], abs=1e-6)
    assert b"Signals behind the worst alarms" in bundle.report


def test_never_makes_a_bundle_that_explains_nothing(tmp_path: Path) -> None:
    bundle = trained(tmp_path, explain="never")
    assert bundle.manifest.explain is None
    assert b"Signals behind the worst alarms" not in bundle.report
    assert explainer_of(bundle) is None
