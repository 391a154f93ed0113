"""The families of metrics: their names, types, labels and meanings, which docs/metrics.md repeats.

Names follow https://prometheus.io/docs/practices/naming/: one prefix, base units, `_total` of
counters. `model` is the name of a stream and `version` the `seq` of a bundle, as in the paths.
"""

from typing import Final

from models.control.families import Family

RECEIVED: Final = Family(
    "millhand_requests_received_total", "counter", (),
    "Requests whose headers were read, and what was refused before it was one.",
)  # fmt: skip
ANSWERED: Final = Family(
    "millhand_requests_answered_total", "counter", (), "Requests that got what they asked for."
)
REFUSED: Final = Family(
    "millhand_requests_refused_total", "counter", ("reason",),
    "Requests that did not get what they asked for.",
)  # fmt: skip
UNDER_WAY: Final = Family(
    "millhand_requests_under_way", "gauge", (), "Requests that wait for their answer."
)
REQUESTS: Final = Family(
    "millhand_requests_total", "counter", ("model", "version", "route", "code"),
    "Requests that have ended; a version that is replaced is dropped after three others.",
)  # fmt: skip
DURATION: Final = Family(
    "millhand_request_duration_seconds", "histogram", ("model", "route", "code"),
    "Time from the headers of a request to the end of its answer.",
)  # fmt: skip
CONNECTIONS: Final = Family("millhand_connections", "gauge", (), "Connections that are open.")
BATCH_WINDOWS: Final = Family(
    "millhand_batch_windows", "histogram", ("model",),
    "Windows that a run of the model has answered.",
)  # fmt: skip
STAGES: Final = Family(
    "millhand_stage_seconds_total", "counter", ("model", "stage"),
    "Time that requests spent: decode, queue, run (each request of a batch counts), encode.",
)  # fmt: skip
BUSY: Final = Family(
    "millhand_model_run_seconds_total", "counter", ("model",), "Time in which the model ran."
)
FAILED_RUNS: Final = Family(
    "millhand_failed_runs_total", "counter", ("model",),
    "Runs that failed on the windows of a single request.",
)  # fmt: skip
EXPLANATIONS: Final = Family(
    "millhand_explanations_total", "counter", ("model", "outcome"),
    "Predictions whose signals were to be named: given, or left_out for want of time or room.",
)  # fmt: skip
WAITING: Final = Family(
    "millhand_waiting_windows", "gauge", ("model",), "Windows that wait for the model."
)
VERSIONS: Final = Family(
    "millhand_model_versions", "gauge", ("model",), "Versions of the model that answer."
)
MODEL: Final = Family(
    "millhand_model_info", "info", ("model", "version", "semantic_version", "digest", "role"),
    "A version that answers: its role is default or earlier, its digest that of the bundle.",
)  # fmt: skip
FAILING: Final = Family(
    "millhand_model_failing", "gauge", ("model",),
    "1 while the default version fails on what it is asked, else 0.",
)  # fmt: skip
RELOADS: Final = Family(
    "millhand_model_reloads_total", "counter", ("model", "outcome"),
    "Tries to serve another bundle, by how they ended.",
)  # fmt: skip
UPDATE_FAILING: Final = Family(
    "millhand_update_failing", "gauge", ("model",),
    "1 if the last try to follow the registry has failed, else 0.",
)  # fmt: skip
BUILD: Final = Family(
    "millhand_build_info", "info", ("version", "python", "onnxruntime"), "What runs."
)

WORKERS: Final = Family("millhand_workers", "gauge", (), "Processes that answer requests.")
WORKER_DEATHS: Final = Family(
    "millhand_worker_deaths_total", "counter", (),
    "Workers that have died, and were started again.",
)  # fmt: skip

GATEWAYS: Final = Family(
    "millhand_fleet_gateways", "gauge", ("state",),
    "Gateways that are online, offline, gone (offline for long), or unknown since an outage.",
)  # fmt: skip
BROKER: Final = Family(
    "millhand_fleet_broker_connected", "gauge", (),
    "1 while the server is connected to the broker of the gateways, else 0.",
)  # fmt: skip
CLEARED: Final = Family(
    "millhand_fleet_gateways_cleared_total", "counter", (),
    "Gateways that were forgotten because their retained status was cleared.",
)  # fmt: skip
IGNORED: Final = Family(
    "millhand_fleet_documents_ignored_total", "counter", ("reason",),
    "Documents that cannot be read, or are of a gateway beyond console.max_gateways.",
)  # fmt: skip
HEARD: Final = Family(
    "millhand_gateway_heard_timestamp_seconds", "gauge", ("gateway",),
    "When the gateway was heard last, in seconds since 1970.",
)  # fmt: skip

FLEET: Final = (GATEWAYS, BROKER, CLEARED, IGNORED, HEARD)
"""Families of `/metrics/fleet`, beside those of each gateway (`models.control.families`)."""
FAMILIES: Final = (
    RECEIVED, ANSWERED, REFUSED, UNDER_WAY, REQUESTS, DURATION, CONNECTIONS, BATCH_WINDOWS, STAGES,
    BUSY, FAILED_RUNS, EXPLANATIONS, WAITING, VERSIONS, MODEL, FAILING, RELOADS, UPDATE_FAILING,
    BUILD, WORKERS, WORKER_DEATHS,
)  # fmt: skip
"""All families of this program; those of the process come from prometheus_client."""
