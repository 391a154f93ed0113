"""Each bundle is proven once: the outcome is on disk, and holds while nothing else has changed."""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from models.bundle.package import Bundle
from models.errors import BundleError, MillhandError
from serving.proof.prover import Prover
from serving.proof.refusals import ProofCancelledError
from serving.proof.settings import Proof
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.evil import evil_bundle

GOOD = linear_bundle("mass", 1, [1.0])
WRONG = evil_bundle("wrong answer", "mass", 2)
ENDED = threading.Event()
"""Ends every proof at once, so that a child which answers shows that there was none."""
ENDED.set()


@dataclass
class Machine:
    """A gateway's disk, with the provers of one start after the other."""

    folder: Path
    limits: Proof = field(default_factory=Proof)
    batch: int = 256

    def prover(self) -> Prover:
        return Prover(self.folder / "proofs", self.limits, self.batch)

    def path(self, bundle: Bundle) -> Path:
        path = self.folder / f"{bundle.sha256}.zip"
        path.write_bytes(bundle.content)
        return path

    def outcome(self, bundle: Bundle, cancelled: threading.Event | None = None) -> str:
        """Prove after a start; gives the code of the error, or `passed`."""
        try:
            self.prover().prove(bundle.sha256, self.path(bundle), cancelled or threading.Event())
        except MillhandError as exc:
            return exc.code
        return "passed"

    def record(self, bundle: Bundle) -> Path:
        return self.folder / "proofs" / f"{bundle.sha256}.json"

    def interrupt(self, bundle: Bundle) -> None:
        """Leave the record as it is when the machine loses its power during a proof."""
        before = self.record(bundle).read_text() if self.record(bundle).exists() else None
        if before is None:
            self.outcome(GOOD)
            fields = json.loads(self.record(GOOD).read_text())
        else:
            fields = json.loads(before)
        fields |= {"state": "begun", "tries": fields["tries"] + 1}
        self.record(bundle).write_text(json.dumps(fields))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_bundle_that_has_passed_is_not_proven_again(machine: Machine) -> None:
    assert machine.outcome(GOOD) == "passed"
    assert machine.outcome(GOOD, ENDED) == "passed"


def test_bundle_that_has_failed_is_refused_again_without_a_proof(machine: Machine) -> None:
    assert machine.outcome(WRONG) == "golden_mismatch"
    assert machine.outcome(WRONG, ENDED) == "golden_mismatch"
    assert machine.prover().refused() == (WRONG.sha256,)
    with pytest.raises(BundleError, match="golden values"):
        machine.prover().check(WRONG.sha256)


@pytest.mark.parametrize("bundle", [GOOD, WRONG], ids=["passed", "refused"])
@pytest.mark.parametrize("change", ["limits", "batch", "runtime", "damaged"])
def test_other_conditions_need_a_new_proof(machine: Machine, bundle: Bundle, change: str) -> None:
    machine.outcome(bundle)
    record = machine.record(bundle)
    if change == "limits":
        machine.limits = Proof(memory_bytes=300_000_000)
    elif change == "batch":
        machine.batch = 128
    elif change == "runtime":
        fields = json.loads(record.read_text())
        fields["conditions"]["runtime"] = "1.0.0"
        record.write_text(json.dumps(fields))
    else:
        record.write_bytes(record.read_bytes()[:-20])
    assert machine.prover().refused() == ()
    assert machine.outcome(bundle, ENDED) == "proof_cancelled"


def test_cancelled_proof_leaves_nothing_behind(machine: Machine) -> None:
    for _ in range(3):
        assert machine.outcome(GOOD, ENDED) == "proof_cancelled"
    assert not machine.record(GOOD).exists()


def test_proof_is_noted_before_it_begins(machine: Machine) -> None:
    path = machine.path(evil_bundle("endless at golden", "mass", 2))
    cancelled, seen = threading.Event(), []
    prover = Prover(machine.folder / "proofs", Proof(seconds=100), 256)

    def prove() -> None:
        with pytest.raises(ProofCancelledError):
            prover.prove("0" * 64, path, cancelled)
        seen.append("cancelled")

    thread = threading.Thread(target=prove)
    thread.start()
    record = machine.folder / "proofs" / f"{'0' * 64}.json"
    while not record.exists():
        thread.join(0.01)
    assert json.loads(record.read_text())["state"] == "begun"
    cancelled.set()
    thread.join(20)
    assert seen == ["cancelled"]


def test_two_deaths_of_the_machine_during_the_proof_are_enough(machine: Machine) -> None:
    machine.interrupt(WRONG)
    assert machine.prover().refused() == ()
    machine.interrupt(WRONG)
    assert machine.outcome(WRONG, ENDED) == "proof_interrupted"
    assert machine.prover().refused() == (WRONG.sha256,)


def test_one_death_is_forgotten_when_the_bundle_passes(machine: Machine) -> None:
    machine.interrupt(GOOD)
    assert machine.outcome(GOOD) == "passed"
    machine.interrupt(GOOD)
    assert machine.outcome(GOOD) == "passed"


def test_interruption_by_the_death_of_another_model_does_not_count(machine: Machine) -> None:
    machine.interrupt(GOOD)
    machine.interrupt(GOOD)
    assert machine.outcome(GOOD) == "proof_interrupted"
    machine.prover().excuse()
    assert machine.outcome(GOOD) == "passed"
    machine.interrupt(GOOD)
    machine.prover().excuse()
    assert not machine.record(GOOD).exists()


def test_slow_model_serves_or_is_refused_as_the_policy_says(machine: Machine) -> None:
    machine.limits = Proof(latency_ms=1e-6)
    _, slow = machine.prover().prove(GOOD.sha256, machine.path(GOOD), threading.Event())
    assert slow is not None
    assert slow.code == "proof_latency"
    machine.limits = Proof(latency_ms=1e-6, latency="refuse")
    assert machine.outcome(GOOD) == "proof_latency"


def test_latency_is_tried_twice_as_other_work_may_be_the_cause(machine: Machine) -> None:
    machine.limits = Proof(latency_ms=1e-6, latency="refuse")
    machine.outcome(GOOD)
    assert machine.prover().refused() == ()
    assert machine.outcome(GOOD) == "proof_latency"
    assert machine.prover().refused() == (GOOD.sha256,)
    assert machine.outcome(GOOD, ENDED) == "proof_latency"


def test_disk_that_takes_no_record_does_not_hinder_a_proof(machine: Machine) -> None:
    (machine.folder / "proofs").write_text("the folder's name is taken")
    assert machine.outcome(GOOD) == "passed"
    assert machine.outcome(WRONG) == "golden_mismatch"
    assert machine.outcome(GOOD, ENDED) == "proof_cancelled", "nothing could be remembered"


def test_records_go_with_their_bundles_and_refusals_are_bounded(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.proof.records.MAX_REFUSED", 2)
    other = linear_bundle("mass", 5, [1.0])
    for bundle in (GOOD, other):
        machine.outcome(bundle)
    refused = [evil_bundle("wrong answer", "mass", seq) for seq in (2, 3, 4)]
    for bundle in refused:
        machine.outcome(bundle)
    machine.prover().sweep({other.sha256})
    left = {path.stem for path in (machine.folder / "proofs").iterdir()}
    assert left == {other.sha256, refused[1].sha256, refused[2].sha256}
