"""`headrace budgets`: what it asks the server and what it says."""

import pytest

from headrace.domain.json_value import JsonObject
from tests.unit.cli.command_line import ADMIN, CommandLine

BUDGET: JsonObject = {
    "id": "bud_1",
    "scope": "team:shop",
    "window": "month",
    "zone": "Europe/Berlin",
    "mode": "reject",
    "limit_nano_usd": 800_000_000_000,
    "spent_nano_usd": 12_000_004_772,
    "held_nano_usd": 500_000_000,
    "left_nano_usd": 787_499_995_228,
    "window_starts_at": "2026-10-31T23:00:00.000000Z",
    "window_ends_at": "2026-11-30T23:00:00.000000Z",
}
TOTAL: JsonObject = {**BUDGET, "id": "bud_2", "scope": "platform", "window": "total", "mode": "clamp"}


def test_budgets_are_listed_with_what_is_left() -> None:
    unlimited: JsonObject = {**TOTAL, "left_nano_usd": None, "window_ends_at": None}
    line = CommandLine().answers("GET /v2/budgets", {"budgets": [BUDGET, unlimited]})
    ran = line("budgets", "list")
    assert [each.split() for each in ran.out.splitlines()] == [
        ["ID", "SCOPE", "WINDOW", "LIMIT", "SPENT", "LEFT"],
        ["bud_1", "team:shop", "month", "$800.00", "$12.000004772", "$787.499995228"],
        ["bud_2", "platform", "total", "$800.00", "$12.000004772", "-"],
    ]
    assert line.api.credentials == [ADMIN]
    empty = CommandLine().answers("GET /v2/budgets?scope=key%3Ak1", {"budgets": []})("budgets", "list", "key:k1")
    assert empty.out.startswith("There is no budget of key:k1. Make one: headrace budgets create key:k1 --usd 100")
    none = CommandLine().answers("GET /v2/budgets", {"budgets": []})("budgets", "list")
    assert none.out.startswith("There is no budget. Make one: headrace budgets create platform --usd 100")


def test_a_budget_is_made() -> None:
    line = CommandLine().answers("POST /v2/budgets", {"budget": BUDGET}, 201)
    ran = line("budgets", "create", "team:shop", "--usd", "800", "--zone", "Europe/Berlin")
    assert ran.out == (
        "team:shop may spend $800.00 a month (Europe/Berlin); a call that does not fit is refused (bud_1).\n"
    )
    assert line.api.last_body == {
        "scope": "team:shop",
        "limit_usd": "800",
        "window": "month",
        "zone": "Europe/Berlin",
        "mode": "reject",
    }


def test_one_budget_is_shown_in_words_and_as_json() -> None:
    line = CommandLine().answers("GET /v2/budgets/bud_1", {"budget": BUDGET})
    assert line("budgets", "show", "bud_1").out.splitlines()[1] == (
        "$787.499995228 are left until 2026-11-30 23:00:00 UTC: spent $12.000004772, held for running calls $0.50."
    )
    as_json = CommandLine().answers("GET /v2/budgets/bud_1", {"budget": BUDGET})("budgets", "show", "bud_1", "--json")
    assert as_json.json == {"budget": BUDGET}


def test_a_budget_is_changed_and_deleted() -> None:
    line = CommandLine().answers("PATCH /v2/budgets/bud_2", {"budget": TOTAL})
    ran = line("budgets", "set", "bud_2", "--usd", "800", "--mode", "clamp")
    assert ran.out == "platform may spend $800.00 in all; a call that does not fit gets a smaller output cap (bud_2).\n"
    assert line.api.last_body == {"limit_usd": "800", "mode": "clamp"}
    gone = CommandLine().answers("DELETE /v2/budgets/bud_1", {"budget": BUDGET})("budgets", "delete", "bud_1")
    assert gone.out == "team:shop has no limit of $800.00 a month (Europe/Berlin) any more.\n"


def test_a_change_of_nothing_is_not_sent() -> None:
    line = CommandLine()
    ran = line("budgets", "set", "bud_1")
    assert (ran.status, line.api.asked) == (2, [])
    assert "Give --usd, --mode or both." in ran.err


@pytest.mark.parametrize(
    "wrong", [("--window", "year"), ("--mode", "warn"), ("--usd",)], ids=lambda wrong: " ".join(wrong)
)
def test_a_budget_of_another_kind_is_not_sent(wrong: tuple[str, ...]) -> None:
    line = CommandLine()
    ran = line("budgets", "create", "platform", *(() if wrong == ("--usd",) else ("--usd", "1")), *wrong)
    assert (ran.status, line.api.asked) == (2, [])
