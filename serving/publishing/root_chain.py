"""The trusted root beside the keys, and how it follows a rotation that was made elsewhere."""

from collections.abc import Iterator
from pathlib import Path

from tuf.api.metadata import Root

from models.files import write_atomically
from serving.publishing.documents import Document, read, read_file
from serving.publishing.keys import Keys
from serving.publishing.releases import TrustedRoot


def trusted_root(keys: Keys) -> TrustedRoot:
    """The trusted root in the folder of keys, to be installed on gateways.

    Raises:
        RegistryError: the root is missing or damaged.
    """
    root = read_file(Root, keys.root).seal
    return TrustedRoot(keys.root, root.sha256, root.version)


def newest_root(folder: Path, keys: Keys) -> Document[Root]:
    """The root beside the keys, or the newest in the registry that it vouches for.

    A new root counts if the root before and the new one have both signed it, as for gateways (TUF
    specification, 5.3). So each folder of keys learns of a rotation that was made with another one,
    and whoever can only write to the registry cannot bring in a root of his own.

    Args:
        folder: path of the registry's metadata/.
        keys: the folder of keys, whose root.json is replaced by a newer one.

    Raises:
        RegistryError: the root is missing or damaged, or a newer one is not signed by it.
    """
    first = root = read_file(Root, keys.root)
    root.verify(root.metadata, keys.root)
    for newer in _roots_after(root.metadata.signed.version, folder):
        newer.verify(root.metadata, keys.root)
        newer.verify(newer.metadata, newer.path)
        root = newer
    if root is not first:
        write_atomically(keys.root, root.content)
    return root


def _roots_after(version: int, folder: Path) -> Iterator[Document[Root]]:
    while (folder / f"{version + 1}.root.json").is_file():
        version += 1
        yield read(Root, folder, version)
