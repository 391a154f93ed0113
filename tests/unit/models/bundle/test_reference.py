"""What a bundle says of its training data, and what becomes of it if it says it wrongly."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.manifest import Channel
from models.bundle.reference import Judgement, read_document, read_reference, write_reference
from models.errors import ManifestError
from tests.kit.undisturbed import CHANNELS, repeating, samples
from trainer.drift.reference import Samples, describe

JUDGEMENT = Judgement(window=200, false_alarms=0.001)


def content(
    values: NDArray[np.float32] | None = None, judgement: Judgement | None = JUDGEMENT
) -> bytes:
    if values is None:
        values = repeating(0.0, 1000, 0)
    return write_reference(describe(samples(values), CHANNELS, judgement))


def test_reference_reads_as_it_was_written() -> None:
    document = describe(samples(repeating(0.0, 1000, 0)), CHANNELS, JUDGEMENT)
    assert read_document(write_reference(document), CHANNELS) == document


@pytest.mark.parametrize("older", [b"{}\n", b'{"schema_version": 1, "signals": {}}', b"[]"])
def test_bundle_of_before_has_no_drift(older: bytes) -> None:
    assert read_reference(older, CHANNELS) is None


def test_reference_without_a_judgement_has_no_drift() -> None:
    assert read_reference(content(judgement=None), CHANNELS) is None


def changed(change: Callable[[Any], object]) -> bytes:
    fields = json.loads(content())
    change(fields)
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        pytest.param(b"\xff", "not JSON", id="no text"),
        pytest.param(b"[" * 100_000, "not JSON", id="100000 brackets"),
        (changed(lambda f: f["signals"].pop("s0")), r"signals \['s1', 's2'\].*'s0'"),
        (
            changed(lambda f: f["signals"]["s0"].pop("relation")),
            "relation",
        ),
        (changed(lambda f: f["signals"]["s0"]["relation"]["weights"].pop()), "of 3 weights"),
        (changed(lambda f: f["signals"]["s0"]["level"]["edges"].reverse()), "edges"),
        (changed(lambda f: f["signals"]["s0"]["level"]["counts"].pop()), "count"),
        (changed(lambda f: f["signals"]["s0"]["level"].update(limit=0)), r"s0\.level\.limit"),
        (changed(lambda f: f["drift"].update(window=10**9)), r"drift\.window"),
        (changed(lambda f: f.update(more=1)), "more"),
    ],
)
def test_reference_that_does_not_do_is_refused_with_its_place(broken: bytes, told: str) -> None:
    with pytest.raises(ManifestError, match=told):
        read_reference(broken, CHANNELS)


def test_figures_are_those_of_the_samples() -> None:
    values = np.array([[1.0], [2.0], [np.nan], [4.0], [4.0]], np.float32)
    one = Samples(np.zeros(5, np.int64), values, np.zeros(5))
    signal = describe(one, (Channel(name="p", unit="bar"),), None).signals["p"]
    assert (signal.unit, signal.count, signal.missing_share) == ("bar", 4, 0.2)
    assert (signal.mean, signal.quantiles["0.5"]) == (2.75, 3.0)
    assert signal.std == pytest.approx(1.299038)
    assert signal.condition.counts == (3, 1, 0, 1)  # ordinary, repeated, outside, missing
    assert sum(signal.level.counts) == 4
    assert signal.relation is None


def test_last_sample_of_another_asset_is_not_repeated() -> None:
    values = np.array([[1.0], [1.0], [1.0], [2.0]], np.float32)
    one = Samples(np.array([0, 1, 0, 1]), values, np.zeros(4))
    signal = describe(one, (Channel(name="p"),), None).signals["p"]
    assert signal.condition.counts == (3, 1, 0, 0)


def test_signals_that_never_change_or_never_came_are_described() -> None:
    values = repeating(0.0, 500, 0)
    values[:, 0], values[:, 1] = 5.0, np.nan
    known = read_reference(content(values), CHANNELS)
    assert known is not None
    assert known.weights is None  # no sample has all signals
    counts = np.zeros_like(known.below)
    levels = len(known.edges)
    cell = int((known.edges[0] <= 5.0).sum())
    counts[0, cell] = 200
    assert known.distance(counts)[0] == 0
    counts[0, cell], counts[0, -1] = 0, 200
    assert known.distance(counts)[0] > 1
    assert known.distance(counts)[1] == 0
    assert levels == 4
