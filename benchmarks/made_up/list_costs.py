"""What a list for each stream saves one gateway: `python -m benchmarks.made_up.list_costs`.

A registry of 100,000 made-up bundles of 300 streams is signed, once with one list and once with a
list for each stream, and the client of the agent reads one stream of it in a process of its own, by
`file://`. One list of that length would not be published, nor read: it is written and read here
with the limit raised. Then the publisher's daily `registry refresh` is measured, which reads and
verifies every list: once while each of them is due, and once while none is. Takes about three
minutes, and 1 GB of memory for the one list.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, NamedTuple

from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from models.bundle.stream_list import MAX_LIST_BYTES, role_of
from serving.publishing import delegation, repository
from serving.publishing.keys import Keys
from serving.publishing.releases import Release
from serving.registry.catalogue import Here
from serving.registry.fetch import Fetcher
from serving.registry.trust import TrustedRegistry, exclusive

STREAM = "stream-7"


class Cost(NamedTuple):
    """What one look of a gateway costs.

    Attributes:
        bytes: bytes that were fetched.
        cpu_s: processor time of the client.
        peak_bytes: largest memory of its process.
    """

    bytes: int
    cpu_s: float
    peak_bytes: int


class _Counting(Fetcher):
    """A fetcher that counts what it has read."""

    fetched = 0

    def read(self, url: str, max_bytes: int) -> bytes:
        """Read a file, and count its bytes."""
        content = super().read(url, max_bytes)
        self.fetched += len(content)
        return content


def sign(folder: Path, streams: int, bundles: int, *, by_stream: bool) -> None:
    """Write a registry of made-up bundles into an empty folder, with its keys beside it.

    Args:
        folder: the folder.
        streams: number of streams.
        bundles: number of bundles of all streams together.
        by_stream: whether each stream gets a list of its own.
    """
    directory, keys = folder / "registry", Keys(folder / "keys")
    repository.init(directory, keys, by_stream=by_stream)
    metadata, signers = directory / "metadata", keys.signers()
    root = Metadata.from_file(str(keys.root)).signed
    targets = Metadata[Targets].from_file(str(metadata / "1.targets.json"))
    snapshot = Metadata[Snapshot].from_file(str(metadata / "1.snapshot.json"))
    timestamp = Metadata[Timestamp].from_file(str(metadata / "timestamp.json"))

    def sealed(document: Metadata[Any], name: str, role: str) -> MetaFile:
        document.signed.version += 1
        document.signed.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=7)
        document.sign(signers[root.roles[role].keyids[0]])
        content = document.to_bytes()
        prefix = "" if name == "timestamp" else f"{document.signed.version}."
        (metadata / f"{prefix}{name}.json").write_bytes(content)
        digest = sha256(content).hexdigest()
        return MetaFile(document.signed.version, len(content), {"sha256": digest})

    for number in range(streams):
        name = f"stream-{number}"
        listed = Metadata(Targets()) if by_stream else targets
        listed.signed.targets.update(_files(name, bundles // streams))
        if by_stream:
            delegation.delegate(targets.signed, root, role_of(name))
            snapshot.signed.meta[f"{role_of(name)}.json"] = sealed(listed, role_of(name), "targets")
    snapshot.signed.meta["targets.json"] = sealed(targets, "targets", "targets")
    timestamp.signed.snapshot_meta = sealed(snapshot, "snapshot", "snapshot")
    sealed(timestamp, "timestamp", "timestamp")


def _files(stream: str, count: int) -> Iterator[tuple[str, TargetFile]]:
    for seq in range(1, count + 1):
        release = Release(stream, seq, sha256(f"{stream}#{seq}".encode()).hexdigest(), 1_000_000)
        custom: dict[str, Any] = {"custom": release.description}
        yield (
            release.path,
            TargetFile(release.length, {"sha256": release.sha256}, release.path, custom),
        )


def look(folder: Path, max_list_bytes: int = MAX_LIST_BYTES) -> Cost:
    """Ask for the newest bundle of one stream, in a process of its own.

    Args:
        folder: the folder of `sign`; the gateway's state is kept there too.
        max_list_bytes: bytes of the longest list that is read.
    """
    return _child("--look", str(folder), str(max_list_bytes))


def refresh(folder: Path) -> Cost:
    """Sign anew what is due, as a timer does every day, in a process of its own.

    Args:
        folder: the folder of `sign`.

    Returns:
        The cost, where `bytes` are those of the documents that were written.
    """
    return _child("--refresh", str(folder))


def _child(*options: str) -> Cost:
    command = [sys.executable, "-m", __spec__.name, *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Cost(*json.loads(done.stdout))


def _look(folder: Path, max_list_bytes: int) -> None:
    state = folder / "state"
    here = Here(1 << 30, max_list_bytes=max_list_bytes)
    with exclusive(state), _Counting() as fetcher:
        url, root = (folder / "registry").as_uri(), folder / "keys" / "root.json"
        registry = TrustedRegistry(url, root, state, fetcher=fetcher, here=here)
        registry.refresh()
        registry.select(STREAM)
    print(json.dumps([fetcher.fetched, process_time(), _peak_bytes()]))


def _refresh(folder: Path) -> None:
    directory = folder / "registry"
    before = {*(directory / "metadata").iterdir()}
    repository.refresh(directory, Keys(folder / "keys"))
    new = {*(directory / "metadata").iterdir()} - before
    print(json.dumps([sum(one.stat().st_size for one in new), process_time(), _peak_bytes()]))


def _peak_bytes() -> int:
    """Largest memory of this process (proc(5), VmHWM); getrusage would have that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kibibytes) * 1024


def main() -> None:
    """Print the costs with one list, and with a list for each stream."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--bundles", type=int, default=100_000)
    parser.add_argument("--look", nargs=2, metavar=("FOLDER", "BYTES"), help=argparse.SUPPRESS)
    parser.add_argument("--refresh", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.refresh:
        _refresh(Path(options.refresh))
        return
    if options.look:
        _look(Path(options.look[0]), int(options.look[1]))
        return
    print(f"{options.bundles} bundles of {options.streams} streams, one gateway with one stream:")
    for by_stream, words in ((False, "one list"), (True, "a list for each stream")):
        with TemporaryDirectory() as name:
            sign(Path(name), options.streams, options.bundles, by_stream=by_stream)
            limit = MAX_LIST_BYTES if by_stream else 1 << 30
            for when in ("first", "later"):
                cost = look(Path(name), limit)
                print(
                    f"{words:>22}, {when} look: {cost.bytes / 1e6:6.2f} MB fetched,"
                    f" {cost.cpu_s:5.2f} s of processor, {cost.peak_bytes / 1e6:4.0f} MB of memory"
                )
            for due in ("every", "no") if by_stream else ():
                cost = refresh(Path(name))
                print(
                    f"refresh, {due:>5} list is due: {cost.bytes / 1e6:6.2f} MB written,"
                    f" {cost.cpu_s:5.2f} s of processor, {cost.peak_bytes / 1e6:4.0f} MB of memory"
                )


if __name__ == "__main__":
    main()
