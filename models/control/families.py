"""The families of metrics that a gateway has, however Prometheus gets them (docs/metrics.md).

The agent writes them into a text file, and the server makes the same of what gateways publish: same
names, same labels, so that one dashboard fits both. Names follow
https://prometheus.io/docs/practices/naming/. All have the label `gateway`, none has the label
`asset`, and no label has a value that a payload could choose.
"""

from typing import Final, NamedTuple


class Family(NamedTuple):
    """Metrics of one name.

    Attributes:
        name: name, with the suffix that its samples have.
        kind: type, as OpenMetrics calls it.
        labels: names of the labels.
        meaning: what is counted or measured.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


_OF_GATEWAY: Final = ("gateway",)
_OF_STREAM: Final = ("gateway", "stream")

ONLINE: Final = Family(
    "millhand_gateway_online", "gauge", _OF_GATEWAY,
    "1 while the agent is connected to the broker, else 0.",
)  # fmt: skip
AGENT: Final = Family(
    "millhand_agent_info", "info", (*_OF_GATEWAY, "version"),
    "The release of millhand that the agent runs.",
)  # fmt: skip
START: Final = Family(
    "millhand_agent_start_time_seconds", "gauge", _OF_GATEWAY,
    "Start of the agent, in seconds since 1970.",
)  # fmt: skip
RECEIVED: Final = Family(
    "millhand_readings_received_total", "counter", _OF_GATEWAY, "Messages that have arrived."
)
READINGS: Final = Family(
    "millhand_readings_total", "counter", (*_OF_GATEWAY, "outcome", "reason"),
    "Messages that are finished: predicted, windowed, or dropped for a reason.",
)  # fmt: skip
WAITING: Final = Family(
    "millhand_waiting_readings", "gauge", _OF_GATEWAY, "Messages that are not finished."
)
REDELIVERED: Final = Family(
    "millhand_redelivered_readings_total", "counter", _OF_GATEWAY,
    "Messages that came again while they were at work; they are not counted as received again.",
)  # fmt: skip
CONNECTS: Final = Family(
    "millhand_broker_connects_total", "counter", _OF_GATEWAY,
    "Connections of the agent that the broker has accepted.",
)  # fmt: skip
SESSIONS_LOST: Final = Family(
    "millhand_sessions_lost_total", "counter", _OF_GATEWAY,
    "Connections at which the broker had lost the session; the first one counts too.",
)  # fmt: skip
TEXTFILE_FAILURES: Final = Family(
    "millhand_textfile_failures_total", "counter", _OF_GATEWAY,
    "Tries of the agent to write its text file that have failed.",
)  # fmt: skip
METADATA_AGE: Final = Family(
    "millhand_metadata_age_seconds", "gauge", _OF_GATEWAY,
    "Time since the gateway has accepted metadata of the registry last.",
)  # fmt: skip
SPARKPLUG_CONNECTS: Final = Family(
    "millhand_sparkplug_connects_total", "counter", _OF_GATEWAY,
    "Connections of the edge node of Sparkplug that the broker has accepted.",
)  # fmt: skip
SPARKPLUG_MESSAGES: Final = Family(
    "millhand_sparkplug_messages_total", "counter", (*_OF_GATEWAY, "kind"),
    "Messages that the edge node has published, by kind, such as DDATA.",
)  # fmt: skip
SPARKPLUG_PREDICTIONS: Final = Family(
    "millhand_sparkplug_predictions_total", "counter", (*_OF_GATEWAY, "outcome", "reason"),
    "Predictions that the edge node is done with: published, unchanged, or dropped for a reason.",
)  # fmt: skip
SPARKPLUG_WAITING: Final = Family(
    "millhand_sparkplug_waiting_predictions", "gauge", _OF_GATEWAY,
    "Predictions that wait for the edge node to be connected.",
)  # fmt: skip
SPARKPLUG_REFUSED: Final = Family(
    "millhand_sparkplug_refused_commands_total", "counter", _OF_GATEWAY,
    "Commands of hosts that the edge node has not obeyed.",
)  # fmt: skip
PREDICTIONS: Final = Family(
    "millhand_predictions_total", "counter", (*_OF_STREAM, "role", "quality"),
    "Predictions by quality; the role of the model that answers the plant is champion.",
)  # fmt: skip
BAD: Final = Family(
    "millhand_bad_predictions_total", "counter", (*_OF_STREAM, "reason"),
    "Predictions of quality BAD, by the reason that they carry.",
)  # fmt: skip
MISSING: Final = Family(
    "millhand_missing_values_total", "counter", _OF_STREAM,
    "Values that samples lacked, of all signals together.",
)  # fmt: skip
REFUSED: Final = Family(
    "millhand_refused_readings_total", "counter", (*_OF_STREAM, "reason"),
    "Messages of which the stream could make no use.",
)  # fmt: skip
SHED: Final = Family(
    "millhand_shed_readings_total", "counter", _OF_STREAM,
    "Readings that were given up under overload.",
)  # fmt: skip
FORGOTTEN: Final = Family(
    "millhand_forgotten_assets_total", "counter", _OF_STREAM,
    "Assets whose windows made room for those of others.",
)  # fmt: skip
EXPLANATIONS: Final = Family(
    "millhand_gateway_explanations_total", "counter", (*_OF_STREAM, "outcome"),
    "Predictions whose signals were to be named: made, left_out for want of time, or failed.",
)  # fmt: skip
BATCH: Final = Family(
    "millhand_batch_duration_seconds", "gauge", _OF_STREAM,
    "Time that the model needs for a batch of windows, a moving average.",
)  # fmt: skip
DURATION: Final = Family(
    "millhand_prediction_duration_seconds", "histogram", _OF_STREAM,
    "Time of the model for one window, of each window that it has answered.",
)  # fmt: skip
AGE: Final = Family(
    "millhand_input_age_seconds", "histogram", _OF_STREAM,
    "Time from the source's time of the newest reading to the prediction.",
)  # fmt: skip
DRIFT_RATIO: Final = Family(
    "millhand_drift_ratio", "gauge", (*_OF_STREAM, "view"),
    "Distance from the training part, as a multiple of its limit, where it is furthest.",
)  # fmt: skip
DRIFT_ALARM: Final = Family(
    "millhand_drift_alarm", "gauge", (*_OF_STREAM, "view"),
    "1 while the distance from the training part is beyond its limit, else 0.",
)  # fmt: skip
MODEL: Final = Family(
    "millhand_gateway_model_info", "info", (*_OF_STREAM, "role", "seq", "version", "digest"),
    "The bundle that serves on the gateway: its number, its semantic version and its digest.",
)  # fmt: skip
STATE: Final = Family(
    "millhand_stream_state", "gauge", (*_OF_STREAM, "state"),
    "1 for the state that the stream is in: serving, degraded or waiting.",
)  # fmt: skip
QUARANTINED: Final = Family(
    "millhand_quarantined_bundles", "gauge", _OF_STREAM,
    "Bundles of the stream that must not serve on the gateway.",
)  # fmt: skip
UPDATE: Final = Family(
    "millhand_update_state", "gauge", (*_OF_STREAM, "state"),
    "1 for the state in which the last update of the stream is, or has ended.",
)  # fmt: skip

ROLLOUT: Final = Family(
    "millhand_rollout_state", "gauge", (*_OF_STREAM, "rollout", "group", "state"),
    "1 for what the gateway does in the rollout of the stream: waiting, shadow, serving and so on.",
)  # fmt: skip
SHADOW_WINDOWS: Final = Family(
    "millhand_shadow_windows_total", "counter", (*_OF_STREAM, "outcome"),
    "Windows of which the model in the shadow was given a copy: compared, or left_out.",
)  # fmt: skip
SHADOW_BLOCKS: Final = Family(
    "millhand_shadow_blocks_total", "counter", (*_OF_STREAM, "gate"),
    "Blocks of time that a gate has compared.",
)  # fmt: skip
DISCORDANT: Final = Family(
    "millhand_shadow_discordant_total", "counter", (*_OF_STREAM, "gate"),
    "Blocks of time that speak against the model in the shadow, by gate.",
)  # fmt: skip
LOG_E: Final = Family(
    "millhand_gate_log_evalue", "gauge", (*_OF_STREAM, "gate"),
    "Natural logarithm of the e-value against: the model in the shadow is no worse.",
)  # fmt: skip

FAMILIES: Final = (
    ONLINE, AGENT, START, RECEIVED, READINGS, WAITING, REDELIVERED, CONNECTS, SESSIONS_LOST,
    TEXTFILE_FAILURES, METADATA_AGE, SPARKPLUG_CONNECTS, SPARKPLUG_MESSAGES, SPARKPLUG_PREDICTIONS,
    SPARKPLUG_WAITING, SPARKPLUG_REFUSED, PREDICTIONS, BAD, MISSING, REFUSED, SHED, FORGOTTEN,
    EXPLANATIONS, BATCH, DURATION, AGE, DRIFT_RATIO, DRIFT_ALARM, MODEL, STATE, QUARANTINED,
    UPDATE, ROLLOUT, SHADOW_WINDOWS, SHADOW_BLOCKS, DISCORDANT, LOG_E,
)  # fmt: skip
"""All families of a gateway, in the order in which they are written."""
