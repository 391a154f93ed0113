"""Payloads that nobody has thought of: refused with a reason or read, and nothing is made up.

With `MILLHAND_FUZZ_MINUTES=10` each test damages the corpus for so long; `MILLHAND_FUZZ_ONLY` names
payload formats, such as `opcua,siemens`, to the test of JSON payloads and to that of encodings.
`MILLHAND_FUZZ_SEED` is the first seed, and a payload that fails is shown.
"""

import gzip
import json
import os
import re
from collections.abc import Iterator
from itertools import count
from math import isfinite
from random import Random
from time import monotonic
from typing import Any

import cbor2
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.input.quality import Quality
from models.input.reasons import REASONS
from tests.kit.corpus.cases import Case, Reader, cases
from tests.kit.corpus.encoded import WRITERS, encoded, numbers_in
from tests.kit.corpus.mutation import ODD, mutated

ROUNDS = 20
"""Payloads of each case, without minutes."""
MINUTES = float(os.environ.get("MILLHAND_FUZZ_MINUTES", "0"))
SEED = int(os.environ.get("MILLHAND_FUZZ_SEED", "1"))
ONLY = frozenset(filter(None, os.environ.get("MILLHAND_FUZZ_ONLY", "").split(",")))
# Sparkplug's payloads are no text, in which a value could be looked for; see `test_nodes`.
ALL = {f"{one.dialect}: {one.name}": one for one in cases() if one.dialect != "sparkplug"}
NODES = [one for one in cases() if one.dialect == "sparkplug"]
CHOSEN = [one for one in ALL.values() if not ONLY or one.dialect in ONLY]
NUMBER = re.compile(rb"[-+]?(?:[0-9]+(?:[.,][0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
# What `true`, `false` and the states of the corpus are read as, however they are spelled.
PARSERS = {"cbor": cbor2.loads, "msgpack": msgpack.unpackb}
WORDS = {b"t": 1.0, b"f": 0.0, b"open": 1.0, b"closed": 0.0}


def numbers(payload: bytes) -> set[float]:
    """Every value that a payload has, by its text alone; no decoder is asked."""
    found = {float(one.replace(b",", b".")) for one in NUMBER.findall(payload)}
    found |= {float(one) for one in re.findall(rb"-?[0-9]+(?:\.[0-9]+)?", payload)}
    return found | {value for word, value in WORDS.items() if word in payload.lower()}


def check(case: Case, reader: Reader, payload: bytes, own: set[float] | None = None) -> None:
    """Read a payload, whose numbers are those of its text unless they are given."""
    readings, refused = reader(case.topic, payload)
    # Some messages carry no data, such as metadata.
    assert readings or refused or case.dialect in {"opcua", "siemens"}
    assert refused in {"", *REASONS}
    given = set() if not readings else numbers(payload) if own is None else own
    levels = case.topic.split("/")
    for reading in readings:
        assert reading.quality in Quality.__members__
        assert reading.time_ns is None or type(reading.time_ns) is int
        # With name_separator = "/" the slashes in the name of an asset are colons.
        named = [one for one in re.split("[/:]", reading.asset) if one not in levels]
        if own is None:
            assert b"\\" in payload or all(one.encode() in payload for one in named), payload
        for value in reading.values.values():
            assert value is None or (isfinite(value) and value in given), payload


def rounds() -> Iterator[Random]:
    """Sources of chance: as many as `ROUNDS`, or for as long as the minutes."""
    end = monotonic() + MINUTES * 60
    for number in count(SEED):
        if monotonic() >= end if MINUTES else number >= SEED + ROUNDS:
            return
        yield Random(number)  # noqa: S311  no secret, and the same each time


def test_damaged_payload_of_any_product_is_refused_or_read_as_it_stands() -> None:
    readers = [(case, Reader(case)) for case in CHOSEN]
    payloads = [case.payload for case in ALL.values()]
    tried = 0
    for random in rounds():
        for case, reader in readers:
            check(case, reader, mutated(case.payload, payloads, random))
            tried += 1
    assert tried >= ROUNDS * len(CHOSEN)


@pytest.mark.parametrize("encoding", ["cbor", "gzip", "msgpack"])
def test_damaged_payload_of_an_encoding_is_refused_or_read_as_it_stands(encoding: str) -> None:
    written = [one for case in CHOSEN if (one := encoded(case, encoding)) is not None]
    readers = [(case, Reader(case)) for case in written]
    tried = 0
    for random in rounds():
        for case, reader in readers:
            if encoding == "gzip":
                text = mutated(gzip.decompress(case.payload), [b"[{}]"], random)
                check(case, reader, gzip.compress(text, 1), numbers(text))
            else:
                payload = damaged(case, encoding, random)
                check(case, reader, payload, {0.0, 1.0} | numbers_in(payload))
            tried += 1
    assert tried >= ROUNDS * len(written)


def damaged(case: Case, encoding: str, random: Random) -> bytes:
    """A document that is wrong and written well, or one that is right and written badly."""
    if random.randrange(2):
        text = json.dumps(PARSERS[encoding](case.payload)).encode()
        try:
            return WRITERS[encoding](json.loads(mutated(text, [b"[{}]"], random)))
        except (ValueError, OverflowError):  # no longer a document, or a number that is too large
            return case.payload[: random.randrange(len(case.payload))]
    payload = bytearray(case.payload)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(payload))
        payload[at : at + random.randrange(3)] = random.randbytes(random.randrange(4))
        payload += b"" if payload else b"\0"
    return bytes(payload)


def test_damaged_metadata_give_no_value_that_was_not_sent() -> None:
    connectors = [case for case in CHOSEN if case.dialect == "siemens" and case.before]
    payloads = [content for case in connectors for _, content in case.before]
    for random in rounds():
        for case in connectors:
            reader = Reader(case)
            topic, content = random.choice(case.before)
            readings, refused = reader(topic, mutated(content, payloads, random))
            assert not readings
            assert refused in {"", *REASONS}
            check(case, reader, case.payload)
    assert connectors or ONLY


def test_damaged_message_of_a_node_is_refused_or_read() -> None:
    payloads = [case.payload for case in NODES]
    for random in rounds():
        reader = Reader(NODES[0])
        for case in NODES:
            readings, refused = reader(case.topic, mutated(case.payload, payloads, random))
            assert refused in {"", *REASONS}
            for reading in readings:
                assert reading.quality in Quality.__members__
                assert all(one is None or isfinite(one) for one in reading.values.values())


def keys_of(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        yield from document
        document = list(document.values())
    for one in document if isinstance(document, list) else ():
        yield from keys_of(one)


def words() -> list[str]:
    """Every key and every name of a tag in the corpus."""
    found = {name for case in ALL.values() for name in case.source["signals"].values()}
    for case in ALL.values():
        if case.payload.lstrip().startswith((b"{", b"[")):
            found |= set(keys_of(json.loads(case.payload)))
    return sorted(found)


LEAVES = st.sampled_from(ODD) | st.sampled_from(words()) | st.integers() | st.floats()
DOCUMENTS = st.recursive(
    LEAVES,
    lambda parts: (
        st.lists(parts, max_size=4) | st.dictionaries(st.sampled_from(words()), parts, max_size=5)
    ),
    max_leaves=12,
)
FORMATS = [(case, Reader(case)) for case in {one.dialect: one for one in ALL.values()}.values()]


@given(document=DOCUMENTS)
def test_document_of_known_keys_is_refused_or_read_as_it_stands(document: Any) -> None:  # noqa: ANN401  any JSON value
    for case, reader in FORMATS:
        check(case, reader, json.dumps(document).encode())


@given(payload=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_bytes_are_refused_or_read_as_they_stand(payload: bytes) -> None:
    for case, reader in FORMATS:
        check(case, reader, payload)
