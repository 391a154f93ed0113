"""What can be known before serving: files, kept bundles, and on request the registry."""

import os
import shutil
import threading
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from agent.cli.answer import Answer
from agent.config.settings import Settings
from models.address import shortened
from models.errors import BundleError, MillhandError
from models.input.topics import TopicTemplate
from serving.errors import ConfigError
from serving.installation import installation_fault
from serving.registry.pull import PullRequest, pull
from serving.store import Store

_REGISTRY_DEADLINE_S = 30.0


def check_files(settings: Settings, path: Path) -> None:
    """Check every file and folder that the configuration names.

    Raises:
        ConfigError: each that cannot be used, by key, with what is wrong and what to do.
    """
    broker = settings.broker
    named = {
        "registry.root": settings.registry.root,
        "broker.password_file": broker.password_file,
        "broker.ca_file": broker.ca_file,
        "broker.cert_file": broker.cert_file,
        "broker.key_file": broker.key_file,
        **settings.registry.access.files,
    }
    mistakes = [
        f"{path}: {key}: found '{file}', which cannot be read; install it or correct the path"
        for key, file in named.items()
        if file is not None and not (file.is_file() and os.access(file, os.R_OK))
    ]
    state_dir = settings.gateway.state_dir
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        mistakes.append(f"{path}: gateway.state_dir: '{state_dir}': {exc.strerror}")
    else:
        if not os.access(state_dir, os.W_OK):
            mistakes.append(f"{path}: gateway.state_dir: '{state_dir}' cannot be written")
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def describe(settings: Settings) -> list[str]:
    """The configuration in words: what is read, what is written."""
    broker = settings.broker
    lines = [
        f"gateway   {settings.gateway.id}, state in {settings.gateway.state_dir}",
        f"broker    {broker.host}:{broker.port}, TLS {'on' if broker.uses_tls else 'off'}",
        f"registry  {shortened(settings.registry.url)}",
    ]
    for pipeline in settings.pipelines:
        lines.append(f"stream    {pipeline.stream} -> {pipeline.output_topic}")
        lines += [
            f"  input   {TopicTemplate(one.topic).filter} as {one.dialect}"
            f"{' of ' + one.encoding if one.encoding else ''}, QoS {one.qos}"
            for one in pipeline.inputs
        ]
    return lines


def list_models(settings: Settings) -> list[str]:
    """What every stream serves and keeps, each bundle read and verified anew."""
    store = Store(settings.gateway.state_dir, settings.limits.keep_bundles)
    lines: list[str] = []
    for pipeline in settings.pipelines:
        record = store.active(pipeline.stream)
        if record is None:
            lines.append(f"{pipeline.stream}  nothing kept; waits for a push or a poll")
            continue
        pinned = "follows the newest" if record.pinned is None else f"pinned to {record.pinned}"
        for kept in record.candidates:
            role = f"active, {pinned}" if kept == record.serving else "kept"
            try:
                store.load(kept)
            except BundleError as exc:
                role += f", DAMAGED: {exc}"
            lines.append(
                f"{pipeline.stream}  seq {kept.seq}  {kept.version}  {kept.sha256[:12]}  {role}"
            )
    return lines


def inspect_installation() -> list[Answer]:
    """Whether all files are there that pip has installed, also those that nothing has needed."""
    fault = installation_fault()
    return [Answer("FAIL", fault)] if fault else []


def find_exposed(settings: Settings) -> list[Answer]:
    """What goes over the network so that others may read it."""
    broker, registry = settings.broker, urlsplit(settings.registry.url)
    answers = []
    if broker.username and not broker.uses_tls and not _is_here(broker.host):
        answers.append(
            Answer(
                "warn",
                f"broker.username: the password goes to {broker.host} unencrypted, and whoever "
                "reads along may use it: set broker.ca_file or broker.tls",
            )
        )
    if registry.scheme == "http" and not _is_here(registry.hostname or ""):
        answers.append(
            Answer(
                "warn",
                f"registry.url: {registry.hostname} is asked over http: nobody can change a "
                "signed bundle, but whoever reads along sees it and can withhold it: use https",
            )
        )
    return answers


def _is_here(host: str) -> bool:
    """Whether a host is this machine itself, so that nothing goes over a network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761, 6.3


def ask_registry(settings: Settings) -> list[Answer]:
    """Refresh the trusted metadata and see which bundle every stream would run.

    This is done on a copy: what root wrote into the state folder, the service could not replace.
    """
    with TemporaryDirectory(prefix="millhand-check-") as folder:
        state_dir = Path(folder)
        try:
            _copy_trust(settings.gateway.state_dir, state_dir)
        except (OSError, shutil.Error) as exc:
            return [Answer("FAIL", f"the registry was not asked: {exc}")]
        return [_ask_stream(settings, one.stream, state_dir) for one in settings.pipelines]


def _copy_trust(state_dir: Path, target: Path) -> None:
    """Copy the state of the registry's client: its metadata, and what it has seen of their age."""
    for entry in (state_dir / "registry", state_dir / "trust.json"):
        if entry.is_dir():
            shutil.copytree(entry, target / entry.name, symlinks=True)
        elif entry.exists():
            shutil.copy2(entry, target)


def _ask_stream(settings: Settings, stream: str, state_dir: Path) -> Answer:
    request = _question(settings, stream, state_dir)
    try:
        found = pull(request, on_progress=lambda *_: None, cancelled=threading.Event())
    except MillhandError as exc:
        return Answer("FAIL", f"registry {shortened(request.url)}: {stream}: {exc} ({exc.code})")
    return Answer("ok", f"registry {shortened(request.url)}: {stream} would run seq {found.seq}")


def _question(settings: Settings, stream: str, state_dir: Path) -> PullRequest:
    """Ask what the stream would run, without a download."""
    registry = settings.registry
    return PullRequest(
        url=registry.url,
        root=registry.root,
        state_dir=state_dir,
        stream=stream,
        seq=None,
        destination_dir=state_dir / "bundles",
        max_bytes=registry.max_bundle_bytes,
        deadline_s=min(registry.deadline_s, _REGISTRY_DEADLINE_S),
        check=True,
        access=registry.access,
    )
