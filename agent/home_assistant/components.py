"""The components by which Home Assistant shows the predictions of one stream.

Its keys and templates are those of Home Assistant's MQTT integration: device discovery
(https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload), `sensor.mqtt` and
`binary_sensor.mqtt`.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any, Final

from agent.config.home_assistant import prediction_topic
from models.bundle.manifest import Manifest
from models.input.pipeline import Pipeline

Component = Mapping[str, Any]
_LEAST_EXPIRY_S: Final = 10
_PERIODS: Final = 3
_VALUE: Final = "{{ value_json.value }}"
# A null is rendered as None, which sensors take for unknown; binary sensors too.
_ALARM: Final = "{{ None if value_json.value is none else 'ON' if value_json.value else 'OFF' }}"
# What differs from one prediction to the next, such as its id and its times, would make Home
# Assistant store every message as a new state.
_ATTRIBUTES: Final = ("quality", "reason", "label", "version", "seq")
_AS_ATTRIBUTES: Final = (
    "{{ {" + ", ".join(f"'{key}': value_json.get('{key}')" for key in _ATTRIBUTES) + "} | tojson }}"
)


def components(
    gateway: str, pipeline: Pipeline, manifest: Manifest, expire_after_s: float | None
) -> Iterator[tuple[str, Component]]:
    """Key and content of each component, of one asset after another.

    Args:
        gateway: id of the gateway.
        pipeline: the stream; its assets count.
        manifest: manifest of the model that serves.
        expire_after_s: seconds after which a prediction is outdated; None: as the model says.
    """
    expiry_s = expire_after_s or model_expiry_s(manifest)
    for asset in pipeline.assets:
        topic = prediction_topic(pipeline, asset)
        shared: dict[str, object] = {
            "state_topic": topic,
            "json_attributes_topic": topic,
            "json_attributes_template": _AS_ATTRIBUTES,
        }
        if expiry_s:
            shared["expire_after"] = ceil(expiry_s)
        for kind, own in _kinds(manifest):
            key = "/".join(part for part in (pipeline.stream, asset, kind) if part)
            name = f"{asset} {pipeline.stream} {kind}".rstrip()
            yield key, {**own, "name": name, "unique_id": f"millhand/{gateway}/{key}", **shared}


def model_expiry_s(manifest: Manifest) -> float | None:
    """Seconds after which a prediction is outdated, from the periods and ages of a model.

    Three times as long as it is from one prediction to the next, and at least as long as a signal
    is held. None where the model states neither.
    """
    window = manifest.window
    ages_ms: Sequence[float] = [one.max_age_ms for one in manifest.channels if one.max_age_ms]
    longest_ms = max([_PERIODS * window.hop * (window.sample_period_ms or 0), *ages_ms])
    return max(longest_ms / 1000, _LEAST_EXPIRY_S) if longest_ms else None


def _kinds(manifest: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    """What there is for each asset: a word that tells one kind from the others, and its keys."""
    output = manifest.outputs[0]
    if manifest.task == "anomaly":
        yield (
            "",
            {"p": "binary_sensor", "device_class": "problem", "value_template": _ALARM},
        )
        if manifest.output("score") is not None:
            score = "{{ value_json.score }}"
            yield "score", {"p": "sensor", "state_class": "measurement", "value_template": score}
    elif output.classes:
        label = "{{ value_json.get('label') }}"
        options = list(output.classes)
        yield (
            "",
            {"p": "sensor", "device_class": "enum", "options": options, "value_template": label},
        )
    else:
        own = {"p": "sensor", "state_class": "measurement", "value_template": _VALUE}
        yield "", own | ({"unit_of_measurement": output.unit} if output.unit else {})
