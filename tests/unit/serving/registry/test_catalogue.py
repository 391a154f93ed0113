"""Which of the signed target files are bundles, and which of them may run on a gateway."""

import pytest

from models.errors import UntrustedBundleError
from serving.registry.catalogue import Here, SignedFile, select, withdrawn
from serving.registry.refusals import DowngradeError, MetadataError, QuarantinedError
from tests.kit.wording import naming

STREAM = "pump-health"


def test_undescribed_bundle_is_refused() -> None:
    sha256 = "a" * 64
    undescribed = SignedFile(f"bundles/{STREAM}/1/{sha256}.zip", sha256, 10, None)
    with pytest.raises(UntrustedBundleError) as refused:
        select([undescribed], STREAM, None, Here(100))
    assert refused.value.code == "wrong_stream"


def test_digest_that_differs_from_the_path_is_refused() -> None:
    description = {"stream": STREAM, "seq": 1}
    file = SignedFile(f"bundles/{STREAM}/1/{'a' * 64}.zip", "b" * 64, 10, description)
    with pytest.raises(UntrustedBundleError) as refused:
        select([file], STREAM, None, Here(100))
    assert refused.value.code == "wrong_stream"


def test_two_bundles_of_one_seq_are_refused() -> None:
    files = [
        SignedFile(f"bundles/{STREAM}/1/{c * 64}.zip", c * 64, 10, {"stream": STREAM, "seq": 1})
        for c in "ab"
    ]
    with pytest.raises(MetadataError, match=naming("pump-health", "1")):
        select(files, STREAM, 1, Here(100))


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
        select([file], STREAM, None, Here(100))
    assert refused.value.code == "not_published"


def signed(*numbers: int) -> list[SignedFile]:
    """Bundles with these numbers, the digest of each made of its number."""
    return [
        SignedFile(
            f"bundles/{STREAM}/{n}/{n:064x}.zip", f"{n:064x}", 10, {"stream": STREAM, "seq": n}
        )
        for n in numbers
    ]


def test_bundle_in_quarantine_is_passed_over_and_refused_by_name() -> None:
    here = Here(100, quarantined={f"{3:064x}"})
    assert select(signed(1, 2, 3), STREAM, None, here).ref.seq == 2
    with pytest.raises(QuarantinedError, match=naming(f"{STREAM}#3")):
        select(signed(1, 2, 3), STREAM, 3, here)
    with pytest.raises(QuarantinedError):
        select(signed(3), STREAM, None, here)


@pytest.mark.parametrize(
    ("has_run", "quarantined", "seq", "is_allowed"),
    [
        ({2}, set(), 1, False),
        ({2}, set(), 2, True),
        ({2}, set(), 3, True),
        (set(), set(), 1, True),
        ({2}, {2}, 1, True),  # what has failed here is no reason to refuse what came before it
        ({1, 9}, set(), 1, True),  # 9 is not signed any more
        ({2, 3}, {3}, 1, False),
    ],
)
def test_older_bundle_than_one_that_has_served_is_a_downgrade(
    has_run: set[int], quarantined: set[int], seq: int, *, is_allowed: bool
) -> None:
    here = Here(100, {f"{n:064x}" for n in quarantined}, has_run)
    if is_allowed:
        assert select(signed(1, 2, 3), STREAM, seq, here).ref.seq == seq
    else:
        with pytest.raises(DowngradeError, match=naming(f"seq {seq}")):
            select(signed(1, 2, 3), STREAM, seq, here)


def test_what_is_kept_and_may_not_run_any_more_is_withdrawn() -> None:
    files = signed(1, 2, 3, 4)
    files[1].description["floor_seq"] = 2
    files[3].description["revoked"] = True
    kept = {f"{n:064x}" for n in (1, 2, 4, 9)}  # 3 is not kept, 9 not signed any more
    assert withdrawn(files, STREAM, kept) == [f"{n:064x}" for n in (1, 4)]
    assert withdrawn(files, "another", kept) == []
