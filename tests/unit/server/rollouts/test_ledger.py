"""The ledger of rollouts."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from server.rollouts.errors import DamagedLedgerError, FencedError, LedgerError, OtherLedgerError
from server.rollouts.ledger import Ledger, Line, set_aside
from tests.kit.rollouts.documents import stage

LINE = Line.of(stage(1, epoch=2, reason="three gateways", by="controller c"), "decides", "run-1")


def test_lines_are_there_after_a_restart_with_the_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "rollouts" / "ledger.sqlite3"
    first = Ledger(path, "registry")
    first.append(LINE)
    first.append(replace(LINE, what="signs", gate="evidence", gateways="a b", have=2, need=3))
    first.close()
    again = Ledger(path, "registry")
    found = again.lines("press-5", 10)
    pending = again.pending("press-5")
    again.close()
    assert [one.what for one in found] == ["signs", "decides"]
    assert found[0].gateways == "a b"
    assert found[1] == LINE
    assert pending is None


def test_a_decision_waits_for_its_signature_whatever_was_noted_since(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3", "registry")
    ledger.append(LINE)
    ledger.append(replace(LINE, what="waits"))
    pending = ledger.pending("press-5")
    ledger.close()
    assert pending == LINE


def test_a_controller_of_a_lower_epoch_can_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    old, new = Ledger(path, "registry"), Ledger(path, "registry")
    old.append(LINE)
    new.append(replace(LINE, epoch=3, what="takes over", controller="run-2"))
    with pytest.raises(FencedError, match="epoch 3 was decided meanwhile, this is of epoch 2"):
        old.append(LINE)
    holder, count = old.controller("press-5"), len(old.lines("press-5", 10))
    old.close()
    new.close()
    assert (holder, count) == ("run-2", 2)


def test_no_line_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path, "registry")
    ledger.append(LINE)
    ledger.close()
    file = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        file.execute("UPDATE lines SET by = 'somebody else'")
    file.close()


def test_the_ledger_is_bounded_and_keeps_what_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3", "registry", max_lines=100)
    ledger.append(replace(LINE, what="takes over"))
    for at in range(300):
        ledger.append(replace(LINE, what="waits", reason=str(at)))
    found = ledger.lines("press-5", 1000)
    ledger.close()
    assert len(found) <= 100
    assert found[0].reason == "299"
    assert found[-1].what == "takes over"


def test_the_ledger_of_another_registry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    Ledger(path, "one").close()
    with pytest.raises(
        OtherLedgerError, match=r"belongs to another registry .* rollouts\.registry"
    ):
        Ledger(path, "other")


@pytest.mark.parametrize("place", [0, 100, 20_400], ids=["its head", "its schema", "its lines"])
def test_a_damaged_ledger_is_refused_with_the_way_to_rebuild_it(tmp_path: Path, place: int) -> None:
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path, "registry")
    for _ in range(200):
        ledger.append(LINE)
    ledger.close()
    content = bytearray(path.read_bytes())
    content[place : place + 3000] = b"\xa5" * 3000
    path.write_bytes(content)
    with pytest.raises(DamagedLedgerError, match="millhand-server rollout rebuild"):
        Ledger(path, "registry")
    aside = set_aside(path)
    fresh = Ledger(path, "registry")
    newest = fresh.newest("press-5")
    fresh.close()
    assert aside == tmp_path / "ledger.sqlite3.damaged"
    assert newest is None


def test_a_ledger_of_a_later_release_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    Ledger(path, "registry").close()
    file = sqlite3.connect(path)
    file.execute("PRAGMA user_version = 9")
    file.close()
    with pytest.raises(LedgerError, match="another release"):
        Ledger(path, "registry")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(blocked / "ledger.sqlite3", "registry")
