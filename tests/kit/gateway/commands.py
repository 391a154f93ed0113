"""The commands of the agent, as an operator runs them on a gateway."""

import subprocess
from dataclasses import dataclass

from tests.kit.children import ROOT, python
from tests.kit.gateway.agent import Gateway


def check(gateway: Gateway, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `check` with the gateway's configuration."""
    words = python("agent", "check", *options, "--config", gateway.write_config())
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@dataclass(frozen=True)
class Answers:
    """What `check --connect` has found of the broker, by kind."""

    ok: list[str]
    warn: list[str]
    fail: list[str]


def answers(gateway: Gateway, *options: str) -> Answers:
    """Run `check --connect`, and return what it says of the broker."""
    found: dict[str, list[str]] = {"ok": [], "warn": [], "FAIL": []}
    for line in check(gateway, "--connect", *options).stdout.splitlines():
        kind, text = line[:6].rstrip(), line[6:]
        if kind in found and not text.startswith(("registry", "model")):
            found[kind].append(text)
    return Answers(*found.values())
