"""`headrace routers correct`: what it asks the server and what it says."""

from __future__ import annotations

import pytest

from headrace.domain.json_value import JsonObject
from tests.unit.cli.command_line import ADMIN, CommandLine

PATH = "/v2/requests/req_1/route"


def corrected(decided: str | None) -> JsonObject:
    return {
        "correction": {
            "request_id": "req_1",
            "router": "support",
            "decided": decided,
            "route": "refund",
            "corrected_at": "2026-11-24T12:00:00.000000Z",
        }
    }


@pytest.mark.parametrize(("decided", "was"), [("bug-fixing", "bug-fixing"), (None, "no task")])
def test_a_route_is_corrected(decided: str | None, was: str) -> None:
    command = CommandLine().answers(f"POST {PATH}", corrected(decided))
    ran = command("routers", "correct", "req_1", "refund")
    assert (ran.status, command.api.last_body, command.api.credentials) == (0, {"route": "refund"}, [ADMIN])
    assert ran.out == f"req_1 is an example of refund now (router:support; was {was}).\n"


def test_a_correction_is_taken_back() -> None:
    command = CommandLine().answers(f"DELETE {PATH}", {"request_id": "req_1"})
    ran = command("routers", "correct", "req_1", "--undo")
    assert (ran.status, ran.out) == (0, "req_1 is no longer corrected.\n")


def test_json_is_the_servers_reply() -> None:
    command = CommandLine().answers(f"POST {PATH}", corrected(None))
    assert command("routers", "correct", "req_1", "refund", "--json").json == corrected(None)


@pytest.mark.parametrize("more", [(), ("refund", "--undo")])
def test_a_task_or_undo_is_needed_and_not_both(more: tuple[str, ...]) -> None:
    command = CommandLine()
    ran = command("routers", "correct", "req_1", *more)
    assert (ran.status, command.api.requests) == (2, [])
    assert "Give the right task, or --undo" in ran.err
