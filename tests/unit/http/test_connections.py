"""How many connections there may be, and what a body must have sent by when."""

from headrace.http.connections import Census, ConnectionLimits
from headrace.http.edge import link_of

LIMITS = ConnectionLimits(connections=3, connections_per_address=2)


def test_connections_are_counted_by_address_and_in_all() -> None:
    census = Census(LIMITS)
    assert [census.admit("a"), census.admit("a"), census.admit("a")] == [True, True, False]
    assert [census.admit("b"), census.admit("c")] == [True, False]
    assert census.total == 3
    census.release("a")
    assert census.admit("c")
    census.release("a")
    census.release("b")
    census.release("c")
    assert census.total == 0
    assert census.admit("a")


def test_a_body_has_a_grace_and_then_a_rate() -> None:
    limits = ConnectionLimits(body_grace_seconds=10, body_bytes_per_second=512)
    assert limits.due_body_bytes(10) == 0
    assert limits.due_body_bytes(12) == 1024
    assert limits.due_body_bytes(3) < 0


def test_a_scope_of_another_server_has_no_link() -> None:
    assert link_of({}) is None
    assert link_of({"extensions": {}}) is None
    assert link_of({"extensions": {"headrace.connection": "?"}}) is None
