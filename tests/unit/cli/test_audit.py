"""`headrace audit`: what it asks, prints and ends with."""

from pathlib import Path

from headrace.domain.audit import AuditReport, Difference
from headrace.ports.fleet import Progress
from tests.unit.cli.command_line import ENVIRONMENT, CommandLine, FakeLocal

HOME = Path(ENVIRONMENT["HEADRACE_HOME"])
CHECKED = {"receipts": 12, "attempts": 14}
SOUND = AuditReport(CHECKED, 0, ())
BROKEN = AuditReport(
    CHECKED,
    3,
    (
        Difference("scope.spent_nano", "key:k1", 1_200, 1_199),
        Difference("settled_line.line_kind", "att_1 line 0", None, "output"),
    ),
)
SUMS = AuditReport(CHECKED, 1, (Difference("usage_hour.charge_nano", "2026-11-24T13Z shop", 5, None),))


def test_books_that_agree_say_so() -> None:
    line = CommandLine(local=FakeLocal(audited=SOUND))
    ran = line("audit")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "checked 12 receipts · 14 attempts\nThe books agree to the nano-dollar.\n"
    assert line.local.done == [("audit", HOME)]


def test_every_difference_is_named_and_the_status_is_1() -> None:
    ran = CommandLine(local=FakeLocal(audited=BROKEN))("audit")
    assert ran.status == 1
    assert ran.out == (
        "checked 12 receipts · 14 attempts\n"
        "what                    of               kept  derived\n"
        "scope.spent_nano        key:k1           1200     1199  nano-dollars\n"
        "settled_line.line_kind  att_1 line 0  nothing   output\n"
        "… and 1 more.\n"
        "3 differences. Next: see docs/audit.md; keep a copy first.\n"
    )


def test_sums_alone_can_be_made_anew() -> None:
    line = CommandLine(local=FakeLocal(audited=SUMS))
    assert line("audit").out.endswith("1 difference. Next: stop the platform, then headrace audit --rebuild-usage.\n")
    line = CommandLine(local=FakeLocal(audited=SOUND))
    ran = line("audit", "--rebuild-usage", "--json")
    assert ran.json == {"ok": True, "usage_rebuilt": True, "checked": CHECKED, "found": 0, "differences": []}
    assert line.local.done == [("rebuild usage", HOME), ("audit", HOME)]


def test_differences_as_json() -> None:
    ran = CommandLine(local=FakeLocal(audited=BROKEN))("audit", "--json")
    assert ran.status == 1
    assert ran.json == {
        "ok": False,
        "usage_rebuilt": False,
        "checked": CHECKED,
        "found": 3,
        "differences": [
            {"what": "scope.spent_nano", "id": "key:k1", "kept": 1200, "derived": 1199, "unit": "nano-dollars"},
            {
                "what": "settled_line.line_kind",
                "id": "att_1 line 0",
                "kept": None,
                "derived": "output",
                "unit": None,
            },
        ],
    }


def test_only_long_work_is_told_of_where_nobody_watches() -> None:
    short, long = Progress("attempts", 100, 100, "rows"), Progress("attempts", 500_000, 1_000_000, "rows")
    assert CommandLine(local=FakeLocal(audited=SOUND, progress=(short,)))("audit").err == ""
    assert CommandLine(local=FakeLocal(audited=SOUND, progress=(short, long)))("audit").err == (
        "checking attempts  50 %\n"
    )
