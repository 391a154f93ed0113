"""A trial in the shadow on a recording: by a real agent behind a real broker, and offline."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any, Final, Self

from agent.config.shadow import Shadow
from agent.shadow.comparison import Comparison
from models.bundle.package import Bundle
from models.control.rollout import Evidence
from models.control.topics import ControlTopics
from models.input.quality import Quality
from serving.gates.e_values import log_below
from serving.gates.evidence import Acceptable
from serving.gates.gate import Gate
from serving.model import prove
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually
from tests.realdata.line import offline
from tests.realdata.plants import PLANTS, Kind, Plant, Run

_CONTROL: Final = ControlTopics("gw1")
_STARTED_S: Final = 60.0
_SEEN_S: Final = 60.0
FIRST_LOOK: Final = 64
_IN_FLIGHT: Final = 100
_SHADOW: Final[dict[str, object]] = {"evidence_s": 0.1, "share": 0.9}
_LIMITS: Final[dict[str, object]] = {"turn_s": 5.0, "inference_s": 10.0}
"""The candidate is to answer every window: what is left out depends on the machine."""


@dataclass(frozen=True)
class Trial:
    """A candidate that is to replace a bundle, and the recording that both answer.

    Attributes:
        plant: the recording.
        data: folder of public data.
        champion: the bundle that serves.
        candidate: the bundle in its shadow.
    """

    plant: Plant
    data: Path
    champion: Bundle
    candidate: Bundle

    @classmethod
    def of(cls, name: str, kind: Kind, data: Path) -> Self:
        """One of `PLANTS` with one kind of candidate."""
        plant = PLANTS[name]
        return cls(plant, data, plant.champion(data), plant.candidate(data, kind))


@dataclass(frozen=True)
class Ended:
    """How a trial ended.

    Attributes:
        evidence: what the gateway says of it.
        windows: windows that were sent until it was known.
    """

    evidence: Evidence
    windows: int

    @property
    def message(self) -> str:
        """The evidence in words."""
        return self.evidence.message

    @property
    def end(self) -> str:
        """The gate that has ended it, or the verdict."""
        found = self.evidence
        stopped = ", ".join(stopping(found)) if found.verdict in ("worse", "different") else ""
        return found.tripped or stopped or found.verdict


def stopping(evidence: Evidence) -> list[str]:
    """The statistical gates whose counters stop the candidate, computed by their formula."""
    limit = log(len(evidence.gates) / Shadow().alpha)
    gates = evidence.gates.items()
    found = {name: Gate(one.kind, one.limit, one.hits, one.misses).log_e for name, one in gates}
    return [name for name, value in found.items() if value >= limit]


def verdict(evidence: Evidence) -> str:
    """The verdict that the counters of evidence make."""
    if stopped := stopping(evidence):
        return "different" if stopped == ["direction"] else "worse"
    gate, beta = evidence.gates["disagreement"], Shadow().beta
    return "no worse" if log_below(gate.hits, gate.misses, gate.limit) >= log(1 / beta) else "open"


def at_the_gateway(folder: Path, trial: Trial, look: int) -> Ended:
    """Replay the recording to an agent with the candidate in the shadow of the champion.

    Args:
        folder: folder for broker, registry and gateway.
        trial: what is tried.
        look: windows at most that are sent before the evidence is looked at again; it is first
            looked at after `FIRST_LOOK`, and then whenever as many have been sent again.
    """
    champion, candidate = trial.champion, trial.candidate
    published = Published.create(folder)
    for one in (champion, candidate):
        published.publish(one)
    stream = champion.manifest.stream
    source = {"topic": "plant/l1/{asset}/telemetry", "timestamp": "ts"}
    with (
        mosquitto(folder / "broker", max_queued_messages=0) as broker,
        PlantClient(broker.port, [f"{_CONTROL.base}/#", "plant/+/+/_inference/#"]) as client,
        Gateway(
            folder / "gw",
            broker.port,
            [{"stream": stream, "shadow": "newest", "inputs": [source]}],
            registry=published.url,
            root=published.keys.root,
            sections={"limits": _LIMITS, "shadow": _SHADOW | {"block_s": trial.plant.block_s}},
        ) as gateway,
    ):
        gateway.keep(champion, pinned=False)
        gateway.start_serving()
        eventually(
            lambda: (client.latest(_CONTROL.current(stream)) or {}).get("shadow"),
            _STARTED_S,
            f"seq 2 in the shadow\n{gateway.log}",
        )
        sent = _replay(client, trial, look)
        with PlantClient(broker.port, [_CONTROL.evidence(stream)]) as late:
            kept = late.wait_for("evidence")[-1]
        answers = client.documents("_inference")
    assert {answer["seq"] for answer in answers} == {1}, "nothing of the candidate is published"
    assert candidate.manifest.seq == kept["candidate"]
    return Ended(Evidence.model_validate(kept), sent)


def _replay(client: PlantClient, trial: Trial, look: int) -> int:
    """Send rows until the trial has ended, or there are no more; returns the windows sent."""
    topic, sent, next_ = _CONTROL.evidence(trial.champion.manifest.stream), 0, FIRST_LOOK

    def seen() -> bool:
        evidence = client.latest(topic) or {}
        answered = evidence.get("compared", 0) + sum(evidence.get("left_out", {}).values())
        return answered >= sent or _is_over(evidence)

    for sent, (name, payload) in _messages(trial):
        client.publish(name, payload)
        if sent % _IN_FLIGHT == 0:
            eventually(lambda: client.count("_inference") >= sent, _SEEN_S, f"{sent} answers")  # noqa: B023  at once
        if sent == next_:
            next_ += min(sent, look)
            eventually(seen, _SEEN_S, f"evidence of {sent} windows, after {client.latest(topic)}")
            if _is_over(client.latest(topic) or {}):
                return sent
    eventually(seen, _SEEN_S, f"evidence of {sent} windows, after {client.latest(topic)}")
    return sent


def _is_over(evidence: dict[str, Any]) -> bool:
    return bool(evidence.get("tripped")) or evidence.get("verdict", "open") != "open"


def _messages(trial: Trial) -> Iterator[tuple[int, tuple[str, str]]]:
    """Each row as a message, with the number of windows that are complete with it."""
    complete = 0
    for run in trial.plant.runs(trial.data):
        topic = f"plant/l1/{run.asset}/telemetry"
        for row, values in enumerate(_rows(run, trial.champion)):
            complete += row >= trial.plant.length - 1
            yield complete, (topic, json.dumps(values))


def _rows(run: Run, champion: Bundle) -> Iterator[dict[str, Any]]:
    """The rows as objects; states by their words."""
    channels = champion.manifest.channels
    words = [{code: word for word, code in (one.codes or {}).items()} for one in channels]
    for at_ms, row in zip(run.at_ms.tolist(), run.values.tolist(), strict=True):
        own = {
            channel.name: known.get(value, value)
            for channel, known, value in zip(channels, words, row, strict=True)
        }
        yield {"ts": at_ms, **own}


def offline_trial(
    trial: Trial,
    look: int,
    *,
    most: int | None = None,
    accept: tuple[Acceptable, ...] = (),
) -> Ended:
    """The same trial without broker and agent, by the answers that the graphs give to all windows.

    Args:
        trial: what is tried.
        look: windows after which it is looked whether the trial has ended.
        most: windows of which it is told in any case, ended or not; None ends with the trial.
        accept: gates that the plan accepts.
    """
    pair = trial.champion, trial.candidate
    champion, candidate = (prove(one) for one in pair)
    settings = Shadow.model_validate({"block_s": trial.plant.block_s})
    gates = settings.gates.model_copy(update={"accept": accept})
    comparison = Comparison(champion, candidate, gates, settings, 0.0)
    windows, at_ms = trial.plant.windows(trial.data)
    known = dict.fromkeys(("champion", "candidate"), 1)
    sides = [offline(one, windows) for one in pair]
    count = len(windows) if most is None else most
    at = 0
    for at in range(0, count, look):
        part = slice(at, min(at + look, count))
        quality = [int(Quality.GOOD)] * len(at_ms[part])
        own, other = (
            profile.answers({name: got[part] for name, got in answers.items()}, quality)
            for profile, answers in zip(
                (comparison.champion, comparison.candidate), sides, strict=True
            )
        )
        comparison.add(at_ms[part], own, other)
        if most is None and (comparison.tripped or comparison.verdict != "open"):
            break
    said = comparison.document(stream=champion.manifest.stream, rollout="", **known)
    return Ended(said, min(at + look, count))


def counters(evidence: Evidence) -> dict[str, tuple[int, int]]:
    """Hits and misses by gate."""
    return {name: (one.hits, one.misses) for name, one in evidence.gates.items()}
