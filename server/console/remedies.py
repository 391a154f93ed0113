"""What to do about an update that a gateway has not made: a sentence or two for each code.

The codes are those of docs/registry.md, "When a gateway refuses", which says more about each, and
those of a bundle that was rolled back or is in quarantine.
"""

from typing import Final

_LOOK: Final = "Look at what was published, and by which program."
_OTHER: Final = "Push another seq with millhand-trainer push."
_AGAIN: Final = "The gateway tries again by itself, and keeps what has arrived."
_ROOM: Final = "Make room on the gateway's disk; it tries again by itself."
_SAID: Final = "The message says what was found and what is needed."
_MENDED: Final = (
    "Publish a mended bundle; or let it serve again by "
    "millhand-agent models --clear STREAM#SEQ on the gateway."
)
_TRIED: Final = "Look at evidence and message of the trial, and publish a mended bundle."
REMEDIES: Final = {
    "unsigned": (
        "Either the registry was tampered with, or the gateway's root.json belongs to another "
        "registry."
    ),
    "rollback": "An old copy of the registry is served: look for a stale mirror, or an attack.",
    "expired": (
        "Sign the registry again by millhand-trainer registry refresh, and look whether the "
        "gateway's clock is ahead."
    ),
    "clock_behind": (
        "Set the gateway's clock if it is behind. If it is right, it was ahead before: updates go "
        "on when that time has come."
    ),
    "digest_mismatch": "Upload the bundle again, and look at the mirror that serves it.",
    "oversized": "Upload the bundle again, or raise registry.max_bundle_bytes of the gateway.",
    "metadata_invalid": _LOOK,
    "wrong_stream": _LOOK,
    "not_published": _OTHER,
    "revoked": _OTHER,
    "below_floor": _OTHER,
    "downgrade": (
        "Revoke the newer bundles, or set allow_downgrade under [updates] of the gateway."
    ),
    "quarantined": _MENDED,
    "trust_anchor_invalid": "The message says which file on the gateway to replace.",
    "access_denied": "The message says which file under [registry] to set or to replace.",
    "credentials_unusable": "The message names the key and the file to correct.",
    "redirected": "Correct registry.url, or name the server in registry.allowed_origins.",
    "unexpected_answer": "Look at what the registry's address really serves.",
    "registry_unreachable": _AGAIN,
    "not_served": _AGAIN,
    "too_slow": _AGAIN,
    "pull_timeout": _AGAIN,
    "disk_full": _ROOM,
    "storage": _ROOM,
    "pull_failed": "Read the traceback in the gateway's system journal.",
    "golden_mismatch": (
        "Train or export the model again; millhand-trainer inspect shows whether it is so "
        "everywhere."
    ),
    "incompatible": _SAID,
    "manifest_invalid": _SAID,
    "bundle_invalid": _SAID,
    "proof_crashed": (
        "Export the model in another way, or make it smaller, such as trees that are less deep."
    ),
    "proof_memory": (
        "Lower limits.max_batch, raise proof.memory_bytes and MemoryHigh of the unit, or make the "
        "model smaller."
    ),
    "proof_cpu_time": (
        "The model is too slow for this gateway, or never ends; raise proof.seconds only if it is "
        "honest."
    ),
    "proof_timeout": "Give the gateway less other work; it tries again at the next poll.",
    "proof_latency": "Train a faster model, or raise proof.latency_factor or proof.latency_ms.",
    "proof_interrupted": "Look at the gateway's memory and log.",
    "proof_cancelled": "The gateway tries again by itself.",
    "proof_failed": "The gateway tries again by itself.",
    "failed": _MENDED,
    "killed": _MENDED,
    "model_failed": _MENDED,
    "answer_not_finite": _MENDED,
    "timed_out": _MENDED,
    "not_finite": _TRIED,
    "constant": _TRIED,
    "out_of_range": _TRIED,
    "alarm_storm": _TRIED,
    "slow": "Train a faster model, or raise its budget if this gateway has the time.",
}
