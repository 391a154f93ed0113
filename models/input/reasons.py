"""The reasons to drop a reading, and those for a prediction without a value: keys and meanings.

`metrics` counts under the keys, and a prediction carries one. They are part of the contract with
whoever reads these, and never change; the texts may.
"""

from typing import Final

REASONS: Final = {
    "empty": "the payload is empty",
    "not_json": "the payload is not JSON: cut off, not UTF-8, a lone surrogate, a byte-order mark",
    "not_line_protocol": "influx: a line is not line protocol, or the payload is not UTF-8",
    "not_gzip": "the payload is not gzip: damaged, cut off, something else behind its end",
    "inflated_too_large": "the payload inflates to more than limits.max_payload_bytes",
    "not_cbor": "the payload is not CBOR: cut off, bytes behind its end, a key that is no text",
    "not_msgpack": "the payload is not MessagePack: cut off, bytes behind its end, a key that is "
    "no text",
    "too_deep": "objects and lists are nested more than 100 levels deep",
    "duplicate_key": "an object has the same key twice",
    "not_an_object": "the payload is a document, but its payload format needs an object",
    "unknown_layout": "umh: the object has other keys than timestamp_ms and value",
    "too_many_entries": "thingsboard, lists of tags: the message has more than 10,000 entries",
    "not_sparkplug": "sparkplug: no payload of Sparkplug B: cut off, a field of another type, or "
    "damaged where it is compressed",
    "unsupported": "sparkplug: the metric is a template, a data set, bytes or an array",
    "not_base64": "block: the samples are not base64 text",
    "block_length": "the block is empty, uneven or too long, or differs in length from other axes",
    "not_a_number": "text, an object or a list stands where a number belongs; numbers in quotes "
    "need numbers = 'lenient'",
    "unknown_state": "the text is none of the states with which the model was trained",
    "not_finite": "a number is NaN, infinite or too large",
    "element_repeated": "two elements of an array have the text by which a path picks one of them",
    "no_signal": "the payload has none of the signals that are bound",
    "unbound_signal": "the model does not use the topic's signal",
    "asset_missing": "there is no asset at the path asset",
    "asset_malformed": "the asset cannot be a topic level: 256 characters at most, no + # / $",
    "signal_missing": "there is no name of a signal at the path signal",
    "signal_malformed": "the name of the signal is neither text nor a whole number",
    "time_missing": "there is no time at the path timestamp",
    "time_malformed": "the time cannot be read in the unit timestamp_unit",
    "time_past": "the time is before limits.earliest; the source's clock was probably never set, "
    "or timestamp_unit is another",
    "time_future": "the time is ahead of this clock by more than limits.max_future_s; text without "
    "an offset may be of another timezone",
    "quality_unknown": "the quality is none of those that quality_map has, or that are known",
    "quality_ambiguous": "products give this quality opposite meanings: set quality_map",
    "birth_missing": "sparkplug: no birth of the node or the device has been heard; see rebirth",
    "alias_unknown": "sparkplug: no birth that was heard has named this alias; see rebirth",
    "names_missing": "siemens: an id is in no metadata that were heard, or its collection is not",
    "too_many_nodes": "sparkplug: an input remembers 10,000 nodes at most",
    "sequence_missing": "there is no sequence number at the path sequence",
    "sequence_malformed": "the sequence number is neither a number nor text",
    "late": "the reading is older than the asset's last sample; on a grid, than its signal's last",
    "duplicate": "the same values have arrived for the same time before",
    "unknown_asset": "the asset is not listed in the pipeline's assets",
    "payload_too_large": "the payload is longer than limits.max_payload_bytes",
    "packet_too_large": "beyond limits.max_payload_bytes and 128 KiB: it was skipped as it came",
    "retained": "the broker had stored the message: it is not live, and may stand for no signal",
    "no_pipeline": "no input of a pipeline matches the topic",
    "no_model": "no model of the stream has arrived yet",
    "poison": "the agent has died of this input as often as limits.poison_deaths says",
    "superseded": "overload latest: newer readings on the same topic were waiting",
    "decimated": "overload decimate: only every n-th reading on the topic was answered",
    "backlog_full": "too many readings at QoS 0 wait for a model that is slow on this gateway",
    "outbox_full": "the broker did not take the prediction for a QoS 0 reading in time",
    "refused": "the broker refused the prediction: of QoS 0, or with limits.max_refused behind it",
    "too_large": "the prediction is larger than the broker accepts",
    "topic_invalid": "the broker does not accept the prediction's topic",
    "payload_invalid": "the broker does not accept the prediction's payload",
}
"""Every reason there is, so that the set of counters is bounded; docs/topics.md repeats it."""

INPUT_MISSING: Final = "input_missing"
BAD_REASONS: Final = {
    INPUT_MISSING: "a required signal has no usable value in the window; the model was not asked",
    "model_failed": "the model, or the runtime that runs it, failed on the batch of the window",
    "answer_not_finite": "the answer of the model was NaN or infinite",
    "timed_out": "the batch of the window took longer than limits.inference_s, and was interrupted",
}
"""Every `reason` that a BAD prediction may carry, which docs/topics.md repeats."""
