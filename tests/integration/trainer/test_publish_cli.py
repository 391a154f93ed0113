"""What `publish` asks for, and what it leaves at home."""

import hashlib
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.bundle.manifest import Manifest, Metrics, Output
from models.bundle.package import read_bundle
from serving.publishing import repository
from serving.publishing.keys import Keys
from tests.kit.bundles.factories import REPORT, make_bundle, make_manifest
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.evaluation.baseline import worse_than_constant

ACCEPTED = "--accept-worse-than-constant"
CLASSES = ("healthy", "worn", "broken")


def described(task: str = "regression", classes: tuple[str, ...] = (), **values: float) -> Manifest:
    metrics = Metrics(split="by asset", test_rows=100, values=values)
    dtype: Any = "float32" if task == "regression" else "int64"
    value = Output(name="value", dtype=dtype, meaning="answer", classes=classes)
    return make_manifest(task=task, outputs=(value,), metrics=metrics)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    repository.init(tmp_path / "registry", Keys(tmp_path / "keys"))
    return tmp_path / "registry"


def command(registry: Path, manifest: Manifest) -> list[str]:
    path = registry.parent / "bundle.zip"
    path.write_bytes(make_bundle(manifest).content)
    keys = registry.parent / "keys"
    return ["publish", str(path), "--registry", str(registry), "--keys", str(keys)]


@pytest.mark.parametrize(
    ("manifest", "metric"),
    [
        (described(r2=-0.2, mae=3.0), "r2"),
        (described("classification", CLASSES, accuracy=0.3), "accuracy"),
        (described("classification", CLASSES[:2], accuracy=0.9, f1=0.0), "f1"),
        (described("classification", CLASSES[:2], roc_auc=0.4), "roc_auc"),
        (described("anomaly", CLASSES[:2], recall=0.1, false_alarm_rate=0.2), "recall"),
    ],
)
def test_metric_that_a_constant_beats_is_named(manifest: Manifest, metric: str) -> None:
    (said,) = worse_than_constant(manifest)
    assert names(said, metric)


@pytest.mark.parametrize(
    "manifest",
    [
        described(r2=0.0),
        described(mae=3.0),
        described("classification", CLASSES, accuracy=0.34, macro_f1=0.1),
        described("anomaly", CLASSES[:2], alarm_share=0.2),
        described("anomaly", CLASSES[:2], recall=0.2, false_alarm_rate=0.2, roc_auc=0.5),
    ],
)
def test_what_no_constant_surely_beats_is_not_named(manifest: Manifest) -> None:
    assert worse_than_constant(manifest) == ()


def test_model_worse_than_a_constant_is_not_published_without_the_option(
    registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(registry, described(r2=-0.2))
    assert main(words) == 2
    assert names(capsys.readouterr().err, "r2", "-0.2", ACCEPTED)
    assert repository.listing(registry) == ()
    assert main([*words, ACCEPTED]) == 0
    assert names(capsys.readouterr().err, "r2")
    assert len(repository.listing(registry)) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"y\n", 0), (b"\n", 1), (b"n\n", 1), (b"\x04", 1)],
    ids=["yes", "enter", "no", "end of file"],
)
def test_person_at_a_terminal_is_asked(registry: Path, answer: bytes, code: int) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        ended = subprocess.run(
            [sys.executable, "-m", "trainer", *command(registry, described(r2=-0.2))],
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.returncode == code, ended.stderr
    assert "[y/N]" in ended.stderr
    assert ("[worse_than_constant]" in ended.stderr) == (code == 1)
    assert len(repository.listing(registry)) == 1 - code


def test_report_stays_at_home(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = described(r2=0.9)
    assert main([*command(registry, manifest), "--without-report"]) == 0
    (release,) = repository.listing(registry)
    home = read_bundle((registry.parent / "bundle.zip").read_bytes())
    sent = read_bundle((registry / "targets" / release.path).read_bytes())
    assert REPORT not in sent.content
    assert hashlib.sha256(REPORT).hexdigest() in sent.report.decode()
    assert (sent.model, sent.golden, sent.reference) == (home.model, home.golden, home.reference)
    assert sent.manifest.model_copy(update={"files": ()}) == manifest
    assert release.sha256 == sent.sha256 != home.sha256
    assert release.sha256 in capsys.readouterr().out
