"""Classes that come from one asset or one file each."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.kit.findings import BY_ASSET, RANDOM, found, noise, one, texts
from tests.kit.recordings import recorded
from tests.kit.wording import names
from trainer.ingest.recording import Recording


def units(*, known: bool) -> Recording:
    """Three assets in turn, one a class, whose levels differ; or each class on two assets."""
    asset = np.arange(1200) % (3 if known else 6)
    values = noise(1200)
    values[:, 1] += 20 * asset
    return recorded(values, asset=asset, labels=texts(asset % 3))


def test_class_of_one_asset_each_is_said_in_those_words_and_not_as_a_leak(tmp_path: Path) -> None:
    by_asset = {"data": BY_ASSET}
    finding = one("one-unit-per-class", tmp_path, units(known=True), **by_asset)
    assert (finding.severity, finding.about) == ("warning", "data")
    assert names(finding.evidence, "one asset only", "'0' from 'p0'", "'2' from 'p2'")
    assert not found("target-leak", tmp_path, units(known=True), **by_asset)
    assert not found("one-unit-per-class", tmp_path, units(known=False), **by_asset)
    assert not found("one-unit-per-class", tmp_path, units(known=True))


def test_class_of_one_file_each_is_told_where_no_assets_are_named(tmp_path: Path) -> None:
    values, worn = noise(1000), np.arange(1000) % 2
    values[:, 1] += 20 * worn
    recording = recorded(values, labels=texts(worn))
    recording = replace(recording, files=("new.csv", "worn.csv"), file=worn)
    finding = one("one-unit-per-class", tmp_path, recording, **RANDOM)
    assert names(finding.evidence, "one file only", "'0' from 'new.csv'", "'1' from 'worn.csv'")
    assert not found("target-leak", tmp_path, recording, **RANDOM)
