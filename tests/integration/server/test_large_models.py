"""A model of 50 MB comes in pieces, is proven, serves and is swapped; what refuses one says which
setting to change.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.bundle.package import Bundle
from tests.kit.bundles.large import LENGTH, SIGNALS, LargeGraph, large_bundle
from tests.kit.bundles.mirrors import Fault, mirror
from tests.kit.bundles.published import Published
from tests.kit.model_server import LOOKS, ModelServer
from tests.kit.waiting import eventually

SIZE_MB = 50
BIAS = 1000.0
ROWS = [[[0.5] * SIGNALS] * LENGTH]
BODY = {
    "inputs": [{"name": "window", "datatype": "FP32", "shape": [1, LENGTH, SIGNALS], "data": ROWS}]
}


@pytest.fixture(scope="module")
def bundles() -> tuple[Bundle, Bundle]:
    """Two versions of a model of 50 MB, whose answers differ by 1000."""
    first, second = (
        large_bundle("large", seq, LargeGraph("dense", SIZE_MB, bias=BIAS * seq)) for seq in (1, 2)
    )
    return first, second


@contextmanager
def serving(
    folder: Path, published: Published, **sections: Mapping[str, object]
) -> Iterator[ModelServer]:
    with ModelServer(folder / "home", published, [{"stream": "large"}], sections) as server:
        yield server.start()


def answer(server: ModelServer) -> tuple[str, float]:
    reply = server.request("POST", "/v2/models/large/infer", BODY)
    assert reply.status == 200, reply.error
    (value,) = reply.document["outputs"][0]["data"]
    version: str = reply.document["model_version"]
    return version, value


def reason(server: ModelServer) -> str:
    """Why the repository's index says that there is no model."""
    (entry,) = server.request("POST", "/v2/repository/index").document
    found: str = entry["reason"]
    return found


def test_large_model_comes_in_pieces_serves_and_is_swapped(
    tmp_path: Path, bundles: tuple[Bundle, Bundle]
) -> None:
    published = Published.create(tmp_path)
    name = f"{published.publish(bundles[0]).sha256}.zip"
    with mirror(published.folder) as site:
        site.faults[name] = Fault(cut_after=20 << 20)
        with serving(tmp_path, published, registry={**LOOKS, "url": site.url}) as server:
            eventually(lambda: server.request("GET", "/v2/health/ready").status == 200, 60.0)
            pieces = [wanted for path, wanted, _ in site.requests if path.endswith(name)]
            assert len(pieces) == 3
            assert [piece.startswith("bytes=") for piece in pieces] == [False, True, True]
            version, before = answer(server)
            assert version == "1"
            assert 1000 < before < 1900
            published.publish(bundles[1])
            eventually(lambda: answer(server)[0] == "2", 60.0)
            assert answer(server)[1] == pytest.approx(before + BIAS, abs=0.01)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("registry", "max_bundle_bytes", 50_000_000),
        ("proof", "memory_bytes", 100 << 20),
    ],
)
def test_limit_that_refuses_a_large_model_is_named(
    tmp_path: Path, bundles: tuple[Bundle, Bundle], section: str, key: str, value: int
) -> None:
    published = Published.create(tmp_path)
    published.publish(bundles[0])
    with serving(tmp_path, published, **{section: {key: value}}) as server:
        eventually(lambda: f"{section}.{key}" in reason(server), 60.0)
        assert server.request("POST", "/v2/models/large/infer", BODY).status == 503
