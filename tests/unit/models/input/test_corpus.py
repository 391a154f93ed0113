"""Payloads of products, from the corpus: each gives the readings that stand beside it."""

from typing import get_args

import pytest

from models.input.options import Dialect
from tests.kit.corpus.cases import KINDS, Case, Reader, cases, documents

ALL = {f"{one.dialect}: {one.name}": one for one in cases()}
# What these carry is up to the plant, so that there is no documented payload.
FREE = {"json", "scalar", "block", "tags"}


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_payload_gives_its_readings(case: Case) -> None:
    assert Reader(case)(case.topic, case.payload) == (case.readings, case.refused)


def test_every_payload_format_of_a_product_has_cases() -> None:
    assert set(documents()) >= {*get_args(Dialect)} - FREE


@pytest.mark.parametrize("dialect", sorted({*get_args(Dialect)} - FREE))
def test_every_kind_of_payload_is_shown_or_said_not_to_exist(dialect: str) -> None:
    shown = [one.name for one in ALL.values() if one.dialect == dialect]
    unsupported = documents()[dialect].get("unsupported", {})
    assert {*shown, *unsupported} >= {*KINDS}
    assert not {*shown} & {*unsupported}
    assert all(unsupported.values())
