"""The pull as the agent does it: a child process, words on a pipe, and an end in any case."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from models.bundle.identity import BundleRef
from models.bundle.package import pack_bundle, read_bundle
from models.errors import DigestMismatchError
from serving.publishing import repository
from serving.publishing.releases import Release
from serving.registry.pull import PullRequest, pull
from serving.registry.refusals import (
    NotPublishedError,
    PullCancelledError,
    PullFailedError,
    PullTimeoutError,
    RevokedError,
    error_of,
)
from tests.kit.bundles.factories import make_bundle, make_manifest, make_members
from tests.kit.bundles.mirrors import Fault, Mirror, mirror
from tests.kit.bundles.published import Published
from tests.kit.waiting import eventually
from tests.kit.wording import naming

STREAM = "pump-health"
ROOT = Path(__file__).parents[3]


@dataclass
class Site:
    """A registry behind a web server, and a request of a gateway for the newest bundle."""

    published: Published
    server: Mirror
    request: PullRequest

    def publish(self, seq: int, report_bytes: int = 100) -> Release:
        manifest = make_manifest(seq=seq)
        members = make_members(manifest) | {"report.html": os.urandom(report_bytes)}
        return self.published.publish(pack_bundle(manifest, members))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    published = Published.create(tmp_path)
    published.publish(make_bundle(make_manifest(seq=1)))
    with mirror(published.folder) as server:
        request = PullRequest(
            url=server.url,
            root=published.keys.root,
            state_dir=tmp_path / "state",
            stream=STREAM,
            seq=None,
            destination_dir=tmp_path / "state" / "bundles",
            max_bytes=1 << 24,
            deadline_s=60.0,
        )
        yield Site(published, server, request)


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    before = set(psutil.Process().children())
    yield
    assert set(psutil.Process().children()) <= before


def bring(request: PullRequest) -> BundleRef:
    return pull(request, on_progress=lambda *_: None, cancelled=threading.Event())


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_newest_bundle_arrives_with_progress(site: Site, scheme: str) -> None:
    release = site.publish(2)
    url = site.published.url if scheme == "file" else site.server.url
    progress: list[tuple[int, int]] = []
    request = replace(site.request, url=url)
    pulled = pull(
        request,
        on_progress=lambda *told: progress.append(told),
        cancelled=threading.Event(),
    )
    assert (pulled.seq, pulled.sha256, pulled.size) == (2, release.sha256, release.length)
    path = request.destination_dir / f"{release.sha256}.zip"
    assert read_bundle(path.read_bytes()).sha256 == release.sha256
    assert progress[-1] == (release.length, release.length)


def test_progress_of_a_large_bundle_is_told_rarely(site: Site) -> None:
    site.publish(2, report_bytes=8 << 20)
    progress: list[tuple[int, int]] = []
    pull(
        site.request,
        on_progress=lambda *told: progress.append(told),
        cancelled=threading.Event(),
    )
    assert 1 <= len(progress) <= 20


def test_child_ends_without_a_word_once_nobody_reads_its_answer(site: Site) -> None:
    command = [sys.executable, "-m", "serving.registry.pull_child"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        child.stdin.write(site.request.to_json())
        child.stdin.close()
        assert child.stderr.read() == b""


def test_check_resolves_and_downloads_nothing(site: Site) -> None:
    pulled = bring(replace(site.request, check=True))
    assert pulled.seq == 1
    assert not (site.request.destination_dir / pulled.file_name).exists()
    assert site.server.sent_of(".zip") == 0


def test_second_pull_downloads_nothing(site: Site) -> None:
    first = bring(site.request)
    sent = site.server.sent_of(".zip")
    assert bring(site.request) == first
    assert site.server.sent_of(".zip") == sent


def test_refusal_arrives_as_its_own_error(site: Site) -> None:
    path = site.published.bundle_path(site.publish(2))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DigestMismatchError, match=naming(path.stem)):
        bring(site.request)
    repository.revoke(site.published.folder, STREAM, 2, site.published.keys)
    with pytest.raises(RevokedError, match=naming("2")):
        bring(replace(site.request, seq=2))
    with pytest.raises(NotPublishedError, match="newest published: 1, 2"):
        bring(replace(site.request, seq=3))


def test_deadline_ends_the_child(site: Site) -> None:
    site.server.faults["timestamp.json"] = Fault(stall_after=0)
    with pytest.raises(PullTimeoutError):
        bring(replace(site.request, deadline_s=0.5))


def test_killed_download_is_continued_by_the_next_pull(site: Site) -> None:
    release = site.publish(2, report_bytes=1 << 20)
    name = f"{release.sha256}.zip"
    site.server.faults[name] = Fault(stall_after=600_000)
    part = site.request.destination_dir / f"{name}.part"
    cancelled = threading.Event()

    def cancel_when_stalled() -> None:
        eventually(lambda: part.exists() and part.stat().st_size > 500_000)
        cancelled.set()

    thread = threading.Thread(target=cancel_when_stalled)
    thread.start()
    with pytest.raises(PullCancelledError):
        pull(site.request, on_progress=lambda *_: None, cancelled=cancelled)
    thread.join()
    received = part.stat().st_size
    site.server.faults.clear()
    assert bring(site.request).sha256 == release.sha256
    assert site.server.requests[-1][1:] == (f"bytes={received}-", release.length - received)


def test_two_pulls_at_once_wait_for_each_other(site: Site) -> None:
    pulled: list[BundleRef] = []
    threads = [
        threading.Thread(target=lambda: pulled.append(bring(site.request))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found.seq for found in pulled] == [1, 1, 1]


def test_working_directory_cannot_smuggle_in_code(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    for name in ("tuf", "agent", "serving", "urllib3", "models"):
        (trap / name).mkdir(parents=True)
        (trap / name / "__init__.py").write_text("raise SystemExit('smuggled')")
    monkeypatch.chdir(trap)
    monkeypatch.setenv("PYTHONPATH", str(trap))
    assert bring(site.request).seq == 1


def test_child_that_dies_without_a_word_is_a_failed_pull(site: Site) -> None:
    with pytest.raises(PullFailedError, match="ended without an answer"):
        bring(replace(site.request, deadline_s=float("nan")))


def test_child_that_cannot_start_is_a_failed_pull(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(PullFailedError, match="cannot be started"):
        bring(site.request)


@pytest.mark.parametrize(
    "line",
    ["not json", "[]", "{}", '{"state": "dancing"}', '{"state": "verified", "seq": 1}'],
)
def test_child_that_babbles_is_a_failed_pull(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    impostor = tmp_path / "python"
    impostor.write_text(f"#!/bin/sh\necho '{line}'\n")
    impostor.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(impostor))
    with pytest.raises(PullFailedError):
        bring(site.request)


def test_child_that_talks_without_end_is_a_failed_pull(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor = tmp_path / "python"
    impostor.write_text('#!/bin/sh\nexec yes \'{"state": "resolving"}\'\n')
    impostor.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(impostor))
    with pytest.raises(PullFailedError):
        bring(site.request)


def test_orphaned_child_ends_by_itself(site: Site) -> None:
    site.server.faults["timestamp.json"] = Fault(drip_s=0.05)
    request = replace(site.request, deadline_s=-4.0)  # past already: one second of grace is left
    child = subprocess.run(
        [sys.executable, "-m", "serving.registry.pull_child"],
        input=request.to_json(),
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert child.returncode != 0
    assert child.stdout == b'{"state": "resolving"}\n'


def test_child_exits_with_0_when_it_has_spoken(site: Site) -> None:
    request = replace(site.request, seq=99)
    child = subprocess.run(
        [sys.executable, "-m", "serving.registry.pull_child"],
        input=request.to_json(),
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=True,
    )
    words = [json.loads(line) for line in child.stdout.splitlines()]
    assert [word["state"] for word in words] == ["resolving", "refused"]
    assert words[1]["error"] == "not_published"
    assert child.stderr == b""


@pytest.mark.parametrize(
    ("module", "strangers"),
    [
        ("serving.registry.pull", {"tuf", "securesystemslib", "cryptography", "urllib3"}),
        ("serving.registry.pull_child", {"onnxruntime", "numpy", "paho", "pydantic", "orjson"}),
    ],
)
def test_each_side_imports_only_its_own(module: str, strangers: set[str]) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not strangers & set(found.stdout.split())


def test_unknown_code_is_a_failed_pull() -> None:
    assert isinstance(error_of("from_the_future", "?"), PullFailedError)
