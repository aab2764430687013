"""`headrace teams`: what it asks the server and what it says."""

from headrace.domain.json_value import JsonObject
from tests.unit.cli.command_line import CommandLine

BALANCE: JsonObject = {
    "paid_nano_usd": 100_000_000_000,
    "spent_nano_usd": 4_772,
    "held_nano_usd": 0,
    "left_nano_usd": 99_999_995_228,
}
TEAM: JsonObject = {
    "name": "shop",
    "prepaid": True,
    "created_at": "2026-11-24T12:00:00.000000Z",
    "balance": BALANCE,
}
LEFT = "Balance: $99.999995228 left of $100.00 paid in; $0.000004772 spent, $0.00 held for running calls.\n"


def test_teams_are_listed() -> None:
    default: JsonObject = {"name": "default", "prepaid": False, "created_at": None}
    ran = CommandLine().answers("GET /v2/teams", {"teams": [default, TEAM]})("teams", "list")
    assert ran.out == (
        "NAME     PAYS                 LEFT  CREATED\n"
        "default  afterwards              -  -\n"
        "shop     in advance  $99.999995228  2026-11-24\n"
    )  # fmt: skip


def test_a_team_is_made_and_says_what_comes_next() -> None:
    line = CommandLine().answers("POST /v2/teams", {"team": TEAM}, 201)
    ran = line("teams", "create", "shop", "--prepaid")
    assert "headrace keys create NAME --team shop" in ran.out and "headrace teams top-up shop" in ran.out
    assert line.api.last_body == {"name": "shop", "prepaid": True}
    assert "--team 'web shop'" in line("teams", "create", "web shop").out
    assert "top-up" not in CommandLine().answers("POST /v2/teams", {"team": TEAM}, 201)("teams", "create", "shop").out


def test_a_team_is_shown_and_forgotten() -> None:
    line = CommandLine().answers("GET /v2/teams/shop", {"team": TEAM})
    assert line("teams", "show", "shop").out == f'Team "shop" pays in advance. {LEFT}'
    unpaid: JsonObject = {**TEAM, "prepaid": False, "balance": {**BALANCE, "paid_nano_usd": 0}}
    later = CommandLine().answers("GET /v2/teams/shop", {"team": unpaid})("teams", "show", "shop")
    assert later.out == 'Team "shop" pays afterwards. What it used: headrace usage --team shop\n'
    gone = CommandLine().answers("DELETE /v2/teams/shop", {"team": TEAM})("teams", "delete", "shop")
    assert gone.out == 'Team "shop" is forgotten; its receipts and entries stay.\n'


def test_a_team_is_made_to_pay_otherwise() -> None:
    line = CommandLine().answers("PATCH /v2/teams/shop", {"team": TEAM})
    ran = line("teams", "set", "shop", "--prepaid")
    assert ran.out == (
        f'Team "shop" pays in advance from the next call on. {LEFT}Top it up: headrace teams top-up shop --usd 100\n'
    )
    assert line.api.last_body == {"prepaid": True}
    later = CommandLine().answers("PATCH /v2/teams/shop", {"team": {**TEAM, "prepaid": False}})
    assert later("teams", "set", "shop", "--no-prepaid").out == 'Team "shop" pays afterwards from the next call on.\n'
    assert later.api.last_body == {"prepaid": False}
    missing = CommandLine()("teams", "set", "shop")
    assert (missing.status, "For example: headrace teams set shop --prepaid" in missing.err) == (2, True)


def test_money_is_booked_with_its_reason() -> None:
    line = CommandLine().answers("POST /v2/teams/shop/transfers", {"balance": BALANCE}, 201)
    ran = line("teams", "top-up", "shop", "--usd", "100", "--reference", "INV-7", "--note", "November")
    assert ran.out == f"Booked $100. {LEFT}"
    assert line.api.last_body == {"kind": "top_up", "amount_usd": "100", "note": "November", "reference": "INV-7"}
    less = CommandLine().answers("POST /v2/teams/shop/transfers", {"balance": BALANCE}, 201)
    assert less("teams", "adjust", "shop", "--usd", "-5").out == f"Booked -$5. {LEFT}"
    assert less.api.last_body == {"kind": "adjustment", "amount_usd": "-5"}


def test_transfers_are_listed_with_their_sign() -> None:
    paid: JsonObject = {
        "kind": "top_up",
        "debit": "cash",
        "credit": "receivable:shop",
        "amount_nano_usd": 100_000_000_000,
        "at": "2026-11-24T12:00:00.000000Z",
        "note": "November",
        "reference": "INV-7",
    }
    taken: JsonObject = {**paid, "kind": "adjustment", "debit": "receivable:shop", "credit": "adjustments"}
    path = "GET /v2/teams/shop/transfers?limit=2"
    rows: list[JsonObject] = [{**taken, "note": None}, paid]
    ran = CommandLine().answers(path, {"transfers": [*rows]})("teams", "transfers", "shop", "--limit", "2")
    assert ran.out == (
        "AT                       KIND             USD  REFERENCE  NOTE\n"
        "2026-11-24 12:00:00 UTC  adjustment  -$100.00  INV-7      -\n"
        "2026-11-24 12:00:00 UTC  top-up       $100.00  INV-7      November\n"
    )
    empty = CommandLine().answers("GET /v2/teams/shop/transfers?limit=100", {"transfers": []})
    assert empty("teams", "transfers", "shop").out.startswith("Nothing was paid in.")
