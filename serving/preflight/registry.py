"""What the registry would have each stream run, asked without a change of anything."""

import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from models.address import shortened
from models.bundle.manifest import Manifest
from models.bundle.package import load_bundle
from models.errors import MillhandError
from serving.preflight.answer import Answer
from serving.registry.part import UNKNOWN
from serving.registry.pull import PullRequest, pull
from serving.registry.settings import Registry

_DEADLINE_S = 30.0


def ask_registry(registry: Registry, state_dir: Path, streams: Sequence[str]) -> list[Answer]:
    """Refresh the trusted metadata and see which bundle every stream would run.

    This is done on a copy: what root wrote into the state folder, the service could not replace.
    """
    with TemporaryDirectory(prefix="millhand-check-") as name:
        folder = Path(name)
        try:
            _copy_trust(state_dir, folder)
        except (OSError, shutil.Error) as exc:
            return [Answer("FAIL", f"the registry was not asked: {exc}")]
        return [_ask_stream(registry, stream, folder) for stream in streams]


def fetch_manifest(registry: Registry, state_dir: Path, stream: str) -> Manifest:
    """The manifest of the bundle that a stream would run, which is downloaded for it and left out.

    Raises:
        MillhandError: the registry cannot be asked, or has no bundle that may run here.
        OSError: the trusted metadata cannot be copied.
    """
    with TemporaryDirectory(prefix="millhand-fetch-") as name:
        folder = Path(name)
        _copy_trust(state_dir, folder)
        request = replace(_question(registry, stream, folder), check=False)
        request = replace(request, deadline_s=registry.deadline_s)
        found = pull(request, on_progress=lambda *_: None, cancelled=threading.Event())
        return load_bundle(request.destination_dir / f"{found.sha256}.zip").manifest


def find_unencrypted(registry: Registry) -> list[Answer]:
    """A warning if others on the network may read what is fetched."""
    address = urlsplit(registry.url)
    if address.scheme != "http" or is_here(address.hostname or ""):
        return []
    text = (
        f"registry.url: {address.hostname} is asked over http: nobody can change a signed bundle, "
        "but whoever reads along sees it and can withhold it: use https"
    )
    return [Answer("warn", text)]


def is_here(host: str) -> bool:
    """Whether a host is this machine itself, so that nothing goes over a network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761, 6.3


def _copy_trust(state_dir: Path, target: Path) -> None:
    """Copy the state of the registry's client: its metadata, and what it has seen of their age."""
    for entry in (state_dir / "registry", state_dir / "trust.json"):
        if entry.is_dir():
            shutil.copytree(entry, target / entry.name, symlinks=True)
        elif entry.exists():
            shutil.copy2(entry, target)


def _ask_stream(registry: Registry, stream: str, state_dir: Path) -> Answer:
    request = _question(registry, stream, state_dir)
    try:
        found = pull(request, on_progress=lambda *_: None, cancelled=threading.Event())
    except MillhandError as exc:
        return Answer("FAIL", f"registry {shortened(request.url)}: {stream}: {exc} ({exc.code})")
    return Answer("ok", f"registry {shortened(request.url)}: {stream} would run seq {found.seq}")


def _question(registry: Registry, stream: str, state_dir: Path) -> PullRequest:
    """Ask what the stream would run, without a download."""
    return PullRequest(
        url=registry.url,
        root=registry.root,
        state_dir=state_dir,
        stream=stream,
        seq=None,
        destination_dir=state_dir / "bundles",
        max_bytes=registry.max_bundle_bytes,
        deadline_s=min(registry.deadline_s, _DEADLINE_S),
        check=True,
        access=registry.access,
        situation=UNKNOWN,
    )
