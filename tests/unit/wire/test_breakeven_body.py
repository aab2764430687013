"""Break-even questions: every field in its range, the value and the fix in every refusal."""

from __future__ import annotations

import pytest

from headrace.domain.accelerator import Billing
from headrace.domain.breakeven_question import Asked, Form
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.breakeven_body import FIELDS, fields_of, read_question

SIMPLE: JsonObject = {"model": "one", "gpu": "big", "requests_per_hour": 300}


def test_a_question_without_a_form_is_simple() -> None:
    asked = read_question(SIMPLE | {"provider": None})
    assert asked == Asked(model="one", gpu="big", requests_per_hour=300)


def test_decimals_are_read_into_whole_numbers_of_their_units() -> None:
    asked = read_question(
        {
            **SIMPLE,
            "form": "full",
            "billing": "spot",
            "on": "2026-08-01",
            "gpu_usd_per_hour": "2.59",
            "input_usd_per_mtok": "0.0375",
            "output_usd_per_mtok": 25,
            "tokens_per_second": "2500.5",
            "utilisation_percent": "62.5",
            "batch_share_percent": 0,
            "warm_up_seconds": "61.4",
            "sleep_after_minutes": 0,
        }
    )
    assert (asked.form, asked.billing, asked.on) == (Form.FULL, Billing.SPOT, "2026-08-01")
    assert asked.gpu_usd_per_hour == 2_590_000_000
    assert (asked.input_usd_per_mtok, asked.output_usd_per_mtok) == (37_500, 25_000_000)
    assert (asked.tokens_per_second, asked.utilisation_percent) == (2_500_500, 625_000)
    assert (asked.batch_share_percent, asked.warm_up_seconds, asked.sleep_after_minutes) == (0, 61_400, 0)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("gpu_usd_per_hour", "-1", 'not "-1"'),
        ("gpu_usd_per_hour", "NaN", 'not "NaN"'),
        ("gpu_usd_per_hour", "1/3", 'not "1/3"'),
        ("gpu_usd_per_hour", "1.2345678", 'like "2.59" in quotes, more than 0, at most 1,000,000, at most 6 decimal'),
        ("gpu_usd_per_hour", "0", "more than 0"),
        ("gpu_usd_per_hour", "1000001", "at most 1,000,000"),
        ("gpu_usd_per_hour", 2.59, "in quotes"),
        ("gpu_usd_per_hour", True, "not True"),
        ("gpu_usd_per_hour", -3, "not -3"),
        ("gpu_usd_per_hour", ["2"], "dollars per hour"),
        ("input_usd_per_mtok", "9" * 200, "dollars per million tokens"),
        ("requests_per_hour", 0, "a whole number from 1 to 1,000,000,000, not 0"),
        ("requests_per_hour", -5, "not -5"),
        ("requests_per_hour", 10**30, "a whole number"),
        ("requests_per_hour", 1.5, "not 1.5"),
        ("requests_per_hour", "300", 'not "300"'),
        ("requests_per_hour", True, "not True"),
        ("tokens_per_second", "0", "more than 0"),
        ("tokens_per_second", "-1", "tokens per second"),
        ("utilisation_percent", "0", "more than 0"),
        ("utilisation_percent", "101", "at most 100"),
        ("batch_share_percent", "100.1", "at most 100"),
        ("warm_up_seconds", "3601", "at most 3,600"),
        ("sleep_after_minutes", 61, "from 0 to 60"),
        ("spare_replicas", 101, "from 0 to 100"),
        ("gpus", 0, "from 1 to 64"),
        ("on", "2026-02-30", "a date like 2026-08-01"),
        ("on", "20260801", "a date like 2026-08-01"),
        ("on", 20260801, "a date like 2026-08-01"),
        ("billing", "free", "one of on_demand, spot"),
        ("billing", 1, "one of on_demand, spot"),
        ("form", "short", "one of simple, full, ledger"),
        ("model", "", "a text of 1 to 500 characters"),
        ("model", "a\nb", "on one line"),
        ("model", 7, "a text"),
        ("stand_in", "x" * 501, "a text of 1 to 500 characters"),
        ("min_replicas", 1_001, "from 0 to 1,000"),
    ],
)
def test_what_does_not_belong_is_refused_with_its_value_and_the_fix(name: str, value: JsonValue, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_question({**SIMPLE, "form": "full", name: value})
    assert caught.value.param == name
    assert f'"{name}" (--{name.replace("_", "-")})' in caught.value.message
    assert said in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("form", "name", "value", "said"),
    [
        ("simple", "tokens_per_second", "5", '"full" (--full) or "ledger" (--from-ledger)'),
        ("full", "days", 5, 'in the form "ledger" (--from-ledger)'),
        ("full", "tokens_per_request", 5, 'in the form "simple" (without --full)'),
        ("ledger", "requests_per_hour", 5, '"simple" (without --full) or "full" (--full)'),
    ],
)
def test_a_field_of_another_form_is_not_ignored(form: str, name: str, value: JsonValue, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_question({"form": form, name: value})
    assert caught.value.param == name
    assert said in caught.value.message


def test_fields_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="active_hours_per_day"):
        read_question({"form": "full", "active_hours_per_day": 8, "off_peak_hours": 9})
    with pytest.raises(InvalidRequest, match="all replicas sleep"):
        read_question({"form": "full", "min_replicas": 2, "sleep_after_minutes": 5})


def test_every_field_is_one_of_the_question() -> None:
    assert set(Asked.__dataclass_fields__) == FIELDS
    assert fields_of(Form.SIMPLE) < FIELDS
