"""`headrace prices`: what each verb asks and prints."""

import datetime
from pathlib import Path

from headrace.domain.json_value import JsonObject
from headrace.services.price_proposals import Change, Comparison, Proposed
from tests.unit.cli.command_line import ADMIN, ENVIRONMENT, CommandLine, FakeLocal, Stream

CATALOG = Path(ENVIRONMENT["HEADRACE_HOME"]) / "catalog"
PRICES: JsonObject = {
    "model": "gpt-5.4",
    "offers": [
        {
            "provider": "openai",
            "versions": [
                {
                    "version": "openai/gpt-5.4@2026-11-25#b15be03c",
                    "effective": "2026-11-25",
                    "source": "https://example.com/pricing",
                    "usd_per_mtok": {"input_fresh": "2.5", "output_text": "15"},
                    "usd_each": {"search": "0.01"},
                    "tiers": [{"over_input_tokens": 272000, "usd_per_mtok": {"input_fresh": "5"}}],
                    "windows": [
                        {"from_utc": "16:30", "to_utc": "00:30", "days": ["mon", "fri"], "multiplier": "0.5"},
                        {"from_utc": "02:00", "to_utc": "03:00", "days": ["sat"], "usd_per_mtok": {"input_fresh": "1"}},
                    ],
                    "batch_multiplier": "0.5",
                    "service_tiers": {"flex": "0.5", "priority": "2"},
                    "in_force": True,
                }
            ],
        }
    ],
}
SHOWN = """\
openai   from 2026-11-25   in force
  input_fresh  $2.5/M
  output_text  $15/M
  search       $0.01 each
  over 272000 input tokens
    input_fresh  $5/M
  16:30-00:30 UTC mon, fri: times 0.5
  02:00-03:00 UTC sat
    input_fresh  $1/M
  in a batch: times 0.5
  service tier flex: times 0.5
  service tier priority: times 2
  openai/gpt-5.4@2026-11-25#b15be03c
  https://example.com/pricing
"""
PROPOSED = Proposed(
    "acme",
    "one",
    {"effective": datetime.date(2026, 11, 25), "source": "list", "input": "1.5", "output": "2"},
    "acme/one@2026-07-02#1",
    (
        Change("input_fresh", "1/M", "1.5/M", 500),
        Change("output_text", "2.5/M", "2/M", -204),
        Change("hours", None, "x"),
    ),
    ("input changes 10 times or more: is it another unit?",),
)
FOUND = Comparison((PROPOSED,), 3, 4)
DIFF = """\
acme/one   from 2026-11-25   (now acme/one@2026-07-02#1)
  input_fresh  1/M    ->  1.5/M  +50.0 %
  output_text  2.5/M  ->  2/M    -20.4 %
  hours        none   ->  x
  ! input changes 10 times or more: is it another unit?

1 to look at, 3 the same, 4 not in this catalog.
"""


def test_the_prices_of_a_model_are_shown_with_what_they_depend_on() -> None:
    line = CommandLine().answers("GET /v2/prices/gpt-5.4", {"prices": PRICES})
    assert line("prices", "show", "gpt-5.4").out == SHOWN
    assert line.api.credentials == [ADMIN]


def test_prices_are_shown_as_json() -> None:
    line = CommandLine().answers("GET /v2/prices/gpt-5.4", {"prices": PRICES})
    assert line("prices", "show", "gpt-5.4", "--json").json == {"prices": PRICES}


def test_a_model_without_a_price_says_so() -> None:
    line = CommandLine().answers("GET /v2/prices/one", {"prices": {"model": "one", "offers": [{"versions": []}]}})
    assert line("prices", "show", "one").out == "one has no price, and what has no price is not called.\n"


def test_a_diff_shows_changes_by_percent_and_what_looks_wrong() -> None:
    line = CommandLine(local=FakeLocal(comparison=FOUND))
    assert line("prices", "diff", "list.json", "--format", "models.dev").out == DIFF
    assert line.local.done == [("price diff", CATALOG, Path("list.json"), "models.dev", None)]


def test_a_diff_as_json() -> None:
    shown = CommandLine(local=FakeLocal(comparison=FOUND))(
        "prices", "diff", "a.json", "--format", "models.dev", "--json"
    )
    assert shown.json == {
        "proposed": [
            {
                "provider": "acme",
                "model": "one",
                "in_force": "acme/one@2026-07-02#1",
                "changes": [
                    {"what": "input_fresh", "before": "1/M", "after": "1.5/M", "per_mille": 500},
                    {"what": "output_text", "before": "2.5/M", "after": "2/M", "per_mille": -204},
                    {"what": "hours", "before": None, "after": "x", "per_mille": None},
                ],
                "warnings": ["input changes 10 times or more: is it another unit?"],
                "toml": '[[models.prices]]\neffective = 2026-11-25\nsource = "list"\ninput = "1.5"\noutput = "2"',
            }
        ],
        "same": 3,
        "elsewhere": 4,
        "files": [],
    }


def test_an_import_names_its_proposals_and_how_to_take_them_over() -> None:
    proposal = CATALOG / "proposals/2026-11-25/acme.toml"
    line = CommandLine(local=FakeLocal(comparison=FOUND, proposals=(proposal,)))
    out = line("prices", "import", "list.json", "--format", "genai-prices").out
    assert out.startswith(DIFF)
    assert out.endswith(f"take it over:\n  headrace prices apply {proposal}\n")
    assert line.local.done == [("price import", CATALOG, Path("list.json"), "genai-prices", None)]


def test_nothing_to_propose_names_no_file() -> None:
    line = CommandLine(local=FakeLocal(comparison=Comparison((), 9, 0)))
    out = line("prices", "import", "list.json", "--format", "catalog").out
    assert out == "0 to look at, 9 the same, 0 not in this catalog.\n"


def test_a_proposal_is_applied() -> None:
    line = CommandLine()
    ran = line("prices", "apply", "acme.toml")
    assert (ran.status, ran.out.splitlines()[0]) == (0, f"Added to {CATALOG / 'acme.toml'}.")
    assert line.local.done == [("price apply", CATALOG, Path("acme.toml"))]


def test_a_format_that_does_not_exist_is_refused() -> None:
    ran = CommandLine()("prices", "diff", "list.json", "--format", "excel")
    assert ran.status == 2
    assert "genai-prices" in ran.err


def test_a_providers_own_list_is_read_for_the_provider_that_is_named() -> None:
    line = CommandLine(local=FakeLocal(comparison=FOUND))
    assert line("prices", "diff", "list.json", "--format", "provider", "--provider", "acme").status == 0
    assert line.local.done == [("price diff", CATALOG, Path("list.json"), "provider", "acme")]


def test_a_terminal_sees_that_a_long_list_is_being_read() -> None:
    line = CommandLine(local=FakeLocal(comparison=FOUND), stderr=Stream(terminal=True))
    assert "Reading list.json" in line("prices", "import", "list.json", "--format", "models.dev").err
