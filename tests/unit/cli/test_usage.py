"""`headrace usage`: what it asks the server, how it lays out the answer, CSV as it came."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

import httpx2

from headrace.domain.json_value import JsonObject, JsonValue
from tests.unit.cli.command_line import ADMIN, CommandLine

SUMS: JsonObject = {
    "attempts": 1_201,
    "requests": 1_200,
    "input_fresh": 1_000_000,
    "input_cache_read": 250_000,
    "input_cache_write_5m": 1,
    "input_cache_write_1h": 2,
    "output_text": 40_000,
    "output_reasoning": 2,
    "cost_nano_usd": 1_500_000_001,
    "charge_nano_usd": 0,
}
REPORT: JsonObject = {
    "usage": [
        {"starts_at": "2026-11-22T23:00:00.000000Z", "key": "k1", "key_name": "web", "tag": "project=search", **SUMS},
        {"starts_at": "2026-11-23T23:00:00.000000Z", "key": "k2", "key_name": None, "tag": None, **SUMS},
    ],
    "starts_at": "2026-11-22T23:00:00.000000Z",
    "ends_at": "2026-11-24T13:00:00.000000Z",
    "interval": "day",
    "zone": "Europe/Berlin",
    "group_by": ["key", "tag"],
    "totals": {**SUMS, "requests": 5_000},
    "meta": {"total": 7, "page": 1, "pages": 1},
}
SHOWN = """\
2026-11-23 00:00 to 2026-11-24 14:00, Europe/Berlin

DAY         KEY       TAG             REQUESTS  ATTEMPTS      INPUT   CACHED  OUTPUT          COST  CHARGE
2026-11-23  web (k1)  project=search     1,200     1,201  1,250,003  250,000  40,002  $1.500000001      $0
2026-11-24  k2        (none)             1,200     1,201  1,250,003  250,000  40,002  $1.500000001      $0
total                                    5,000     1,201  1,250,003  250,000  40,002  $1.500000001      $0

5 more rows are in the total only; --csv writes them all.

A request with several tags stands in several rows, one without in none; the total has each once.
"""
DEFAULT = "GET /v2/usage?group_by=model&interval=total&limit=1000"


def test_the_report_is_laid_out_with_its_sums_in_the_days_of_its_zone() -> None:
    query = urlencode([("group_by", "key"), ("group_by", "tag"), ("interval", "day"), ("from", "2d")])
    query += "&zone=Europe%2FBerlin&limit=1000"
    line = CommandLine().answers(f"GET /v2/usage?{query}", REPORT)
    ran = line("usage", "--by", "key", "--by", "tag", "--interval", "day", "--since", "2d", "--zone", "Europe/Berlin")
    assert (ran.out, line.api.credentials) == (SHOWN, [ADMIN])


def test_a_deployment_is_called_by_its_name_too_where_that_is_known() -> None:
    named = {"d1": "prod", "d2": None}
    rows: list[JsonValue] = [{"deployment": each, "deployment_name": name, **SUMS} for each, name in named.items()]
    report: JsonObject = {**REPORT, "usage": rows, "group_by": ["deployment"], "interval": "total"}
    line = CommandLine().answers("GET /v2/usage?group_by=deployment&interval=total&limit=1000", report)
    shown = [row.split("  ")[0] for row in line("usage", "--by", "deployment").out.splitlines()[3:5]]
    assert shown == ["prod (d1)", "d2"]


def test_without_a_word_it_is_the_total_by_model() -> None:
    report: JsonObject = {**REPORT, "interval": "total", "group_by": ["model"], "meta": {"total": 2}}
    ran = CommandLine().answers(DEFAULT, report)("usage")
    assert [row.split()[0] for row in ran.out.splitlines()[2:]] == ["MODEL", "(none)", "(none)", "total"]


def test_without_a_group_everything_is_one_row() -> None:
    report: JsonObject = {**REPORT, "usage": [SUMS], "interval": "total", "group_by": [], "meta": {"total": 1}}
    ran = CommandLine().answers("GET /v2/usage?interval=total&limit=1000", report)("usage", "--interval", "total")
    assert [row.split()[0] for row in ran.out.splitlines()[2:]] == ["REQUESTS", "all", "total"]


def test_filters_are_sent_as_they_were_typed() -> None:
    line = CommandLine()
    line(
        "usage", "--model", "a/b:c", "--model", "d", "--deployment", "", "--tag", "project=x&y", "--until", "2026-11-24"
    )
    assert parse_qs(line.api.asked[0].partition("?")[2], keep_blank_values=True) == {
        "group_by": ["model"],
        "interval": ["total"],
        "to": ["2026-11-24"],
        "tag": ["project=x&y"],
        "model": ["a/b:c", "d"],
        "deployment": [""],
        "limit": ["1000"],
    }


def test_nothing_used_is_said() -> None:
    report: JsonObject = {**REPORT, "usage": [], "group_by": ["model"]}
    ran = CommandLine().answers(DEFAULT, report)("usage")
    assert ran.out == "2026-11-23 00:00 to 2026-11-24 14:00, Europe/Berlin: nothing was used.\n"


def test_json_is_what_the_server_said() -> None:
    ran = CommandLine().answers(DEFAULT, REPORT)("usage", "--json")
    assert ran.json == REPORT


def test_csv_is_what_the_server_wrote() -> None:
    line = CommandLine()
    line.api.replies["GET /v2/usage?group_by=team&interval=total&format=csv"] = httpx2.Response(
        200, text="a,b\r\n1,2\r\n"
    )
    ran = line("usage", "--by", "team", "--csv")
    assert (ran.status, ran.out) == (0, "a,b\r\n1,2\r\n")


def test_a_refusal_is_told_also_of_csv() -> None:
    line = CommandLine()
    said = {"id": "invalid_request", "message": '"group_by" must be one of key, team, not "x".'}
    line.api.replies["GET /v2/usage?group_by=x&interval=total&format=csv"] = httpx2.Response(400, json=said)
    ran = line("usage", "--by", "x", "--csv")
    assert ran.status != 0 and '"group_by" must be one of' in ran.err


def test_csv_and_json_exclude_each_other() -> None:
    ran = CommandLine()("usage", "--csv", "--json")
    assert ran.status == 2 and "Drop one" in ran.out
