"""What can be known of a gateway before the agent serves; see `serving.preflight` for the parts."""

import os
from pathlib import Path
from typing import get_args

from agent.config.settings import Settings
from models.address import shortened
from models.errors import BundleError
from models.input.codecs.qualities import ALLOWED, NamedMap
from serving.preflight import files, kept
from serving.preflight.answer import Answer
from serving.preflight.registry import ask_registry, find_unencrypted, is_here
from serving.program.installation import installation_fault
from serving.store import Store


def check_files(settings: Settings, config: Path) -> None:
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
    files.check_files(config, named, ("gateway.state_dir", settings.gateway.state_dir))


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
        if pipeline.labels is not None:
            lines.append(f"  labels  {pipeline.label_topic}")
        lines += [f"  input   {one.filter} as {one.form}, QoS {one.qos}" for one in pipeline.inputs]
    return lines


def list_models(settings: Settings) -> list[str]:
    """What every stream serves and keeps, each bundle read and verified anew."""
    return kept.list_models(store(settings), settings.streams)


def inspect_installation() -> list[Answer]:
    """Whether all files are there that pip has installed, also those that nothing has needed."""
    fault = installation_fault()
    return [Answer("FAIL", fault)] if fault else []


def find_unwritable(settings: Settings) -> list[Answer]:
    """Whether the text file of metrics can be written; the agent would serve without it."""
    path = settings.metrics.textfile
    if path is None:
        return []
    folder = path.parent
    if not folder.is_dir():
        fault = f"the folder '{folder}' is not there: install node_exporter, or correct the path"
    elif path.is_dir():
        fault = f"'{path}' is a folder: name a file in it that ends with .prom"
    elif not os.access(folder, os.W_OK | os.X_OK):
        fault = (
            f"this user may not write in '{folder}': docs/metrics.md says which group and which "
            "ReadWritePaths= the service needs"
        )
    else:
        return []
    return [Answer("FAIL", f"metrics.textfile: {fault}")]


def find_exposed(settings: Settings) -> list[Answer]:
    """What others may read: secrets on this machine, and what goes over the network."""
    broker = settings.broker
    answers = [Answer("warn", secret) for secret in files.exposed(settings.secrets)]
    if broker.username and not broker.uses_tls and not is_here(broker.host):
        answers.append(
            Answer(
                "warn",
                f"broker.username: the password goes to {broker.host} unencrypted, and whoever "
                "reads along may use it: set broker.ca_file or broker.tls",
            )
        )
    return answers + find_unencrypted(settings.registry)


def find_guessed(settings: Settings) -> list[Answer]:
    """Qualities whose meaning nobody has named, so that some of them are dropped."""
    return [
        Answer(
            "warn",
            f"pipelines[{number}].inputs[{place}].quality: quality_map is not given, so only "
            f"{ALLOWED[None]} are read; other numbers, such as 0 to 3, mean opposite things in "
            "different products and are dropped as quality_ambiguous: set quality_map to "
            f"{', '.join(get_args(NamedMap))}, or to a table of your own",
        )
        for number, pipeline in enumerate(settings.pipelines)
        for place, source in enumerate(pipeline.inputs)
        if source.quality_map is None and (source.quality or source.tags.quality)
    ]


def find_unheld(settings: Settings) -> list[Answer]:
    """Inputs whose retained messages are of no use: the model holds none of their signals."""
    answers = []
    kept = store(settings)
    for number, pipeline in enumerate(settings.pipelines):
        record = kept.active(pipeline.stream)
        inputs = [place for place, one in enumerate(pipeline.inputs) if one.last_known]
        if record is None or not inputs:
            continue
        try:
            channels = kept.load(record.serving).manifest.channels
        except BundleError:  # other lines tell of it
            continue
        held = {channel.name for channel in channels if channel.max_age_ms is not None}
        names = [channel.name for channel in channels]
        answers += [
            Answer(
                "warn",
                f"pipelines[{number}].inputs[{place}].last_known: the model gives none of its "
                "signals a max_age_s, so that no value stands for more than one sample, and "
                "retained messages are dropped: train it with max_age_s, or leave last_known out",
            )
            for place in inputs
            if held.isdisjoint(pipeline.inputs[place].signals or names)
        ]
    return answers


def ask(settings: Settings) -> list[Answer]:
    """What the registry would have every stream run."""
    return ask_registry(settings.registry, settings.gateway.state_dir, settings.streams)


def store(settings: Settings) -> Store:
    """Where the gateway keeps its bundles."""
    return Store(settings.gateway.state_dir, settings.limits.keep_bundles)
