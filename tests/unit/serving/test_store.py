"""What is kept on the gateway's disk survives, stays bounded, and is never trusted blindly."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from models.bundle.identity import BundleRef
from models.bundle.package import Bundle
from models.errors import BundleError, DigestMismatchError
from serving.store import Store
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.wording import naming


def put(store: Store, seq: int, stream: str = "pump-health") -> BundleRef:
    """A bundle on disk, as the puller leaves it."""
    bundle = make_bundle(make_manifest(stream=stream, seq=seq))
    return put_bundle(store, bundle)


def put_bundle(store: Store, bundle: Bundle) -> BundleRef:
    store.bundles_dir.mkdir(parents=True, exist_ok=True)
    store.path(bundle.ref).write_bytes(bundle.content)
    return bundle.ref


def test_nothing_is_active_at_first(tmp_path: Path) -> None:
    assert Store(tmp_path, keep=2).active("pump-health") is None


def test_committed_bundle_is_active_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    kept = put(store, 3)
    store.commit(kept, pinned=3)
    record = Store(tmp_path, keep=2).active("pump-health")
    assert record is not None
    assert (record.serving, record.pinned, record.earlier) == (kept, 3, ())
    assert store.load(kept).manifest.seq == 3


def test_earlier_bundles_are_kept_newest_first_and_bounded(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=3)
    kept = [put(store, seq) for seq in range(1, 6)]
    for one in kept:
        record = store.commit(one, None)
    assert [one.seq for one in record.candidates] == [5, 4, 3]
    assert on_disk(store) == {one.sha256 for one in kept[2:]}


def test_going_back_keeps_both(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    first, second = put(store, 1), put(store, 2)
    for one in (first, second, first, second, first):
        record = store.commit(one, one.seq)
    assert [one.seq for one in record.candidates] == [1, 2]
    assert store.load(second).manifest.seq == 2


def test_bundle_that_another_stream_keeps_is_not_removed(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=1)
    shared = put(store, 1)
    store.commit(replace(shared, stream="other"), None)
    store.commit(shared, None)
    store.commit(put(store, 2), None)
    assert store.load(shared).manifest.seq == 1


def on_disk(store: Store) -> set[str]:
    return {path.stem for path in store.bundles_dir.iterdir()}


def test_bundles_that_do_not_serve_are_kept_one_a_stream(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    serving, *refused = (put(store, seq) for seq in range(1, 5))
    store.commit(serving, None)
    for one in (*refused, refused[-1]):
        store.set_aside(one)
    assert on_disk(store) == {serving.sha256, refused[-1].sha256}
    following = put(store, 5)
    store.commit(following, None)
    assert on_disk(store) == {serving.sha256, following.sha256}


def test_bundle_that_was_set_aside_may_serve_after_all(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    kept = put(store, 1)
    store.set_aside(kept)
    store.commit(kept, 1)
    store.set_aside(put(store, 2))
    assert store.load(kept).manifest.seq == 1


def test_bundles_that_no_record_names_are_swept_at_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    serving, earlier = put(store, 2), put(store, 1)
    for one in (earlier, serving):
        store.commit(one, None)
    put(store, 3)
    Store(tmp_path, keep=2).sweep()
    assert on_disk(store) == {serving.sha256, earlier.sha256}


def test_nothing_is_swept_next_to_a_damaged_record(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    kept = put(store, 1)
    store.commit(kept, None)
    (tmp_path / "active/pump-health.json").write_bytes(b"{")
    store.sweep()
    assert on_disk(store) == {kept.sha256}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"{}", b'{"stream": "pump-health", "serving": {}}'],
    ids=["empty", "cut off", "no text", "list", "no keys", "no bundle"],
)
def test_damaged_record_is_no_record(content: bytes, tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    store.commit(put(store, 1), None)
    (tmp_path / "active/pump-health.json").write_bytes(content)
    assert store.active("pump-health") is None


def test_record_with_an_unknown_key_is_no_record(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    store.commit(put(store, 1), None)
    path = tmp_path / "active/pump-health.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"more": 1}))
    assert store.active("pump-health") is None


def test_damaged_record_of_one_stream_does_not_hinder_another(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=1)
    store.commit(put(store, 1), None)
    (tmp_path / "active/other.json").write_text("{")
    record = store.commit(put(store, 2), None)
    assert record.serving.seq == 2


def test_bundle_that_changed_on_disk_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    kept = put(store, 1)
    content = bytearray(store.path(kept).read_bytes())
    content[len(content) // 2] ^= 1
    store.path(kept).write_bytes(content)
    with pytest.raises(DigestMismatchError, match="has sha256") as caught:
        store.load(kept)
    assert caught.value.code == "digest_mismatch"


def test_bundle_that_is_gone_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    kept = put(store, 1)
    store.path(kept).unlink()
    with pytest.raises(BundleError, match=naming("No such file")):
        store.load(kept)


def test_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=1)
    first = put(store, 1)
    store.commit(first, None)
    record = (tmp_path / "active/pump-health.json").read_bytes()
    second = put(store, 2)
    (tmp_path / "active").rename(tmp_path / "kept")
    (tmp_path / "active").write_text("the folder's name is taken")
    with pytest.raises(OSError, match=r"exists|Not a directory"):
        store.commit(second, None)
    assert (tmp_path / "kept/pump-health.json").read_bytes() == record
    assert store.load(first).manifest.seq == 1


def test_subscriptions_are_remembered(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    assert store.subscriptions() == []
    store.keep_subscriptions(["a/+", "b"])
    assert Store(tmp_path, keep=2).subscriptions() == ["a/+", "b"]
    store.keep_subscriptions(["b"])
    assert store.subscriptions() == ["b"]


def test_subscriptions_that_did_not_change_are_not_written_again(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    store.keep_subscriptions(["a"])
    before = (tmp_path / "subscriptions.json").stat()
    store.keep_subscriptions(["a"])
    after = (tmp_path / "subscriptions.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"{}", b"7", b"null"],
    ids=["empty", "cut off", "no text", "object", "number", "null"],
)
def test_damaged_subscriptions_are_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "subscriptions.json").write_bytes(content)
    assert Store(tmp_path, keep=2).subscriptions() == []


def test_half_written_files_of_a_process_that_was_killed_are_removed(tmp_path: Path) -> None:
    old, young = (tmp_path / f".trust.json.{digit * 16}" for digit in "ab")
    for path in (old, young):
        path.write_text("{")
    os.utime(old, (0, 0))
    Store(tmp_path, keep=2).sweep()
    assert [path.exists() for path in (old, young)] == [False, True]


def test_one_member_is_read_without_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    ref, bundle = put(store, 1), make_bundle(make_manifest(seq=1))
    for file in bundle.manifest.files:
        assert len(store.member(ref, file)) == file.size
    (report,) = (file for file in bundle.manifest.files if file.name == "report.html")
    assert store.member(ref, report) == bundle.report


def test_member_that_changed_on_disk_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    ref, bundle = put(store, 1), make_bundle(make_manifest(seq=1))
    (report,) = (file for file in bundle.manifest.files if file.name == "report.html")
    with pytest.raises(DigestMismatchError):
        store.member(ref, report.model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(BundleError, match=r"report.html"):
        store.member(ref, report.model_copy(update={"size": report.size + 1}))
    path = store.path(ref)
    path.write_bytes(path.read_bytes().replace(bundle.report, bundle.report.upper()))
    with pytest.raises(BundleError, match=r"report.html"):
        store.member(ref, report)
    path.unlink()
    with pytest.raises(BundleError, match=r"report.html"):
        store.member(ref, report)


def test_what_was_withdrawn_is_known_after_a_restart_until_it_is_told_anew(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    assert store.withdrawn("pump-health") == frozenset()
    store.note_withdrawn("pump-health", ["a" * 64, "b" * 64])
    again = Store(tmp_path, keep=2)
    assert again.withdrawn("pump-health") == {"a" * 64, "b" * 64}
    assert again.withdrawn("other") == frozenset()
    again.note_withdrawn("pump-health", [])
    assert again.withdrawn("pump-health") == frozenset()
    (tmp_path / "withdrawn" / "pump-health.json").write_bytes(b"[")
    assert again.withdrawn("pump-health") == frozenset()
