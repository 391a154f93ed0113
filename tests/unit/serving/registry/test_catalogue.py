"""The signed list contradicts itself: nothing of the stream is believed."""

import pytest

from models.errors import UntrustedBundleError
from serving.registry.catalogue import SignedFile, select
from serving.registry.refusals import MetadataError
from tests.kit.wording import naming

STREAM = "pump-health"


def test_undescribed_bundle_is_refused() -> None:
    sha256 = "a" * 64
    undescribed = SignedFile(f"bundles/{STREAM}/1/{sha256}.zip", sha256, 10, None)
    with pytest.raises(UntrustedBundleError) as refused:
        select([undescribed], STREAM, None, max_bytes=100)
    assert refused.value.code == "wrong_stream"


def test_digest_that_differs_from_the_path_is_refused() -> None:
    description = {"stream": STREAM, "seq": 1}
    file = SignedFile(f"bundles/{STREAM}/1/{'a' * 64}.zip", "b" * 64, 10, description)
    with pytest.raises(UntrustedBundleError) as refused:
        select([file], STREAM, None, max_bytes=100)
    assert refused.value.code == "wrong_stream"


def test_two_bundles_of_one_seq_are_refused() -> None:
    files = [
        SignedFile(f"bundles/{STREAM}/1/{c * 64}.zip", c * 64, 10, {"stream": STREAM, "seq": 1})
        for c in "ab"
    ]
    with pytest.raises(MetadataError, match=naming("pump-health", "1")):
        select(files, STREAM, 1, max_bytes=100)


@pytest.mark.parametrize(
    "path",
    [
        f"bundles/{STREAM}/../{'a' * 64}.zip",
        f"bundles/../{STREAM}/1/{'a' * 64}.zip",
        f"/bundles/{STREAM}/1/{'a' * 64}.zip",
        f"bundles/{STREAM}/01/{'a' * 64}.zip",
        f"bundles/{STREAM}/1/{'a' * 64}.zip\n",
        f"bundles/{STREAM}/\N{ARABIC-INDIC DIGIT ONE}/{'a' * 64}.zip",
    ],
)
def test_path_of_another_form_is_no_bundle(path: str) -> None:
    file = SignedFile(path, "a" * 64, 10, {"stream": STREAM, "seq": 1})
    with pytest.raises(UntrustedBundleError) as refused:
        select([file], STREAM, None, max_bytes=100)
    assert refused.value.code == "not_published"
