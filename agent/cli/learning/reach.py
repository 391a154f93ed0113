"""What `learn` needs of a configuration: the broker, and perhaps the registry; no pipelines."""

import argparse
from pathlib import Path
from typing import Any, Final

from pydantic import ConfigDict, ValidationError

from agent.config.settings import Broker, Gateway, Settings
from models.bundle.manifest import Manifest
from models.bundle.package import load_bundle
from models.errors import BundleError, MillhandError
from models.validation import explain
from serving.errors import ConfigError
from serving.preflight.registry import fetch_manifest
from serving.preflight.toml_file import FileSettings, load_settings
from serving.registry.settings import Registry
from serving.store import Store

_PORT: Final = 1883
_NAMELESS: Final = Gateway.model_construct(id="draft")


class Reach(FileSettings):
    """The sections of a configuration that are there before its pipelines are."""

    model_config = ConfigDict(extra="ignore")

    gateway: Gateway = _NAMELESS
    broker: Broker
    registry: Registry | None = None


def settings_of(chosen: argparse.Namespace, schema: str) -> Settings:
    """Settings without pipelines, with which the broker is reached as the agent reaches it.

    Raises:
        ConfigError: the options or the configuration have mistakes.
    """
    if chosen.broker is None:
        for name in ("username", "password_file", "ca_file"):
            if getattr(chosen, name) is not None:
                word = name.replace("_", "-")
                raise ConfigError(f"--{word} needs --broker; the configuration has its own")
        reach = load_settings(chosen.config, Reach, schema)
        gateway, broker = reach.gateway, reach.broker
    else:
        gateway, broker = _NAMELESS, _broker_of(chosen)
    sections: dict[str, Any] = {"gateway": gateway, "broker": broker, "pipelines": ()}
    return Settings.model_construct(**sections)  # without a registry, which is not needed


def _broker_of(chosen: argparse.Namespace) -> Broker:
    host, colon, port = chosen.broker.rpartition(":")
    if not colon or chosen.broker.endswith("]"):
        host, port = chosen.broker, str(_PORT)
    try:
        return Broker(
            host=host.strip("[]"),
            port=int(port),
            username=chosen.username,
            password_file=chosen.password_file,
            ca_file=chosen.ca_file,
        )
    except ValidationError as exc:
        mistakes = "; ".join(explain(error) for error in exc.errors())
        raise ConfigError(f"--broker {chosen.broker}: {mistakes}") from exc
    except ValueError as exc:
        raise ConfigError(f"--broker {chosen.broker}: is not HOST or HOST:PORT") from exc


def manifest_of(bundle: str, config: Path, schema: str) -> Manifest:
    """The manifest of a bundle: of a file, of the stream that the gateway keeps, or the registry's.

    Raises:
        ConfigError: there is no such bundle, or it cannot be read.
    """
    file = Path(bundle)
    try:
        if file.suffix == ".zip" or file.exists():
            return load_bundle(file).manifest
        reach = load_settings(config, Reach, schema)
        kept = _kept(reach.gateway.state_dir, bundle)
        if kept is not None:
            return kept
        if reach.registry is not None:
            return fetch_manifest(reach.registry, reach.gateway.state_dir, bundle)
    except OSError as exc:
        raise ConfigError(f"--bundle {bundle}: cannot be read: {exc.strerror or exc}") from exc
    except ConfigError:
        raise
    except MillhandError as exc:
        raise ConfigError(f"--bundle {bundle}: {exc} ({exc.code})") from exc
    raise ConfigError(
        f"--bundle {bundle}: is no file, the gateway keeps no bundle of such a stream, and "
        f"{config} has no [registry]"
    )


def _kept(state_dir: Path, stream: str) -> Manifest | None:
    store = Store(state_dir, keep=2)
    record = store.active(stream)
    if record is None:
        return None
    try:
        return store.load(record.serving).manifest
    except BundleError:
        return None
