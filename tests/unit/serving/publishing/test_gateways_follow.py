"""What a gateway sees of a restored registry, and of what several people have signed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import MillhandError
from serving.publishing import joint_signing, repository
from serving.publishing.keys import Keys
from serving.registry.catalogue import Here
from serving.registry.fetch import Fetcher
from serving.registry.trust import TrustedRegistry, exclusive
from tests.kit.bundles.publishing import STREAM, bundle_file, split_keys


def pulled(folder: Path, root: Path, state: Path, seq: int | None = None) -> int:
    """The seq that a gateway selects, after it has verified the registry."""
    with exclusive(state), Fetcher() as fetcher:
        here = Here(1 << 20)
        trusted = TrustedRegistry(folder.as_uri(), root, state, fetcher=fetcher, here=here)
        trusted.refresh()
        return trusted.select(STREAM, seq).ref.seq


def test_gateway_that_has_seen_the_lost_copy_takes_the_restored_one(tmp_path: Path) -> None:
    folder, keys, state = tmp_path / "registry", Keys(tmp_path / "keys"), tmp_path / "state"
    repository.init(folder, keys)
    for seq in (1, 2):
        repository.publish(folder, bundle_file(tmp_path, seq), keys)
    shutil.copytree(folder, tmp_path / "backup")
    repository.revoke(folder, STREAM, 2, keys)
    assert pulled(folder, keys.root, state) == 1
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    with pytest.raises(MillhandError) as refused:
        pulled(folder, keys.root, state)
    assert refused.value.code == "rollback"
    repository.revoke(folder, STREAM, 2, replace(keys, accepts_restored=True))
    assert pulled(folder, keys.root, state) == 1
    with pytest.raises(MillhandError) as refused:
        pulled(folder, keys.root, state, seq=2)
    assert refused.value.code == "revoked"


def test_gateway_sees_a_bundle_once_two_have_signed_it(tmp_path: Path) -> None:
    folder, keys, state = tmp_path / "registry", Keys(tmp_path / "keys"), tmp_path / "state"
    repository.init(folder, keys, targets_keys=2, targets_threshold=2)
    first, second = (path.stem for path in sorted(keys.folder.glob("targets-*.pem")))
    one = split_keys(keys, tmp_path / "one", first, "online")
    two = split_keys(keys, tmp_path / "two", second, "online")
    repository.publish(folder, bundle_file(tmp_path, 1), one)
    repository.refresh(folder, one)
    with pytest.raises(MillhandError) as refused:
        pulled(folder, keys.root, state)
    assert refused.value.code == "not_published"
    joint_signing.sign(folder, joint_signing.waiting(folder, two), two)
    assert pulled(folder, keys.root, state) == 1
