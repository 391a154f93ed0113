"""What the deadline of a call says."""

import pytest

from server.rpc.call import Call


@pytest.mark.parametrize(
    ("given_s", "left_s", "is_late"),
    [(0.5, 0.0, True), (10.1, 0.088, True), (10.1, 5.0, False), (0.5, 0.4, False)],
    ids=["none left", "what rounding adds is left", "half of it is left", "most of it is left"],
)
def test_call_is_late_where_it_ends_with_its_deadline(
    given_s: float, left_s: float, *, is_late: bool
) -> None:
    """With a deadline of 10.01 s gRPC sends 10.1 s, and ends the call 0.09 s before that."""
    assert Call(given_s).is_late(left_s) == is_late


def test_call_without_a_deadline_is_never_late() -> None:
    assert not Call(None).is_late(None)


def test_client_waits_until_the_first_of_deadline_and_parameter() -> None:
    assert Call(2.0).shorter(0.5) == 0.5
    assert Call(0.2).shorter(0.5) == 0.2
    assert Call(0.2).shorter(None) == 0.2
    assert Call(None).shorter(None) is None
