"""What the hot thread notes reaches the file, and nothing waits for a disk that fails."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.delivery.inputs import Input
from agent.labels.kept import KeptPredictions
from agent.labels.stream import MAX_LABELS, MAX_NOTED, StreamLabels
from models.input.label import Labels
from models.input.label_topic import LabelTopic
from models.input.pipeline import Pipeline
from models.input.quality import Quality
from serving.mqtt.packets import Received
from serving.prediction import Prediction
from serving.worker import WakeUp, Worker
from tests.kit.bundles.factories import make_manifest
from tests.kit.waiting import eventually

TOPIC = "plant/p1/_label/rul"
MANIFEST = make_manifest(stream="rul", seq=1)
CANDIDATE = make_manifest(stream="rul", seq=2)


class Stream:
    """The labels of one stream, with a worker of their own.

    Attributes:
        labels: as in the agent.
        acknowledged: the inputs that were settled.
    """

    def __init__(self, path: Path, worker: Worker) -> None:
        settings = {"stream": "rul", "inputs": [{"topic": "plant/{asset}/row"}], "labels": {}}
        self.acknowledged: list[Input] = []
        self.labels = StreamLabels(
            LabelTopic(Pipeline.model_validate(settings)),
            KeptPredictions(path, Labels()),
            worker,
            self.acknowledged.extend,
        )
        self._worker = worker
        self._note = self.labels.noting(MANIFEST)

    def note(self, number: int, value: float | None) -> None:
        self._note(
            Prediction(
                value, None, None, Quality.GOOD, number, f"{number:032x}", "p1", 0.1, 1, "", None
            )
        )

    def label(self, payload: bytes) -> Input:
        source = Input(1, (TOPIC, payload))
        assert self.labels.take(Received(TOPIC, payload, 1, False, False, 0), source)  # noqa: FBT003  a packet
        return source

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Turn as the hot loop does until a condition holds."""

        def holds() -> bool:
            self._worker.run_posted()
            self.labels.tick()
            return condition()

        eventually(holds, 20, what)


@pytest.fixture
def worker() -> Iterator[Worker]:
    wake_up = WakeUp()
    worker = Worker("labels", wake_up)
    yield worker
    worker.stop(10)
    wake_up.close()


def test_champion_and_candidate_are_compared(tmp_path: Path, worker: Worker) -> None:
    stream = Stream(tmp_path / "rul.sqlite3", worker)
    for number in range(11):
        stream.note(number, None if number == 3 else 1.0)
    times_ns = [number * 1_000_000 for number in range(11)]
    values = [None, float("nan"), *[3.0] * 9]
    stream.labels.add(CANDIDATE, ["p1"] * 11, times_ns, values)
    source = stream.label(b'{"from": 0, "to": 10, "value": 0}')
    assert (source.waiting, stream.labels.unwritten) == (2, {source})
    assert stream.acknowledged == []
    stream.wait(lambda: bool(stream.labels.gates(1, 2)), "the gate of the labels")
    gate = stream.labels.gates(1, 2)["labels"]
    metrics = stream.labels.metrics(1)
    assert (gate.hits, gate.misses) == (1, 0)
    assert (metrics.episodes, metrics.error, metrics.kept) == (1, 1.0, 10 + 9)
    assert stream.acknowledged == [source]
    assert stream.labels.gates(2, 3) == {}
    assert stream.labels.metrics(None).error is None


def test_nothing_waits_for_a_disk_that_fails(tmp_path: Path, worker: Worker) -> None:
    (tmp_path / "labels").write_text("a file in place of the folder")
    stream = Stream(tmp_path / "labels" / "rul.sqlite3", worker)
    stream.note(0, 1.0)
    source = stream.label(b'{"from": 0, "to": 10, "value": 0}')
    stream.wait(lambda: stream.acknowledged == [source], "the acknowledgement")
    (tmp_path / "labels").unlink()
    stream.note(1, 1.0)
    stream.wait(lambda: stream.labels.metrics(1).kept == 1, "the prediction after it")
    assert stream.labels.metrics(1).lost == 2


def test_what_comes_faster_than_the_disk_is_bounded_and_counted(
    tmp_path: Path, worker: Worker
) -> None:
    stream = Stream(tmp_path / "rul.sqlite3", worker)
    stream.label(b"")  # is under way: nothing else is handed over before `run_posted`
    for number in range(MAX_NOTED + 5):
        stream.note(number, 1.0)
    for number in range(MAX_LABELS + 3):
        begin = MAX_NOTED + number
        stream.label(b'{"from": %d, "to": %d, "value": 0}' % (begin, begin + 1))
    stream.wait(lambda: stream.labels.metrics(1).kept == MAX_NOTED, "the predictions")
    metrics = stream.labels.metrics(1)
    assert (metrics.lost, metrics.unmatched) == (5 + 3, {"malformed": 1})
    assert metrics.waiting == MAX_LABELS
