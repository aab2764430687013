"""`headrace reconcile`: what it sends, prints and ends with."""

from pathlib import Path

import pytest

from headrace.domain.json_value import JsonObject, JsonValue
from tests.unit.cli.command_line import ADMIN, CommandLine

SUMMARY: JsonObject = {
    "id": "rec_1",
    "provider": "openai",
    "format": "generic",
    "file_name": "november.csv",
    "made_at": "2026-11-28T10:00:00.000000Z",
    "first_day": "2026-11-24",
    "last_day": "2026-11-24",
    "rows": 2,
    "differing_rows": 1,
    "cause": "prices_differ",
    "says": '1 of 2 days and models differ. 2026-11-24: "small" costs more.',
    "totals": [
        {"figure": "requests", "ours": 10, "theirs": 12, "difference": 2, "per_mille": 200},
        {
            "figure": "cost_nano_usd",
            "ours": 3_000_000_000,
            "theirs": 0,
            "difference": -3_000_000_000,
            "per_mille": -1000,
        },
        {"figure": "output_tokens", "ours": 0, "theirs": 0, "difference": 0, "per_mille": None},
    ],
    "remarks": ["No currency is told."],
}
ATTEMPT: JsonObject = {
    "request_id": "req_1",
    "ended_at": "2026-11-24T12:00:00.000000Z",
    "cost_nano_usd": 1_500,
    "reasons": ["possible_spend", "usage_estimated"],
}
DAY: JsonObject = {
    "day": "2026-11-24",
    "model": "small",
    "billed_as": ["small-2026"],
    "agrees": False,
    "says": "It costs more.",
    "figures": SUMMARY["totals"],
    "attempts": [ATTEMPT, {**ATTEMPT, "reasons": []}],
    "unmatched_ids": ["up_7"],
}
UNKNOWN: JsonObject = {**DAY, "model": None, "billed_as": ["huge"], "figures": [], "attempts": [], "unmatched_ids": []}
REPORT: JsonObject = {**SUMMARY, "days": [DAY, {"agrees": True}, UNKNOWN]}
SOUND: JsonObject = {**SUMMARY, "differing_rows": 0, "says": "All agree.", "remarks": [], "days": []}
SHOWN = """\
rec_1   openai   2026-11-24 to 2026-11-24   november.csv (generic)
1 of 2 days and models differ. 2026-11-24: "small" costs more.
  ! No currency is told.

                       ours  theirs                difference
requests                 10      12              +2 (+20.0 %)
cost           $3.000000000      $0  -$3.000000000 (-100.0 %)
output tokens             0       0                         0

2026-11-24   small   (billed as "small-2026")
  It costs more.
  requests            10  12              +2 (+20.0 %)
  cost      $3.000000000  $0  -$3.000000000 (-100.0 %)
    req_1   2026-11-24 12:00:00 UTC   $0.000001500   possible spend, usage estimated
    req_1   2026-11-24 12:00:00 UTC   $0.000001500   nothing unusual
    on the bill and not here: up_7

2026-11-24   huge
  It costs more.
"""


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    path = tmp_path / "november.csv"
    path.write_text("date,model,cost\n2026-11-24,small,1\n")
    return path


def test_a_bill_is_sent_as_it_is(bill: Path) -> None:
    line = CommandLine().answers("POST /v2/reconciliations", {"reconciliation": SOUND})
    arguments = ("--since", "2026-11-01", "--until", "2026-11-30", "--model", "Big=small", "--format", "generic")
    ran = line("reconcile", str(bill), "--provider", "openai", *arguments)
    assert (ran.status, line.api.credentials) == (0, [ADMIN])
    assert line.api.last_body == {
        "provider": "openai",
        "content": "date,model,cost\n2026-11-24,small,1\n",
        "format": "generic",
        "file_name": "november.csv",
        "since": "2026-11-01",
        "until": "2026-11-30",
        "models": {"Big": "small"},
    }


def test_what_differs_is_shown_with_its_cause_and_requests(bill: Path) -> None:
    line = CommandLine().answers("POST /v2/reconciliations", {"reconciliation": REPORT})
    ran = line("reconcile", str(bill), "--provider", "openai")
    assert ran.out.splitlines() == SHOWN.splitlines()
    assert ran.status == 1


def test_a_comparison_as_json(bill: Path) -> None:
    line = CommandLine().answers("POST /v2/reconciliations", {"reconciliation": REPORT})
    ran = line("reconcile", str(bill), "--provider", "openai", "--json")
    assert (ran.status, ran.json) == (1, {"reconciliation": REPORT})


def test_only_the_first_days_are_printed(bill: Path) -> None:
    many: JsonObject = {**REPORT, "days": list[JsonValue]([UNKNOWN] * 43)}
    line = CommandLine().answers("POST /v2/reconciliations", {"reconciliation": many})
    out = line("reconcile", str(bill), "--provider", "openai").out
    assert out.count("2026-11-24   huge") == 40
    assert out.endswith("… and 3 more: headrace reconciliations rec_1 --json\n")


def test_comparisons_are_listed_and_shown_again() -> None:
    line = CommandLine().answers("GET /v2/reconciliations", {"reconciliations": [SUMMARY]})
    assert line("reconciliations").out == (
        "ID     PROVIDER  FROM        TO          DIFFERING  CAUSE\n"
        "rec_1  openai    2026-11-24  2026-11-24  1 of 2     prices differ\n"
    )
    line = CommandLine().answers("GET /v2/reconciliations?provider=acme", {"reconciliations": []})
    assert "No bill was compared yet" in line("reconciliations", "--provider", "acme").out
    line = CommandLine().answers("GET /v2/reconciliations/rec_1", {"reconciliation": REPORT})
    assert line("reconciliations", "rec_1").out.splitlines() == SHOWN.splitlines()


def test_a_file_that_cannot_be_a_bill_is_refused_before_anything_is_sent(tmp_path: Path, bill: Path) -> None:
    line = CommandLine()
    ran = line("reconcile", str(tmp_path / "none.csv"), "--provider", "openai")
    assert (ran.status, "cannot be read" in ran.err) == (2, True)
    sheet = tmp_path / "sheet.xlsx"
    sheet.write_bytes(b"PK\x03\x04\xff\xfe")
    assert "is not UTF-8 at byte 4." in line("reconcile", str(sheet), "--provider", "openai").err
    large = tmp_path / "large.csv"
    large.write_bytes(b"x" * (8 * 1024 * 1024 + 1))
    assert "is larger than 8 MiB" in line("reconcile", str(large), "--provider", "openai").err
    for wrong in ("Big", "=small", "Big="):
        ran = line("reconcile", str(bill), "--provider", "openai", "--model", wrong)
        assert "write --model THEIRS=OURS" in ran.err
    assert line.api.asked == []
