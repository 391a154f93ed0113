"""Why a reading is dropped, by the word under which `metrics` counts it."""

from typing import Final

REASONS: Final = {
    "empty": "no payload",
    "not_json": "not JSON: cut off, not UTF-8, a lone surrogate, a byte-order mark",
    "too_deep": "nested beyond 100 levels",
    "duplicate_key": "a key twice in one object",
    "not_an_object": "JSON, but no object where the dialect wants one",
    "unknown_layout": "umh: other keys than its two",
    "too_many_entries": "thingsboard: more than 10,000 entries",
    "not_a_number": "text, true, false, an object or a list where a number belongs",
    "not_finite": "NaN, an infinity, a number too large",
    "no_signal": "none of the bound signals is there",
    "unbound_signal": "the topic's signal is none of the model's",
    "time_missing": "no time at its path",
    "time_malformed": "a time that cannot be read",
    "time_past": "earlier than limits.earliest: a clock that was never set",
    "time_future": "ahead of this clock by more than limits.max_future_s",
    "quality_unknown": "a quality in none of the words known for it",
    "sequence_missing": "no sequence number at its path",
    "sequence_malformed": "a sequence number that is none",
    "late": "older than the asset's last sample",
    "duplicate": "nothing new: the same values at the same time",
    "unknown_asset": "not listed in the pipeline's assets",
    "payload_too_large": "beyond limits.max_payload_bytes",
    "retained": "a retained message: nobody knows how old it is",
    "no_pipeline": "a topic of no input",
    "no_model": "a stream whose model has not come yet",
    "superseded": "overload latest: newer readings on its topic were waiting",
    "decimated": "overload decimate: one of n on its topic was answered instead",
    "outbox_full": "the prediction of a QoS 0 reading that the broker did not take in time",
    "refused": "the prediction of a QoS 0 reading that the broker refuses for now",
    "too_large": "a prediction larger than the broker takes",
    "topic_invalid": "a prediction whose topic the broker does not take",
    "payload_invalid": "a prediction whose payload the broker does not take",
}
"""Every reason there is; no other is ever counted."""
