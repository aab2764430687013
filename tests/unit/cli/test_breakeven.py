"""`headrace breakeven`: which form is asked in, what is sent, and how the report looks."""

from __future__ import annotations

from dataclasses import fields

import pytest

from headrace.cli.breakeven_text import breakeven_text
from headrace.cli.verbs.breakeven import FORMS, QuestionFlags
from headrace.domain.json_value import JsonObject
from headrace.wire.breakeven_body import FIELDS
from tests.unit.cli.command_line import ADMIN, CommandLine

ASK = "POST /v2/breakeven"
REPORT: JsonObject = {
    "answer": "Dedicated costs $1.99 instead of $2.5515 an hour; it wins from 234 requests an hour on.",
    "figures": [
        {"name": "break_even_requests_per_hour", "value": 1_234, "unit": "requests/h", "formula": "a / b"},
        {"name": "always_wins_from_requests_per_hour", "value": None, "unit": "requests/h", "formula": "c"},
    ],
    "inputs": [
        {"name": "gpu", "value": "mi300x", "unit": "name", "source": "given in the question"},
        {"name": "gpus", "value": 1, "unit": "GPU/replica", "source": "given in the question"},
        {"name": "gpu_usd_per_hour", "value": "1.99", "unit": "USD/h", "source": "1 x MI300X from 2026-05-13"},
    ],
    "sensitivity": [
        {
            "input": "tokens_per_second",
            "change": "-20 %",
            "serverless_nano_usd": 2_551_500_000,
            "dedicated_nano_usd": 1_990_000_000,
            "break_even_requests_per_hour": 1_234,
        },
        {
            "input": "utilisation_percent",
            "change": "50 %",
            "serverless_nano_usd": 0,
            "dedicated_nano_usd": 47_760_000_000,
            "break_even_requests_per_hour": None,
        },
    ],
    "notes": ["Output prices are not in this simple form."],
}
TEXT = """\
Dedicated costs $1.99 instead of $2.5515 an hour; it wins from 234 requests an hour on.

figures
  break_even_requests_per_hour  1,234 requests/h
      = a / b
  always_wins_from_requests_per_hour  none
      = c

inputs
  gpu               mi300x
  gpus              1 GPU/replica
                    given in the question
  gpu_usd_per_hour  1.99 USD/h
                    1 x MI300X from 2026-05-13

sensitivity
  WITH                    AT  DEDICATED  SERVERLESS  BREAK-EVEN requests/h
  tokens_per_second    -20 %      $1.99     $2.5515                  1,234
  utilisation_percent   50 %     $47.76       $0.00                  never

beware
  - Output prices are not in this simple form."""


def asked(*argv: str) -> JsonObject:
    line = CommandLine().answers(ASK, REPORT)
    ran = line("breakeven", *argv)
    assert ran.status == 0, ran.err
    body = line.api.last_body
    assert isinstance(body, dict)
    return body


def test_the_report_is_laid_out() -> None:
    assert breakeven_text(REPORT) == TEXT


def test_a_short_report_has_no_empty_headings() -> None:
    text = breakeven_text(REPORT | {"sensitivity": [], "notes": []})
    assert "sensitivity" not in text
    assert "beware" not in text


def test_three_words_are_the_simple_form_and_asked_as_the_operator() -> None:
    line = CommandLine().answers(ASK, REPORT)
    assert line("breakeven", "opus", "mi300x", "300").out == f"{TEXT}\n"
    assert line.api.last_body == {"form": "simple", "model": "opus", "gpu": "mi300x", "requests_per_hour": 300}
    assert line.api.credentials == [ADMIN]


def test_flags_say_the_same() -> None:
    same = asked("--model", "opus", "--gpu", "mi300x", "--requests", "300", "--on", "2026-07-02")
    assert same == {
        "form": "simple",
        "model": "opus",
        "gpu": "mi300x",
        "requests_per_hour": 300,
        "on": "2026-07-02",
    }


@pytest.mark.parametrize("more", [("--full",), ("--spare-replicas", "1"), ("--tokens-per-second", "2500.5")])
def test_a_flag_of_the_full_form_makes_it_full(more: tuple[str, ...]) -> None:
    assert asked("opus", "mi300x", "300", *more)["form"] == "full"


def test_decimals_are_sent_as_they_were_typed() -> None:
    body = asked("opus", "mi300x", "300", "--gpu-usd-per-hour", "2.590", "--tokens-per-second", "2500.5")
    assert (body["gpu_usd_per_hour"], body["tokens_per_second"]) == ("2.590", "2500.5")


def test_the_ledger_needs_no_model() -> None:
    body = asked("--from-ledger", "--days", "1", "--gpu", "mi300x", "--tokens-per-second", "2000")
    assert body == {"form": "ledger", "days": 1, "gpu": "mi300x", "tokens_per_second": "2000"}


def test_the_forms_exclude_each_other() -> None:
    ran = CommandLine()("breakeven", "--from-ledger", "--full")
    assert (ran.status, "--full and --from-ledger exclude each other" in ran.err) == (2, True)


def test_json_is_what_the_server_said() -> None:
    ran = CommandLine().answers(ASK, REPORT)("breakeven", "opus", "mi300x", "300", "--json")
    assert ran.json == REPORT


def test_every_field_of_the_question_has_its_flag() -> None:
    given = {each.name for each in fields(QuestionFlags)} - FORMS
    assert given | {"form", "model", "gpu", "requests_per_hour"} == FIELDS
