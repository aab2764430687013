"""`headrace alerts` and `headrace webhooks`: what they ask the server and what they say."""

from __future__ import annotations

import pytest

from headrace.domain.json_value import JsonObject
from tests.unit.cli.command_line import CommandLine

ALERT: JsonObject = {
    "id": "alr_1",
    "name": "crew",
    "metric": "budget_used",
    "scope": "budget:bud_1",
    "threshold_percent": 80,
    "threshold_usd": None,
    "threshold_nano_usd": None,
    "window_seconds": None,
    "min_attempts": None,
    "webhooks": ["whk_1"],
    "action": {"kind": "repoint_alias", "alias": "daily", "points_to": "tiny"},
    "state": "fired",
}
LOW: JsonObject = {
    **ALERT,
    "metric": "balance_left",
    "scope": "team:crew",
    "threshold_percent": None,
    "threshold_usd": "5.000000000",
    "threshold_nano_usd": 5_000_000_000,
    "webhooks": [],
    "action": None,
    "state": "armed",
}
EVENT: JsonObject = {
    "id": "evt_1",
    "at": "2026-11-24T12:00:01.500000Z",
    "alert": {"id": "alr_1", "name": "crew"},
    "value_percent": 83.42,
    "value_usd": None,
    "action": {"kind": "revoke_key", "key": "k1"},
    "result": {"done": False, "code": "last_admin_token", "message": "The last one."},
    "deliveries": [{"state": "delivered"}, {"state": "pending"}],
}


def test_an_alert_is_made_with_what_is_given_only() -> None:
    line = CommandLine().answers("POST /v2/alerts", {"alert": ALERT})
    flags = ("--percent", "80", "--webhook", "whk_1", "--repoint-alias", "daily=tiny")
    ran = line("alerts", "create", "crew", "budget_used", "budget:bud_1", *flags)
    assert ran.out == 'alr_1: "crew" fires when budget_used of budget:bud_1 is at least 80%.\n'
    assert line.api.last_body == {
        "name": "crew",
        "metric": "budget_used",
        "scope": "budget:bud_1",
        "webhooks": ["whk_1"],
        "threshold_percent": 80,
        "action": {"kind": "repoint_alias", "alias": "daily", "points_to": "tiny"},
    }
    low = CommandLine().answers("POST /v2/alerts", {"alert": LOW})
    ran = low("alerts", "create", "low", "balance_left", "team:crew", "--usd", "5", "--revoke-key", "k1")
    assert ran.out == 'alr_1: "crew" fires when balance_left of team:crew is at most $5.00.\n'
    assert low.api.last_body == {
        "name": "low",
        "metric": "balance_left",
        "scope": "team:crew",
        "webhooks": [],
        "threshold_usd": "5",
        "action": {"kind": "revoke_key", "key": "k1"},
    }


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--revoke-key", "k1", "--repoint-alias", "a=b"), "not both"),
        (("--repoint-alias", "daily"), 'ALIAS=MODEL, like daily=gpt-oss-120b, not "daily"'),
        (("--repoint-alias", "=tiny"), "ALIAS=MODEL"),
        (("--percent", "many"), "many"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(flags: tuple[str, ...], said: str) -> None:
    line = CommandLine()
    ran = line("alerts", "create", "n", "error_rate", "platform", *flags)
    assert (ran.status, line.api.asked) == (2, [])
    assert said in ran.err


def test_alerts_are_listed_and_deleted() -> None:
    ran = CommandLine().answers("GET /v2/alerts", {"alerts": [ALERT, LOW]})("alerts", "list")
    assert ran.out.splitlines() == [
        'alr_1   fired   "crew"',
        "  when budget_used of budget:bud_1 is at least 80%",
        "  tell whk_1",
        "  point daily at tiny",
        'alr_1   armed   "crew"',
        "  when balance_left of team:crew is at most $5.00",
    ]
    empty = CommandLine().answers("GET /v2/alerts", {"alerts": []})("alerts", "list")
    assert empty.out.startswith("There is no alert.")
    gone = CommandLine().answers("DELETE /v2/alerts/alr_1", {"alert": ALERT})("alerts", "delete", "alr_1")
    assert gone.out == 'The alert "crew" is deleted.\n'


def test_events_say_what_was_done_and_delivered() -> None:
    pending: JsonObject = {
        **EVENT,
        "value_percent": None,
        "value_nano_usd": 2_000_000_001,
        "result": None,
        "deliveries": [],
    }
    done: JsonObject = {**EVENT, "result": {"done": True, "code": None, "message": None}}
    plain: JsonObject = {**EVENT, "action": None, "result": None}
    events: JsonObject = {"events": [EVENT, pending, done, plain]}
    ran = CommandLine().answers("GET /v2/alerts/events?limit=20", events)("alerts", "events")
    lines = ran.out.splitlines()
    assert lines[1].split("  ")[0] == "2026-11-24 12:00:01 UTC"
    assert "83.42%" in lines[1]
    assert "revoke key k1: last_admin_token" in lines[1]
    assert lines[1].endswith("delivered, pending")
    assert "$2.000000001" in lines[2]
    assert "revoke key k1: not yet" in lines[2]
    assert "revoke key k1: done" in lines[3]
    assert "revoke" not in lines[4]
    empty = CommandLine().answers("GET /v2/alerts/events?limit=5", {"events": []})("alerts", "events", "--limit", "5")
    assert empty.out == "No alert has fired.\n"


def test_a_secret_is_said_once_on_standard_output() -> None:
    webhook: JsonObject = {"id": "whk_1", "url": "https://a.example/", "secret": "whsec_x", "created_at": "2026-11-24T"}
    line = CommandLine().answers("POST /v2/webhooks", {"webhook": webhook})
    ran = line("webhooks", "create", "https://a.example/")
    assert ran.out == "whsec_x\n"
    assert "headrace webhooks test whk_1" in ran.err
    as_json = CommandLine().answers("POST /v2/webhooks", {"webhook": webhook})
    assert '"secret":"whsec_x"' in as_json("webhooks", "create", "https://a.example/", "--json").out
    listed = CommandLine().answers("GET /v2/webhooks", {"webhooks": [{**webhook, "secret": None}]})("webhooks", "list")
    assert listed.out.splitlines()[1].split() == ["whk_1", "2026-11-24", "https://a.example/"]
    empty = CommandLine().answers("GET /v2/webhooks", {"webhooks": []})("webhooks", "list")
    assert empty.out.startswith("There is no webhook.")
    gone = CommandLine().answers("DELETE /v2/webhooks/whk_1", {"webhook": webhook})("webhooks", "delete", "whk_1")
    assert gone.out == "The webhook whk_1 is deleted.\n"


def test_a_test_that_is_not_taken_is_status_one() -> None:
    taken: JsonObject = {"test": {"delivered": True, "status": 204, "error": None}}
    ran = CommandLine().answers("POST /v2/webhooks/whk_1/test", taken)("webhooks", "test", "whk_1")
    assert (ran.status, ran.out) == (0, "It was taken with status 204.\n")
    failed: JsonObject = {"test": {"delivered": False, "status": None, "error": "It did not answer."}}
    ran = CommandLine().answers("POST /v2/webhooks/whk_1/test", failed)("webhooks", "test", "whk_1")
    assert (ran.status, ran.out) == (1, "It was not taken. It did not answer.\n")
    ran = CommandLine().answers("POST /v2/webhooks/whk_1/test", failed)("webhooks", "test", "whk_1", "--json")
    assert (ran.status, '"delivered":false' in ran.out) == (1, True)
