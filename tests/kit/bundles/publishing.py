"""A publisher's folders: bundles to publish, and folders of keys that were split."""

import shutil
from pathlib import Path

from tests.kit.bundles.factories import make_bundle, make_manifest
from trainer.registry.keys import Keys

STREAM = "pump-health"


def bundle_file(folder: Path, seq: int, stream: str = STREAM) -> Path:
    """The path of a small bundle, which is written into `folder`."""
    path = folder / f"{stream}-{seq}.zip"
    path.write_bytes(make_bundle(make_manifest(stream=stream, seq=seq)).content)
    return path


def split_keys(keys: Keys, folder: Path, *names: str) -> Keys:
    """A folder with the root and some of the keys, by the beginning of their names."""
    folder.mkdir()
    shutil.copy(keys.root, folder)
    for name in names:
        for path in keys.folder.glob(f"{name}*.pem"):
            shutil.copy(path, folder)
    return Keys(folder)
