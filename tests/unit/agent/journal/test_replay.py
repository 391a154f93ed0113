"""After a crash at any byte of the journal, the answers are as if there had been no crash."""

import errno
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.settings import Journal as JournalSettings
from agent.config.settings import Limits
from agent.delivery.at_least_once import Delivery
from agent.journal import writer
from agent.journal.files import JournalFile, numbered
from agent.journal.records import Noted, Whole, records
from agent.journal.replay import Recovery
from agent.journal.writer import Journal
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from models.bundle.package import Bundle
from models.bundle.reference import Judgement, Reference
from models.input.pipeline import Pipeline as PipelineSettings
from serving.model import Model
from serving.mqtt.packets import Publish, Received
from serving.session import Session
from serving.worker import WakeUp, Worker
from tests.kit.bundles.graphs import history_bundle, linear_bundle
from tests.kit.waiting import eventually
from trainer.drift.reference import Samples, describe

LIMITS = Limits()
T0_NS = 1_760_000_000_000_000_000
WEIGHTS = (np.arange(6).reshape(3, 2) / 4 + 0.25).astype(np.float32)
BUNDLE = history_bundle("s", 1, WEIGHTS, hop=2)
ASSETS = ("a", "b", "c")
ROWS = linear_bundle("r", 1, [1.0, 10.0])
OUTPUTS = {"s": "out/{asset}", "r": "rows/{asset}"}


@dataclass
class Broker:
    """Delivers in order, at most `window` at a time, and again what was not acknowledged."""

    inputs: list[tuple[str, bytes]]
    window: int = 20
    next: int = 0
    unacked: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    again: deque[int] = field(default_factory=deque)
    predictions: list[tuple[str, bytes]] = field(default_factory=list)
    unconfirmed: deque[int] = field(default_factory=deque)
    max_in_flight: int = 1000
    max_packet_bytes: int = 1 << 20
    wants_write: bool = False
    hears: bool = True  # whether it reads acknowledgements

    def publish(self, message: Publish) -> None:
        self.predictions.append((message.topic, message.payload))
        self.unconfirmed.append(message.packet_id)

    def deliver(self, count: int) -> list[Received]:
        messages: list[Received] = []
        while self.again and len(messages) < count:
            messages.append(self.message(self.again.popleft(), repeated=True))
        while (
            len(messages) < count
            and self.next < len(self.inputs)
            and len(self.unacked) < self.window
        ):
            packet_id = self.next + 1
            self.unacked[packet_id] = self.inputs[self.next]
            self.next += 1
            messages.append(self.message(packet_id, repeated=False))
        return messages

    def message(self, packet_id: int, *, repeated: bool) -> Received:
        topic, payload = self.unacked[packet_id]
        return Received(topic, payload, packet_id, retained=False, repeated=repeated, at_ns=T0_NS)

    def reconnected(self) -> None:
        self.again = deque(sorted(self.unacked))
        self.unconfirmed.clear()

    @property
    def idle(self) -> bool:
        return self.next == len(self.inputs) and not self.unacked and not self.unconfirmed


class Life:
    """One run of the agent, from start to crash."""

    def __init__(
        self,
        folder: Path,
        broker: Broker,
        bundle: Bundle = BUNDLE,
        known: Reference | None = None,
        *,
        has_rows: bool = False,
    ) -> None:
        self.broker = broker
        self.folder = folder
        self.wake_up = WakeUp()
        self.worker = Worker("journal", self.wake_up)
        self.delivery = Delivery(100, 100)
        self.pipeline = make_pipeline(bundle, known)
        pipelines = [self.pipeline, *([make_pipeline(ROWS, None)] if has_rows else [])]
        options = JournalSettings(sync=False, file_inputs=8)
        self.file = JournalFile(folder, is_synced=False)
        self.journal = Journal(self.file, options, pipelines, self.delivery, self.worker)
        self.router = Router(
            {one.stream: one for one in pipelines},
            lambda *_: False,
            self.delivery,
            LIMITS,
            self.journal.note,
        )
        recovery = Recovery(folder, pipelines, self.delivery)
        recovery.run(3600)
        self.router.resume(recovery.unanswered)
        self.journal.resume(recovery.serial, recovery.number, recovery.whole)
        self.journal.begin()
        self.delivery.connected(session_present=True)
        broker.reconnected()

    def turn(self, messages: int, confirmations: int) -> None:
        self.worker.run_posted()
        self.router.handle(self.broker.deliver(messages), lambda: T0_NS)
        for _ in range(min(confirmations, len(self.broker.unconfirmed))):
            self.delivery.confirmed(self.broker.unconfirmed.popleft(), 0)
        self.delivery.pump(self.broker)
        for packet_id in self.delivery.acknowledgeable():
            if self.broker.hears:
                del self.broker.unacked[packet_id]
        self.journal.turn()

    def finish_writing(self) -> None:
        """All that was noted is on the disk, and the agent knows."""

        def done() -> bool:
            self.worker.run_posted()
            self.journal.tick()
            return self.delivery.kept >= self.journal.serial

        eventually(done)

    def write_states(self) -> None:
        """The first file of this life is whole: the states of all assets are on the disk."""

        def is_whole() -> bool:
            self.worker.run_posted()
            self.journal.turn()
            self.journal.tick()
            path = dict(numbered(self.folder)).get(self.journal.number)
            content = path.read_bytes() if path is not None else b""
            return any(isinstance(one, Whole) for one in records(content))

        eventually(is_whole)

    def end(self) -> None:
        self.worker.stop(10)
        self.wake_up.close()
        self.file.close()

    def crash(self, part: float) -> None:
        """End; of what the agent does not know to be on the disk, only a part is."""
        kept = self.delivery.kept
        self.end()
        if not numbered(self.folder):
            return
        _, newest = numbered(self.folder)[-1]
        content = newest.read_bytes()
        floor = next((end for end, serial in frames(content) if serial >= kept), 0)
        newest.write_bytes(content[: floor + round((len(content) - floor) * part)])


def frames(content: bytes) -> Iterator[tuple[int, int]]:
    """The offset at which each frame ends, and the serial of the last input up to there."""
    end = serial = 0
    while end + 8 <= len(content):
        (length,) = struct.unpack_from("<I", content, end)
        end += 8 + length
        noted = [one.serial for one in records(content[:end]) if isinstance(one, Noted)]
        serial = max([serial, *noted])
        yield end, serial


def make_pipeline(bundle: Bundle, known: Reference | None) -> Pipeline:
    by_topic = {"topic": "in/{asset}", "timestamp": "ts"}
    by_payload = {"topic": "in", "asset": "of", "timestamp": "ts"}
    options = PipelineSettings.model_validate(
        {
            "stream": bundle.manifest.stream,
            "inputs": [by_topic, by_payload],
            "output": {"topic": OUTPUTS[bundle.manifest.stream]},
        }
    )
    pipeline = Pipeline(options, LIMITS)
    pipeline.activate(Model(Session(bundle), bundle.sha256, known))
    return pipeline


def row(number: int, every: int = 5) -> tuple[str, bytes]:
    """A numbered row; the payload of each `every`-th names the asset, of the others the topic."""
    ts = T0_NS // 1_000_000 - 10_000 + number
    values = {"ts": ts, "c0": number / 8, "c1": number**2 % 97}
    asset = ASSETS[number * number % 7 % 3]
    if number % every == 0:
        return "in", orjson.dumps({"of": asset} | values)
    return f"in/{asset}", orjson.dumps(values)


def answers(broker: Broker) -> dict[str, tuple[str, float]]:
    """Topic and value of each prediction by its id; a repetition must have the same."""
    found: dict[str, tuple[str, float]] = {}
    for topic, payload in broker.predictions:
        document = orjson.loads(payload)
        answer = (topic, document["value"])
        assert found.setdefault(document["id"], answer) == answer
    return found


def live(life: Life) -> None:
    """Take turns until nothing is left to do."""
    while not life.broker.idle:
        life.turn(50, 50)
        life.finish_writing()
    life.turn(0, 50)


@pytest.fixture(scope="module", autouse=True)
def one_state_a_turn() -> Iterator[None]:
    """A file begins over several turns, as it does with thousands of assets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_STATES_A_TURN", 1)
        patch.setattr(writer, "PACE_S", 0.0)
        yield


TURN = st.tuples(st.integers(0, 8), st.integers(0, 8), st.booleans())
LIVES = st.lists(st.tuples(st.lists(TURN, max_size=8), st.floats(0, 1)), max_size=5)


@settings(max_examples=150, deadline=None)
@given(LIVES)
def test_crashes_change_no_answer(lives: list[tuple[list[tuple[int, int, bool]], float]]) -> None:
    inputs = [row(number) for number in range(60)]
    with TemporaryDirectory() as calm, TemporaryDirectory() as rough:
        undisturbed = Broker(inputs)
        life = Life(Path(calm), undisturbed)
        live(life)
        life.end()
        broker = Broker(inputs)
        for turns, part in lives:
            life = Life(Path(rough), broker)
            for messages, confirmations, is_written in turns:
                life.turn(messages, confirmations)
                if is_written:
                    life.finish_writing()
            life.crash(part)
        life = Life(Path(rough), broker)
        live(life)
        life.end()
    assert answers(broker) == answers(undisturbed)
    assert len(answers(undisturbed)) > 10


def test_inputs_that_were_open_outlive_crashes_before_they_come_again(tmp_path: Path) -> None:
    inputs = [row(number) for number in range(60)]
    undisturbed, broker = Broker(inputs), Broker(inputs)
    life = Life(tmp_path / "calm", undisturbed)
    live(life)
    life.end()
    life = Life(tmp_path / "rough", broker)
    life.router.handle(broker.deliver(12), lambda: T0_NS)  # nothing of it is published
    life.finish_writing()
    life.crash(1.0)
    for _ in range(4):
        life = Life(tmp_path / "rough", broker)
        life.write_states()
        life.crash(1.0)
    life = Life(tmp_path / "rough", broker)
    live(life)
    life.end()
    assert answers(broker) == answers(undisturbed)


def test_stop_before_the_answers_keeps_what_is_owed(tmp_path: Path) -> None:
    inputs = [row(number) for number in range(60)]
    undisturbed, broker = Broker(inputs), Broker(inputs)
    life = Life(tmp_path / "calm", undisturbed)
    live(life)
    life.end()
    life = Life(tmp_path / "rough", broker)
    life.router.handle(broker.deliver(12), lambda: T0_NS)  # nothing of it is published
    life.finish_writing()
    life.crash(1.0)
    life = Life(tmp_path / "rough", broker)
    life.journal.close(is_read=True)
    life.end()
    life = Life(tmp_path / "rough", broker)
    live(life)
    life.end()
    assert answers(broker) == answers(undisturbed)


def stopped_with(unfinished: Callable[[Life], None], folder: Path, *, is_read: bool) -> Broker:
    """A broker with all answers, after a stop once `unfinished` was done, and a further run."""
    broker = Broker([row(number) for number in range(60)])
    life = Life(folder, broker)
    life.turn(10, 0)
    life.finish_writing()
    unfinished(life)
    life.journal.close(is_read=is_read)
    life.end()
    broker.hears = True
    life = Life(folder, broker)
    live(life)
    life.end()
    assert life.delivery.dropped == {}, "what comes again is recognised"
    return broker


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Broker:
    broker = Broker([row(number) for number in range(60)])
    life = Life(tmp_path_factory.mktemp("calm"), broker)
    live(life)
    life.end()
    return broker


def test_stop_whose_acknowledgements_were_not_read_answers_nothing_twice(
    calm: Broker, tmp_path: Path
) -> None:
    def acknowledge_in_vain(life: Life) -> None:
        life.broker.hears = False
        life.turn(0, 10)
        assert life.delivery.is_done

    broker = stopped_with(acknowledge_in_vain, tmp_path, is_read=False)
    assert broker.predictions == calm.predictions


def test_stop_before_what_is_awaited_has_come_again_keeps_the_windows(
    calm: Broker, tmp_path: Path
) -> None:
    def lose_the_connection(life: Life) -> None:
        while life.broker.unconfirmed:
            life.delivery.confirmed(life.broker.unconfirmed.popleft(), 0)
        life.delivery.connection_lost()
        life.delivery.connected(session_present=True)
        assert life.delivery.idle

    broker = stopped_with(lose_the_connection, tmp_path, is_read=True)
    assert answers(broker) == answers(calm)


def test_journal_of_an_agent_that_never_gets_further_is_bounded(tmp_path: Path) -> None:
    broker = Broker([row(number) for number in range(60)])
    for _ in range(writer.MAX_WHOLE + 10):
        life = Life(tmp_path, broker)
        life.write_states()
        life.crash(1.0)
    assert len(numbered(tmp_path)) <= writer.MAX_WHOLE + 2


def test_what_a_crash_has_answered_again_is_not_counted_for_drift_again(tmp_path: Path) -> None:
    values = np.zeros((10, 2), np.float32)
    channels, judgement = BUNDLE.manifest.channels, Judgement(window=40, false_alarms=0.5)
    samples = Samples(np.zeros(10, np.int64), values, values[:, 0])
    known = Reference.of(describe(samples, channels, judgement))
    broker = Broker([row(number) for number in range(60)], window=60)
    life = Life(tmp_path, broker, known=known)
    life.turn(messages=40, confirmations=0)
    life.finish_writing()
    before = counted(life)
    assert before > 5
    life.crash(1.0)
    life = Life(tmp_path, broker, known=known)
    live(life)
    life.end()
    assert len(broker.predictions) == len(answers(broker)) + before, "all came twice"
    assert counted(life) == len(answers(broker)) - before


def counted(life: Life) -> int:
    assert life.pipeline.watch is not None
    return life.pipeline.watch.counted


def test_disk_that_fails_stops_the_journal_and_not_the_predictions(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.write_text("a file where a folder is wanted")
    broker = Broker([row(number) for number in range(60)])
    life = Life(folder, broker)
    live(life)
    assert len(answers(broker)) > 10
    assert "disk" in life.journal.trouble
    assert life.journal.errors == 1
    folder.unlink()
    for _ in range(10):
        life.journal.tick()

    def well() -> bool:
        life.turn(0, 100)
        life.journal.tick()
        return not life.journal.trouble

    eventually(well)
    life.end()
    assert numbered(folder), "it is tried again"


def undisturbed(rows: int, folder: Path) -> dict[str, tuple[str, float]]:
    broker = Broker([row(number) for number in range(rows)])
    life = Life(folder, broker)
    live(life)
    life.end()
    return answers(broker)


def back_on_disk(
    folder: Path,
    broker: Broker,
    disk: pytest.MonkeyPatch,
    fresh: Sequence[int],
    *,
    has_rows: bool = False,
) -> Life:
    """A run whose disk has failed for a while and takes files again; `fresh` messages a turn."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    life = Life(folder, broker, has_rows=has_rows)
    for _ in range(4):
        life.turn(10, 50)
        life.finish_writing()
    with disk.context() as patch:
        patch.setattr("agent.journal.files.os.write", full)
        life.turn(7, 50)

        def has_failed() -> bool:
            life.worker.run_posted()
            life.journal.tick()
            return not life.journal.is_on

        eventually(has_failed)
        life.turn(7, 50)
    for _ in range(10):
        life.journal.tick()
    for count in fresh:
        life.turn(count, 0)
        life.finish_writing()
    life.write_states()
    life.finish_writing()
    return life


@pytest.mark.parametrize("fresh", range(1, 9))
def test_crash_after_a_gap_in_the_journal_makes_no_answer_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: int
) -> None:
    broker = Broker([row(number) for number in range(100)])
    back_on_disk(tmp_path / "gap", broker, monkeypatch, [fresh]).crash(1.0)
    life = Life(tmp_path / "gap", broker)
    live(life)
    life.end()
    assert answers(broker).items() <= undisturbed(100, tmp_path / "whole").items()


def test_gap_costs_assets_of_payloads_no_more_answers_than_those_of_topics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for every in (1, 1000):
        broker = Broker([row(number, every) for number in range(1, 101)])
        folder = tmp_path / f"every {every}"
        back_on_disk(folder, broker, monkeypatch, [1] * 8).crash(1.0)
        life = Life(folder, broker)
        live(life)
        life.end()
        found.append(sorted(answers(broker).values()))
    assert found[0] == found[1]


def test_crash_after_a_gap_loses_no_answer_of_a_stream_without_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker([row(number) for number in range(100)])
    gap = tmp_path / "gap"
    life = back_on_disk(gap, broker, monkeypatch, [2, 2, 2, 2, 2], has_rows=True)
    assert broker.unconfirmed
    del broker.predictions[-len(broker.unconfirmed) :]  # the broker ends with the agent
    life.crash(1.0)
    life = Life(gap, broker, has_rows=True)
    live(life)
    life.end()
    found = [topic for topic, _ in answers(broker).values() if topic.startswith("rows/")]
    assert len(found) == 100


@pytest.mark.parametrize("fresh", range(1, 9))
def test_once_windows_are_kept_again_a_crash_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: int
) -> None:
    broker = Broker([row(number) for number in range(100)])
    life = back_on_disk(tmp_path / "gap", broker, monkeypatch, [fresh])
    assert life.journal.trouble, "inputs are open that the windows on disk have already taken in"

    def well() -> bool:
        life.turn(2, 50)
        life.journal.tick()
        return not life.journal.trouble

    eventually(well)
    life.crash(1.0)
    life = Life(tmp_path / "gap", broker)
    live(life)
    life.end()
    assert answers(broker) == undisturbed(100, tmp_path / "whole")


def test_journal_keeps_two_whole_files_and_the_one_under_way(tmp_path: Path) -> None:
    broker = Broker([row(number) for number in range(1000)])
    life = Life(tmp_path, broker)
    live(life)
    life.end()
    assert life.journal.number > 5
    assert len(numbered(tmp_path)) <= 4


def test_broker_that_sends_no_more_does_not_wait_for_the_tick(tmp_path: Path) -> None:
    broker = Broker([row(number) for number in range(30)], window=1)
    life = Life(tmp_path, broker)
    life.journal.window.tell(1)

    def is_answered() -> bool:
        life.worker.run_posted()
        life.turn(50, 50)
        return broker.idle

    eventually(is_answered)
    life.end()
    assert life.delivery.idle
