"""Deaths are counted over restarts, forgotten after a while, and lead to quarantine."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.bundle.identity import BundleRef
from serving.incidents.account import MAX_DEATHS, Account
from serving.incidents.deaths import MAX_INPUTS, Deaths
from serving.incidents.quarantine import MAX_BUNDLES, Quarantine
from serving.incidents.under_way import Death

REF = BundleRef("mass", 2, "ab" * 32, version="1.2.0")
POISON_DEATHS = 3


def die(folder: Path, one_input: bytes = b"") -> Account:
    """An account after a run that has died of the model; its page is closed as a kill would."""
    account = Account(folder, POISON_DEATHS)
    account.under_way.infer(bytes.fromhex(REF.sha256), one_input)
    return Account(folder, POISON_DEATHS)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)


def test_bundle_before_takes_over_after_two_deaths(tmp_path: Path) -> None:
    told = [die(tmp_path).is_deadly(REF, has_other=True) for _ in range(MAX_DEATHS)]
    assert told == [False, True]


def test_only_bundle_gets_as_many_more_as_it_takes_to_find_the_input(tmp_path: Path) -> None:
    told = [die(tmp_path).is_deadly(REF, has_other=False) for _ in range(MAX_DEATHS + 3)]
    assert told == [False, False, False, False, True]


@pytest.mark.parametrize("has_other", [False, True])
def test_death_that_the_disk_does_not_record_is_enough(tmp_path: Path, *, has_other: bool) -> None:
    (tmp_path / "deaths.json").mkdir()
    account = die(tmp_path)
    assert account.is_deadly(REF, has_other=has_other)
    assert not account.is_deadly(replace(REF, sha256="cd" * 32), has_other=has_other)


def test_deaths_are_forgotten_once_the_program_is_healthy(tmp_path: Path) -> None:
    die(tmp_path)
    account = die(tmp_path)
    account.deaths.survived(POISON_DEATHS)
    assert not Account(tmp_path, POISON_DEATHS).is_deadly(REF, has_other=True)


def test_input_is_poison_after_so_many_deaths_and_stays_it(tmp_path: Path) -> None:
    poison, other = bytes(16), bytes(range(16))
    die(tmp_path, other)
    for _ in range(POISON_DEATHS):
        account = die(tmp_path, poison)
    assert account.deaths.of_inputs(REF.sha256, POISON_DEATHS) == {poison}
    account.deaths.survived(POISON_DEATHS)
    later = Account(tmp_path, POISON_DEATHS).deaths
    assert later.of_inputs(REF.sha256, POISON_DEATHS) == {poison}
    assert later.of_inputs(REF.sha256, 1) == {poison}, "the other one is forgotten"
    assert not later.of_inputs("cd" * 32, 1)


def test_inputs_are_bounded(tmp_path: Path) -> None:
    deaths = Deaths(tmp_path / "deaths.json")
    for number in range(MAX_INPUTS + 5):
        deaths.add(Death(REF.sha256, input=number.to_bytes(16)))
    assert len(deaths.of_inputs(REF.sha256, 1)) == MAX_INPUTS


@pytest.mark.parametrize("content", [b"", b"{", b'{"models": {"x": 1}}', b"[]"])
def test_damaged_record_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "deaths.json").write_bytes(content)
    (tmp_path / "quarantine.json").write_bytes(content)
    account = Account(tmp_path, POISON_DEATHS)
    assert not account.deaths.of_model(REF.sha256)
    assert account.quarantine.bundles() == ()


def test_quarantine_is_kept_by_digest_and_cleared_by_number(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.json"
    quarantine = Quarantine(path)
    quarantine.add(REF, "killed", "twice")
    quarantine.add(replace(REF, seq=3, sha256="cd" * 32), "failed", "three batches")
    quarantine.add(replace(REF, stream="other"), "failed", "the same bytes, named anew")
    other = Quarantine(path)
    assert [(one.stream, one.seq, one.code) for one in other.bundles()] == [
        ("mass", 3, "failed"),
        ("other", 2, "failed"),
    ]
    assert other.get("cd" * 32) is not None
    assert [one.seq for one in other.clear("mass", 3)] == [3]
    assert other.clear("mass") == ()
    assert [one.stream for one in quarantine.bundles()] == ["other"]
    assert quarantine.known("mass") == ()


def test_quarantine_is_bounded(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine.json")
    for seq in range(1, MAX_BUNDLES + 3):
        quarantine.add(replace(REF, seq=seq, sha256=f"{seq:064x}"), "failed", "")
    assert [one.seq for one in quarantine.bundles()] == [*range(3, MAX_BUNDLES + 3)]
