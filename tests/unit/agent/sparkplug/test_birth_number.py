import json
from pathlib import Path

import pytest

from agent.sparkplug.birth_number import BirthNumber
from serving.mqtt.errors import BrokerError


def connect(number: BirthNumber) -> None:
    with number.counted():
        pass


def test_first_number_is_0_and_each_connect_takes_the_next_over_restarts(tmp_path: Path) -> None:
    number = BirthNumber(tmp_path)
    used = []
    for _ in range(258):
        connect(number)
        used.append(number.current)
        number = BirthNumber(tmp_path)
    assert used == [at % 256 for at in range(258)]


def test_number_is_on_disk_before_connect_is_sent(tmp_path: Path) -> None:
    number = BirthNumber(tmp_path)
    connect(number)
    with number.counted():
        assert json.loads((tmp_path / "sparkplug.json").read_text()) == {"bdSeq": 1}


def test_try_that_reaches_no_broker_uses_up_no_number(tmp_path: Path) -> None:
    number = BirthNumber(tmp_path)
    connect(number)
    with pytest.raises(BrokerError), number.counted():
        raise BrokerError("connection refused")
    assert (number.current, number.next) == (0, 1)
    assert BirthNumber(tmp_path).next == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"other": 1}', '{"bdSeq": "1"}'])
def test_number_starts_anew_where_its_file_cannot_be_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "sparkplug.json").write_text(content)
    assert BirthNumber(tmp_path).next == 0
