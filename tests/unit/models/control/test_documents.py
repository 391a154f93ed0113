"""The documents of the control plane: what is written is read, strangers' with care."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from models.control.document import MAX_MESSAGE, Document
from models.control.documents import DOCUMENTS, Current, Desired, Feedback
from models.control.rollout import RolloutHint
from models.errors import IncompatibleBundleError

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
EXAMPLES: dict[str, dict[str, Any]] = {
    "status": {"state": "online", "version": "0.1.0", "since": "2025-10-09T08:53:20.000Z"},
    "desired": {"activity": "5f0c1e", "stream": "pump-health", "seq": 2},
    "current": {
        "stream": "pump-health",
        "state": "serving",
        "seq": 2,
        "version": "1.1.0",
        "sha256": SHA256,
        "activity": "5f0c1e",
    },
    "evidence": {
        "stream": "pump-health",
        "rollout": "r1",
        "champion": 1,
        "candidate": 2,
        "block_s": 60.0,
        "compared": 3600,
        "left_out": {"turn_full": 4},
        "gates": {
            "disagreement": {"kind": "rate", "hits": 1, "misses": 59, "limit": 0.03, "log_e": -0.7}
        },
        "verdict": "open",
    },
    "feedback": {
        "activity": "5f0c1e",
        "stream": "pump-health",
        "seq": None,
        "state": "downloading",
        "progress": 40,
        "time": "2025-10-09T08:53:21.250Z",
    },
    "metrics": {
        "time": "2025-10-09T08:53:30.000Z",
        "since": "2025-10-09T08:53:20.000Z",
        "received": 3,
        "predicted": 1,
        "windowed": 1,
        "dropped": {"not_json": 1},
        "waiting": 0,
        "redelivered": 0,
        "connects": 1,
        "sessions_lost": 0,
        "streams": {
            "pump-health": {
                "predictions": {"GOOD": 1},
                "missing": {},
                "forgotten_assets": 0,
                "disorder": {"waiting": 0, "early": 0, "dropped": {"late": 2}},
                "drift": {
                    "alarm": False,
                    "worst": None,
                    "view": None,
                    "asset": None,
                    "ratio": None,
                    "watched": 1,
                    "unwatched": 0,
                },
                "shed": 0,
                "batch_ms": 0.25,
            }
        },
    },
}


def test_every_document_has_an_example() -> None:
    assert EXAMPLES.keys() == DOCUMENTS.keys()


@pytest.mark.parametrize(("name", "kind"), DOCUMENTS.items())
def test_what_was_read_is_written_again_key_by_key(name: str, kind: type[Document]) -> None:
    document = kind.model_validate_json(json.dumps(EXAMPLES[name]))
    assert json.loads(document.to_json()) == EXAMPLES[name]


@pytest.mark.parametrize(("name", "kind"), DOCUMENTS.items())
def test_key_of_a_later_release_is_ignored(name: str, kind: type[Document]) -> None:
    document = kind.model_validate({**EXAMPLES[name], "later": {"a": 1}})
    assert json.loads(document.to_json()) == EXAMPLES[name]


def test_empty_desired_document_follows_the_newest() -> None:
    assert Desired.read("mass", b"") == Desired(stream="mass")


def test_desired_document_need_not_repeat_the_stream() -> None:
    assert Desired.read("mass", b'{"seq": 7}') == Desired(stream="mass", seq=7)


def test_desired_document_of_a_rollout_selects_no_bundle() -> None:
    found = Desired.read("mass", b'{"rollout": {"id": "r1", "epoch": 2, "stage": 3}}')
    assert found.seq is None
    assert found.rollout == RolloutHint(id="r1", epoch=2, stage=3)


@pytest.mark.parametrize("activity", ["x" * 500, 7, None, {"a": 1}])
def test_activity_is_text_of_bounded_length(activity: object) -> None:
    payload = json.dumps({"seq": 1, "activity": activity}).encode()
    assert Desired.read("mass", payload).activity == str(activity)[:128]


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b"7",
        b"null",
        pytest.param(b"\xff", id="not UTF-8"),
        b"{}",
        b'{"seq": null}',
        b'{"seq": 0}',
        b'{"seq": 1000000000000000000000000000000}',
        b'{"seq": 2.0}',
        b'{"seq": "2"}',
        b'{"seq": true}',
        b'{"seq": 2, "stream": "other"}',
        b'{"rollout": {}}',
        b'{"rollout": {"id": "r1", "epoch": -1, "stage": 0}}',
        b'{"seq": 2, "stream": 5}',
        b'{"seq": 2, "later": "' + b"x" * 5000 + b'"}',
        b"[" * 4000,
    ],
)
def test_desired_document_that_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(IncompatibleBundleError) as caught:
        Desired.read("mass", payload)
    assert caught.value.code == "incompatible"
    assert "'mass'" in str(caught.value)


def test_message_of_an_error_is_bounded() -> None:
    told = Feedback(stream="mass", state="refused", error="e", message="x" * 5000)
    assert len(told.message) == MAX_MESSAGE


def test_waiting_stream_says_that_it_has_no_bundle() -> None:
    document = Current(stream="mass", state="waiting", seq=None, activity="")
    expected = {"stream": "mass", "state": "waiting", "seq": None, "activity": ""}
    assert json.loads(document.to_json()) == expected


def test_document_cannot_be_changed() -> None:
    document = Desired(stream="mass", seq=1)
    with pytest.raises(ValidationError):
        document.seq = 2  # type: ignore[misc]  # that it is refused is the fact
